//! A security context as the sandbox understands it: user, capabilities, privileges, system call filter. Pure.

use client::k8s_openapi::api::core::v1 as api;
use sandbox::{Capabilities, Seccomp, User};

/// Who a container is and what it may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Security {
    pub(crate) user: User,
    pub(crate) capabilities: Capabilities,
    pub(crate) privileged: bool,
    pub(crate) no_new_privileges: bool,
    pub(crate) seccomp: Seccomp,
    pub(crate) read_only_root: bool,
    pub(crate) unmasked_proc: bool,
}

/// The container's context, the pod's filling its gaps. `image_user` is what the image says it runs as.
pub(crate) fn security(
    pod: &api::Pod,
    container: &api::Container,
    image_user: &str,
) -> Result<Security, String> {
    let shared = pod.spec.as_ref().and_then(|spec| spec.security_context.clone()).unwrap_or_default();
    let own = container.security_context.clone().unwrap_or_default();
    let uid = id("runAsUser", own.run_as_user.or(shared.run_as_user))?;
    let gid = id("runAsGroup", own.run_as_group.or(shared.run_as_group))?;
    if own.run_as_non_root.or(shared.run_as_non_root) == Some(true) {
        check_non_root(container, uid, image_user)?;
    }
    let mut groups = Vec::new();
    for group in shared.supplemental_groups.iter().flatten().chain(&shared.fs_group) {
        groups.extend(id("supplementalGroups", Some(*group))?);
    }
    let privileged = own.privileged == Some(true);
    let capabilities = own.capabilities.unwrap_or_default();
    let profile = own.seccomp_profile.or(shared.seccomp_profile);
    let filter = match profile.as_ref().map(|profile| profile.type_.as_str()) {
        // Kubernetes' own default is no filter; ours is the runtime's profile, as with `seccompDefault: true`.
        None | Some("RuntimeDefault") => Seccomp::RuntimeDefault,
        Some("Unconfined") => Seccomp::Unconfined,
        Some(other) => return Err(format!("the seccomp profile type {other} is not supported")),
    };
    Ok(Security {
        user: User { name: String::new(), uid, gid, groups },
        capabilities: Capabilities {
            add: capabilities.add.unwrap_or_default(),
            drop: capabilities.drop.unwrap_or_default(),
        },
        privileged,
        no_new_privileges: own.allow_privilege_escalation == Some(false),
        seccomp: filter,
        read_only_root: own.read_only_root_filesystem == Some(true),
        unmasked_proc: own.proc_mount.as_deref() == Some("Unmasked"),
    })
}

fn id(field: &str, value: Option<i64>) -> Result<Option<u32>, String> {
    value.map(|value| u32::try_from(value).map_err(|_| format!("{field} {value} is not an id"))).transpose()
}

fn check_non_root(container: &api::Container, uid: Option<u32>, image_user: &str) -> Result<(), String> {
    let name = &container.name;
    match uid {
        Some(0) => return Err(format!("container's runAsUser breaks non-root policy (container: {name})")),
        Some(_) => return Ok(()),
        None => {}
    }
    let user = image_user.split(':').next().unwrap_or_default();
    match user.parse::<u32>() {
        Ok(0) => Err(format!("container has runAsNonRoot and image will run as root (container: {name})")),
        Ok(_) => Ok(()),
        Err(_) if user.is_empty() => {
            Err(format!("container has runAsNonRoot and image will run as root (container: {name})"))
        }
        Err(_) => Err(format!(
            "container has runAsNonRoot and image has non-numeric user ({user}), cannot verify user is non-root \
             (container: {name})"
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn made(pod: Value, container: Value, image_user: &str) -> Result<Security, String> {
        let pod = json!({ "spec": { "containers": [], "securityContext": pod } });
        let container = json!({ "name": "c", "securityContext": container });
        let pod = serde_json::from_value(pod).expect("a pod");
        security(&pod, &serde_json::from_value(container).expect("a container"), image_user)
    }

    #[test]
    fn the_container_wins_over_the_pod() {
        let pod =
            json!({ "runAsUser": 1000, "runAsGroup": 3000, "fsGroup": 2000, "supplementalGroups": [5] });
        let container = json!({ "runAsUser": 7, "allowPrivilegeEscalation": false,
            "capabilities": { "drop": ["ALL"], "add": ["NET_BIND_SERVICE"] } });
        let security = made(pod, container, "").expect("valid");
        assert_eq!(
            (security.user.uid, security.user.gid, security.user.groups),
            (Some(7), Some(3000), vec![5, 2000])
        );
        assert!(security.no_new_privileges);
        assert_eq!(security.capabilities.drop, ["ALL"]);
    }

    #[test]
    fn non_root_is_checked() {
        let policy = || json!({ "runAsNonRoot": true });
        assert!(made(policy(), json!({}), "1000:1000").is_ok());
        assert!(made(policy(), json!({ "runAsUser": 1 }), "").is_ok());
        for (container, user, part) in [
            (json!({}), "", "will run as root"),
            (json!({}), "0", "will run as root"),
            (json!({}), "nginx", "non-numeric user (nginx)"),
            (json!({ "runAsUser": 0 }), "1000", "breaks non-root policy"),
        ] {
            let error = made(policy(), container, user).expect_err(part);
            assert!(error.contains(part), "{error}");
        }
    }
}
