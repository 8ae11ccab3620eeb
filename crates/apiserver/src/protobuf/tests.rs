//! Bodies as Go clients write them, byte by byte.

use super::*;
use serde_json::json;

fn varint(mut number: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
    out
}

fn bytes(number: u64, content: &[u8]) -> Vec<u8> {
    [varint(number << 3 | 2), varint(content.len() as u64), content.to_vec()].concat()
}

fn int(number: u64, value: u64) -> Vec<u8> {
    [varint(number << 3), varint(value)].concat()
}

fn body(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let meta = [bytes(1, api_version.as_bytes()), bytes(2, kind.as_bytes())].concat();
    [MAGIC.to_vec(), bytes(1, &meta), bytes(2, raw)].concat()
}

#[test]
fn a_secret_keeps_its_bytes() {
    let entry = [bytes(1, b"key"), bytes(2, &[0, 255])].concat();
    // Go writes empty texts too: here the generateName.
    let metadata = [bytes(1, b"a"), bytes(2, b""), bytes(3, b"default")].concat();
    let raw = [bytes(1, &metadata), bytes(2, &entry), bytes(3, b"Opaque"), int(5, 0)].concat();
    let secret = read(&body("v1", "Secret", &raw)).expect("a secret");
    let expected = json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "immutable": false,
        "metadata": {"name": "a", "namespace": "default"}, "data": {"key": "AP8="}});
    assert_eq!(secret, expected);
}

#[test]
fn zero_replicas_are_not_no_replicas() {
    let raw = bytes(2, &[int(1, 0), int(5, 0)].concat());
    let deployment = read(&body("apps/v1", "Deployment", &raw)).expect("a deployment");
    assert_eq!(deployment["spec"], json!({"replicas": 0}));
}

#[test]
fn inlined_messages_lie_in_their_parent() {
    let volume = [bytes(1, b"v"), bytes(2, &bytes(2, b""))].concat();
    let raw = bytes(2, &bytes(1, &volume));
    let pod = read(&body("v1", "Pod", &raw)).expect("a pod");
    assert_eq!(pod["spec"]["volumes"], json!([{"name": "v", "emptyDir": {}}]));
}

#[test]
fn ports_are_numbers_or_names() {
    let port = |target: &[u8]| bytes(1, &[int(3, 80), bytes(4, target)].concat());
    let named = [int(1, 1), int(2, 0), bytes(3, b"web")].concat();
    let numbered = [int(1, 0), int(2, 8080), bytes(3, b"")].concat();
    let raw = bytes(2, &[port(&named), port(&numbered)].concat());
    let service = read(&body("v1", "Service", &raw)).expect("a service");
    let expected = json!([{"port": 80, "targetPort": "web"}, {"port": 80, "targetPort": 8080}]);
    assert_eq!(service["spec"]["ports"], expected);
}

#[test]
fn damaged_bodies_are_refused() {
    assert!(read(b"{}").is_err());
    let whole = body("v1", "Secret", &bytes(1, &bytes(1, b"name")));
    for length in MAGIC.len() + 1..whole.len() {
        // Cut between two fields of the envelope it is a body without an object, never a panic.
        let _either = read(&whole[..length]);
    }
    assert!(read(&whole[..whole.len() - 1]).is_err());
    assert!(read(&body("example.com/v1", "Thing", b"")).expect_err("unknown").contains("send JSON"));
}
