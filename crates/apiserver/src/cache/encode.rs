//! The bytes of an object. In the store an object has no resourceVersion, because its revision is known only once
//! it is committed; the revision is spliced in whenever the object goes over the wire, so that the cache shares the
//! store's bytes. For that, `kind`, `apiVersion` and `metadata` are always written first, so the place of the splice is
//! found without a scan of the object.

use bytes::{BufMut, Bytes};
use object::Kind;
use serde_json::Value;
use std::io::Write;
use store::Revision;

const METADATA: &[u8] = b"\"metadata\":{";
/// By how much the served form of an object is longer than the stored one, at most.
pub(crate) const SPLICE_LEN_MAX: usize = r#""resourceVersion":"18446744073709551615","#.len();

/// The stored form of `object`: compact JSON without `metadata.resourceVersion`.
pub(crate) fn encode(object: &Value) -> Bytes {
    let mut out = Vec::with_capacity(4096);
    let written = write_object(&mut out, object);
    written.expect("writing JSON values into memory cannot fail");
    // They are kept for as long as the object: without room to spare.
    Bytes::copy_from_slice(&out)
}

fn write_object(out: &mut impl Write, object: &Value) -> std::io::Result<()> {
    out.write_all(b"{\"kind\":")?;
    serde_json::to_writer(&mut *out, &object["kind"])?;
    out.write_all(b",\"apiVersion\":")?;
    serde_json::to_writer(&mut *out, &object["apiVersion"])?;
    out.write_all(b",")?;
    out.write_all(METADATA)?;
    let metadata = object["metadata"].as_object();
    let fields = metadata.into_iter().flatten().filter(|(key, _)| *key != "resourceVersion");
    write_fields(out, fields, true)?;
    out.write_all(b"}")?;
    let rest = object.as_object().into_iter().flatten();
    let rest = rest.filter(|(key, _)| !matches!(key.as_str(), "kind" | "apiVersion" | "metadata"));
    write_fields(out, rest, false)?;
    out.write_all(b"}")
}

fn write_fields<'a>(
    out: &mut impl Write,
    fields: impl Iterator<Item = (&'a String, &'a Value)>,
    mut first: bool,
) -> std::io::Result<()> {
    for (key, value) in fields {
        if !std::mem::take(&mut first) {
            out.write_all(b",")?;
        }
        serde_json::to_writer(&mut *out, key)?;
        out.write_all(b":")?;
        serde_json::to_writer(&mut *out, value)?;
    }
    Ok(())
}

/// Whether the stored bytes are of this kind in this version, as their beginning says.
pub(crate) fn is_of(stored: &[u8], kind: &Kind) -> bool {
    let parts = [r#"{"kind":""#, kind.kind, r#"","apiVersion":""#, kind.api_version, r#"","#];
    let mut rest = stored;
    parts.iter().all(|part| match rest.strip_prefix(part.as_bytes()) {
        Some(after) => {
            rest = after;
            true
        }
        None => false,
    })
}

/// The served form of stored bytes: with `metadata.resourceVersion`. Bytes that [`encode`] did not make come back
/// as they are.
pub(crate) fn with_revision(stored: &[u8], revision: Revision) -> Bytes {
    let mut out = Vec::with_capacity(stored.len() + SPLICE_LEN_MAX);
    put_with_revision(&mut out, stored, revision);
    out.into()
}

/// Writes what [`with_revision`] gives.
pub(crate) fn put_with_revision(out: &mut impl BufMut, stored: &[u8], revision: Revision) {
    let Some(at) = stored.windows(METADATA.len()).position(|window| window == METADATA) else {
        return out.put_slice(stored);
    };
    let at = at + METADATA.len();
    out.put_slice(&stored[..at]);
    let comma = if stored.get(at) == Some(&b'}') { "" } else { "," };
    write!(out.writer(), "\"resourceVersion\":\"{revision}\"{comma}")
        .expect("writing into memory cannot fail");
    out.put_slice(&stored[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn revision_is_spliced_into_metadata() {
        let object = json!({"apiVersion": "v1", "data": {"metadata": "x"}, "kind": "ConfigMap",
            "metadata": {"name": "a", "resourceVersion": "7"}});
        let stored = encode(&object);
        assert_eq!(
            stored,
            r#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a"},"data":{"metadata":"x"}}"#
        );
        let served: Value = serde_json::from_slice(&with_revision(&stored, 42)).expect("valid JSON");
        assert_eq!(served["metadata"], json!({"name": "a", "resourceVersion": "42"}));
        assert_eq!(served["data"], object["data"]);
        assert_eq!(with_revision(&stored, u64::MAX).len(), stored.len() + SPLICE_LEN_MAX);
    }

    #[test]
    fn empty_metadata_stays_valid_json() {
        let served = with_revision(&encode(&json!({"kind": "K", "apiVersion": "v1"})), 1);
        assert_eq!(served, r#"{"kind":"K","apiVersion":"v1","metadata":{"resourceVersion":"1"}}"#);
    }
}
