//! EndpointSlice: some of the addresses behind a Service.

use super::pod_spec::{ip, port_number};
use super::{Generation, Kind, PLAIN};
use crate::Errors;
use object::json::{each, fill, fill_zero, items, text};
use object::name;
use object::path::Path;
use object::table::{AGE, Columns, NAME, age_of, first_three, name_of, text as column};
use object::time::Timestamp;
use serde_json::Value;

const ENDPOINTS_MAX: usize = 1000;
const ADDRESSES_MAX: usize = 100;

pub(super) static KIND: Kind = Kind {
    group: "discovery.k8s.io",
    api_version: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    list_kind: "EndpointSliceList",
    plural: "endpointslices",
    singular: "endpointslice",
    schema: "io.k8s.api.discovery.v1.EndpointSlice",
    columns: Columns {
        columns: &[NAME, column("AddressType"), column("Ports"), column("Endpoints"), AGE],
        row,
    },
    generation: Generation::Spec,
    default,
    validate,
    ..PLAIN
};

fn row(object: &Value, now: Timestamp) -> Vec<Value> {
    let port = |p: &Value| match (p["port"].as_i64(), p["name"].as_str()) {
        (Some(n), _) => n.to_string(),
        (None, Some(name)) => name.to_owned(),
        (None, None) => "*".to_owned(),
    };
    let ports: Vec<String> = items(&object["ports"]).iter().map(port).collect();
    let addresses: Vec<String> = items(&object["endpoints"])
        .iter()
        .flat_map(|e| items(&e["addresses"]).iter().map(|a| text(a).to_owned()))
        .collect();
    vec![
        name_of(object),
        object["addressType"].clone(),
        first_three(&ports),
        first_three(&addresses),
        age_of(object, now),
    ]
}

fn default(object: &mut Value) {
    each(object, "ports", |port| {
        fill(port, "name", "");
        fill_zero(port, "protocol", "TCP");
    });
}

fn validate(new: &Value, old: Option<&Value>, errors: &mut Errors) {
    let kind = Path::Root.field("addressType");
    if text(&new["addressType"]).is_empty() {
        errors.required(&kind, "");
    }
    errors.one_of(&kind, &new["addressType"], &["FQDN", "IPv4", "IPv6"]);
    if let Some(old) = old {
        errors.immutable(&kind, &new["addressType"], &old["addressType"]);
    }
    let at = Path::Root.field("endpoints");
    let endpoints = items(&new["endpoints"]);
    if endpoints.len() > ENDPOINTS_MAX {
        errors.too_many(&at, endpoints.len(), ENDPOINTS_MAX);
        return;
    }
    for (i, endpoint) in endpoints.iter().enumerate() {
        let here = at.index(i);
        let list = here.field("addresses");
        match items(&endpoint["addresses"]) {
            [] => errors.required(&list, "must contain at least 1 address"),
            addresses if addresses.len() > ADDRESSES_MAX => {
                errors.too_many(&list, addresses.len(), ADDRESSES_MAX);
            }
            addresses => {
                for (j, address) in addresses.iter().enumerate() {
                    match text(&new["addressType"]) {
                        "FQDN" => errors.check(&list.index(j), text(address), name::check_subdomain),
                        _ => ip(text(address), &list.index(j), errors),
                    }
                }
            }
        }
    }
    ports(&new["ports"], errors);
}

fn ports(ports: &Value, errors: &mut Errors) {
    let at = Path::Root.field("ports");
    let list = items(ports);
    for (i, port) in list.iter().enumerate() {
        let here = at.index(i);
        let name = text(&port["name"]);
        if !name.is_empty() {
            errors.check(&here.field("name"), name, name::check_label);
        }
        if list[..i].iter().any(|p| text(&p["name"]) == name) {
            errors.duplicate(&here.field("name"), &port["name"]);
        }
        if !port["port"].is_null() {
            port_number(&port["port"], &here.field("port"), errors);
        }
        errors.one_of(&here.field("protocol"), &port["protocol"], &["SCTP", "TCP", "UDP"]);
    }
}
