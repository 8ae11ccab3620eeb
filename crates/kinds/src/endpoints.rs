//! Endpoints: the addresses behind a Service, in the old form.

use super::pod_spec::{ip, port_number};
use super::{Kind, PLAIN};
use crate::Errors;
use object::json::{each, fill_zero, items, text};
use object::path::Path;
use object::table::{AGE, Columns, NAME, age_of, first_three, name_of, text as column};
use object::time::Timestamp;
use serde_json::Value;

pub(super) static KIND: Kind = Kind {
    kind: "Endpoints",
    list_kind: "EndpointsList",
    plural: "endpoints",
    singular: "endpoints",
    short_names: &["ep"],
    schema: "io.k8s.api.core.v1.Endpoints",
    columns: Columns { columns: &[NAME, column("Endpoints"), AGE], row },
    default,
    validate,
    ..PLAIN
};

fn row(object: &Value, now: Timestamp) -> Vec<Value> {
    let mut list = Vec::new();
    for subset in items(&object["subsets"]) {
        let addresses = || items(&subset["addresses"]).iter().map(|a| text(&a["ip"]));
        match items(&subset["ports"]) {
            [] => list.extend(addresses().map(str::to_owned)),
            ports => list
                .extend(ports.iter().flat_map(|p| addresses().map(move |ip| format!("{ip}:{}", p["port"])))),
        }
    }
    let shown = if list.is_empty() { "<none>".into() } else { first_three(&list) };
    vec![name_of(object), shown, age_of(object, now)]
}

fn default(object: &mut Value) {
    each(object, "subsets", |s| each(s, "ports", |p| fill_zero(p, "protocol", "TCP")));
}

fn validate(new: &Value, _: Option<&Value>, errors: &mut Errors) {
    let at = Path::Root.field("subsets");
    for (i, subset) in items(&new["subsets"]).iter().enumerate() {
        let here = at.index(i);
        for list in ["addresses", "notReadyAddresses"] {
            for (j, address) in items(&subset[list]).iter().enumerate() {
                ip(text(&address["ip"]), &here.field(list).index(j).field("ip"), errors);
            }
        }
        for (j, port) in items(&subset["ports"]).iter().enumerate() {
            let list = here.field("ports");
            port_number(&port["port"], &list.index(j).field("port"), errors);
            errors.one_of(&list.index(j).field("protocol"), &port["protocol"], &["SCTP", "TCP", "UDP"]);
        }
    }
}
