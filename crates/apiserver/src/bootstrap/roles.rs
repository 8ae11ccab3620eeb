//! The roles and bindings of every cluster, with upstream's names, so that manifests that refer to them work. They are
//! cut down to the kinds that this server has.

use serde_json::{Value, json};

const READ: &[&str] = &["get", "list", "watch"];
const WRITE: &[&str] = &["create", "delete", "deletecollection", "patch", "update"];

/// Resources of a namespace that may be seen by its viewers: all but secrets and RBAC.
const VISIBLE: &[(&str, &[&str])] = &[
    (
        "",
        &[
            "configmaps",
            "endpoints",
            "events",
            "namespaces",
            "namespaces/status",
            "persistentvolumeclaims",
            "persistentvolumeclaims/status",
            "pods",
            "pods/log",
            "pods/status",
            "serviceaccounts",
            "services",
            "services/status",
        ],
    ),
    (
        "apps",
        &[
            "controllerrevisions",
            "daemonsets",
            "daemonsets/status",
            "deployments",
            "deployments/scale",
            "deployments/status",
            "replicasets",
            "replicasets/scale",
            "replicasets/status",
            "statefulsets",
            "statefulsets/scale",
            "statefulsets/status",
        ],
    ),
    ("autoscaling", &["horizontalpodautoscalers", "horizontalpodautoscalers/status"]),
    ("batch", &["cronjobs", "cronjobs/status", "jobs", "jobs/status"]),
    ("discovery.k8s.io", &["endpointslices"]),
    ("networking.k8s.io", &["ingresses", "ingresses/status"]),
    ("policy", &["poddisruptionbudgets", "poddisruptionbudgets/status"]),
    (
        "dory.dev",
        &[
            "eventsourcemappings",
            "functionaliases",
            "functions",
            "functions/status",
            "functionversions",
            "layerversions",
        ],
    ),
];

/// Resources of a namespace that its editors may write.
const EDITABLE: &[(&str, &[&str])] = &[
    (
        "",
        &[
            "configmaps",
            "events",
            "persistentvolumeclaims",
            "pods",
            "pods/attach",
            "pods/eviction",
            "pods/exec",
            "pods/portforward",
            "secrets",
            "serviceaccounts",
            "services",
        ],
    ),
    (
        "apps",
        &[
            "daemonsets",
            "deployments",
            "deployments/scale",
            "replicasets",
            "replicasets/scale",
            "statefulsets",
            "statefulsets/scale",
        ],
    ),
    ("autoscaling", &["horizontalpodautoscalers"]),
    ("batch", &["cronjobs", "jobs"]),
    ("networking.k8s.io", &["ingresses"]),
    ("policy", &["poddisruptionbudgets"]),
    (
        "dory.dev",
        &["eventsourcemappings", "functionaliases", "functions", "functionversions", "layerversions"],
    ),
];

fn rule(verbs: &[&str], group: &str, resources: &[&str]) -> Value {
    json!({"verbs": verbs, "apiGroups": [group], "resources": resources})
}

fn paths(urls: &[&str]) -> Value {
    json!({"verbs": ["get"], "nonResourceURLs": urls})
}

fn role(name: &str, rules: Vec<Value>) -> Value {
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "rules": rules,
        "metadata": {"name": name, "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
            "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"}}})
}

/// A role to which other roles may add by a label.
fn aggregated(name: &str, rules: Vec<Value>) -> Value {
    let mut role = role(name, rules);
    let label = format!("rbac.authorization.k8s.io/aggregate-to-{name}");
    role["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {label: "true"}}]});
    role
}

fn binding(name: &str, groups: &[&str]) -> Value {
    let subjects: Vec<Value> = groups
        .iter()
        .map(|group| json!({"kind": "Group", "name": group, "apiGroup": "rbac.authorization.k8s.io"}))
        .collect();
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "subjects": subjects,
        "metadata": {"name": name, "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
            "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"}},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}})
}

fn view() -> Vec<Value> {
    VISIBLE.iter().map(|(group, resources)| rule(READ, group, resources)).collect()
}

fn edit() -> Vec<Value> {
    let mut rules = view();
    rules.push(rule(READ, "", &["secrets", "pods/attach", "pods/exec"]));
    rules.extend(EDITABLE.iter().map(|(group, resources)| rule(WRITE, group, resources)));
    rules.push(rule(&["create"], "", &["serviceaccounts/token"]));
    rules.push(rule(&[READ, WRITE].concat(), "coordination.k8s.io", &["leases"]));
    rules
}

fn admin() -> Vec<Value> {
    let mut rules = edit();
    let rbac = "rbac.authorization.k8s.io";
    rules.push(rule(&[READ, WRITE].concat(), rbac, &["roles", "rolebindings"]));
    rules.push(rule(&["create"], "authorization.k8s.io", &["localsubjectaccessreviews"]));
    rules
}

/// Every role and binding.
pub(super) fn all() -> Vec<Value> {
    const PUBLIC: &[&str] = &["/healthz", "/livez", "/readyz", "/version", "/version/"];
    const DISCOVERY: &[&str] = &[
        "/api",
        "/api/*",
        "/apis",
        "/apis/*",
        "/healthz",
        "/livez",
        "/openapi",
        "/openapi/*",
        "/readyz",
        "/version",
        "/version/",
    ];
    let everything = json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]});
    let every_path = json!({"verbs": ["*"], "nonResourceURLs": ["*"]});
    let self_access = ["selfsubjectaccessreviews", "selfsubjectrulesreviews"];
    vec![
        role("cluster-admin", vec![everything, every_path]),
        aggregated("admin", admin()),
        aggregated("edit", edit()),
        aggregated("view", view()),
        role(
            "system:basic-user",
            vec![
                rule(&["create"], "authorization.k8s.io", &self_access),
                rule(&["create"], "authentication.k8s.io", &["selfsubjectreviews"]),
            ],
        ),
        role("system:discovery", vec![paths(DISCOVERY)]),
        role("system:public-info-viewer", vec![paths(PUBLIC)]),
        role("system:monitoring", vec![paths(&["/metrics", "/healthz", "/livez", "/readyz"])]),
        role(
            "system:auth-delegator",
            vec![
                rule(&["create"], "authentication.k8s.io", &["tokenreviews"]),
                rule(&["create"], "authorization.k8s.io", &["subjectaccessreviews"]),
            ],
        ),
        binding("cluster-admin", &["system:masters"]),
        binding("system:basic-user", &["system:authenticated"]),
        binding("system:discovery", &["system:authenticated"]),
        binding("system:monitoring", &["system:monitoring"]),
        binding("system:public-info-viewer", &["system:authenticated", "system:unauthenticated"]),
    ]
}
