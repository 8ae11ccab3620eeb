//! Reads the object in a request body, and checks that it is the object that the path names.

use crate::{
    call::{Call, Target},
    media::{self, Encoding},
    protobuf,
};
use bytes::Bytes;
use object::{Decoded, FieldValidation, Status, schema::form::Form};
use serde_json::Value;

/// The object in the body, without the fields that its kind does not have, and what to warn of.
pub(crate) fn body(call: &Call, target: &Target, body: &Bytes) -> Result<(Value, Vec<String>), Status> {
    let validation = call.query.field_validation()?;
    let decoded = match media::encoding(&call.headers)? {
        Encoding::Json => target.kind.decode(body, validation)?,
        Encoding::Yaml => target.kind.decode_yaml(body, validation)?,
        Encoding::Protobuf => {
            let object = protobuf::read(body).map_err(unreadable)?;
            target.kind.decode(object.to_string().as_bytes(), validation)?
        }
    };
    let mut object = decoded.object;
    settle_type(target, &mut object)?;
    settle_namespace(target, &mut object)?;
    Ok((object, decoded.warnings))
}

fn unreadable(why: String) -> Status {
    Status::bad_request(format!("the body cannot be read: {why}"))
}

/// A body that no kind of the table describes, such as DeleteOptions or a review.
pub(crate) fn plain(call: &Call, body: &Bytes) -> Result<Value, Status> {
    if body.is_empty() {
        return Ok(Value::Null);
    }
    let value = match media::encoding(&call.headers)? {
        Encoding::Json => serde_json::from_slice(body).map_err(|error| error.to_string()),
        Encoding::Yaml => object::yaml::parse(body),
        Encoding::Protobuf => protobuf::read(body),
    };
    let value = value.map_err(unreadable)?;
    if value.is_object() { Ok(value) } else { Err(Status::bad_request("the body is not an object")) }
}

/// The body of a subresource that takes a form of its own.
pub(crate) fn form(call: &Call, form: Form, body: &Bytes) -> Result<Decoded, Status> {
    let validation = call.query.field_validation()?;
    match media::encoding(&call.headers)? {
        Encoding::Yaml => form.decode_yaml(body, validation),
        Encoding::Protobuf if !body.is_empty() => {
            form.conform(protobuf::read(body).map_err(unreadable)?, validation)
        }
        Encoding::Json | Encoding::Protobuf => form.decode(body, validation),
    }
}

/// Checks a patched object, which drops what its kind does not have.
pub(crate) fn conform(
    target: &Target,
    object: &mut Value,
    validation: FieldValidation,
) -> Result<Vec<String>, Status> {
    let warnings = target.kind.conform(object, validation)?;
    settle_type(target, object)?;
    settle_namespace(target, object)?;
    Ok(warnings)
}

/// apiVersion and kind may be left out; if they are there they must be those of the path.
fn settle_type(target: &Target, object: &mut Value) -> Result<(), Status> {
    for (key, expected) in [("apiVersion", target.kind.api_version), ("kind", target.kind.kind)] {
        match object[key].as_str().unwrap_or_default() {
            "" => object[key] = expected.into(),
            given if given == expected => {}
            given => {
                return Err(Status::bad_request(format!(
                    "the {key} in the data ({given}) does not match the expected {key} ({expected})"
                )));
            }
        }
    }
    if !object["metadata"].is_object() {
        object["metadata"] = Value::Object(serde_json::Map::new());
    }
    Ok(())
}

fn settle_namespace(target: &Target, object: &mut Value) -> Result<(), Status> {
    let given = object["metadata"]["namespace"].as_str().unwrap_or_default();
    if !target.kind.namespaced {
        return if given.is_empty() {
            Ok(())
        } else {
            Err(Status::bad_request(format!(
                "the namespace of the provided object ({given}) must be empty: {} has no namespace",
                target.kind.kind
            )))
        };
    }
    if given.is_empty() {
        object["metadata"]["namespace"] = target.namespace.as_str().into();
    } else if given != target.namespace {
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    Ok(())
}

/// The name in the body must be the one in the path; left out, it is taken from there.
pub(crate) fn settle_name(target: &Target, object: &mut Value) -> Result<(), Status> {
    match object["metadata"]["name"].as_str().unwrap_or_default() {
        "" => {
            object["metadata"]["name"] = target.name.as_str().into();
            Ok(())
        }
        given if given == target.name => Ok(()),
        given => Err(Status::bad_request(format!(
            "the name of the object ({given}) does not match the name on the URL ({})",
            target.name
        ))),
    }
}
