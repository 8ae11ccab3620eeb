//! What this node does not do: found before anything is started and said in words, never silently ignored. Pure.

use client::k8s_openapi::api::core::v1 as api;

/// Why a container of this pod cannot be run here, if so.
pub(crate) fn refusal(pod: &api::Pod, container: &api::Container) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    of_pod(spec).or_else(|| of_container(spec, container))
}

fn of_pod(spec: &api::PodSpec) -> Option<String> {
    let context = spec.security_context.clone().unwrap_or_default();
    let checks = [
        (spec.runtime_class_name.is_some(), "runtimeClassName"),
        (spec.host_users == Some(false), "hostUsers: false"),
        (spec.resource_claims.as_ref().is_some_and(|claims| !claims.is_empty()), "resourceClaims"),
        (spec.os.as_ref().is_some_and(|os| os.name != "linux"), "an operating system other than linux"),
        (context.se_linux_options.is_some(), "securityContext.seLinuxOptions"),
        (context.windows_options.is_some(), "securityContext.windowsOptions"),
        (localhost(context.app_armor_profile.as_ref()), "a Localhost appArmorProfile"),
        (context.supplemental_groups_policy.as_deref() == Some("Strict"), "supplementalGroupsPolicy: Strict"),
    ];
    first(checks)
}

fn of_container(spec: &api::PodSpec, container: &api::Container) -> Option<String> {
    let context = container.security_context.clone().unwrap_or_default();
    let lifecycle = container.lifecycle.clone().unwrap_or_default();
    let host_port = container.ports.iter().flatten().any(|port| port.host_port.unwrap_or(0) != 0);
    let probes = [&container.liveness_probe, &container.readiness_probe, &container.startup_probe];
    let grpc = probes.into_iter().flatten().any(|probe| probe.grpc.is_some());
    let secure = |get: &Option<api::HTTPGetAction>| {
        get.as_ref().is_some_and(|get| get.scheme.as_deref() == Some("HTTPS"))
    };
    let https = probes.into_iter().flatten().any(|probe| secure(&probe.http_get))
        || [&lifecycle.post_start, &lifecycle.pre_stop]
            .into_iter()
            .flatten()
            .any(|hook| secure(&hook.http_get));
    let tcp_hook = [&lifecycle.post_start, &lifecycle.pre_stop]
        .into_iter()
        .flatten()
        .any(|hook| hook.tcp_socket.is_some());
    let extra = container.resources.iter().flat_map(|resources| resources.limits.iter().flatten());
    let device = extra.map(|(name, _)| name).find(|name| {
        !matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage") && !name.starts_with("hugepages-")
    });
    let checks = [
        (container.volume_devices.as_ref().is_some_and(|list| !list.is_empty()), "volumeDevices"),
        (container.restart_policy_rules.as_ref().is_some_and(|list| !list.is_empty()), "restartPolicyRules"),
        (
            host_port && spec.host_network != Some(true),
            "hostPort without hostNetwork (use a NodePort Service)",
        ),
        (grpc, "a gRPC probe"),
        (https, "an HTTPS probe or hook"),
        (tcp_hook, "a tcpSocket lifecycle hook"),
        (context.se_linux_options.is_some(), "securityContext.seLinuxOptions"),
        (context.windows_options.is_some(), "securityContext.windowsOptions"),
        (localhost(context.app_armor_profile.as_ref()), "a Localhost appArmorProfile"),
        (device.is_some(), "a limit on an extended resource"),
    ];
    first(checks)
}

fn first<const N: usize>(checks: [(bool, &str); N]) -> Option<String> {
    let (_, what) = checks.into_iter().find(|(asked, _)| *asked)?;
    Some(format!("{what} is not supported"))
}

fn localhost(profile: Option<&api::AppArmorProfile>) -> bool {
    profile.is_some_and(|profile| profile.type_ == "Localhost")
}
