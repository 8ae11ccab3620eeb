//! The files of a volume that comes from API objects: configMap, secret, downwardAPI, projected. Pure. What the files
//! are called and may do follows the `items`, `defaultMode` and `optional` rules of the API.

use std::collections::BTreeMap;

use client::k8s_openapi::api::core::v1 as api;

use crate::claims::Resolved;
use crate::container::downward::{self, Surroundings};
use crate::container::env::missing;
use crate::sources::{Gathered, Kind};

/// One file of a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) bytes: Vec<u8>,
    pub(crate) mode: u32,
}

/// Relative path to file.
pub(crate) type Payload = BTreeMap<String, File>;

/// What payloads are made from.
pub(crate) struct Context<'a> {
    pub(crate) pod: &'a api::Pod,
    pub(crate) sources: &'a Gathered,
    pub(crate) around: &'a Surroundings,
    /// Service account tokens, by volume and path.
    pub(crate) tokens: &'a BTreeMap<(String, String), String>,
    /// Where claims lie, by volume; those that were found out before are left out.
    pub(crate) claims: &'a Resolved,
}

/// The mode of files where nothing else is said.
const MODE: i32 = 0o644;

/// The files of the volume; `None` when its content does not come from the API.
pub(crate) fn payload(volume: &api::Volume, context: &Context<'_>) -> Option<Result<Payload, String>> {
    let mut out = Payload::new();
    let result = if let Some(map) = &volume.config_map {
        let keys = Keys { items: &map.items, optional: map.optional };
        entries(context, Kind::ConfigMap, &map.name, keys, mode(map.default_mode), &mut out)
    } else if let Some(secret) = &volume.secret {
        let keys = Keys { items: &secret.items, optional: secret.optional };
        let name = secret.secret_name.as_deref().unwrap_or_default();
        entries(context, Kind::Secret, name, keys, mode(secret.default_mode), &mut out)
    } else if let Some(downward) = &volume.downward_api {
        fields(context, downward.items.iter().flatten(), mode(downward.default_mode), &mut out)
    } else if let Some(projected) = &volume.projected {
        project(context, &volume.name, projected, &mut out)
    } else {
        return None;
    };
    Some(result.map(|()| out))
}

fn mode(mode: Option<i32>) -> u32 {
    u32::try_from(mode.unwrap_or(MODE)).unwrap_or(0o644) & 0o777
}

struct Keys<'a> {
    items: &'a Option<Vec<api::KeyToPath>>,
    optional: Option<bool>,
}

fn entries(
    context: &Context<'_>,
    kind: Kind,
    name: &str,
    keys: Keys<'_>,
    mode: u32,
    out: &mut Payload,
) -> Result<(), String> {
    let optional = keys.optional == Some(true);
    let Some(mut entries) = context.sources.entries(kind, name) else {
        return if optional { Ok(()) } else { Err(missing(kind, name)) };
    };
    let Some(items) = keys.items.as_ref().filter(|items| !items.is_empty()) else {
        for (key, bytes) in entries {
            put(out, &key, bytes, mode)?;
        }
        return Ok(());
    };
    for item in items {
        let own = item.mode.map_or(mode, |own| self::mode(Some(own)));
        match entries.remove(&item.key) {
            Some(bytes) => put(out, &item.path, bytes, own)?,
            None if optional => {}
            None => return Err("references non-existent config key: ".to_owned() + &item.key),
        }
    }
    Ok(())
}

fn fields<'a>(
    context: &Context<'_>,
    items: impl Iterator<Item = &'a api::DownwardAPIVolumeFile>,
    mode: u32,
    out: &mut Payload,
) -> Result<(), String> {
    for item in items {
        let own = item.mode.map_or(mode, |own| self::mode(Some(own)));
        let text = match (&item.field_ref, &item.resource_field_ref) {
            (Some(field), _) => downward::field(&field.field_path, context.pod, context.around)?,
            (None, Some(selector)) => downward::resource(selector, context.pod, None, context.around)?,
            (None, None) => continue,
        };
        put(out, &item.path, text.into_bytes(), own)?;
    }
    Ok(())
}

fn project(
    context: &Context<'_>,
    volume: &str,
    projected: &api::ProjectedVolumeSource,
    out: &mut Payload,
) -> Result<(), String> {
    let mode = mode(projected.default_mode);
    for source in projected.sources.iter().flatten() {
        if let Some(map) = &source.config_map {
            let keys = Keys { items: &map.items, optional: map.optional };
            entries(context, Kind::ConfigMap, &map.name, keys, mode, out)?;
        } else if let Some(secret) = &source.secret {
            let keys = Keys { items: &secret.items, optional: secret.optional };
            entries(context, Kind::Secret, &secret.name, keys, mode, out)?;
        } else if let Some(downward) = &source.downward_api {
            fields(context, downward.items.iter().flatten(), mode, out)?;
        } else if let Some(token) = &source.service_account_token {
            let place = (volume.to_owned(), token.path.clone());
            let text = context.tokens.get(&place).ok_or("the service account token is not there yet")?;
            put(out, &token.path, text.clone().into_bytes(), mode)?;
        } else {
            let kinds = serde_json::to_value(source).unwrap_or_default();
            let kind = kinds.as_object().and_then(|kinds| kinds.keys().next().cloned()).unwrap_or_default();
            return Err(format!(
                "projected sources of the kind {kind} are not supported: use configMap, secret, downwardAPI or \
                 serviceAccountToken"
            ));
        }
    }
    Ok(())
}

/// Adds a file whose path stays inside the volume.
fn put(out: &mut Payload, path: &str, bytes: Vec<u8>, mode: u32) -> Result<(), String> {
    let plain = |part: &str| !matches!(part, "" | "." | "..");
    if !path.split('/').all(plain) || path.starts_with("..") {
        return Err(format!("\"{path}\" is not a path inside the volume"));
    }
    out.insert(path.to_owned(), File { bytes, mode });
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn made(volume: Value) -> Result<String, String> {
        let sources = Gathered::of([
            (Kind::ConfigMap, "settings", json!({ "data": { "a": "1", "b": "22" } })),
            (Kind::Secret, "keys", json!({ "data": { "token": "aGk=" } })),
        ]);
        let pod = serde_json::from_value(json!({ "metadata": { "name": "p", "namespace": "ns" } }));
        let pod: api::Pod = pod.expect("a pod");
        let tokens = BTreeMap::from([(("v".to_owned(), "token".to_owned()), "jwt".to_owned())]);
        let around = Surroundings::default();
        let claims = Resolved::new();
        let context =
            Context { pod: &pod, sources: &sources, around: &around, tokens: &tokens, claims: &claims };
        let volume = serde_json::from_value(volume).expect("a volume");
        let files = payload(&volume, &context).expect("from the API")?;
        let line = |(path, file): (&String, &File)| {
            format!("{path}:{:o}:{}", file.mode, String::from_utf8_lossy(&file.bytes))
        };
        Ok(files.iter().map(line).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn whole_objects_and_items() {
        let all = json!({ "name": "v", "configMap": { "name": "settings" } });
        assert_eq!(made(all).as_deref(), Ok("a:644:1 b:644:22"));
        let some = json!({ "name": "v", "secret": { "secretName": "keys", "defaultMode": 256,
            "items": [{ "key": "token", "path": "deep/t" }] } });
        assert_eq!(made(some).as_deref(), Ok("deep/t:400:hi"));
    }

    #[test]
    fn projected_sources_share_a_directory() {
        let volume = json!({ "name": "v", "projected": { "sources": [
            { "serviceAccountToken": { "path": "token", "expirationSeconds": 3607 } },
            { "configMap": { "name": "settings", "items": [{ "key": "a", "path": "ca.crt", "mode": 384 }] } },
            { "downwardAPI": { "items": [
                { "path": "namespace", "fieldRef": { "fieldPath": "metadata.namespace" } }] } }
        ] } });
        assert_eq!(made(volume).as_deref(), Ok("ca.crt:600:1 namespace:644:ns token:644:jwt"));
    }

    #[test]
    fn missing_things_and_escapes() {
        let absent = json!({ "name": "v", "configMap": { "name": "no" } });
        assert_eq!(made(absent).unwrap_err(), "configmap \"no\" not found");
        let optional = json!({ "name": "v", "configMap": { "name": "no", "optional": true } });
        assert_eq!(made(optional).as_deref(), Ok(""));
        let key = json!({ "name": "v", "configMap": { "name": "settings", "items": [{ "key": "z", "path": "z" }] } });
        assert_eq!(made(key).unwrap_err(), "references non-existent config key: z");
        for path in ["../x", "/etc/x", "a/../../x"] {
            let item = json!([{ "key": "a", "path": path }]);
            let escape = json!({ "name": "v", "configMap": { "name": "settings", "items": item } });
            assert!(made(escape).is_err(), "{path}");
        }
    }
}
