//! Rules of probes and lifecycle hooks.

use crate::Errors;
use object::json::{is_empty, items, text};
use object::name;
use object::path::Path;
use serde_json::Value;

/// What a port number must be.
pub(crate) const PORT_RANGE: &str = "must be between 1 and 65535, inclusive";

/// Whether a number is a port.
pub(crate) fn is_port(value: &Value) -> bool {
    value.as_i64().is_some_and(|n| (1..=65535).contains(&n))
}

/// A port by number.
pub(crate) fn port_number(value: &Value, at: &Path<'_>, errors: &mut Errors) {
    if !is_port(value) {
        errors.invalid_parts(at, &value.as_i64().unwrap_or(0).to_string(), PORT_RANGE);
    }
}

/// All probes and hooks of a container.
pub(super) fn validate(container: &Value, at: &Path<'_>, errors: &mut Errors) {
    let grace = &container["livenessProbe"]["terminationGracePeriodSeconds"];
    if grace.as_i64().is_some_and(|n| n <= 0) {
        let here = at.field("livenessProbe");
        errors.invalid(&here.field("terminationGracePeriodSeconds"), grace, "must be greater than 0");
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let probe = &container[name];
        if !probe.is_null() {
            let here = at.field(name);
            validate_probe(probe, &here, errors);
            if name != "readinessProbe" && probe["successThreshold"].as_i64().is_some_and(|n| n != 1) {
                errors.invalid(&here.field("successThreshold"), &probe["successThreshold"], "must be 1");
            }
        }
    }
    for hook in ["postStart", "preStop"] {
        let handler = &container["lifecycle"][hook];
        if !handler.is_null() {
            validate_handler(handler, &at.field("lifecycle").field(hook), errors);
        }
    }
}

fn validate_probe(probe: &Value, at: &Path<'_>, errors: &mut Errors) {
    validate_handler(probe, at, errors);
    for field in
        ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"]
    {
        errors.non_negative(&at.field(field), &probe[field]);
    }
}

fn validate_handler(handler: &Value, at: &Path<'_>, errors: &mut Errors) {
    let mut found = 0;
    for kind in ["exec", "httpGet", "tcpSocket", "grpc", "sleep"] {
        let action = &handler[kind];
        if action.is_null() {
            continue;
        }
        found += 1;
        let here = at.field(kind);
        if found > 1 {
            errors.forbidden(&here, "may not specify more than 1 handler type");
            continue;
        }
        match kind {
            "exec" if is_empty(&action["command"]) => errors.required(&here.field("command"), ""),
            "httpGet" => {
                port(&action["port"], &here.field("port"), errors);
                errors.one_of(&here.field("scheme"), &action["scheme"], &["HTTP", "HTTPS"]);
                for header in items(&action["httpHeaders"]) {
                    let list = here.field("httpHeaders");
                    errors.check(&list, text(&header["name"]), name::check_header_name);
                }
            }
            "tcpSocket" => port(&action["port"], &here.field("port"), errors),
            "grpc" if !is_port(&action["port"]) => {
                errors.invalid(&here.field("port"), &action["port"], PORT_RANGE);
            }
            _ => {}
        }
    }
    if found == 0 {
        errors.required(at, "must specify a handler type");
    }
}

/// A port by number or name.
fn port(value: &Value, at: &Path<'_>, errors: &mut Errors) {
    match value {
        Value::String(name) => errors.check(at, name, name::check_port_name),
        _ if is_port(value) => {}
        Value::Null => errors.invalid(at, &0.into(), PORT_RANGE),
        _ => errors.invalid(at, value, PORT_RANGE),
    }
}
