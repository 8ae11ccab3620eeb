//! Field selectors, and what cannot be one.

use object::selector::FieldSelector;
use serde_json::json;

#[test]
fn selectors() {
    let pods = kinds::kind("", "v1", "pods").expect("pods");
    let pod =
        json!({"metadata": {"name": "a", "namespace": "b"}, "spec": {"nodeName": "n,=\\"}, "status": {}});
    for (text, want) in [
        ("", true),
        ("metadata.name=a,metadata.namespace==b", true),
        ("metadata.name!=a", false),
        ("spec.nodeName=n\\,\\=\\\\", true),
        ("status.phase=", true),
        ("status.phase!=Running,status.podIP!=1", true),
    ] {
        let selector = FieldSelector::parse(pods, text).expect(text);
        assert_eq!(selector.matches(&pod), want, "{text}");
    }
    let one = FieldSelector::parse(pods, "metadata.name=a,status.phase!=x").expect("valid");
    assert_eq!((one.required("metadata.name"), one.required("status.phase")), (Some("a"), None));
}

#[test]
fn what_cannot_be_read() {
    let kind = |group, plural| kinds::kind(group, "v1", plural).expect("served");
    for (kind, text, want) in [
        (kind("", "pods"), "spec.foo=1", "field label not supported: spec.foo"),
        (
            kind("apps", "deployments"),
            "spec.foo=1",
            "\"spec.foo\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"",
        ),
    ] {
        let status = FieldSelector::parse(kind, text).expect_err(text);
        assert_eq!((status.code, status.message.as_str()), (400, want));
    }
    for text in ["metadata.name", "metadata.name=a\\x", "metadata.name=a=b", "=", "!"] {
        assert!(FieldSelector::parse(kind("", "pods"), text).is_err(), "{text}");
    }
}
