//! The default IngressClass: an Ingress that names no class gets the one that is marked as default.

use crate::api::Api;
use serde_json::Value;

const DEFAULT: &str = "ingressclass.kubernetes.io/is-default-class";
const OLD_CLASS: &str = "kubernetes.io/ingress.class";

pub(super) fn change(api: &Api, object: &mut Value) {
    let has_class = object["spec"]["ingressClassName"].is_string()
        || object["metadata"]["annotations"][OLD_CLASS].is_string();
    if has_class {
        return;
    }
    let classes = api.cache.resource("networking.k8s.io", "ingressclasses").all("");
    let mut defaults: Vec<Value> = classes
        .iter()
        .map(|item| item.value())
        .filter(|class| class["metadata"]["annotations"][DEFAULT] == "true")
        .collect();
    // Of several, the newest, as upstream does.
    defaults.sort_by_key(|class| class["metadata"]["creationTimestamp"].as_str().map(str::to_owned));
    if let Some(class) = defaults.last() {
        object["spec"]["ingressClassName"] = class["metadata"]["name"].clone();
    }
}
