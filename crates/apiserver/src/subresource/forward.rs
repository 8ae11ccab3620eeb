//! log, exec, attach and portforward: the request goes on to the server of the pod's node, with its body and its upgrade, under
//! the path that kubelets have for it.

use crate::{
    answer::{Body, Reply},
    api::Api,
    attributes::Attributes,
    call::{Call, Target},
};
use http::{Request, request::Parts};
use object::Status;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

/// Hands the request on and gives the node's answer.
pub(super) async fn forward(api: &Api, call: &Call, target: &Target, parts: Parts, body: Body) -> Reply {
    let item = target.shelf.get(&target.namespace, &target.name).ok_or_else(|| target.not_found())?;
    let pod = item.value();
    let action = call.attributes.subresource.as_str();
    if action != "log" {
        // A WebSocket is opened by a GET, but starts a process all the same.
        let create = Attributes { verb: "create", ..call.attributes.clone() };
        api.rbac.check(&call.identity, &create)?;
    }
    let node = pod["spec"]["nodeName"].as_str().unwrap_or_default();
    if node.is_empty() {
        return Err(Status::bad_request(format!("pod {} does not have a host assigned", target.name)));
    }
    let endpoint = match action {
        "log" => "containerLogs",
        "portforward" => "portForward",
        other => other,
    };
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let mut path = format!("/{endpoint}/{}/{}", encode(&target.namespace), encode(&target.name));
    // Ports are the pod's, all else is one of its containers'.
    if action != "portforward" {
        path.push('/');
        path.push_str(&encode(&container(&pod, call.query.get("container"), &target.name)?));
    }
    if let Some(query) = parts.uri.query() {
        path.push('?');
        path.push_str(query);
    }
    let mut request = Request::from_parts(parts, body);
    *request.headers_mut() = call.headers.clone();
    *request.uri_mut() = path.parse().map_err(Status::internal)?;
    Ok(api.config.nodes.forward(node, request).await)
}

/// The container that is meant; the only one, when none is named.
fn container(pod: &Value, wanted: &str, name: &str) -> Result<String, Status> {
    let names = |list: &str| -> Vec<String> {
        let containers = pod["spec"][list].as_array().into_iter().flatten();
        containers.filter_map(|own| own["name"].as_str().map(str::to_owned)).collect()
    };
    let (init, main) = (names("initContainers"), names("containers"));
    if wanted.is_empty() {
        if let [only] = main.as_slice() {
            return Ok(only.clone());
        }
        let mut message =
            format!("a container name must be specified for pod {name}, choose one of: [{}]", main.join(" "));
        if !init.is_empty() {
            message.push_str(&format!(" or one of the init containers: [{}]", init.join(" ")));
        }
        return Err(Status::bad_request(message));
    }
    if main.iter().chain(&init).any(|own| own == wanted) {
        return Ok(wanted.to_owned());
    }
    Err(Status::bad_request(format!("container {wanted} is not valid for pod {name}")))
}
