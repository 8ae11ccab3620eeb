//! From objects to a table. Pure: what the API holds in, routes out. Where two Ingresses want the same, the older one
//! has it.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use client::Key;
use client::k8s_openapi::api::core::v1::{Secret, Service, ServicePort};
use client::k8s_openapi::api::discovery::v1::EndpointSlice;
use client::k8s_openapi::api::networking::v1::{Ingress, IngressBackend};
use serde_json::Value;

use super::{Backend, Function, Functions, Table, certificate};

/// The class whose Ingresses are ours, besides those without a class.
const CLASS: &str = "dory";
/// How the class was written before `ingressClassName`.
const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";
/// Which Service an EndpointSlice belongs to.
const SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// Everything a table is made of.
#[derive(Default)]
pub(crate) struct Objects {
    pub(crate) ingresses: Vec<Arc<Value>>,
    pub(crate) services: Vec<Arc<Value>>,
    pub(crate) slices: Vec<Arc<Value>>,
    pub(crate) secrets: Vec<Arc<Value>>,
    pub(crate) functions: Arc<Functions>,
    pub(crate) aliases: Vec<Arc<Value>>,
}

/// Compiles a table. What cannot be read is left out: the API server validated it, so it is of a later version.
pub(crate) fn compile(objects: &Objects) -> Table {
    let mut table = Table::default();
    let mut ingresses: Vec<Ingress> =
        objects.ingresses.iter().filter_map(|object| client::parse(object).ok()).collect();
    ingresses.retain(is_served);
    ingresses.sort_by_key(|ingress| {
        let metadata = &ingress.metadata;
        (
            metadata.creation_timestamp.clone().map(|time| time.0),
            metadata.namespace.clone(),
            metadata.name.clone(),
        )
    });
    let mut backends = Backends::new(objects);
    for ingress in &ingresses {
        add_ingress(&mut table, ingress, &mut backends);
        add_certificates(&mut table, ingress, &objects.secrets);
    }
    for (key, function) in objects.functions.with_url() {
        // By the object's name and by the one AWS clients use, should they differ.
        table
            .functions_by_key
            .insert(Key::new(key.namespace.clone(), function.name.clone()), function.clone());
        table.functions_by_key.insert(key.clone(), function.clone());
        if !function.id.is_empty() {
            table.functions_by_id.insert(function.id.clone(), function.clone());
        }
    }
    for alias in &objects.aliases {
        // An alias is reached by its URL's id alone.
        let function =
            Function::of_alias(alias, &objects.functions).filter(|function| !function.id.is_empty());
        let Some(function) = function.map(Arc::new) else { continue };
        table.functions_by_id.insert(function.id.clone(), function);
    }
    table
}

/// Whether an Ingress is ours: of class `dory` or of none.
pub(crate) fn is_served(ingress: &Ingress) -> bool {
    let annotation = ingress.metadata.annotations.as_ref().and_then(|all| all.get(CLASS_ANNOTATION));
    let class = ingress.spec.as_ref().and_then(|spec| spec.ingress_class_name.as_ref()).or(annotation);
    class.is_none_or(|class| class == CLASS)
}

fn add_ingress(table: &mut Table, ingress: &Ingress, backends: &mut Backends<'_>) {
    let (Some(spec), namespace) = (&ingress.spec, ingress.metadata.namespace.as_deref().unwrap_or_default())
    else {
        return;
    };
    if let Some(backend) = &spec.default_backend
        && table.default.is_none()
    {
        table.default = Some(backends.find(namespace, backend));
    }
    for rule in spec.rules.iter().flatten() {
        let host = rule.host.as_deref().unwrap_or_default().to_ascii_lowercase();
        let paths = match host.strip_prefix("*.") {
            Some(parent) => table.wildcard_hosts.entry(parent.to_owned()).or_default(),
            None if host.is_empty() => &mut table.any_host,
            None => table.exact_hosts.entry(host).or_default(),
        };
        for path in rule.http.iter().flat_map(|http| &http.paths) {
            let backend = backends.find(namespace, &path.backend);
            paths.add(&path.path_type, path.path.as_deref().unwrap_or("/"), backend);
        }
    }
}

fn add_certificates(table: &mut Table, ingress: &Ingress, secrets: &[Arc<Value>]) {
    let namespace = ingress.metadata.namespace.clone().unwrap_or_default();
    let tls = ingress.spec.iter().flat_map(|spec| spec.tls.iter().flatten());
    for entry in tls {
        let Some(name) = entry.secret_name.as_deref().filter(|name| !name.is_empty()) else { continue };
        let key = Key::new(namespace.clone(), name);
        let Some(object) = secrets.iter().find(|object| Key::of(object) == key) else { continue };
        let read = client::parse::<Secret>(object).map_err(|error| error.to_string());
        match read.and_then(|secret| certificate::read(&secret)) {
            Ok(certificate) => {
                for host in entry.hosts.iter().flatten() {
                    table.certificates.add(host, certificate.clone());
                }
            }
            Err(problem) => {
                tracing::warn!(secret = %name, %namespace, %problem, "a TLS secret cannot be used")
            }
        }
    }
}

/// The backends of a table, each made once. Objects are read only if a route leads to them: most do not.
struct Backends<'a> {
    services: HashMap<Key, &'a Value>,
    slices: HashMap<Key, Vec<&'a Value>>,
    made: HashMap<String, Arc<Backend>>,
}

impl<'a> Backends<'a> {
    fn new(objects: &'a Objects) -> Backends<'a> {
        let services = objects.services.iter().map(|object| (Key::of(object), &**object)).collect();
        let mut slices: HashMap<Key, Vec<&Value>> = HashMap::new();
        for object in &objects.slices {
            if let Some(service) = object["metadata"]["labels"][SERVICE_LABEL].as_str() {
                slices.entry(Key::new(Key::of(object).namespace, service)).or_default().push(object);
            }
        }
        Backends { services, slices, made: HashMap::new() }
    }

    fn find(&mut self, namespace: &str, backend: &IngressBackend) -> Arc<Backend> {
        let Some(service) = &backend.service else {
            let problem = "backends that are no Service are not supported".to_owned();
            return Arc::new(Backend::broken(namespace.to_owned(), problem));
        };
        let port = service.port.clone().unwrap_or_default();
        let shown = port.name.clone().unwrap_or_else(|| port.number.unwrap_or_default().to_string());
        let name = format!("{namespace}/{}:{shown}", service.name);
        if let Some(made) = self.made.get(&name) {
            return made.clone();
        }
        let wanted = |candidate: &&ServicePort| match &port.name {
            Some(name) => candidate.name.as_ref() == Some(name),
            None => Some(candidate.port) == port.number,
        };
        let made = Arc::new(self.make(&name, Key::new(namespace, service.name.as_str()), wanted));
        self.made.insert(name, made.clone());
        made
    }

    fn make(&self, name: &str, key: Key, wanted: impl Fn(&&ServicePort) -> bool) -> Backend {
        let broken = |problem: String| Backend::broken(name.to_owned(), problem);
        let service = self.services.get(&key).and_then(|object| client::parse::<Service>(object).ok());
        let Some(spec) = service.and_then(|service| service.spec) else {
            return broken(format!("there is no Service {}/{}", key.namespace, key.name));
        };
        if spec.type_.as_deref() == Some("ExternalName") {
            return broken(format!("{name} is an ExternalName service, which an Ingress cannot lead to"));
        }
        let Some(port) = spec.ports.iter().flatten().find(wanted) else {
            return broken(format!("the Service of {name} has no such port"));
        };
        let slices = self.slices.get(&key).map(Vec::as_slice).unwrap_or_default();
        let slices = slices.iter().filter_map(|object| client::parse::<EndpointSlice>(object).ok());
        let mut endpoints: Vec<SocketAddr> = slices.flat_map(|slice| ready(&slice, port)).collect();
        endpoints.sort_unstable();
        endpoints.dedup();
        Backend::new(name.to_owned(), endpoints)
    }
}

/// The ready addresses of a slice, with the port that the service's port is called there.
fn ready(slice: &EndpointSlice, port: &ServicePort) -> Vec<SocketAddr> {
    let called = port.name.as_deref().unwrap_or_default();
    let ports = slice.ports.iter().flatten();
    let number = ports
        .filter(|there| there.name.as_deref().unwrap_or_default() == called)
        .find_map(|there| there.port);
    let Some(number) = number.and_then(|number| u16::try_from(number).ok()) else { return Vec::new() };
    let endpoints = slice.endpoints.iter().flatten();
    let serving = endpoints.filter(|endpoint| {
        // Unknown counts as ready (EndpointConditions, `ready`).
        endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true)
    });
    let addresses =
        serving.flat_map(|endpoint| &endpoint.addresses).filter_map(|text| text.parse::<IpAddr>().ok());
    addresses.map(|address| SocketAddr::new(address, number)).collect()
}
