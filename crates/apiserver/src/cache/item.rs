//! One version of one object as the cache keeps it: the bytes of the store, shared with it, and the few parts of the object
//! that selectors and preconditions ask for. Never changes once made; shared by the shelf, its ring and every reader.

use super::encode;
use super::select::Fields;
use bytes::{BufMut, Bytes};
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
    /// The object as it is stored, without its resourceVersion.
    pub(crate) stored: Bytes,
    /// The revision that made this version.
    pub(crate) revision: Revision,
    /// Where in the key the namespace begins; the name is what follows the last slash.
    namespace_at: u32,
    pub(crate) uid: Box<str>,
    /// When this version came into the cache.
    pub(crate) since: Instant,
    /// Whether the object has a deletionTimestamp.
    pub(crate) deleting: bool,
    pub(crate) labels: BTreeMap<String, String>,
    /// The values of the kind's selectable fields, beyond name and namespace.
    pub(super) fields: Fields,
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
    uid: Cow<'a, str>,
    #[serde(borrow)]
    deletion_timestamp: Option<Cow<'a, str>>,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

impl Item {
    /// Reads the stored bytes of a key that was put in `revision`. `prefix_len` is how long the part of the key is that
    /// names the resource.
    pub(crate) fn read(
        kind: &'static Kind,
        prefix_len: usize,
        key: Arc<str>,
        stored: Bytes,
        revision: Revision,
    ) -> serde_json::Result<Item> {
        let light: Light<'_> = serde_json::from_slice(&stored)?;
        let metadata = light.metadata;
        Ok(Item {
            key,
            revision,
            namespace_at: prefix_len as u32,
            uid: metadata.uid.into(),
            since: Instant::now(),
            deleting: metadata.deletion_timestamp.is_some(),
            labels: metadata.labels.unwrap_or_default(),
            fields: Fields::read(kind, &stored)?,
            stored,
        })
    }

    /// The last version of a deleted object, as watchers get it: with the revision of its deletion.
    pub(crate) fn deleted(&self, revision: Revision) -> Item {
        Item {
            key: self.key.clone(),
            stored: self.stored.clone(),
            revision,
            namespace_at: self.namespace_at,
            uid: self.uid.clone(),
            since: Instant::now(),
            deleting: self.deleting,
            labels: self.labels.clone(),
            fields: self.fields.clone(),
        }
    }

    /// The namespace; empty for an object of the cluster.
    pub(crate) fn namespace(&self) -> &str {
        let rest = &self.key[self.namespace_at as usize..];
        rest.rsplit_once('/').map_or("", |(namespace, _)| namespace)
    }

    /// The name.
    pub(crate) fn name(&self) -> &str {
        let rest = &self.key[self.namespace_at as usize..];
        rest.rsplit_once('/').map_or(rest, |(_, name)| name)
    }

    /// The object as it is served: with its resourceVersion.
    pub(crate) fn served(&self) -> Bytes {
        encode::with_revision(&self.stored, self.revision)
    }

    /// How long the served form is, at most.
    pub(crate) fn served_len_max(&self) -> usize {
        self.stored.len() + encode::SPLICE_LEN_MAX
    }

    /// Writes the object as it is served.
    pub(crate) fn put_served(&self, out: &mut impl BufMut) {
        encode::put_with_revision(out, &self.stored, self.revision);
    }

    /// The object itself.
    pub(crate) fn value(&self) -> Value {
        serde_json::from_slice(&self.served()).expect("cached bytes were read as JSON before")
    }
}
