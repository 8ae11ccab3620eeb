//! Where a request goes: an immutable table, compiled from objects and swapped whole, so that a request sees one state
//! of the world and no lock.

mod backend;
mod certificate;
mod compile;
mod cors;
mod function;
mod functions;
mod path;

use std::collections::HashMap;
use std::sync::Arc;

use client::Key;

pub(crate) use backend::Backend;
pub(crate) use certificate::Certificates;
pub(crate) use compile::{Objects, compile, is_served};
pub(crate) use cors::Cors;
pub(crate) use function::{Function, RouteMatch};
pub(crate) use functions::Functions;
use path::Paths;

/// Paths under this prefix are the gateway's own, except on hosts that an Ingress names: the way to a function
/// without a host name of its own, `/_/<namespace>/<name>/…`.
const FUNCTION_PREFIX: &str = "/_/";
/// The second label of a function URL's host, as AWS spells it.
const FUNCTION_HOST_LABEL: &str = "lambda-url";

/// All routes at one moment.
#[derive(Default)]
pub(crate) struct Table {
    exact_hosts: HashMap<String, Paths>,
    /// By what follows `*.`: the wildcard stands for one label.
    wildcard_hosts: HashMap<String, Paths>,
    any_host: Paths,
    default: Option<Arc<Backend>>,
    functions_by_id: HashMap<String, Arc<Function>>,
    functions_by_key: HashMap<Key, Arc<Function>>,
    pub(crate) certificates: Certificates,
}

/// Where one request goes.
pub(crate) enum Destination {
    /// To a Service's endpoints.
    Backend(Arc<Backend>),
    /// To a function; `path` is what remains for it to see, `id` its name in the event.
    Function {
        /// Which one.
        function: Arc<Function>,
        /// The path that the function sees.
        path: String,
    },
    /// To nobody, for this reason.
    Nowhere(String),
}

impl Table {
    /// Finds the destination of a request. `host` is the Host header without its port.
    pub(crate) fn find(&self, host: &str, path: &str) -> Destination {
        let host = host.to_ascii_lowercase();
        if let Some(id) = function_id(&host) {
            return match self.functions_by_id.get(id) {
                Some(function) => Destination::Function { function: function.clone(), path: path.to_owned() },
                None => Destination::Nowhere(format!("no function has the URL id {id}")),
            };
        }
        let wildcard = host.split_once('.').and_then(|(_, rest)| self.wildcard_hosts.get(rest));
        let named = [self.exact_hosts.get(&host), wildcard];
        let named = named.into_iter().flatten();
        if named.clone().next().is_none()
            && let Some(rest) = path.strip_prefix(FUNCTION_PREFIX)
        {
            return self.find_function(rest);
        }
        let found = named.chain([&self.any_host]).find_map(|paths| paths.find(path));
        match found.or(self.default.as_ref()) {
            Some(backend) => Destination::Backend(backend.clone()),
            None => Destination::Nowhere(format!("no Ingress has a route for {host}{path}")),
        }
    }

    /// `rest` is `<namespace>/<name>` and the path after it.
    fn find_function(&self, rest: &str) -> Destination {
        let mut parts = rest.splitn(3, '/');
        let (namespace, name) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        let path = format!("/{}", parts.next().unwrap_or(""));
        match self.functions_by_key.get(&Key::new(namespace, name)) {
            Some(function) => Destination::Function { function: function.clone(), path },
            None => Destination::Nowhere(format!("no function {namespace}/{name} with a URL")),
        }
    }
}

/// The id in `<id>.lambda-url.<anything>`.
fn function_id(host: &str) -> Option<&str> {
    let (id, rest) = host.split_once('.')?;
    let (label, _) = rest.split_once('.')?;
    (label == FUNCTION_HOST_LABEL).then_some(id)
}

#[cfg(test)]
mod tests;
