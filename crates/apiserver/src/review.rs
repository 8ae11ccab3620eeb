//! Questions to the server that are asked by a POST and never stored: who am I, what may I, whose token is this.

use crate::{
    answer::Reply, api::Api, attributes::Attributes, call::Call, identity::Identity, rbac, shape,
    verb::decode,
};
use bytes::Bytes;
use http::StatusCode;
use object::Status;
use serde_json::{Value, json};

/// One kind of question.
#[derive(Debug)]
pub(crate) struct Review {
    pub(crate) group: &'static str,
    pub(crate) plural: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) namespaced: bool,
    answer: fn(&Api, &Call, &Value) -> Result<Value, Status>,
}

const AUTHENTICATION: &str = "authentication.k8s.io";
const AUTHORIZATION: &str = "authorization.k8s.io";

/// Every kind of question, in discovery order.
pub(crate) static REVIEWS: &[Review] = &[
    Review {
        group: AUTHENTICATION,
        plural: "selfsubjectreviews",
        kind: "SelfSubjectReview",
        namespaced: false,
        answer: who_am_i,
    },
    Review {
        group: AUTHENTICATION,
        plural: "tokenreviews",
        kind: "TokenReview",
        namespaced: false,
        answer: whose_token,
    },
    Review {
        group: AUTHORIZATION,
        plural: "localsubjectaccessreviews",
        kind: "LocalSubjectAccessReview",
        namespaced: true,
        answer: may_subject,
    },
    Review {
        group: AUTHORIZATION,
        plural: "selfsubjectaccessreviews",
        kind: "SelfSubjectAccessReview",
        namespaced: false,
        answer: may_i,
    },
    Review {
        group: AUTHORIZATION,
        plural: "selfsubjectrulesreviews",
        kind: "SelfSubjectRulesReview",
        namespaced: false,
        answer: my_rules,
    },
    Review {
        group: AUTHORIZATION,
        plural: "subjectaccessreviews",
        kind: "SubjectAccessReview",
        namespaced: false,
        answer: may_subject,
    },
];

/// The review that a path names.
pub(crate) fn find(attributes: &Attributes) -> Option<&'static Review> {
    REVIEWS.iter().find(|own| {
        own.group == attributes.group && attributes.version == "v1" && own.plural == attributes.resource
    })
}

/// Answers a POST to a review.
pub(crate) fn answer(api: &Api, call: &Call, review: &Review, body: &Bytes) -> Reply {
    if call.attributes.verb != "create" {
        return Err(Status::method_not_allowed(review.group, review.plural, call.attributes.verb));
    }
    let mut asked = decode::plain(call, body)?;
    let version = format!("{}/v1", review.group);
    for (key, expected) in [("kind", review.kind), ("apiVersion", version.as_str())] {
        if asked[key].as_str().is_some_and(|given| given != expected) {
            return Err(Status::bad_request(format!("the {key} of the body is not {expected}")));
        }
        asked[key] = expected.into();
    }
    if !asked["metadata"].is_object() {
        asked["metadata"] = json!({});
    }
    asked["status"] = (review.answer)(api, call, &asked["spec"])?;
    shape::value(call, StatusCode::CREATED, &asked)
}

fn user_info(identity: &Identity) -> Value {
    let mut info = json!({"username": identity.user, "groups": identity.groups});
    if !identity.uid.is_empty() {
        info["uid"] = identity.uid.as_str().into();
    }
    if !identity.extra.is_empty() {
        info["extra"] = json!(identity.extra);
    }
    info
}

fn who_am_i(_api: &Api, call: &Call, _spec: &Value) -> Result<Value, Status> {
    Ok(json!({"userInfo": user_info(&call.identity)}))
}

fn whose_token(api: &Api, call: &Call, spec: &Value) -> Result<Value, Status> {
    let token = spec["token"].as_str().unwrap_or_default();
    if token.is_empty() {
        return Err(Status::bad_request("token is required for TokenReview in authentication"));
    }
    let asked: Vec<&str> =
        spec["audiences"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let own = [api.tokens.issuer()];
    let audiences: &[&str] = if asked.is_empty() { &own } else { &asked };
    Ok(match api.tokens.identify(&api.cache, token, audiences, call.now.as_second()) {
        Ok(identity) => {
            json!({"authenticated": true, "user": user_info(&identity), "audiences": audiences})
        }
        Err(why) => json!({"authenticated": false, "user": {}, "error": why}),
    })
}

fn may_i(api: &Api, call: &Call, spec: &Value) -> Result<Value, Status> {
    verdict(api, &call.identity, spec)
}

fn may_subject(api: &Api, call: &Call, spec: &Value) -> Result<Value, Status> {
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(|own| own.as_str().map(str::to_owned)).collect()
    };
    let identity = Identity {
        user: spec["user"].as_str().unwrap_or_default().to_owned(),
        groups: texts(&spec["groups"]),
        ..Identity::default()
    };
    if identity.user.is_empty() && identity.groups.is_empty() {
        return Err(Status::bad_request("spec: at least one of user or groups must be specified"));
    }
    let namespace = &call.attributes.namespace;
    if !namespace.is_empty() && spec["resourceAttributes"]["namespace"] != namespace.as_str() {
        return Err(Status::bad_request(format!(
            "spec.resourceAttributes.namespace: must match the namespace of the request, {namespace}"
        )));
    }
    verdict(api, &identity, spec)
}

fn verdict(api: &Api, identity: &Identity, spec: &Value) -> Result<Value, Status> {
    let asked = asked(spec)?;
    // No reason beside a refusal: RBAC refuses by having no rule, and kubectl prints what it is given.
    Ok(json!({"allowed": api.rbac.allows(identity, &asked)}))
}

/// The request that a review asks about.
fn asked(spec: &Value) -> Result<Attributes, Status> {
    let (resource, path) = (&spec["resourceAttributes"], &spec["nonResourceAttributes"]);
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    if resource.is_object() == path.is_object() {
        return Err(Status::bad_request(
            "spec: exactly one of nonResourceAttributes or resourceAttributes must be specified",
        ));
    }
    if path.is_object() {
        let verb = known_verb(path["verb"].as_str().unwrap_or_default());
        return Ok(Attributes { verb, path: text(path, "path"), ..Attributes::default() });
    }
    Ok(Attributes {
        verb: known_verb(resource["verb"].as_str().unwrap_or_default()),
        group: text(resource, "group"),
        version: text(resource, "version"),
        namespace: text(resource, "namespace"),
        resource: text(resource, "resource"),
        subresource: text(resource, "subresource"),
        name: text(resource, "name"),
        ..Attributes::default()
    })
}

/// Verbs that rules can name; any other is allowed by a wildcard alone.
fn known_verb(verb: &str) -> &'static str {
    const VERBS: &[&str] = &[
        "get",
        "list",
        "watch",
        "create",
        "update",
        "patch",
        "delete",
        "deletecollection",
        "head",
        "post",
        "put",
        "options",
        "bind",
        "escalate",
        "impersonate",
        "approve",
        "sign",
        "use",
        "attest",
        "proxy",
        "*",
    ];
    VERBS.iter().copied().find(|own| *own == verb).unwrap_or("")
}

fn my_rules(api: &Api, call: &Call, spec: &Value) -> Result<Value, Status> {
    let namespace = spec["namespace"].as_str().unwrap_or_default();
    if namespace.is_empty() {
        return Err(Status::bad_request("no namespace on request"));
    }
    let rules = api.rbac.rules(&call.identity, namespace);
    let (paths, resources): (Vec<_>, Vec<_>) = rules.iter().partition(|rule| !rule.urls.is_empty());
    let texts = |rules: Vec<&rbac::Rule>| rules.into_iter().map(rbac::Rule::to_json).collect::<Vec<_>>();
    Ok(json!({"resourceRules": texts(resources), "nonResourceRules": texts(paths), "incomplete": false}))
}
