//! Cluster names, rebuilt from Services and EndpointSlices and answered from memory. Rules: the specification
//! "Kubernetes DNS-Based Service Discovery" 1.1.0.

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;
use std::sync::{Arc, RwLock};

use client::k8s_openapi::api::core::v1 as api;
use client::k8s_openapi::api::discovery::v1 as discovery;
use net::dns::{Answer, Record, RecordType, Zone};

use super::entries::{Backed, is_ready};

const ORIGIN: &str = "cluster.local.";

/// All names of one moment.
#[derive(Debug, Default)]
pub(crate) struct Names {
    records: HashMap<String, Vec<Record>>,
    /// Names that only have names below them: they exist, without records.
    parents: HashSet<String>,
}

impl Names {
    /// The names of these services. Pure.
    pub(crate) fn of<'a>(services: impl Iterator<Item = &'a Backed<'a>>) -> Names {
        let mut names = Names::default();
        names.add(format!("dns-version.{ORIGIN}"), Record::Txt("1.1.0".to_owned()));
        names.parents.extend([ORIGIN.to_owned(), format!("svc.{ORIGIN}"), format!("pod.{ORIGIN}")]);
        for backed in services {
            names.add_service(backed);
        }
        names
    }

    fn add(&mut self, name: String, record: Record) {
        let mut parent = name.as_str();
        while let Some((_, rest)) = parent.split_once('.') {
            if rest == ORIGIN || rest.is_empty() || self.parents.contains(rest) {
                break;
            }
            self.parents.insert(rest.to_owned());
            parent = rest;
        }
        let records = self.records.entry(name).or_default();
        if !records.contains(&record) {
            records.push(record);
        }
    }

    fn add_service(&mut self, backed: &Backed<'_>) {
        let metadata = &backed.service.metadata;
        let Some(spec) = &backed.service.spec else { return };
        let (Some(namespace), Some(name)) = (&metadata.namespace, &metadata.name) else { return };
        let base = format!("{name}.{namespace}.svc.{ORIGIN}");
        if spec.type_.as_deref() == Some("ExternalName") {
            let target = spec.external_name.as_deref().unwrap_or_default().trim_end_matches('.');
            return self.add(base, Record::Cname(format!("{target}.")));
        }
        match spec.cluster_ip.as_deref().unwrap_or_default().parse::<Ipv4Addr>() {
            Ok(address) => {
                self.add(base.clone(), Record::A(address));
                self.add(reverse(address), Record::Ptr(base.clone()));
                for port in spec.ports.iter().flatten() {
                    self.add_srv(&base, port.name.as_deref(), port.protocol.as_deref(), port.port, &base);
                }
            }
            Err(_) => self.parents.extend([base.clone()]),
        }
        self.add_endpoints(backed, spec, &base);
    }

    /// Headless services answer with their endpoints; each endpoint has a name of its own, by host name or address.
    fn add_endpoints(&mut self, backed: &Backed<'_>, spec: &api::ServiceSpec, base: &str) {
        let headless = spec.cluster_ip.as_deref() == Some("None");
        let unready = spec.publish_not_ready_addresses == Some(true);
        for slice in &backed.slices {
            let shown = |endpoint: &&discovery::Endpoint| unready || is_ready(endpoint);
            for endpoint in slice.endpoints.iter().flatten().filter(shown) {
                let Some(address) = endpoint.addresses.first().and_then(|address| address.parse().ok())
                else {
                    continue;
                };
                let label = endpoint.hostname.clone().unwrap_or_else(|| dashed(address));
                let own = format!("{label}.{base}");
                if headless || endpoint.hostname.is_some() {
                    self.add(own.clone(), Record::A(address));
                    self.add(reverse(address), Record::Ptr(own.clone()));
                }
                if headless {
                    self.add(base.to_owned(), Record::A(address));
                    for port in slice.ports.iter().flatten() {
                        let number = port.port.unwrap_or(0);
                        self.add_srv(base, port.name.as_deref(), port.protocol.as_deref(), number, &own);
                    }
                }
            }
        }
    }

    fn add_srv(
        &mut self,
        base: &str,
        port_name: Option<&str>,
        protocol: Option<&str>,
        port: i32,
        target: &str,
    ) {
        let (Some(port_name), Ok(port)) = (port_name.filter(|name| !name.is_empty()), u16::try_from(port))
        else {
            return;
        };
        let protocol = protocol.unwrap_or("TCP").to_lowercase();
        let record = Record::Srv { priority: 0, weight: 100, port, target: target.to_owned() };
        self.add(format!("_{port_name}._{protocol}.{base}"), record);
    }

    fn lookup(&self, name: &str, kind: RecordType) -> Answer {
        if let Some(records) = self.records.get(name) {
            let alias = records.iter().any(|record| matches!(record, Record::Cname(_)));
            let wanted = records.iter().filter(|record| alias || is_kind(record, kind)).cloned();
            return Answer::Records(wanted.collect());
        }
        if let Some(address) = pod_address(name) {
            let own = (kind == RecordType::A).then_some(Record::A(address));
            return Answer::Records(own.into_iter().collect());
        }
        match (in_zone(name), self.parents.contains(name)) {
            (true, true) => Answer::Records(Vec::new()),
            (true, false) => Answer::Missing,
            (false, _) => Answer::Foreign,
        }
    }
}

fn is_kind(record: &Record, kind: RecordType) -> bool {
    matches!(
        (record, kind),
        (Record::A(_), RecordType::A)
            | (Record::Srv { .. }, RecordType::Srv)
            | (Record::Ptr(_), RecordType::Ptr)
            | (Record::Txt(_), RecordType::Txt)
    )
}

fn in_zone(name: &str) -> bool {
    name == ORIGIN || name.strip_suffix(ORIGIN).is_some_and(|rest| rest.ends_with('.'))
}

/// `10-42-0-7.<namespace>.pod.cluster.local.`
fn pod_address(name: &str) -> Option<Ipv4Addr> {
    let rest = name.strip_suffix(ORIGIN)?.strip_suffix(".pod.")?;
    let (address, namespace) = rest.split_once('.')?;
    if namespace.is_empty() || namespace.contains('.') {
        None
    } else {
        address.replace('-', ".").parse().ok()
    }
}

fn dashed(address: Ipv4Addr) -> String {
    address.to_string().replace('.', "-")
}

fn reverse(address: Ipv4Addr) -> String {
    let [a, b, c, d] = address.octets();
    format!("{d}.{c}.{b}.{a}.in-addr.arpa.")
}

/// The names of now, for the name server.
#[derive(Debug, Default)]
pub(crate) struct Cluster(RwLock<Arc<Names>>);

impl Cluster {
    pub(crate) fn replace(&self, names: Names) {
        *self.0.write().expect("nothing panics while holding the names") = Arc::new(names);
    }
}

impl Zone for Cluster {
    fn origin(&self) -> &str {
        ORIGIN
    }

    fn lookup(&self, name: &str, kind: RecordType) -> Answer {
        let names = self.0.read().expect("nothing panics while holding the names").clone();
        names.lookup(name, kind)
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::json;

    use super::*;

    fn names() -> Names {
        let services: Vec<api::Service> = serde_json::from_value(json!([
            { "metadata": { "name": "web", "namespace": "shop" }, "spec": {
                "clusterIP": "10.43.0.9", "ports": [{ "name": "http", "port": 80 }] } },
            { "metadata": { "name": "db", "namespace": "shop" }, "spec": {
                "clusterIP": "None", "ports": [{ "name": "pg", "port": 5432 }] } },
            { "metadata": { "name": "out", "namespace": "shop" }, "spec": {
                "type": "ExternalName", "externalName": "example.com" } },
        ]))
        .expect("services");
        let slice: discovery::EndpointSlice = serde_json::from_value(json!({
            "addressType": "IPv4", "ports": [{ "name": "pg", "port": 5432 }], "endpoints": [
                { "addresses": ["10.42.0.2"], "hostname": "db-0" },
                { "addresses": ["10.42.0.3"] },
                { "addresses": ["10.42.0.4"], "conditions": { "ready": false } }] }))
        .expect("a slice");
        let backed: Vec<_> = services
            .iter()
            .enumerate()
            .map(|(index, service)| Backed {
                service,
                slices: if index == 1 { vec![&slice] } else { vec![] },
            })
            .collect();
        Names::of(backed.iter())
    }

    fn check(name: &str, kind: RecordType, expected: expect_test::Expect) {
        let text = match names().lookup(name, kind) {
            Answer::Records(records) => {
                records.iter().map(|record| format!("{record:?}")).collect::<Vec<_>>().join("\n")
            }
            other => format!("{other:?}"),
        };
        expected.assert_eq(&text);
    }

    #[test]
    fn services() {
        check("web.shop.svc.cluster.local.", RecordType::A, expect!["A(10.43.0.9)"]);
        check("web.shop.svc.cluster.local.", RecordType::Aaaa, expect![""]);
        check(
            "_http._tcp.web.shop.svc.cluster.local.",
            RecordType::Srv,
            expect![[r#"Srv { priority: 0, weight: 100, port: 80, target: "web.shop.svc.cluster.local." }"#]],
        );
        check("9.0.43.10.in-addr.arpa.", RecordType::Ptr, expect![[r#"Ptr("web.shop.svc.cluster.local.")"#]]);
        check("out.shop.svc.cluster.local.", RecordType::A, expect![[r#"Cname("example.com.")"#]]);
    }

    #[test]
    fn endpoints_of_headless_services() {
        check(
            "db.shop.svc.cluster.local.",
            RecordType::A,
            expect![[r#"
            A(10.42.0.2)
            A(10.42.0.3)"#]],
        );
        check("db-0.db.shop.svc.cluster.local.", RecordType::A, expect!["A(10.42.0.2)"]);
        check("10-42-0-3.db.shop.svc.cluster.local.", RecordType::A, expect!["A(10.42.0.3)"]);
        check(
            "2.0.42.10.in-addr.arpa.",
            RecordType::Ptr,
            expect![[r#"Ptr("db-0.db.shop.svc.cluster.local.")"#]],
        );
    }

    #[test]
    fn pods_and_names_that_are_not_there() {
        check("10-42-0-9.shop.pod.cluster.local.", RecordType::A, expect!["A(10.42.0.9)"]);
        check("shop.svc.cluster.local.", RecordType::A, expect![""]);
        check("no.shop.svc.cluster.local.", RecordType::A, expect!["Missing"]);
        check("example.com.", RecordType::A, expect!["Foreign"]);
        check("notcluster.local.", RecordType::A, expect!["Foreign"]);
    }
}
