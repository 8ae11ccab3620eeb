//! One version of one object as the cache keeps it: the bytes that go over the wire, and the few parts of it that
//! selectors and preconditions ask for. Never changes once made; shared by the shelf, its ring and every reader.

use bytes::Bytes;
use object::Kind;
use serde::Deserialize;
use serde_json::Value;
use std::{borrow::Cow, collections::BTreeMap, sync::Arc};
use store::Revision;
use tokio::time::Instant;

/// One version of one object.
#[derive(Debug)]
pub(crate) struct Item {
    /// The store's key.
    pub(crate) key: Arc<str>,
    /// The object with its resourceVersion, as it is served.
    pub(crate) bytes: Bytes,
    /// The revision that made this version.
    pub(crate) revision: Revision,
    pub(crate) namespace: Box<str>,
    pub(crate) name: Box<str>,
    pub(crate) uid: Box<str>,
    /// When this version came into the cache.
    pub(crate) since: Instant,
    /// Whether the object has a deletionTimestamp.
    pub(crate) deleting: bool,
    pub(crate) labels: BTreeMap<String, String>,
    /// The values of the kind's selectable fields, beyond name and namespace.
    pub(crate) fields: Vec<(&'static str, String)>,
}

#[derive(Deserialize)]
struct Light<'a> {
    #[serde(borrow)]
    metadata: LightMetadata<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LightMetadata<'a> {
    #[serde(borrow, default)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    namespace: Cow<'a, str>,
    #[serde(borrow, default)]
    uid: Cow<'a, str>,
    #[serde(borrow)]
    deletion_timestamp: Option<Cow<'a, str>>,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

impl Item {
    /// Reads the stored bytes of a key that was put in `revision`.
    pub(crate) fn read(
        kind: &Kind,
        key: Arc<str>,
        stored: &[u8],
        revision: Revision,
    ) -> serde_json::Result<Item> {
        let light: Light<'_> = serde_json::from_slice(stored)?;
        let metadata = light.metadata;
        let fields = super::select::fields_of(kind, stored)?;
        Ok(Item {
            key,
            bytes: super::encode::with_revision(stored, revision),
            revision,
            namespace: metadata.namespace.into(),
            name: metadata.name.into(),
            uid: metadata.uid.into(),
            since: Instant::now(),
            deleting: metadata.deletion_timestamp.is_some(),
            labels: metadata.labels.unwrap_or_default(),
            fields,
        })
    }

    /// The last version of a deleted object, as watchers get it: with the revision of its deletion.
    pub(crate) fn deleted(&self, stored: &[u8], revision: Revision) -> Item {
        Item {
            key: self.key.clone(),
            bytes: super::encode::with_revision(stored, revision),
            revision,
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            uid: self.uid.clone(),
            since: Instant::now(),
            deleting: self.deleting,
            labels: self.labels.clone(),
            fields: self.fields.clone(),
        }
    }

    /// The object itself.
    pub(crate) fn value(&self) -> Value {
        serde_json::from_slice(&self.bytes).expect("cached bytes were read as JSON before")
    }
}
