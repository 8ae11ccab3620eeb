//! The bytes of an object. In the store an object has no resourceVersion, because its revision is known only once
//! it is committed; the cache splices the revision in when the change comes back. For that, `kind`, `apiVersion`
//! and `metadata` are always written first, so the place of the splice is found without a scan of the object.

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::Value;
use std::io::Write;
use store::Revision;

const METADATA: &[u8] = b"\"metadata\":{";

/// The stored form of `object`: compact JSON without `metadata.resourceVersion`.
pub(crate) fn encode(object: &Value) -> Bytes {
    let mut out = BytesMut::with_capacity(1024).writer();
    let written = write_object(&mut out, object);
    written.expect("writing JSON values into memory cannot fail");
    out.into_inner().freeze()
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

/// The served form of stored bytes: with `metadata.resourceVersion`. Bytes that [`encode`] did not make come back
/// as they are.
pub(crate) fn with_revision(stored: &[u8], revision: Revision) -> Bytes {
    let Some(at) = stored.windows(METADATA.len()).position(|window| window == METADATA) else {
        return Bytes::copy_from_slice(stored);
    };
    let at = at + METADATA.len();
    let mut out = BytesMut::with_capacity(stored.len() + 48);
    out.put_slice(&stored[..at]);
    let comma = if stored.get(at) == Some(&b'}') { "" } else { "," };
    out.put_slice(format!("\"resourceVersion\":\"{revision}\"{comma}").as_bytes());
    out.put_slice(&stored[at..]);
    out.freeze()
}

/// Served bytes with another revision in place of their own: the last version of an object that is no more.
pub(crate) fn at_revision(served: &[u8], revision: Revision) -> Bytes {
    const KEY: &[u8] = b"\"metadata\":{\"resourceVersion\":\"";
    let Some(at) = served.windows(KEY.len()).position(|window| window == KEY) else {
        return Bytes::copy_from_slice(served);
    };
    let start = at + KEY.len();
    let length = served[start..].iter().position(|byte| *byte == b'"').unwrap_or(0);
    let mut out = BytesMut::with_capacity(served.len() + 20);
    out.put_slice(&served[..start]);
    out.put_slice(revision.to_string().as_bytes());
    out.put_slice(&served[start + length..]);
    out.freeze()
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
        assert_eq!(at_revision(&with_revision(&stored, 42), 1234), with_revision(&stored, 1234));
    }

    #[test]
    fn empty_metadata_stays_valid_json() {
        let served = with_revision(&encode(&json!({"kind": "K", "apiVersion": "v1"})), 1);
        assert_eq!(served, r#"{"kind":"K","apiVersion":"v1","metadata":{"resourceVersion":"1"}}"#);
    }
}
