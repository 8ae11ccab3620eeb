//! CustomResourceDefinition: a kind that somebody else brings along.

mod columns;
mod schema;
mod structural;
mod subresources;
mod update;
mod versions;

use super::{Generation, Kind, PLAIN, STATUS};
use crate::Errors;
use object::custom::naming;
use object::json::{child, fill_zero, items, put, text};
use object::name;
use object::path::Path;
use object::table::{Columns, NAME, name_of, text as column};
use object::time::Timestamp;
use serde_json::{Value, json};

pub(super) static KIND: Kind = Kind {
    group: "apiextensions.k8s.io",
    api_version: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    list_kind: "CustomResourceDefinitionList",
    plural: "customresourcedefinitions",
    singular: "customresourcedefinition",
    short_names: &["crd", "crds"],
    categories: &["api-extensions"],
    namespaced: false,
    subresources: &[STATUS],
    schema: "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
    columns: Columns { columns: &[NAME, column("Created At")], row },
    generation: Generation::Spec,
    status: true,
    keeps_status: true,
    prepare,
    default,
    validate,
    validate_status: |new, _, errors| versions::stored(new, errors),
    deleting,
    ..PLAIN
};

fn row(object: &Value, _: Timestamp) -> Vec<Value> {
    vec![name_of(object), object["metadata"]["creationTimestamp"].clone()]
}

/// The versions in which objects may have been stored.
fn prepare(new: &mut Value, old: Option<&Value>) {
    if old.is_none() {
        new["status"] =
            json!({"acceptedNames": {"kind": "", "plural": ""}, "conditions": [], "storedVersions": []});
    }
    let stored = items(&new["spec"]["versions"]).iter().find(|version| version["storage"] == true);
    let Some(name) = stored.map(|version| version["name"].clone()) else { return };
    let Some(status) = child(new, "status") else { return };
    if !status["storedVersions"].is_array() {
        status["storedVersions"] = json!([]);
    }
    if let Some(list) = status["storedVersions"].as_array_mut()
        && !list.contains(&name)
    {
        list.push(name);
    }
}

fn default(object: &mut Value) {
    let Some(spec) = child(object, "spec") else { return };
    if spec["conversion"].is_null() {
        spec["conversion"] = json!({"strategy": "None"});
    }
    if spec["preserveUnknownFields"] == false {
        put(spec, "preserveUnknownFields", None);
    }
    let Some(names) = child(spec, "names") else { return };
    let kind = text(&names["kind"]).to_owned();
    if !kind.is_empty() {
        fill_zero(names, "singular", kind.to_lowercase());
        fill_zero(names, "listKind", format!("{kind}List"));
    }
}

/// A definition stays until its objects are gone.
fn deleting(crd: &mut Value, now: Timestamp) {
    if let Some(meta) = child(crd, "metadata") {
        if !meta["finalizers"].is_array() {
            meta["finalizers"] = json!([]);
        }
        if let Some(list) = meta["finalizers"].as_array_mut()
            && !list.iter().any(|own| own == naming::FINALIZER)
        {
            list.push(naming::FINALIZER.into());
        }
    }
    let pending = naming::Condition {
        ty: "Terminating",
        holds: true,
        reason: "InstanceDeletionPending",
        message: "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
    };
    naming::set(crd, &pending, now);
}

fn validate(new: &Value, old: Option<&Value>, errors: &mut Errors) {
    let (spec, at) = (&new["spec"], Path::Root.field("spec"));
    group(new, &at, errors);
    names(&spec["names"], &at.field("names"), errors);
    let expected = format!("{}.{}", text(&spec["names"]["plural"]), text(&spec["group"]));
    let name = text(&new["metadata"]["name"]);
    if name != expected {
        let meta = Path::Root.field("metadata");
        errors.invalid_text(&meta.field("name"), name, "must be spec.names.plural+\".\"+spec.group");
    }
    match text(&spec["scope"]) {
        "" => errors.required(&at.field("scope"), ""),
        _ => errors.one_of(&at.field("scope"), &spec["scope"], &["Cluster", "Namespaced"]),
    }
    if spec["preserveUnknownFields"] == true {
        let why = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in \
                   spec.versions[*].schema instead";
        errors.invalid(&at.field("preserveUnknownFields"), &spec["preserveUnknownFields"], why);
    }
    conversion(&spec["conversion"], &at.field("conversion"), errors);
    versions::check(spec, old, &at, errors);
    versions::stored(new, errors);
    if let Some(old) = old {
        update::check(new, old, errors);
    }
}

fn group(crd: &Value, at: &Path<'_>, errors: &mut Errors) {
    let at = at.field("group");
    let group = text(&crd["spec"]["group"]);
    if group.is_empty() {
        return errors.required(&at, "");
    }
    if let Err(why) = name::check_subdomain(group) {
        return errors.invalid_text(&at, group, &why);
    }
    if !group.contains('.') {
        errors.invalid_text(&at, group, "should be a domain with at least one dot");
    }
    let plural = text(&crd["spec"]["names"]["plural"]);
    if crate::is_built_in(group, plural) {
        errors.forbidden(&at, &format!("{plural}.{group} is served by the platform itself"));
    }
    let owned = ["k8s.io", "kubernetes.io"];
    if owned.iter().any(|own| group == *own || group.ends_with(&format!(".{own}"))) {
        approved(crd, errors);
    }
}

/// Groups of Kubernetes itself are for definitions that were approved there.
fn approved(crd: &Value, errors: &mut Errors) {
    const APPROVED: &str = "api-approved.kubernetes.io";
    let (meta, root) = (Path::Root.field("metadata"), text(&crd["metadata"]["annotations"][APPROVED]));
    let at = meta.field("annotations");
    let at = at.key(APPROVED);
    if root.is_empty() {
        let why = "protected groups must have approval annotation \"api-approved.kubernetes.io\", see \
                   https://github.com/kubernetes/enhancements/pull/1111";
        errors.required(&at, why);
    } else if !root.starts_with("unapproved") && !root.contains("://") {
        let why = "protected groups must have approval annotation \"api-approved.kubernetes.io\" with either a URL or \
                   a reason starting with \"unapproved\", see https://github.com/kubernetes/enhancements/pull/1111";
        errors.invalid_text(&at, root, why);
    }
}

fn names(names: &Value, at: &Path<'_>, errors: &mut Errors) {
    for field in ["plural", "singular", "kind", "listKind"] {
        let (value, here) = (text(&names[field]), at.field(field));
        if value.is_empty() {
            errors.required(&here, "");
        } else if let Err(why) = name::check_dns_1035(&value.to_lowercase()) {
            let mixed = matches!(field, "kind" | "listKind");
            let head = if mixed { "may have mixed case, but should otherwise match: " } else { "" };
            errors.invalid_text(&here, value, &format!("{head}{why}"));
        } else if matches!(field, "plural" | "singular") && value.to_lowercase() != value {
            errors.check(&here, value, name::check_dns_1035);
        }
    }
    if !text(&names["kind"]).is_empty() && names["kind"] == names["listKind"] {
        let why = "kind and listKind may not be the same";
        errors.invalid_text(&at.field("listKind"), text(&names["listKind"]), why);
    }
    for field in ["shortNames", "categories"] {
        for (index, value) in items(&names[field]).iter().enumerate() {
            errors.check(&at.field(field).index(index), text(value), name::check_dns_1035);
        }
    }
}

fn conversion(conversion: &Value, at: &Path<'_>, errors: &mut Errors) {
    let here = at.field("strategy");
    match text(&conversion["strategy"]) {
        "" => errors.required(&here, ""),
        "Webhook" => {
            let why = "conversion webhooks are not supported by this server: use the strategy None, with which only \
                       the apiVersion differs between versions";
            errors.forbidden(&here, why);
        }
        _ => errors.one_of(&here, &conversion["strategy"], &["None", "Webhook"]),
    }
    if conversion["strategy"] == "None" && !conversion["webhook"].is_null() {
        errors.forbidden(&at.field("webhook"), "should not be set when strategy is not set to Webhook");
    }
}
