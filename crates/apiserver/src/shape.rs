//! Objects and lists in the form that the client asked for: as they are, as a Table, or as their metadata alone.
//! The plain form copies cached bytes and parses nothing.

use crate::{
    answer::{self, Reply},
    cache::Item,
    call::Call,
    held::{Held, PIECE_BYTES},
    media::{Media, Shape},
};
use bytes::Bytes;
use futures::stream;
use http::{Response, StatusCode};
use object::{Kind, Status, table};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use std::sync::Arc;

#[derive(Deserialize)]
struct MetadataOnly<'a> {
    #[serde(borrow)]
    metadata: &'a RawValue,
}

/// The metadata of an object's bytes as a PartialObjectMetadata, without parsing the object.
pub(crate) fn metadata_only(bytes: &[u8]) -> Bytes {
    let metadata = serde_json::from_slice::<MetadataOnly<'_>>(bytes).map(|own| own.metadata.get());
    let metadata = metadata.unwrap_or("{}");
    format!(r#"{{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{metadata}}}"#)
        .into()
}

/// One object in the shape asked for.
pub(crate) fn object(call: &Call, kind: &Kind, code: StatusCode, bytes: Bytes) -> Reply {
    let bytes = match call.media.shape {
        Shape::Object => bytes,
        Shape::Metadata => metadata_only(&bytes),
        Shape::Table => {
            let value: Value = serde_json::from_slice(&bytes).map_err(Status::internal)?;
            let metadata = json!({"resourceVersion": value["metadata"]["resourceVersion"]});
            table_of(call, kind, std::iter::once(&value), metadata, true)?.to_string().into()
        }
    };
    send(call.media, code, bytes)
}

/// What a list says of itself.
#[derive(Debug, Default)]
pub(crate) struct ListMeta {
    pub(crate) revision: u64,
    pub(crate) next: Option<String>,
    pub(crate) remaining: Option<usize>,
}

impl ListMeta {
    fn to_json(&self) -> Value {
        let mut metadata = json!({"resourceVersion": self.revision.to_string()});
        if let Some(next) = &self.next {
            metadata["continue"] = next.as_str().into();
        }
        if let Some(remaining) = self.remaining {
            metadata["remainingItemCount"] = remaining.into();
        }
        metadata
    }
}

/// A list in the shape asked for.
pub(crate) fn list(call: &Call, kind: &Kind, items: Vec<Arc<Item>>, meta: &ListMeta) -> Reply {
    let bytes = match call.media.shape {
        Shape::Object => {
            let bytes: usize = items.iter().map(|item| item.served_len_max()).sum();
            if bytes > PIECE_BYTES && !call.media.yaml && !call.media.pretty {
                return Ok(in_pieces(kind, items, meta));
            }
            let put = |out: &mut Vec<u8>, item: &Item| item.put_served(out);
            joined(kind.list_kind, kind.api_version, meta, &items, put)
        }
        Shape::Metadata => {
            let put = |out: &mut Vec<u8>, item: &Item| {
                out.extend_from_slice(&metadata_only(&item.served()));
            };
            joined("PartialObjectMetadataList", "meta.k8s.io/v1", meta, &items, put)
        }
        Shape::Table => {
            let values: Vec<Value> = items.iter().map(|item| item.value()).collect();
            table_of(call, kind, values.iter(), meta.to_json(), true)?.to_string().into()
        }
    };
    send(call.media, StatusCode::OK, bytes)
}

fn head(list_kind: &str, api_version: &str, meta: &ListMeta) -> String {
    let metadata = meta.to_json();
    format!(r#"{{"kind":"{list_kind}","apiVersion":"{api_version}","metadata":{metadata},"items":["#)
}

/// A long list, made as the client reads it: one that does not read holds no copy of it.
fn in_pieces(kind: &Kind, items: Vec<Arc<Item>>, meta: &ListMeta) -> Response<answer::Body> {
    let start = (Some(head(kind.list_kind, kind.api_version, meta)), Some(Held::new(items)));
    let stream = stream::unfold(start, |(head, held)| async move {
        let held = held?;
        let items = match held.take(usize::MAX) {
            Ok(items) => items,
            // The list breaks off, which no client takes for its end.
            Err(gone) => return Some((Err(gone), (None, None))),
        };
        let (first, last) = (head.is_some(), items.is_empty());
        let mut out = head.unwrap_or_default().into_bytes();
        out.reserve(items.iter().map(|item| item.served_len_max() + 1).sum::<usize>() + 2);
        for (index, item) in items.iter().enumerate() {
            if index > 0 || !first {
                out.push(b',');
            }
            item.put_served(&mut out);
        }
        if last {
            out.extend_from_slice(b"]}");
        }
        Some((Ok(Bytes::from(out)), (None, (!last).then_some(held))))
    });
    answer::typed(StatusCode::OK, "application/json", answer::streamed(stream))
}

fn joined(
    list_kind: &str,
    api_version: &str,
    meta: &ListMeta,
    items: &[Arc<Item>],
    put: impl Fn(&mut Vec<u8>, &Item),
) -> Bytes {
    let mut out = head(list_kind, api_version, meta).into_bytes();
    // At once: a list that grows by doubling takes twice its size while it is copied.
    out.reserve(items.iter().map(|item| item.served_len_max() + 1).sum::<usize>() + 2);
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        put(&mut out, item);
    }
    out.extend_from_slice(b"]}");
    out.into()
}

/// Objects as a Table; `headers` false leaves the column definitions out, as later watch events do.
pub(crate) fn table_of<'a>(
    call: &Call,
    kind: &Kind,
    objects: impl Iterator<Item = &'a Value>,
    metadata: Value,
    headers: bool,
) -> Result<Value, Status> {
    let include = table::Include::parse(call.query.get("includeObject"))?;
    Ok(table::render(kind, objects, metadata, include, headers, call.now))
}

/// Sends JSON bytes as JSON, indented JSON, or YAML.
pub(crate) fn send(media: Media, code: StatusCode, bytes: Bytes) -> Reply {
    if !media.yaml && !media.pretty {
        return Ok(answer::json_bytes(code, bytes));
    }
    let value: Value = serde_json::from_slice(&bytes).map_err(Status::internal)?;
    if media.yaml {
        let text = object::yaml::print(&value).map_err(Status::internal)?;
        return Ok(answer::typed(code, "application/yaml", answer::full(text)));
    }
    let mut text = serde_json::to_vec_pretty(&value).map_err(Status::internal)?;
    text.push(b'\n');
    Ok(answer::json_bytes(code, text))
}

/// A value that no kind of the table describes, such as a review or a Scale.
pub(crate) fn value(call: &Call, code: StatusCode, value: &Value) -> Reply {
    send(call.media, code, value.to_string().into())
}
