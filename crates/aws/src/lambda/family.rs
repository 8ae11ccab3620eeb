//! A function and what belongs to it: the objects that its policies, URLs and settings may be in.

use super::name::Name;
use crate::door::Door;
use crate::fault::Fault;
use serde_json::Value;

impl Door {
    /// The ARN with the qualifier, which is `$LATEST` where none is given.
    pub(crate) fn qualified_arn(&self, name: &Name) -> String {
        format!("{}:{}", self.arn(&name.name), name.qualifier.as_deref().unwrap_or("$LATEST"))
    }

    /// The function itself.
    pub(crate) async fn family(&self, name: &Name) -> Result<Vec<(Name, Value)>, Fault> {
        let function = Name { name: name.name.clone(), qualifier: None };
        let object = self.find(&function).await?;
        Ok(vec![(function, object)])
    }
}
