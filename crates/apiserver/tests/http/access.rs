//! Who may do what: anonymous callers, certificates, roles, escalation, tokens, reviews.

use crate::{Answer, admin, send, send_as, server};
use apiserver::{ApiServer, Identity, PeerCertificate};
use expect_test::expect;
use serde_json::{Value, json};

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

fn user(name: &str) -> Identity {
    Identity::new(name, &[])
}

async fn grant(server: &ApiServer, user: &str, rules: Value) {
    let role = json!({"metadata": {"name": user}, "rules": rules});
    let made = send(server, &format!("POST {RBAC}/namespaces/default/roles\n\n{role}")).await;
    assert_eq!(made.code, 201, "{}", made.text);
    let binding = json!({"metadata": {"name": user}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role",
        "name": user}, "subjects": [{"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}]});
    let made = send(server, &format!("POST {RBAC}/namespaces/default/rolebindings\n\n{binding}")).await;
    assert_eq!(made.code, 201, "{}", made.text);
}

fn message(answer: &Answer) -> String {
    format!("{} {}", answer.code, answer.json()["message"].as_str().unwrap_or_default())
}

#[tokio::test]
async fn strangers_see_health_and_version_alone() {
    let server = server().await;
    for (path, code) in [
        ("/livez", 200),
        ("/readyz?verbose", 200),
        ("/healthz", 200),
        ("/version", 200),
        ("/livez/ping", 200),
        ("/livez/nope", 404),
        ("/api", 401),
        ("/apis", 401),
        ("/metrics", 401),
        ("/openapi/v3", 401),
        ("/api/v1/pods", 401),
        ("/", 401),
        ("/versions", 401),
    ] {
        let answer = send_as(&server, Identity::anonymous(), &format!("GET {path}")).await;
        assert_eq!(answer.code, code, "{path}");
    }
}

#[tokio::test]
async fn what_is_not_granted_is_refused_in_upstreams_words() {
    let server = server().await;
    let ask = async |text: &str| message(&send_as(&server, user("eve"), text).await);
    expect![[r#"403 pods is forbidden: User "eve" cannot list resource "pods" in API group "" in the namespace "default""#]]
        .assert_eq(&ask("GET /api/v1/namespaces/default/pods").await);
    expect![[r#"403 deployments.apps "a" is forbidden: User "eve" cannot get resource "deployments/scale" in API group "apps" in the namespace "x""#]]
        .assert_eq(&ask("GET /apis/apps/v1/namespaces/x/deployments/a/scale").await);
    expect![[r#"403 nodes is forbidden: User "eve" cannot watch resource "nodes" in API group "" at the cluster scope"#]]
        .assert_eq(&ask("GET /api/v1/nodes?watch=1").await);
    expect![[r#"403 forbidden: User "eve" cannot get path "/metrics""#]]
        .assert_eq(&ask("GET /metrics").await);
    assert!(ask("GET /apis").await.starts_with("200"));
}

#[tokio::test]
async fn roles_grant_what_they_say() {
    let server = server().await;
    let rule = json!([{"verbs": ["get", "list"], "apiGroups": [""], "resources": ["configmaps"]}]);
    grant(&server, "ann", rule).await;
    let code = async |text: &str| send_as(&server, user("ann"), text).await.code;
    assert_eq!(code("GET /api/v1/namespaces/default/configmaps").await, 200);
    assert_eq!(code("GET /api/v1/namespaces/kube-system/configmaps").await, 403);
    assert_eq!(code("GET /api/v1/configmaps").await, 403);
    assert_eq!(code("GET /api/v1/namespaces/default/secrets").await, 403);
    assert_eq!(code("DELETE /api/v1/namespaces/default/configmaps/x").await, 403);
    send(&server, &format!("DELETE {RBAC}/namespaces/default/rolebindings/ann")).await;
    assert_eq!(code("GET /api/v1/namespaces/default/configmaps").await, 403);
}

#[tokio::test]
async fn nobody_grants_what_he_does_not_have() {
    let server = server().await;
    let rules = json!([
        {"verbs": ["*"], "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles", "rolebindings"]},
        {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]},
    ]);
    // Without the verbs bind and escalate, which the wildcard would include.
    let mut rules = rules;
    rules[0]["verbs"] = json!(["create", "update", "get"]);
    grant(&server, "bob", rules).await;
    let role = |name: &str, verbs: Value| json!({"metadata": {"name": name}, "rules": [{"verbs": verbs, "apiGroups": [""], "resources": ["pods"]}]});
    let post = format!("POST {RBAC}/namespaces/default/roles");
    let fine = send_as(&server, user("bob"), &format!("{post}\n\n{}", role("few", json!(["get"])))).await;
    assert_eq!(fine.code, 201, "{}", fine.text);
    let more =
        send_as(&server, user("bob"), &format!("{post}\n\n{}", role("more", json!(["get", "delete"])))).await;
    expect![[r#"
        403 roles.rbac.authorization.k8s.io "more" is forbidden: user "bob" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:
        {APIGroups:[""], Resources:["pods"], Verbs:["delete"]}"#]]
    .assert_eq(&message(&more));
    let binding = json!({"metadata": {"name": "up"}, "subjects": [{"kind": "User", "name": "bob",
        "apiGroup": "rbac.authorization.k8s.io"}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}});
    let up = format!("POST {RBAC}/namespaces/default/rolebindings\n\n{binding}");
    assert_eq!(send_as(&server, user("bob"), &up).await.code, 403);
}

#[tokio::test]
async fn a_service_account_acts_by_its_token_until_it_is_deleted() {
    let server = server().await;
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    send(&server, &format!("POST {accounts}\n\n{}", json!({"metadata": {"name": "robot"}}))).await;
    let request = json!({"spec": {"expirationSeconds": 600}});
    let made = send(&server, &format!("POST {accounts}/robot/token\n\n{request}")).await;
    assert_eq!(made.code, 201, "{}", made.text);
    let token = made.json()["status"]["token"].as_str().expect("a token").to_owned();
    let who = format!(
        "POST /apis/authentication.k8s.io/v1/selfsubjectreviews\nAuthorization: Bearer {token}\n\n{{}}"
    );
    let me = crate::send_unknown(&server, &who).await;
    assert_eq!(me.json()["status"]["userInfo"]["username"], "system:serviceaccount:default:robot");
    let groups = &me.json()["status"]["userInfo"]["groups"];
    assert_eq!(
        *groups,
        json!(["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"])
    );
    let review = json!({"spec": {"token": token}});
    let review = format!("POST /apis/authentication.k8s.io/v1/tokenreviews\n\n{review}");
    assert_eq!(send(&server, &review).await.json()["status"]["authenticated"], true);
    let short = json!({"spec": {"expirationSeconds": 5}});
    assert_eq!(send(&server, &format!("POST {accounts}/robot/token\n\n{short}")).await.code, 422);
    send(&server, &format!("DELETE {accounts}/robot")).await;
    assert_eq!(crate::send_unknown(&server, &who).await.code, 401);
    assert_eq!(send(&server, &review).await.json()["status"]["authenticated"], false);
    let garbage = "GET /version\nAuthorization: Bearer abc";
    assert_eq!(crate::send_unknown(&server, garbage).await.code, 401);
}

#[tokio::test]
async fn a_certificate_names_user_and_groups() {
    let server = server().await;
    let mut params = rcgen::CertificateParams::new(Vec::new()).expect("no names");
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, "ann");
    params.distinguished_name.push(rcgen::DnType::OrganizationName, "system:masters");
    let key = rcgen::KeyPair::generate().expect("a key");
    let der = params.self_signed(&key).expect("a certificate").der().to_vec();
    let mut request = crate::request("GET /api/v1/nodes");
    request.extensions_mut().insert(PeerCertificate(der));
    assert_eq!(server.handle(request).await.status(), 200);
    let mut request = crate::request("GET /version");
    request.extensions_mut().insert(PeerCertificate(vec![1, 2, 3]));
    assert_eq!(server.handle(request).await.status(), 401);
}

#[tokio::test]
async fn questions_are_answered() {
    let server = server().await;
    grant(&server, "ann", json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}])).await;
    let may = async |who: Identity, verb: &str| {
        let spec = json!({"spec": {"resourceAttributes":
            {"namespace": "default", "verb": verb, "resource": "pods"}}});
        let text = format!("POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews\n\n{spec}");
        send_as(&server, who, &text).await.json()["status"]["allowed"].clone()
    };
    assert_eq!(may(user("ann"), "get").await, true);
    assert_eq!(may(user("ann"), "list").await, false);
    assert_eq!(may(admin(), "anything").await, true);
    let rules = format!(
        "POST /apis/authorization.k8s.io/v1/selfsubjectrulesreviews\n\n{}",
        json!({"spec": {"namespace": "default"}})
    );
    let rules = send_as(&server, user("ann"), &rules).await.json();
    let own = json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]});
    assert!(rules["status"]["resourceRules"].as_array().is_some_and(|list| list.contains(&own)));
    let other = json!({"spec": {"user": "ann", "resourceAttributes":
        {"namespace": "default", "verb": "get", "resource": "pods"}}});
    let text = format!("POST /apis/authorization.k8s.io/v1/subjectaccessreviews\n\n{other}");
    assert_eq!(send(&server, &text).await.json()["status"]["allowed"], true);
    assert_eq!(send_as(&server, user("ann"), &text).await.code, 403);
}

#[tokio::test]
async fn an_administrator_can_act_as_another() {
    let server = server().await;
    grant(&server, "ann", json!([{"verbs": ["list"], "apiGroups": [""], "resources": ["pods"]}])).await;
    let list = "GET /api/v1/namespaces/default/pods\nImpersonate-User";
    assert_eq!(send(&server, &format!("{list}: ann")).await.code, 200);
    let eve = send(&server, &format!("{list}: eve")).await;
    assert!(message(&eve).contains("User \"eve\" cannot list resource \"pods\""), "{}", eve.text);
    assert_eq!(send(&server, &format!("{list}: eve\nImpersonate-Group: system:masters")).await.code, 200);
    let sneaky =
        send_as(&server, user("ann"), &format!("{list}: admin\nImpersonate-Group: system:masters")).await;
    expect![[r#"403 users "admin" is forbidden: User "ann" cannot impersonate resource "users" in API group "" at the cluster scope"#]]
        .assert_eq(&message(&sneaky));
    let who = "POST /apis/authentication.k8s.io/v1/selfsubjectreviews\nImpersonate-User: system:serviceaccount:a:b\n\n{}";
    let groups = &send(&server, who).await.json()["status"]["userInfo"]["groups"];
    assert_eq!(
        *groups,
        json!(["system:serviceaccounts", "system:serviceaccounts:a", "system:authenticated"])
    );
    assert_eq!(send(&server, "GET /api/v1/pods\nImpersonate-Group: x").await.code, 400);
}
