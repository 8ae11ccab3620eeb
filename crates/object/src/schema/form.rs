//! Bodies that are no stored objects: what subresources take. Read by the same table and with the same care as kinds.

use super::{FieldValidation, Shape, definitions};
use crate::{Decoded, Status, yaml};
use serde_json::Value;

/// A body of a subresource.
#[derive(Debug, Clone, Copy)]
pub struct Form {
    definition: &'static str,
    api_version: &'static str,
    kind: &'static str,
}

const fn form(definition: &'static str, api_version: &'static str, kind: &'static str) -> Form {
    Form { definition, api_version, kind }
}

/// What `scale` takes.
pub const SCALE: Form = form("io.k8s.api.autoscaling.v1.Scale", "autoscaling/v1", "Scale");
/// What a pod's `binding` takes.
pub const BINDING: Form = form("io.k8s.api.core.v1.Binding", "v1", "Binding");
/// What a pod's `eviction` takes.
pub const EVICTION: Form = form("io.k8s.api.policy.v1.Eviction", "policy/v1", "Eviction");
/// What a ServiceAccount's `token` takes.
pub const TOKEN_REQUEST: Form =
    form("io.k8s.api.authentication.v1.TokenRequest", "authentication.k8s.io/v1", "TokenRequest");

impl Form {
    fn shape(&self) -> Shape<'static> {
        let Form { definition, api_version, kind } = *self;
        Shape { definition: definitions::definition(definition), api_version, kind }
    }

    /// Reads a JSON body; an empty one is a form without fields.
    pub fn decode(&self, body: &[u8], validation: FieldValidation) -> Result<Decoded, Status> {
        let body = if body.is_empty() { b"{}" } else { body };
        let (object, warnings) = self.shape().decode(body, validation)?;
        Ok(Decoded { object, warnings })
    }

    /// Reads a YAML body.
    pub fn decode_yaml(&self, body: &[u8], validation: FieldValidation) -> Result<Decoded, Status> {
        let value = yaml::parse(body).map_err(|e| Status::bad_request(format!("error parsing YAML: {e}")))?;
        self.conform(value, validation)
    }

    /// Reads a value that was made of one, by a patch or from protobuf.
    pub fn conform(&self, value: Value, validation: FieldValidation) -> Result<Decoded, Status> {
        let (object, warnings) = self.shape().conform(value, validation)?;
        Ok(Decoded { object, warnings })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_and_wrong_types() {
        let body = br#"{"kind":"Scale","spec":{"replicas":1,"replicsa":2}}"#;
        let read = |validation| SCALE.decode(body, validation);
        let warned = read(FieldValidation::Warn).expect("read");
        assert_eq!(warned.warnings, ["unknown field \"spec.replicsa\""]);
        assert_eq!(warned.object["spec"], serde_json::json!({"replicas": 1}));
        let refused = read(FieldValidation::Strict).expect_err("refused").message;
        assert!(refused.contains("strict decoding error: unknown field \"spec.replicsa\""), "{refused}");
        let wrong = BINDING.decode(br#"{"target":{"name":3}}"#, FieldValidation::Ignore);
        assert_eq!(wrong.expect_err("refused").code, 400);
        let other = EVICTION.decode(br#"{"kind":"Scale"}"#, FieldValidation::Ignore);
        assert_eq!(other.expect_err("refused").code, 400);
        TOKEN_REQUEST.decode(b"", FieldValidation::Strict).expect("empty is allowed");
    }
}
