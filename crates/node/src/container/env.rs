//! A container's environment: service variables, then `envFrom`, then `env`, later ones winning. Pure. The error texts
//! are those that upstream shows in CreateContainerConfigError.

use client::k8s_openapi::api::core::v1 as api;

use super::downward::{self, Surroundings};
use super::expand::expand;
use crate::sources::{Gathered, Kind};

/// Everything an environment is made from.
pub(crate) struct Input<'a> {
    pub(crate) pod: &'a api::Pod,
    pub(crate) container: &'a api::Container,
    pub(crate) services: Vec<(String, String)>,
    pub(crate) sources: &'a Gathered,
    pub(crate) around: &'a Surroundings,
}

/// Variables in order, each name once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Environment(Vec<(String, String)>);

impl Environment {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn into_inner(self) -> Vec<(String, String)> {
        self.0
    }

    fn set(&mut self, name: String, value: String) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some(entry) => entry.1 = value,
            None => self.0.push((name, value)),
        }
    }
}

/// The environment, or why it cannot be made.
pub(crate) fn environment(input: &Input<'_>) -> Result<Environment, String> {
    let mut environment = Environment(input.services.clone());
    for from in input.container.env_from.iter().flatten() {
        for (name, value) in env_from(input, from)? {
            environment.set(name, value);
        }
    }
    for variable in input.container.env.iter().flatten() {
        let value = match &variable.value_from {
            Some(source) => value_from(input, source)?,
            None => {
                let text = variable.value.as_deref().unwrap_or_default();
                Some(expand(text, |name| environment.get(name)))
            }
        };
        if let Some(value) = value {
            environment.set(variable.name.clone(), value);
        }
    }
    Ok(environment)
}

fn env_from(input: &Input<'_>, from: &api::EnvFromSource) -> Result<Vec<(String, String)>, String> {
    let (kind, name, optional) = match (&from.config_map_ref, &from.secret_ref) {
        (Some(map), _) => (Kind::ConfigMap, &map.name, map.optional),
        (None, Some(secret)) => (Kind::Secret, &secret.name, secret.optional),
        (None, None) => return Ok(Vec::new()),
    };
    let Some(entries) = input.sources.entries(kind, name) else {
        return if optional == Some(true) { Ok(Vec::new()) } else { Err(missing(kind, name)) };
    };
    let prefix = from.prefix.as_deref().unwrap_or_default();
    let text = |(key, value): (String, Vec<u8>)| {
        (format!("{prefix}{key}"), String::from_utf8_lossy(&value).into_owned())
    };
    Ok(entries.into_iter().map(text).collect())
}

fn value_from(input: &Input<'_>, source: &api::EnvVarSource) -> Result<Option<String>, String> {
    if let Some(field) = &source.field_ref {
        return downward::field(&field.field_path, input.pod, input.around).map(Some);
    }
    if let Some(selector) = &source.resource_field_ref {
        return downward::resource(selector, input.pod, Some(&input.container.name), input.around).map(Some);
    }
    if let Some(from) = &source.config_map_key_ref {
        return keyed(input, Kind::ConfigMap, &from.name, &from.key, from.optional);
    }
    if let Some(from) = &source.secret_key_ref {
        return keyed(input, Kind::Secret, &from.name, &from.key, from.optional);
    }
    Err("an environment variable from a fileKeyRef is not supported".to_owned())
}

fn keyed(
    input: &Input<'_>,
    kind: Kind,
    name: &str,
    key: &str,
    optional: Option<bool>,
) -> Result<Option<String>, String> {
    let optional = optional == Some(true);
    let Some(mut entries) = input.sources.entries(kind, name) else {
        return if optional { Ok(None) } else { Err(missing(kind, name)) };
    };
    match entries.remove(key) {
        Some(value) => Ok(Some(String::from_utf8_lossy(&value).into_owned())),
        None if optional => Ok(None),
        None => {
            let namespace = input.pod.metadata.namespace.as_deref().unwrap_or_default();
            let kind = if kind == Kind::ConfigMap { "ConfigMap" } else { "Secret" };
            Err(format!("couldn't find key {key} in {kind} {namespace}/{name}"))
        }
    }
}

/// Upstream's words for an object that is not there.
pub(crate) fn missing(kind: Kind, name: &str) -> String {
    match kind {
        Kind::ConfigMap => format!("configmap \"{name}\" not found"),
        Kind::Secret => format!("secret \"{name}\" not found"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn made(container: Value) -> Result<String, String> {
        let container = serde_json::from_value(container).expect("a container");
        let pod = json!({ "metadata": { "name": "p", "namespace": "ns" } });
        let pod = serde_json::from_value(pod).expect("a pod");
        let sources = Gathered::of([
            (Kind::ConfigMap, "settings", json!({ "data": { "LEVEL": "info" } })),
            (Kind::Secret, "keys", json!({ "data": { "TOKEN": "aGk=" } })),
        ]);
        let services = vec![("DB_SERVICE_HOST".to_owned(), "10.43.0.9".to_owned())];
        let around = Surroundings::default();
        let input = Input { pod: &pod, container: &container, services, sources: &sources, around: &around };
        let variables = environment(&input)?.into_inner();
        Ok(variables.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn later_ones_win_and_see_earlier_ones() {
        let container = json!({ "name": "c",
            "envFrom": [{ "prefix": "X_", "configMapRef": { "name": "settings" } }, { "secretRef": { "name": "keys" } }],
            "env": [
                { "name": "TOKEN", "value": "own" },
                { "name": "URL", "value": "http://$(DB_SERVICE_HOST)/$(X_LEVEL)/$(NOPE)" },
                { "name": "ME", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } },
                { "name": "T", "valueFrom": { "secretKeyRef": { "name": "keys", "key": "TOKEN" } } },
                { "name": "NONE", "valueFrom": { "configMapKeyRef": { "name": "no", "key": "k", "optional": true } } }
            ] });
        let expected =
            "DB_SERVICE_HOST=10.43.0.9 X_LEVEL=info TOKEN=own URL=http://10.43.0.9/info/$(NOPE) ME=p T=hi";
        assert_eq!(made(container).as_deref(), Ok(expected));
    }

    #[test]
    fn says_what_is_missing() {
        let key = |name: &str, key: &str| {
            json!({ "name": "c", "env": [
                { "name": "A", "valueFrom": { "configMapKeyRef": { "name": name, "key": key } } }] })
        };
        assert_eq!(made(key("no", "k")).unwrap_err(), "configmap \"no\" not found");
        assert_eq!(made(key("settings", "k")).unwrap_err(), "couldn't find key k in ConfigMap ns/settings");
        let from = json!({ "name": "c", "envFrom": [{ "secretRef": { "name": "no" } }] });
        assert_eq!(made(from).unwrap_err(), "secret \"no\" not found");
    }
}
