//! The variables that tell a container where services are (`REDIS_SERVICE_HOST` …), in the two forms that Kubernetes and
//! Docker links define. Pure.

use client::k8s_openapi::api::core::v1 as api;

/// The variables of every service that has an address, in the order given.
pub(crate) fn variables<'a>(services: impl Iterator<Item = &'a api::Service>) -> Vec<(String, String)> {
    let mut variables = Vec::new();
    for service in services {
        let Some(spec) = &service.spec else { continue };
        let address = spec.cluster_ip.as_deref().unwrap_or_default();
        let ports = spec.ports.as_deref().unwrap_or_default();
        let (Some(first), false) = (ports.first(), matches!(address, "" | "None")) else { continue };
        let name = variable_name(service.metadata.name.as_deref().unwrap_or_default());
        variables.push((format!("{name}_SERVICE_HOST"), address.to_owned()));
        variables.push((format!("{name}_SERVICE_PORT"), first.port.to_string()));
        for port in ports {
            if let Some(port_name) = port.name.as_deref().filter(|name| !name.is_empty()) {
                let variable = format!("{name}_SERVICE_PORT_{}", variable_name(port_name));
                variables.push((variable, port.port.to_string()));
            }
        }
        links(&name, address, ports, &mut variables);
    }
    variables
}

/// The form of Docker's container links.
fn links(name: &str, address: &str, ports: &[api::ServicePort], variables: &mut Vec<(String, String)>) {
    for (index, port) in ports.iter().enumerate() {
        let protocol = port.protocol.as_deref().unwrap_or("TCP");
        let (number, lower) = (port.port, protocol.to_lowercase());
        let url = format!("{lower}://{address}:{number}");
        if index == 0 {
            variables.push((format!("{name}_PORT"), url.clone()));
        }
        let prefix = format!("{name}_PORT_{number}_{}", protocol.to_uppercase());
        variables.push((prefix.clone(), url));
        variables.push((format!("{prefix}_PROTO"), lower));
        variables.push((format!("{prefix}_PORT"), number.to_string()));
        variables.push((format!("{prefix}_ADDR"), address.to_owned()));
    }
}

fn variable_name(name: &str) -> String {
    name.to_uppercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn both_forms() {
        let service = serde_json::json!({
            "metadata": { "name": "redis-primary" },
            "spec": { "clusterIP": "10.43.0.11", "ports": [{ "name": "db", "port": 6379, "protocol": "TCP" }] }
        });
        let headless = serde_json::json!({
            "metadata": { "name": "h" }, "spec": { "clusterIP": "None", "ports": [{ "port": 1 }] }
        });
        let services: Vec<api::Service> =
            [service, headless].map(|service| serde_json::from_value(service).expect("a service")).into();
        let text: Vec<_> =
            variables(services.iter()).into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        expect![[r#"
            REDIS_PRIMARY_SERVICE_HOST=10.43.0.11
            REDIS_PRIMARY_SERVICE_PORT=6379
            REDIS_PRIMARY_SERVICE_PORT_DB=6379
            REDIS_PRIMARY_PORT=tcp://10.43.0.11:6379
            REDIS_PRIMARY_PORT_6379_TCP=tcp://10.43.0.11:6379
            REDIS_PRIMARY_PORT_6379_TCP_PROTO=tcp
            REDIS_PRIMARY_PORT_6379_TCP_PORT=6379
            REDIS_PRIMARY_PORT_6379_TCP_ADDR=10.43.0.11"#]]
        .assert_eq(&text.join("\n"));
    }
}
