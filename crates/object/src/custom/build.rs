//! From a CustomResourceDefinition to the kinds that it asks for.

use super::{Custom, Registry, ScalePaths};
use crate::Edition;
use crate::json::{items, text};
use crate::kind::{ALL_VERBS, Generation, Kind, PLAIN, SCALE, STATUS, Subresource};
use crate::name::version_order;
use serde_json::{Value, json};

/// What one definition makes served.
#[derive(Debug, Clone)]
pub struct Resource {
    /// The kind in the version in which objects are stored.
    pub storage: &'static Kind,
    /// Whether that version is served.
    pub storage_served: bool,
    /// The other versions that are served.
    pub editions: Vec<&'static Edition>,
    /// All versions that are served, the preferred one first.
    pub forms: Vec<&'static Kind>,
    /// The definition is being deleted: nothing new may come.
    pub terminating: bool,
    /// What is the same as long as objects need not be looked at again and watches may go on.
    pub signature: String,
}

/// The parts that every version has in common.
pub(super) struct Names<'a> {
    group: &'a str,
    names: &'a Value,
    namespaced: bool,
}

/// The resource of a definition; `None` while it is not established.
pub(super) fn resource(registry: &Registry, crd: &Value) -> Option<Resource> {
    if !super::naming::is_true(crd, "Established") {
        return None;
    }
    let spec = &crd["spec"];
    let common = Names {
        group: text(&spec["group"]),
        names: &crd["status"]["acceptedNames"],
        namespaced: spec["scope"] == "Namespaced",
    };
    let mut versions: Vec<&Value> = items(&spec["versions"]).iter().collect();
    versions.sort_by(|a, b| version_order(text(&a["name"]), text(&b["name"])));
    let stored = versions.iter().find(|version| version["storage"] == true)?;
    let storage =
        registry.kind(&identity(&common, stored), || make(&common, stored), || Custom::read(&common, stored));
    let (mut editions, mut forms) = (Vec::new(), Vec::new());
    for version in versions.iter().filter(|version| version["served"] == true) {
        if version["storage"] == true {
            forms.push(storage);
            continue;
        }
        let key = format!("{} {}", identity(&common, version), storage.version);
        let form = registry.kind(&key, || make(&common, version), || Custom::read(&common, version));
        let edition = registry.edition(&format!("{key} {:p}", storage), form, storage);
        editions.push(edition);
        forms.push(&edition.form);
    }
    Some(Resource {
        storage,
        storage_served: stored["served"] == true,
        editions,
        forms,
        terminating: !crd["metadata"]["deletionTimestamp"].is_null(),
        signature: json!([spec, common.names]).to_string(),
    })
}

/// What a kind cannot change without becoming another.
fn identity(common: &Names<'_>, version: &Value) -> String {
    let below = &version["subresources"];
    let paths: Vec<&Value> = items(&version["selectableFields"]).iter().map(|f| &f["jsonPath"]).collect();
    let subresources = (below["status"].is_object(), below["scale"].is_object());
    let name = &version["name"];
    json!([common.group, name, common.names, common.namespaced, subresources, paths]).to_string()
}

/// Lives as long as the process: a few hundred bytes for each kind that was ever served. What is big is in the slot.
fn keep(text: &str) -> &'static str {
    Box::leak(text.into())
}

fn keep_all(list: &Value) -> &'static [&'static str] {
    let all: Vec<&'static str> = items(list).iter().map(|one| keep(text(one))).collect();
    Box::leak(all.into())
}

fn make(common: &Names<'_>, version: &Value) -> Kind {
    let Names { group, names, namespaced } = *common;
    let name = text(&version["name"]);
    let (plural, kind) = (text(&names["plural"]), text(&names["kind"]));
    let status = version["subresources"]["status"].is_object();
    let paths = items(&version["selectableFields"]).iter();
    let paths: Vec<&'static str> =
        paths.map(|field| keep(text(&field["jsonPath"]).trim_start_matches('.'))).collect();
    Kind {
        group: keep(group),
        version: keep(name),
        api_version: keep(&format!("{group}/{name}")),
        kind: keep(kind),
        list_kind: keep(text(&names["listKind"])),
        plural: keep(plural),
        singular: keep(text(&names["singular"])),
        short_names: keep_all(&names["shortNames"]),
        categories: keep_all(&names["categories"]),
        namespaced,
        verbs: ALL_VERBS,
        subresources: subresources(status, version["subresources"]["scale"].is_object()),
        schema: keep(&super::openapi::definition_name(group, name, kind)),
        paths: Box::leak(paths.into()),
        generation: if status { Generation::Spec } else { Generation::All },
        status,
        keeps_status: status,
        ..PLAIN
    }
}

fn subresources(status: bool, scale: bool) -> &'static [Subresource] {
    match (status, scale) {
        (true, true) => const { &[STATUS, SCALE] },
        (true, false) => const { &[STATUS] },
        (false, true) => const { &[SCALE] },
        (false, false) => &[],
    }
}

/// The steps of a path like `.spec.replicas`.
fn steps(path: &str) -> Vec<String> {
    path.split('.').filter(|step| !step.is_empty()).map(str::to_owned).collect()
}

pub(super) fn scale_paths(scale: &Value) -> Option<ScalePaths> {
    let path = |key: &str| scale[key].as_str().map(steps);
    Some(ScalePaths {
        replicas: path("specReplicasPath")?,
        status_replicas: path("statusReplicasPath")?,
        selector: path("labelSelectorPath").filter(|steps| !steps.is_empty()),
    })
}

/// What whoever uses a deprecated version is told.
pub(super) fn warning(common: &Names<'_>, version: &Value) -> Option<String> {
    if version["deprecated"] != true {
        return None;
    }
    let said = version["deprecationWarning"].as_str().filter(|text| !text.is_empty());
    let (group, kind) = (common.group, text(&common.names["kind"]));
    Some(
        said.map_or_else(
            || format!("{group}/{} {kind} is deprecated", text(&version["name"])),
            str::to_owned,
        ),
    )
}
