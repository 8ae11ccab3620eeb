//! What can be said of a function's web server before it starts.

use super::Functions;
use instance::web;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

impl Functions {
    /// Whether a function with this `spec` asks of AWS's web adapter only what the platform can do in its place; says why
    /// not otherwise. What an image that was never read says is seen when it starts.
    pub fn check_web_server(&self, spec: &Value) -> Result<(), String> {
        let variables = spec["environment"].as_object().into_iter().flatten();
        let text = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
        let environment: BTreeMap<String, String> = variables.filter_map(text).collect();
        if let Some(digest) = spec["image"]["digest"].as_str() {
            let root = self.machine.images.known(digest);
            return root.map_or(Ok(()), |root| {
                web::of_image(&root.layers, &root.environment, &environment).map(drop)
            });
        }
        let layers = spec["layers"].as_array().into_iter().flatten();
        let layers: Vec<PathBuf> =
            layers.filter_map(|layer| self.machine.codes.task(layer["sha256"].as_str()?)).collect();
        let own_program = spec["runtime"].as_str().is_some_and(|runtime| runtime.starts_with("provided"));
        web::of_archive(layers.iter().map(PathBuf::as_path), &environment, own_program).map(drop)
    }
}
