//! Role based access: who may do what, read from the four kinds of RBAC objects in the cache. The parsed form is made
//! again when one of these objects changed, and shared by all requests until then.

pub(crate) mod escalation;
mod rule;

use crate::{attributes::Attributes, cache::Cache, identity::Identity, identity::SYSTEM_MASTERS};
use object::{Status, selector::LabelSelector};
use serde_json::Value;
use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};
use store::Revision;

pub(crate) use rule::Rule;

/// The API group of the RBAC kinds.
pub(crate) const GROUP: &str = "rbac.authorization.k8s.io";
const RESOURCES: [&str; 4] = ["clusterroles", "clusterrolebindings", "roles", "rolebindings"];

/// Decides about requests. Cheap to ask: two hash look-ups and a walk over the caller's bindings.
#[derive(Debug)]
pub(crate) struct Rbac {
    cache: Arc<Cache>,
    policy: RwLock<Arc<Policy>>,
}

/// All bindings, with the rules of their roles.
#[derive(Debug, Default)]
struct Policy {
    /// The revisions of the four resources that this was made from.
    made_from: [Revision; 4],
    /// Grants in the whole cluster.
    cluster: Vec<Grant>,
    /// Grants in one namespace.
    namespaces: HashMap<String, Vec<Grant>>,
}

#[derive(Debug)]
struct Grant {
    subjects: Vec<Subject>,
    rules: Arc<Vec<Rule>>,
}

#[derive(Debug, PartialEq, Eq)]
enum Subject {
    User(String),
    Group(String),
}

impl Subject {
    fn read(subject: &Value, namespace: &str) -> Option<Subject> {
        let name = subject["name"].as_str()?.to_owned();
        match subject["kind"].as_str()? {
            "User" => Some(Subject::User(name)),
            "Group" => Some(Subject::Group(name)),
            "ServiceAccount" => {
                let namespace = subject["namespace"].as_str().unwrap_or(namespace);
                Some(Subject::User(format!("system:serviceaccount:{namespace}:{name}")))
            }
            _ => None,
        }
    }

    fn is(&self, identity: &Identity) -> bool {
        match self {
            Subject::User(user) => *user == identity.user,
            Subject::Group(group) => identity.in_group(group),
        }
    }
}

impl Rbac {
    pub(crate) fn new(cache: Arc<Cache>) -> Self {
        Self { cache, policy: RwLock::default() }
    }

    /// Whether `identity` may do what `attributes` say.
    pub(crate) fn allows(&self, identity: &Identity, attributes: &Attributes) -> bool {
        identity.in_group(SYSTEM_MASTERS)
            || self
                .policy()
                .grants(identity, &attributes.namespace)
                .any(|grant| grant.rules.iter().any(|rule| rule.allows(attributes)))
    }

    /// The error for what is not allowed, in upstream's words.
    pub(crate) fn check(&self, identity: &Identity, attributes: &Attributes) -> Result<(), Status> {
        if self.allows(identity, attributes) {
            return Ok(());
        }
        Err(Status::forbidden(
            &attributes.group,
            &attributes.resource,
            &attributes.name,
            &reason(identity, attributes),
        ))
    }

    /// Every rule that `identity` has in a namespace (with an empty one: in the whole cluster).
    pub(crate) fn rules(&self, identity: &Identity, namespace: &str) -> Vec<Rule> {
        let mut rules: Vec<Rule> = Vec::new();
        if identity.in_group(SYSTEM_MASTERS) {
            rules.extend(Rule::everything());
        }
        let policy = self.policy();
        rules.extend(policy.grants(identity, namespace).flat_map(|grant| grant.rules.iter().cloned()));
        rules
    }

    /// The rules of a role, with those it aggregates; `None` when there is no such role.
    pub(crate) fn role(&self, kind: &str, namespace: &str, name: &str) -> Option<Arc<Vec<Rule>>> {
        role_rules(&self.cache, kind, namespace, name).map(Arc::new)
    }

    fn policy(&self) -> Arc<Policy> {
        let revisions = RESOURCES.map(|plural| self.cache.resource(GROUP, plural).read().revision());
        let policy = self.policy.read().unwrap_or_else(PoisonError::into_inner).clone();
        if policy.made_from == revisions {
            return policy;
        }
        let policy = Arc::new(Policy::read(&self.cache, revisions));
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = policy.clone();
        policy
    }
}

impl Policy {
    fn read(cache: &Cache, made_from: [Revision; 4]) -> Policy {
        let mut policy = Policy { made_from, ..Policy::default() };
        let mut roles: HashMap<(String, String, String), Arc<Vec<Rule>>> = HashMap::new();
        for plural in ["clusterrolebindings", "rolebindings"] {
            for item in cache.resource(GROUP, plural).all("") {
                let binding = item.value();
                let text = |key: &str| binding["roleRef"][key].as_str().unwrap_or_default().to_owned();
                let role = (text("kind"), item.namespace().to_owned(), text("name"));
                let rules = roles.entry(role.clone()).or_insert_with(|| {
                    Arc::new(role_rules(cache, &role.0, &role.1, &role.2).unwrap_or_default())
                });
                let subjects = binding["subjects"].as_array().into_iter().flatten();
                let subjects = subjects.filter_map(|own| Subject::read(own, item.namespace())).collect();
                let grant = Grant { subjects, rules: rules.clone() };
                if item.namespace().is_empty() {
                    policy.cluster.push(grant);
                } else {
                    policy.namespaces.entry(item.namespace().to_owned()).or_default().push(grant);
                }
            }
        }
        policy
    }

    fn grants<'a>(&'a self, identity: &'a Identity, namespace: &str) -> impl Iterator<Item = &'a Grant> {
        let local = self.namespaces.get(namespace).into_iter().flatten();
        self.cluster.iter().chain(local).filter(|grant| grant.subjects.iter().any(|own| own.is(identity)))
    }
}

fn role_rules(cache: &Cache, kind: &str, namespace: &str, name: &str) -> Option<Vec<Rule>> {
    let cluster = cache.resource(GROUP, "clusterroles");
    let role = match kind {
        "ClusterRole" => cluster.get("", name)?.value(),
        "Role" => cache.resource(GROUP, "roles").get(namespace, name)?.value(),
        _ => return None,
    };
    let mut rules = Rule::read_all(&role["rules"]);
    let selectors = role["aggregationRule"]["clusterRoleSelectors"].as_array().into_iter().flatten();
    for selector in selectors.filter_map(|selector| LabelSelector::from_json(selector).ok()) {
        let all = cluster.all("");
        let matching = all.iter().filter(|own| own.name() != name);
        let matching =
            matching.filter(|own| selector.matches_with(|key| own.labels.get(key).map(String::as_str)));
        rules.extend(matching.flat_map(|own| Rule::read_all(&own.value()["rules"])));
    }
    Some(rules)
}

/// What the caller cannot do: `User "x" cannot list resource "pods" in API group "" in the namespace "default"`.
pub(crate) fn reason(identity: &Identity, attributes: &Attributes) -> String {
    let Attributes { verb, path, group, namespace, .. } = attributes;
    let user = &identity.user;
    if !attributes.is_resource() {
        return format!("User \"{user}\" cannot {verb} path \"{path}\"");
    }
    let resource = attributes.full_resource();
    let place = if namespace.is_empty() {
        "at the cluster scope".to_owned()
    } else {
        format!("in the namespace \"{namespace}\"")
    };
    format!("User \"{user}\" cannot {verb} resource \"{resource}\" in API group \"{group}\" {place}")
}
