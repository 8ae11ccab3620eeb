//! The image of a container that is to start: from the store, or from its registry as its pull policy says. Reasons,
//! messages and events as upstream's.

use std::collections::BTreeSet;
use std::time::Instant;

use client::k8s_openapi::api::core::v1 as api;
use sandbox::image::Name;
use sandbox::{Credentials, docker_config};

use super::ground::Ground;
use super::launch::{Failure, Start, blocking};
use crate::runtime::Image;
use crate::sources::Kind;

/// Finds or pulls the image.
pub(crate) async fn find(ground: &Ground, start: &Start) -> Result<Image, Failure> {
    let name = start.container.image.clone().unwrap_or_default();
    let parsed = Name::parse(&name).map_err(|error| Failure::Held {
        reason: "InvalidImageName",
        message: format!("Failed to apply default image tag \"{name}\": {error}"),
    })?;
    let event = |warning: bool, reason: &str, message: String| {
        ground.container_event(&start.pod, &start.container.name, warning, reason, message);
    };
    let policy = start.container.image_pull_policy.as_deref().unwrap_or_default();
    let (runtime, text) = (ground.runtime.clone(), name.clone());
    let here = blocking(move || runtime.image(&text)).await;
    // What was made or loaded here is the newest there is: no registry gave it.
    if let Some(image) = here.filter(|image| policy != "Always" || !image.pulled) {
        event(false, "Pulled", format!("Container image \"{name}\" already present on machine"));
        return Ok(image);
    }
    if policy == "Never" {
        let message = format!("Container image \"{name}\" is not present with pull policy of Never");
        event(true, "ErrImageNeverPull", message.clone());
        return Err(Failure::Held { reason: "ErrImageNeverPull", message });
    }
    // Tries and waits take turns, so that a pod that waits says so.
    if let Some(why) = &start.failed_pull {
        event(false, "BackOff", format!("Back-off pulling image \"{name}\""));
        event(true, "Failed", "Error: ImagePullBackOff".to_owned());
        let message = format!("Back-off pulling image \"{name}\": ErrImagePull: {why}");
        return Err(Failure::Held { reason: "ImagePullBackOff", message });
    }
    let credentials = credentials(ground, &start.pod, &parsed).await;
    event(false, "Pulling", format!("Pulling image \"{name}\""));
    let begun = Instant::now();
    let pull = ground.runtime.pull(&name, credentials, policy != "Always");
    let pulled = tokio::select! {
        pulled = pull => pulled,
        () = start.ending.cancelled() => Err("the pod is being ended".to_owned()),
    };
    match pulled {
        Ok((image, bytes)) => {
            let took = go_duration(begun.elapsed());
            let size = if bytes > 0 { format!(" Image size: {bytes} bytes.") } else { String::new() };
            let text =
                format!("Successfully pulled image \"{name}\" in {took} ({took} including waiting).{size}");
            event(false, "Pulled", text);
            Ok(image)
        }
        Err(why) => {
            let message = format!(
                "{why}; `dory image build`, `dory image load` and `dory image import` bring images without a registry"
            );
            event(true, "Failed", format!("Failed to pull image \"{name}\": {message}"));
            event(true, "Failed", "Error: ErrImagePull".to_owned());
            Err(Failure::Held { reason: "ErrImagePull", message })
        }
    }
}

/// A duration as Go prints a short one: `35ms`, `1.204s`.
fn go_duration(duration: std::time::Duration) -> String {
    match duration.as_millis() {
        millis @ 0..1000 => format!("{millis}ms"),
        millis => format!("{}.{:03}s", millis / 1000, millis % 1000),
    }
}

/// What the pod's pull secrets hold for the image's registry.
async fn credentials(ground: &Ground, pod: &api::Pod, image: &Name) -> Vec<Credentials> {
    let list = pod.spec.iter().flat_map(|spec| spec.image_pull_secrets.iter().flatten());
    let names: Vec<String> = list.map(|secret| secret.name.clone()).collect();
    let wanted: BTreeSet<_> = names.iter().map(|name| (Kind::Secret, name.clone())).collect();
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let gathered = ground.sources.gather(namespace, &wanted).await;
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for name in names {
        let Some(entries) = gathered.entries(Kind::Secret, &name) else {
            missing.push(name);
            continue;
        };
        for key in [".dockerconfigjson", ".dockercfg"] {
            let config = entries.get(key).and_then(|text| serde_json::from_slice(text).ok());
            let config: serde_json::Value = config.unwrap_or_default();
            found.extend(docker_config(&config, image.domain(), image.path()));
        }
    }
    if !missing.is_empty() {
        let message = format!(
            "Unable to retrieve some image pull secrets ({}); attempting to pull the image may not succeed.",
            missing.join(", ")
        );
        ground.event(pod, true, "FailedToRetrieveImagePullSecret", message);
    }
    found
}
