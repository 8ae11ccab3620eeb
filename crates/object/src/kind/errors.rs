//! The rules an object breaks, collected in the words of upstream's field errors.

use crate::path::Path;
use crate::status::Cause;
use serde_json::Value;

/// The rules an object breaks, as they are found.
#[derive(Debug, Default)]
pub struct Errors {
    pub(crate) causes: Vec<Cause>,
    pub(crate) warnings: Vec<String>,
}

impl Errors {
    fn add(&mut self, reason: &'static str, at: &Path<'_>, message: String) {
        self.causes.push(Cause { reason, message, field: at.to_string() });
    }

    pub(crate) fn required(&mut self, at: &Path<'_>, detail: &str) {
        self.add("FieldValueRequired", at, with_detail("Required value", detail));
    }

    pub(crate) fn invalid(&mut self, at: &Path<'_>, value: &Value, detail: &str) {
        self.add("FieldValueInvalid", at, with_detail(&format!("Invalid value: {value}"), detail));
    }

    pub(crate) fn invalid_text(&mut self, at: &Path<'_>, value: &str, detail: &str) {
        self.add("FieldValueInvalid", at, with_detail(&format!("Invalid value: {value:?}"), detail));
    }

    /// For values that are shown in another form than JSON.
    pub(crate) fn invalid_parts(&mut self, at: &Path<'_>, shown: &str, detail: &str) {
        self.add("FieldValueInvalid", at, with_detail(&format!("Invalid value: {shown}"), detail));
    }

    /// For a whole of several fields, which is not shown.
    pub(crate) fn invalid_whole(&mut self, at: &Path<'_>, detail: &str) {
        self.add("FieldValueInvalid", at, with_detail("Invalid value", detail));
    }

    pub(crate) fn unsupported(&mut self, at: &Path<'_>, value: &str, supported: &[&str]) {
        let list: Vec<String> = supported.iter().map(|s| format!("{s:?}")).collect();
        let message = format!("Unsupported value: {value:?}: supported values: {}", list.join(", "));
        self.add("FieldValueNotSupported", at, message);
    }

    /// A value out of a list of values that need not be texts.
    pub(crate) fn unsupported_value(&mut self, at: &Path<'_>, value: &Value, supported: &[Value]) {
        let shown = |one: &Value| if one.is_string() { one.to_string() } else { format!("\"{one}\"") };
        let list: Vec<String> = supported.iter().map(shown).collect();
        let message = format!("Unsupported value: {value}: supported values: {}", list.join(", "));
        self.add("FieldValueNotSupported", at, message);
    }

    /// A value of a type that the field does not have; `found` is the type.
    pub(crate) fn wrong_type(&mut self, at: &Path<'_>, found: &str, detail: &str) {
        self.add("FieldValueTypeInvalid", at, with_detail(&format!("Invalid value: {found:?}"), detail));
    }

    /// Takes in what was found elsewhere.
    pub(crate) fn extend(&mut self, other: Errors) {
        self.causes.extend(other.causes);
        self.warnings.extend(other.warnings);
    }

    pub(crate) fn duplicate(&mut self, at: &Path<'_>, value: &Value) {
        self.add("FieldValueDuplicate", at, format!("Duplicate value: {value}"));
    }

    pub(crate) fn forbidden(&mut self, at: &Path<'_>, detail: &str) {
        self.add("FieldValueForbidden", at, with_detail("Forbidden", detail));
    }

    pub(crate) fn not_found(&mut self, at: &Path<'_>, value: &str) {
        self.add("FieldValueNotFound", at, format!("Not found: {value:?}"));
    }

    pub(crate) fn too_long(&mut self, at: &Path<'_>, bytes: usize) {
        self.add("FieldValueTooLong", at, format!("Too long: may not be more than {bytes} bytes"));
    }

    pub(crate) fn too_many(&mut self, at: &Path<'_>, actual: usize, max: usize) {
        let items = if max == 1 { "item" } else { "items" };
        self.add("FieldValueTooMany", at, format!("Too many: {actual}: must have at most {max} {items}"));
    }

    /// Something that is allowed and hardly meant.
    pub(crate) fn warn(&mut self, at: &Path<'_>, text: &str) {
        self.warnings.push(format!("{at}: {text}"));
    }

    /// A field that must keep its value.
    pub(crate) fn immutable(&mut self, at: &Path<'_>, new: &Value, old: &Value) {
        if new != old {
            self.invalid(at, new, "field is immutable");
        }
    }

    /// A number that must be 0 or more.
    pub(crate) fn non_negative(&mut self, at: &Path<'_>, value: &Value) {
        if value.as_i64().is_some_and(|n| n < 0) {
            self.invalid(at, value, "must be greater than or equal to 0");
        }
    }

    /// A text out of a list; missing is fine when `required` is not set.
    pub(crate) fn one_of(&mut self, at: &Path<'_>, value: &Value, supported: &[&str]) {
        if let Some(found) = value.as_str().filter(|v| !supported.contains(v)) {
            self.unsupported(at, found, supported);
        }
    }

    /// Adds what a name rule says.
    pub(crate) fn check(&mut self, at: &Path<'_>, value: &str, rule: fn(&str) -> Result<(), String>) {
        if let Err(why) = rule(value) {
            self.invalid_text(at, value, &why);
        }
    }
}

fn with_detail(head: &str, detail: &str) -> String {
    if detail.is_empty() { head.to_owned() } else { format!("{head}: {detail}") }
}
