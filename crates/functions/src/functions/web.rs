//! What can be said of a function's web server before it starts.

use super::Functions;
use crate::web::{self, ADAPTER, MARK, Settings};
use serde_json::Value;
use std::collections::BTreeMap;

impl Functions {
    /// Whether a function with this `spec` asks of AWS's web adapter only what the platform can do in its place; says why
    /// not otherwise. What an image that was never read says is seen when it starts.
    pub fn check_web_server(&self, spec: &Value) -> Result<(), String> {
        let variables = spec["environment"].as_object().into_iter().flatten();
        let text = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
        let environment: BTreeMap<String, String> = variables.filter_map(text).collect();
        if let Some(digest) = spec["image"]["digest"].as_str() {
            let root = self.machine.images.known(digest);
            return root.map_or(Ok(()), |root| web::of_image(&root, &environment).map(drop));
        }
        let layers = spec["layers"].as_array().into_iter().flatten();
        let layers = layers.filter_map(|layer| self.machine.codes.task(layer["sha256"].as_str()?));
        let mut named = false;
        for layer in layers {
            if layer.join(ADAPTER).is_file() {
                return Ok(());
            }
            named |= layer.join(MARK).is_file();
        }
        let own_program = spec["runtime"].as_str().is_some_and(|runtime| runtime.starts_with("provided"));
        Settings::read(&environment, own_program, named).map(drop)
    }
}
