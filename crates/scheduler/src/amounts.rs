//! Amounts of resources: what a pod asks for and what a node has. CPU in millicores, all else in units.

use std::collections::BTreeMap;

use object::quantity::Quantity;
use serde_json::Value;

/// Amounts by resource name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Amounts(pub BTreeMap<String, i64>);

impl Amounts {
    /// Reads a resource list, such as `status.allocatable`; what is not a quantity counts as nothing.
    #[must_use]
    pub fn of(list: &Value) -> Amounts {
        let entries = list.as_object().into_iter().flatten();
        Amounts(entries.map(|(name, text)| (name.clone(), amount(name, text))).collect())
    }

    /// The amount of one resource.
    #[must_use]
    pub fn get(&self, name: &str) -> i64 {
        self.0.get(name).copied().unwrap_or_default()
    }

    pub(crate) fn add(&mut self, other: &Amounts) {
        for (name, amount) in &other.0 {
            let sum = self.0.entry(name.clone()).or_default();
            *sum = sum.saturating_add(*amount);
        }
    }

    pub(crate) fn subtract(&mut self, other: &Amounts) {
        for (name, amount) in &other.0 {
            let rest = self.0.entry(name.clone()).or_default();
            *rest = rest.saturating_sub(*amount);
        }
    }

    fn at_least(&mut self, other: &Amounts) {
        for (name, amount) in &other.0 {
            let most = self.0.entry(name.clone()).or_default();
            *most = (*most).max(*amount);
        }
    }

    /// What a pod asks for: the larger of its containers together and its greediest step of initialization
    /// (sidecars run on, so they count in both), with the overhead of its runtime class.
    #[must_use]
    pub fn of_pod(pod: &Value) -> Amounts {
        let spec = &pod["spec"];
        let requests = |container: &Value| Amounts::of(&container["resources"]["requests"]);
        let mut running = Amounts::default();
        for container in spec["containers"].as_array().into_iter().flatten() {
            running.add(&requests(container));
        }
        let (mut sidecars, mut starting) = (Amounts::default(), Amounts::default());
        for container in spec["initContainers"].as_array().into_iter().flatten() {
            let mut step = requests(container);
            if container["restartPolicy"] == "Always" {
                running.add(&step);
                sidecars.add(&step);
                starting.at_least(&sidecars);
            } else {
                step.add(&sidecars);
                starting.at_least(&step);
            }
        }
        running.at_least(&starting);
        // Requests of the pod as a whole stand above those of its containers (KEP-2837).
        running.0.extend(Amounts::of(&spec["resources"]["requests"]).0);
        running.add(&Amounts::of(&spec["overhead"]));
        running
    }
}

fn amount(name: &str, text: &Value) -> i64 {
    let quantity = match text {
        Value::String(text) => Quantity::parse(text),
        other => Quantity::parse(&other.to_string()),
    };
    match quantity {
        Ok(quantity) if name == "cpu" => quantity.milli_value(),
        Ok(quantity) => quantity.value(),
        Err(_) => 0,
    }
}
