//! The paths of one host and which of them a request takes (Ingress API, "path types").

use std::collections::HashMap;
use std::sync::Arc;

use super::Backend;

/// The paths of one host. Exact ones come first, then the longest prefix.
#[derive(Default)]
pub(super) struct Paths {
    exact: HashMap<String, Arc<Backend>>,
    /// Without a final slash; the root is empty.
    prefixes: HashMap<String, Arc<Backend>>,
}

impl Paths {
    /// Adds a path unless an earlier Ingress has it. `ImplementationSpecific` is a prefix here, as in other gateways.
    pub(super) fn add(&mut self, kind: &str, path: &str, backend: Arc<Backend>) {
        if kind == "Exact" {
            self.exact.entry(path.to_owned()).or_insert(backend);
        } else {
            self.prefixes.entry(path.trim_end_matches('/').to_owned()).or_insert(backend);
        }
    }

    /// A prefix matches whole elements: `/foo` takes `/foo/bar` and `/foo/`, not `/foobar`.
    pub(super) fn find(&self, path: &str) -> Option<&Arc<Backend>> {
        if let Some(backend) = self.exact.get(path) {
            return Some(backend);
        }
        let mut prefix = path.trim_end_matches('/');
        loop {
            if let Some(backend) = self.prefixes.get(prefix) {
                return Some(backend);
            }
            prefix = &prefix[..prefix.rfind('/')?];
        }
    }
}
