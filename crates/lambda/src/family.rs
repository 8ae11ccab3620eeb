//! A function and what belongs to it: the objects that its policies, URLs and settings may be in.

use super::name::Name;
use super::page::Page;
use super::version::number;
use crate::Lambda;
use serde_json::Value;
use wire::{Call, Fault, Reply, reply};

impl Lambda {
    /// The ARN with the qualifier, which is `$LATEST` where none is given.
    pub(crate) fn qualified_arn(&self, name: &Name) -> String {
        format!("{}:{}", self.arn(&name.name), name.qualifier.as_deref().unwrap_or("$LATEST"))
    }

    /// A page of what the function itself, its versions and its aliases have of something, as `shown` shows it, in the order
    /// of their ARNs.
    pub(crate) async fn list_in_family(
        &self,
        call: &Call,
        name: &Name,
        member: &str,
        shown: impl Fn(&Name, &Value) -> Result<Option<Value>, Fault>,
    ) -> Result<Reply, Fault> {
        let page = Page::of(call)?;
        let mut items = Vec::new();
        for (name, object) in self.family(name).await? {
            items.extend(shown(&name, &object)?.map(|item| (self.qualified_arn(&name), item)));
        }
        Ok(reply::json(200, &page.answer(member, items)))
    }

    /// The function itself, its versions and its aliases.
    pub(crate) async fn family(&self, name: &Name) -> Result<Vec<(Name, Value)>, Fault> {
        let function = Name { name: name.name.clone(), qualifier: None };
        let object = self.find(&function).await?;
        let versions = self.versions(name).await?;
        let versions = versions.into_iter().map(|object| (name.at(&number(&object).to_string()), object));
        let aliases = self.aliases(name).await?;
        let aliases = aliases
            .into_iter()
            .map(|object| (name.at(object["spec"]["name"].as_str().unwrap_or_default()), object));
        Ok([(function, object)].into_iter().chain(versions).chain(aliases).collect())
    }
}
