//! Scales of what has replicas.

use object::scale::{of, set};
use serde_json::json;

#[test]
fn there_and_back() {
    let kind = kinds::kind("apps", "v1", "deployments").expect("deployments");
    let mut object = json!({"metadata": {"name": "d", "namespace": "n", "resourceVersion": "7"},
        "spec": {"replicas": 3, "selector": {"matchLabels": {"a": "b"}}}, "status": {"replicas": 2}});
    let mut scale = of(kind, &object);
    assert_eq!(scale["metadata"], json!({"name": "d", "namespace": "n", "resourceVersion": "7"}));
    assert_eq!(scale["status"], json!({"replicas": 2, "selector": "a=b"}));
    scale["spec"]["replicas"] = 5.into();
    set(kind, &mut object, &scale).expect("a scale");
    assert_eq!(object["spec"]["replicas"], 5);
    set(kind, &mut object, &json!({"spec": {}})).expect("zero is left out");
    assert_eq!(of(kind, &object)["spec"], json!({}));
}
