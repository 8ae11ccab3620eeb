//! `cargo xtask wire DIR`: derives the checked-in table of protobuf field numbers of the room `apiserver` from the Go
//! modules `k8s.io/api` and `k8s.io/apimachinery` (v0.37) below DIR. Takes facts (names, numbers, types), nothing else.

use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

const OUT: &str = "crates/apiserver/src/protobuf/kubernetes.fields";

/// Go packages that are read: the name used in the table, and where it lies.
const PACKAGES: &[(&str, &str)] = &[
    ("apps/v1", "api@v0.37.0/apps/v1"),
    ("authentication/v1", "api@v0.37.0/authentication/v1"),
    ("authorization/v1", "api@v0.37.0/authorization/v1"),
    ("autoscaling/v1", "api@v0.37.0/autoscaling/v1"),
    ("autoscaling/v2", "api@v0.37.0/autoscaling/v2"),
    ("batch/v1", "api@v0.37.0/batch/v1"),
    ("coordination/v1", "api@v0.37.0/coordination/v1"),
    ("core/v1", "api@v0.37.0/core/v1"),
    ("discovery/v1", "api@v0.37.0/discovery/v1"),
    ("events/v1", "api@v0.37.0/events/v1"),
    ("meta/v1", "apimachinery@v0.37.0/pkg/apis/meta/v1"),
    ("networking/v1", "api@v0.37.0/networking/v1"),
    ("policy/v1", "api@v0.37.0/policy/v1"),
    ("rbac/v1", "api@v0.37.0/rbac/v1"),
    ("scheduling/v1", "api@v0.37.0/scheduling/v1"),
    ("scheduling/v1alpha3", "api@v0.37.0/scheduling/v1alpha3"),
    ("storage/v1", "api@v0.37.0/storage/v1"),
];

/// Messages that clients send; everything that they refer to comes along.
const ROOTS: &[&str] = &[
    "apps/v1.ControllerRevision",
    "apps/v1.DaemonSet",
    "apps/v1.Deployment",
    "apps/v1.ReplicaSet",
    "apps/v1.StatefulSet",
    "authentication/v1.SelfSubjectReview",
    "authentication/v1.TokenRequest",
    "authentication/v1.TokenReview",
    "authorization/v1.LocalSubjectAccessReview",
    "authorization/v1.SelfSubjectAccessReview",
    "authorization/v1.SelfSubjectRulesReview",
    "authorization/v1.SubjectAccessReview",
    "autoscaling/v1.HorizontalPodAutoscaler",
    "autoscaling/v1.Scale",
    "autoscaling/v2.HorizontalPodAutoscaler",
    "batch/v1.CronJob",
    "batch/v1.Job",
    "coordination/v1.Lease",
    "core/v1.Binding",
    "core/v1.ConfigMap",
    "core/v1.Endpoints",
    "core/v1.Event",
    "core/v1.Namespace",
    "core/v1.Node",
    "core/v1.PersistentVolume",
    "core/v1.PersistentVolumeClaim",
    "core/v1.Pod",
    "core/v1.Secret",
    "core/v1.Service",
    "core/v1.ServiceAccount",
    "discovery/v1.EndpointSlice",
    "events/v1.Event",
    "meta/v1.DeleteOptions",
    "networking/v1.Ingress",
    "networking/v1.IngressClass",
    "policy/v1.Eviction",
    "policy/v1.PodDisruptionBudget",
    "rbac/v1.ClusterRole",
    "rbac/v1.ClusterRoleBinding",
    "rbac/v1.Role",
    "rbac/v1.RoleBinding",
    "scheduling/v1.PriorityClass",
    "storage/v1.StorageClass",
];

/// Go types that the table has as types of its own.
const LEAVES: &[(&str, &str)] = &[
    ("string", "string"),
    ("bool", "bool"),
    ("int", "int"),
    ("int32", "int"),
    ("int64", "int"),
    ("uint32", "int"),
    ("float64", "double"),
    ("float32", "float"),
    ("[]byte", "bytes"),
    ("types.UID", "string"),
    ("resource.Quantity", "quantity"),
    ("intstr.IntOrString", "intstr"),
    ("runtime.RawExtension", "raw"),
    ("meta/v1.FieldsV1", "raw"),
    ("meta/v1.Time", "time"),
    ("meta/v1.MicroTime", "microtime"),
];

#[derive(Debug, Clone)]
struct Field {
    number: u32,
    /// Empty for a message whose fields lie in its parent.
    name: String,
    go_type: String,
}

#[derive(Debug, Default)]
struct Types {
    structs: BTreeMap<String, Vec<Field>>,
    aliases: BTreeMap<String, String>,
}

/// Reads the packages and writes the table.
pub fn run(root: &Path, modules: &Path) -> Result<()> {
    let mut types = Types::default();
    for (package, place) in PACKAGES {
        let dir = modules.join(place);
        for entry in std::fs::read_dir(&dir).with_context(|| dir.display().to_string())? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.ends_with(".go") && !name.ends_with("_test.go") && !name.contains("generated") {
                types.read(package, &std::fs::read_to_string(&path)?);
            }
        }
    }
    let mut text = String::from(
        "# Derived from the Go types of Kubernetes v1.37 by `cargo xtask wire`; do not edit.\n\
         # NUMBER NAME TYPE; [] is a list, {} a map by string, ? a field whose zero is a value, ^ inline.\n",
    );
    let mut todo: BTreeSet<String> = ROOTS.iter().map(|name| name.to_string()).collect();
    let mut done = BTreeSet::new();
    while let Some(name) = todo.pop_first() {
        if !done.insert(name.clone()) {
            continue;
        }
        let fields = types.structs.get(&name).with_context(|| format!("no message {name}"))?;
        writeln!(text, "{name}")?;
        for field in fields {
            let (shown, message) = types.show(&field.go_type);
            let name = if field.name.is_empty() { "^" } else { &field.name };
            writeln!(text, " {} {name} {shown}", field.number)?;
            todo.extend(message.filter(|message| !done.contains(message)));
        }
    }
    std::fs::write(root.join(OUT), &text)?;
    println!("{OUT}: {} messages, {} bytes", done.len(), text.len());
    Ok(())
}

fn tag<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.split_once(&format!("{key}:\""))?.1.split('"').next()
}

/// The package that a Go qualifier stands for; every file of these modules names them alike.
fn qualify(package: &str, go_type: &str) -> String {
    let own = |name: &str| {
        let basic = name.chars().next().is_some_and(char::is_lowercase);
        if basic { name.to_owned() } else { format!("{package}.{name}") }
    };
    match go_type.split_once('.') {
        Some(("metav1", name)) => format!("meta/v1.{name}"),
        Some(("v1" | "apiv1" | "corev1", name)) => format!("core/v1.{name}"),
        Some(("schedulingv1alpha3", name)) => format!("scheduling/v1alpha3.{name}"),
        Some(_) => go_type.to_owned(),
        None => own(go_type),
    }
}

fn qualify_all(package: &str, go_type: &str) -> String {
    if go_type == "[]byte" {
        return go_type.to_owned();
    }
    for prefix in ["*", "[]", "map[string]"] {
        if let Some(rest) = go_type.strip_prefix(prefix) {
            return format!("{prefix}{}", qualify_all(package, rest));
        }
    }
    // Keys of maps are strings, under whatever name.
    if let Some((_, value)) = go_type.strip_prefix("map[").and_then(|rest| rest.split_once(']')) {
        return format!("map[string]{}", qualify_all(package, value));
    }
    qualify(package, go_type)
}

impl Types {
    fn read(&mut self, package: &str, text: &str) {
        let mut current: Option<String> = None;
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("type ") {
                let mut words = rest.split_whitespace();
                let name = format!("{package}.{}", words.next().unwrap_or_default());
                match words.next() {
                    Some("struct") => {
                        // It is a message also when it has no fields.
                        self.structs.entry(name.clone()).or_default();
                        current = Some(name);
                    }
                    Some(alias) if alias != "interface" && alias != "func" => {
                        self.aliases.insert(name, qualify_all(package, alias));
                    }
                    _ => {}
                }
            } else if line.starts_with('}') {
                current = None;
            } else if line.trim_start().starts_with("//") {
                // Fields that were taken back stay behind as comments.
            } else if let (Some(name), Some(wire)) = (&current, tag(line, "protobuf")) {
                self.read_field(package, name, line, wire);
            }
        }
    }

    fn read_field(&mut self, package: &str, message: &str, line: &str, wire: &str) {
        let declared: Vec<&str> = line.split('`').next().unwrap_or_default().split_whitespace().collect();
        let Some(number) = wire.split(',').nth(1).and_then(|number| number.parse().ok()) else { return };
        let json = tag(line, "json").unwrap_or_default();
        let name = json.split(',').next().unwrap_or_default().to_owned();
        let go_type = qualify_all(package, declared.last().copied().unwrap_or_default());
        self.structs.entry(message.to_owned()).or_default().push(Field { number, name, go_type });
    }

    /// The table's word for a Go type, and the message that it refers to.
    fn show(&self, go_type: &str) -> (String, Option<String>) {
        if let Some((_, leaf)) = LEAVES.iter().find(|(name, _)| *name == go_type) {
            return ((*leaf).to_owned(), None);
        }
        for (prefix, shown) in [("*", "?"), ("[]", "[]"), ("map[string]", "{}")] {
            if let Some(rest) = go_type.strip_prefix(prefix) {
                let (rest, message) = self.show(rest);
                return (format!("{shown}{rest}"), message);
            }
        }
        match self.aliases.get(go_type) {
            // A list under a name is a message with one field on the wire.
            Some(alias) if alias.starts_with("[]") => (format!("items{}", self.show(alias).0), None),
            Some(alias) => self.show(alias),
            None => (go_type.to_owned(), Some(go_type.to_owned())),
        }
    }
}
