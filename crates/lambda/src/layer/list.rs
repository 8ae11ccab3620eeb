//! `ListLayers` and `ListLayerVersions`, for all runtimes and architectures or for one.

use super::super::page::Page;
use super::{LayerName, fault, is_deleted, number, summary, versions};
use crate::Lambda;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use wire::{Call, Fault, NAMESPACE, Reply, reply};

/// Every layer, with the newest of its versions that fits.
pub(crate) async fn list_layers(lambda: &Lambda, call: &Call) -> Result<Reply, Fault> {
    let page = Page::of(call)?;
    let all = lambda.layers.list(NAMESPACE).await.map_err(|error| fault(&error))?;
    let mut newest: BTreeMap<String, Value> = BTreeMap::new();
    for object in all.into_iter().filter(|object| fits(call, object)) {
        let name = object["spec"]["layerName"].as_str().unwrap_or_default().to_owned();
        if newest.get(&name).is_none_or(|known| number(known) < number(&object)) {
            newest.insert(name, object);
        }
    }
    let shown = newest.into_iter().map(|(name, object)| {
        let layer = LayerName { name };
        let item = json!({
            "LayerName": layer.name,
            "LayerArn": layer.arn(lambda),
            "LatestMatchingVersion": summary(lambda, &layer, &object),
        });
        (layer.name, item)
    });
    Ok(reply::json(200, &page.answer("Layers", shown.collect())))
}

/// The versions of one layer, the newest first.
pub(crate) async fn list_versions(lambda: &Lambda, call: &Call, layer: &LayerName) -> Result<Reply, Fault> {
    let page = Page::of(call)?;
    let all = versions(lambda, &layer.name).await?;
    let fitting = all.iter().filter(|object| fits(call, object));
    // Keys that grow as numbers fall.
    let shown =
        fitting.map(|object| (format!("{:020}", u64::MAX - number(object)), summary(lambda, layer, object)));
    Ok(reply::json(200, &page.answer("LayerVersions", shown.collect())))
}

fn fits(call: &Call, object: &Value) -> bool {
    let names = |parameter: &str, field: &str| match call.parameter(parameter) {
        None => true,
        Some(wanted) => {
            object["spec"][field].as_array().is_some_and(|all| all.iter().any(|one| *one == wanted))
        }
    };
    !is_deleted(object)
        && names("CompatibleRuntime", "compatibleRuntimes")
        && names("CompatibleArchitecture", "compatibleArchitectures")
}
