//! One rule of a role: what it allows, and what it covers.

use crate::attributes::Attributes;
use serde_json::{Value, json};

const ALL: &str = "*";

/// One entry of `rules`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) verbs: Vec<String>,
    pub(crate) groups: Vec<String>,
    pub(crate) resources: Vec<String>,
    pub(crate) names: Vec<String>,
    pub(crate) urls: Vec<String>,
}

fn has(list: &[String], wanted: &str) -> bool {
    list.iter().any(|own| own == ALL || own == wanted)
}

impl Rule {
    /// Reads the `rules` of a role.
    pub(crate) fn read_all(rules: &Value) -> Vec<Rule> {
        rules.as_array().into_iter().flatten().map(Rule::read).collect()
    }

    fn read(rule: &Value) -> Rule {
        let list = |key: &str| {
            let values = rule[key].as_array().into_iter().flatten();
            values.filter_map(|value| value.as_str().map(str::to_owned)).collect()
        };
        Rule {
            verbs: list("verbs"),
            groups: list("apiGroups"),
            resources: list("resources"),
            names: list("resourceNames"),
            urls: list("nonResourceURLs"),
        }
    }

    /// The two rules that allow everything.
    pub(crate) fn everything() -> [Rule; 2] {
        let all = || vec![ALL.to_owned()];
        [
            Rule { verbs: all(), groups: all(), resources: all(), ..Rule::default() },
            Rule { verbs: all(), urls: all(), ..Rule::default() },
        ]
    }

    /// Whether the rule allows a request.
    pub(crate) fn allows(&self, request: &Attributes) -> bool {
        if !has(&self.verbs, request.verb) {
            return false;
        }
        if !request.is_resource() {
            return self.urls.iter().any(|own| covers_url(own, &request.path));
        }
        has(&self.groups, &request.group)
            && self.has_resource(&request.resource, &request.subresource)
            && (self.names.is_empty() || self.names.contains(&request.name))
    }

    fn has_resource(&self, resource: &str, subresource: &str) -> bool {
        self.resources.iter().any(|own| match own.split_once('/') {
            _ if own == ALL => true,
            Some((base, below)) => (base == ALL || base == resource) && below == subresource,
            None => own == resource && subresource.is_empty(),
        })
    }

    /// The rule as rules of one verb, one group and one resource (or one URL) each.
    pub(crate) fn atoms(&self) -> Vec<Rule> {
        let mut atoms = Vec::new();
        for verb in &self.verbs {
            let verbs = || vec![verb.clone()];
            for url in &self.urls {
                atoms.push(Rule { verbs: verbs(), urls: vec![url.clone()], ..Rule::default() });
            }
            for group in &self.groups {
                for resource in &self.resources {
                    let atom = Rule {
                        verbs: verbs(),
                        groups: vec![group.clone()],
                        resources: vec![resource.clone()],
                        ..Rule::default()
                    };
                    let one = |name: &String| Rule { names: vec![name.clone()], ..atom.clone() };
                    match self.names.is_empty() {
                        true => atoms.push(atom),
                        false => atoms.extend(self.names.iter().map(one)),
                    }
                }
            }
        }
        atoms
    }

    /// Whether this rule allows all that an atom of another does; a wildcard is covered by a wildcard alone.
    pub(crate) fn covers(&self, atom: &Rule) -> bool {
        let all = |own: &[String], theirs: &[String]| theirs.iter().all(|wanted| has(own, wanted));
        let resource = |wanted: &String| {
            let (base, below) = wanted.split_once('/').unwrap_or((wanted, ""));
            has(&self.resources, wanted) || (wanted != ALL && self.has_resource(base, below))
        };
        let urls = |wanted: &String| self.urls.iter().any(|own| own == wanted || covers_url(own, wanted));
        let names = self.names.is_empty()
            || (!atom.names.is_empty() && atom.names.iter().all(|wanted| self.names.contains(wanted)));
        all(&self.verbs, &atom.verbs)
            && all(&self.groups, &atom.groups)
            && atom.resources.iter().all(resource)
            && atom.urls.iter().all(urls)
            && names
    }

    /// The rule as a review answers it.
    pub(crate) fn to_json(&self) -> Value {
        let mut out = json!({"verbs": self.verbs});
        let lists = [
            ("apiGroups", &self.groups),
            ("resources", &self.resources),
            ("resourceNames", &self.names),
            ("nonResourceURLs", &self.urls),
        ];
        for (key, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
            out[key] = json!(list);
        }
        out
    }
}

fn covers_url(own: &str, path: &str) -> bool {
    match own.strip_suffix(ALL) {
        Some(prefix) => path.starts_with(prefix),
        None => own == path,
    }
}

/// The form in which upstream's escalation error names a rule.
impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lists = [
            ("APIGroups", &self.groups),
            ("Resources", &self.resources),
            ("ResourceNames", &self.names),
            ("NonResourceURLs", &self.urls),
            ("Verbs", &self.verbs),
        ];
        let texts = lists.into_iter().filter(|(_, list)| !list.is_empty()).map(|(key, list)| {
            let quoted: Vec<String> = list.iter().map(|value| format!("{value:?}")).collect();
            format!("{key}:[{}]", quoted.join(" "))
        });
        write!(f, "{{{}}}", texts.collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::Query;
    use http::Method;

    fn rule(rule: Value) -> Rule {
        Rule::read(&rule)
    }

    fn get(path: &str) -> Attributes {
        Attributes::of(&Method::GET, path, &Query::default())
    }

    #[test]
    fn rules_allow() {
        let pods = rule(json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}));
        assert!(pods.allows(&get("/api/v1/namespaces/a/pods/b")));
        assert!(!pods.allows(&get("/api/v1/namespaces/a/pods/b/log")));
        assert!(!pods.allows(&get("/apis/apps/v1/namespaces/a/pods/b")));
        assert!(!pods.allows(&get("/version")));
        let logs = rule(json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*/log"]}));
        assert!(logs.allows(&get("/api/v1/namespaces/a/pods/b/log")) && !logs.allows(&get("/api/v1/pods")));
        let named =
            rule(json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["b"]}));
        assert!(
            named.allows(&get("/api/v1/namespaces/a/pods/b"))
                && !named.allows(&get("/api/v1/namespaces/a/pods/c"))
        );
        let urls = rule(json!({"verbs": ["get"], "nonResourceURLs": ["/version", "/apis/*"]}));
        assert!(
            urls.allows(&get("/version"))
                && urls.allows(&get("/apis/apps"))
                && !urls.allows(&get("/metrics"))
        );
    }

    #[test]
    fn wildcards_are_covered_by_wildcards_alone() {
        let few = rule(json!({"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]}));
        let [all, _] = Rule::everything();
        assert!(few.atoms().iter().all(|atom| all.covers(atom) && few.covers(atom)));
        assert_eq!(few.atoms().len(), 2);
        assert!(!all.atoms().iter().any(|atom| few.covers(atom)));
        let named =
            rule(json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["b"]}));
        assert!(few.covers(&named) && !named.covers(&few.atoms()[0]));
    }
}
