//! The text of a pod's `/etc/resolv.conf` and of its own lines in `/etc/hosts`. Pure. Rules: "DNS for Services and Pods"
//! in the Kubernetes documentation; limits of glibc's resolver.

use std::fmt::Write;

use client::k8s_openapi::api::core::v1 as api;

/// glibc reads no more name servers than this.
const SERVERS_MAX: usize = 3;
/// The resolver's own limit on search domains, which validation upstream also has.
const SEARCHES_MAX: usize = 32;

/// The parts of a resolver's configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Resolver {
    pub(crate) servers: Vec<String>,
    pub(crate) searches: Vec<String>,
    pub(crate) options: Vec<String>,
}

impl Resolver {
    /// Reads a `resolv.conf`.
    pub(crate) fn parse(text: &str) -> Resolver {
        let mut resolver = Resolver::default();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let word = words.next().unwrap_or_default();
            let rest = words.map(str::to_owned);
            match word {
                "nameserver" => resolver.servers.extend(rest.take(1)),
                "search" | "domain" => resolver.searches = rest.collect(),
                "options" => resolver.options.extend(rest),
                _ => {}
            }
        }
        resolver
    }

    fn add(&mut self, config: &api::PodDNSConfig) {
        let fresh = |known: &[String], list: &Option<Vec<String>>| -> Vec<String> {
            list.iter().flatten().filter(|item| !known.contains(item)).cloned().collect()
        };
        let servers = fresh(&self.servers, &config.nameservers);
        self.servers.extend(servers);
        let searches = fresh(&self.searches, &config.searches);
        self.searches.extend(searches);
        for option in config.options.iter().flatten() {
            let Some(name) = &option.name else { continue };
            self.options.retain(|known| known.split(':').next() != Some(name));
            self.options.push(match &option.value {
                Some(value) => format!("{name}:{value}"),
                None => name.clone(),
            });
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        let searches: Vec<_> = self.searches.iter().take(SEARCHES_MAX).map(String::as_str).collect();
        if !searches.is_empty() {
            let _ = writeln!(text, "search {}", searches.join(" "));
        }
        for server in self.servers.iter().take(SERVERS_MAX) {
            let _ = writeln!(text, "nameserver {server}");
        }
        if !self.options.is_empty() {
            let _ = writeln!(text, "options {}", self.options.join(" "));
        }
        text
    }
}

/// A pod's `/etc/resolv.conf`.
pub(crate) fn resolv_conf(pod: &api::Pod, cluster_dns: &str, domain: &str, host: &Resolver) -> String {
    let spec = pod.spec.clone().unwrap_or_default();
    let host_network = spec.host_network == Some(true);
    let mut resolver = match spec.dns_policy.as_deref().unwrap_or("ClusterFirst") {
        "None" => Resolver::default(),
        "ClusterFirst" if host_network => host.clone(),
        "Default" if host_network => host.clone(),
        "Default" => reachable(host, cluster_dns),
        _ => cluster_first(pod, cluster_dns, domain, host),
    };
    if let Some(config) = &spec.dns_config {
        resolver.add(config);
    }
    resolver.text()
}

/// A name server on the host's loopback cannot be reached from a pod's network; the cluster's forwards to it.
fn reachable(host: &Resolver, cluster_dns: &str) -> Resolver {
    let mut resolver = host.clone();
    resolver.servers.retain(|server| !server.starts_with("127.") && server != "::1");
    if resolver.servers.is_empty() {
        resolver.servers.push(cluster_dns.to_owned());
    }
    resolver
}

fn cluster_first(pod: &api::Pod, cluster_dns: &str, domain: &str, host: &Resolver) -> Resolver {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or("default");
    let mut searches = vec![format!("{namespace}.svc.{domain}"), format!("svc.{domain}"), domain.to_owned()];
    searches.extend(host.searches.iter().filter(|search| search.as_str() != ".").cloned());
    Resolver { servers: vec![cluster_dns.to_owned()], searches, options: vec!["ndots:5".to_owned()] }
}

/// The pod's host name: its `hostname`, else its name as far as a host name may be long.
pub(crate) fn hostname(pod: &api::Pod, domain: &str, node: &str) -> String {
    let spec = pod.spec.clone().unwrap_or_default();
    if let Some(name) = spec.hostname_override {
        return name;
    }
    if spec.host_network == Some(true) {
        return node.to_owned();
    }
    let name = pod.metadata.name.clone().unwrap_or_default();
    let short: String = spec.hostname.unwrap_or(name).chars().take(63).collect();
    let short = short.trim_end_matches(['-', '.']).to_owned();
    match (spec.set_hostname_as_fqdn, &spec.subdomain) {
        (Some(true), Some(_)) => full_name(pod, &short, domain).unwrap_or(short),
        _ => short,
    }
}

/// `<hostname>.<subdomain>.<namespace>.svc.<domain>` of a pod with a subdomain.
pub(crate) fn full_name(pod: &api::Pod, hostname: &str, domain: &str) -> Option<String> {
    let subdomain = pod.spec.as_ref()?.subdomain.as_ref()?;
    let namespace = pod.metadata.namespace.as_deref().unwrap_or("default");
    Some(format!("{hostname}.{subdomain}.{namespace}.svc.{domain}"))
}

/// The lines of `hostAliases`.
pub(crate) fn host_aliases(pod: &api::Pod) -> String {
    let mut text = String::new();
    for alias in pod.spec.iter().flat_map(|spec| spec.host_aliases.iter().flatten()) {
        let names = alias.hostnames.clone().unwrap_or_default();
        let _ = writeln!(text, "{}\t{}", alias.ip, names.join("\t"));
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn made(spec: Value) -> String {
        let pod = json!({ "metadata": { "name": "p", "namespace": "shop" }, "spec": spec });
        let host = Resolver::parse("# x\nnameserver 127.0.0.53\nsearch lan\noptions edns0 trust-ad\n");
        resolv_conf(&serde_json::from_value(pod).expect("a pod"), "10.43.0.10", "cluster.local", &host)
    }

    #[test]
    fn policies() {
        assert_eq!(
            made(json!({ "containers": [] })),
            "search shop.svc.cluster.local svc.cluster.local cluster.local lan\nnameserver 10.43.0.10\noptions ndots:5\n"
        );
        assert_eq!(
            made(json!({ "containers": [], "dnsPolicy": "Default" })),
            "search lan\nnameserver 10.43.0.10\noptions edns0 trust-ad\n",
            "the host's stub resolver cannot be reached from a pod"
        );
        let own = json!({ "containers": [], "dnsPolicy": "None", "dnsConfig": {
            "nameservers": ["1.1.1.1"], "searches": ["a.b"], "options": [{ "name": "ndots", "value": "2" }] } });
        assert_eq!(made(own), "search a.b\nnameserver 1.1.1.1\noptions ndots:2\n");
        let host = json!({ "containers": [], "hostNetwork": true });
        assert!(made(host).contains("nameserver 127.0.0.53"));
    }

    #[test]
    fn names() {
        let pod = |spec: Value| {
            let pod = json!({ "metadata": { "name": "web-0", "namespace": "shop" }, "spec": spec });
            hostname(&serde_json::from_value(pod).expect("a pod"), "cluster.local", "node1")
        };
        assert_eq!(pod(json!({ "containers": [] })), "web-0");
        assert_eq!(pod(json!({ "containers": [], "hostname": "h", "subdomain": "s" })), "h");
        assert_eq!(
            pod(json!({ "containers": [], "subdomain": "s", "setHostnameAsFQDN": true })),
            "web-0.s.shop.svc.cluster.local"
        );
        assert_eq!(pod(json!({ "containers": [], "hostNetwork": true })), "node1");
    }
}
