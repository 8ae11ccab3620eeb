//! The rules an object breaks, collected in the words of upstream's field errors.

use crate::path::Path;
use crate::status::Cause;
use serde_json::Value;

/// The rules an object breaks, as they are found.
#[derive(Debug, Default)]
pub struct Errors {
    /// The rules that are broken.
    pub causes: Vec<Cause>,
    /// What is allowed and hardly meant.
    pub warnings: Vec<String>,
}

impl Errors {
    fn add(&mut self, reason: &'static str, at: &Path<'_>, message: String) {
        self.causes.push(Cause { reason, message, field: at.to_string() });
    }

    /// A field that must be there.
    pub fn required(&mut self, at: &Path<'_>, detail: &str) {
        self.add("FieldValueRequired", at, with_detail("Required value", detail));
    }

    /// A value that is not what it must be.
    pub fn invalid(&mut self, at: &Path<'_>, value: &Value, detail: &str) {
        self.add("FieldValueInvalid", at, with_detail(&format!("Invalid value: {value}"), detail));
    }

    /// A text that is not what it must be.
    pub fn invalid_text(&mut self, at: &Path<'_>, value: &str, detail: &str) {
        self.add("FieldValueInvalid", at, with_detail(&format!("Invalid value: {value:?}"), detail));
    }

    /// For values that are shown in another form than JSON.
    pub fn invalid_parts(&mut self, at: &Path<'_>, shown: &str, detail: &str) {
        self.add("FieldValueInvalid", at, with_detail(&format!("Invalid value: {shown}"), detail));
    }

    /// For a whole of several fields, which is not shown.
    pub fn invalid_whole(&mut self, at: &Path<'_>, detail: &str) {
        self.add("FieldValueInvalid", at, with_detail("Invalid value", detail));
    }

    /// A text that is none of those that may be.
    pub fn unsupported(&mut self, at: &Path<'_>, value: &str, supported: &[&str]) {
        let list: Vec<String> = supported.iter().map(|s| format!("{s:?}")).collect();
        let message = format!("Unsupported value: {value:?}: supported values: {}", list.join(", "));
        self.add("FieldValueNotSupported", at, message);
    }

    /// A value out of a list of values that need not be texts.
    pub fn unsupported_value(&mut self, at: &Path<'_>, value: &Value, supported: &[Value]) {
        let shown = |one: &Value| if one.is_string() { one.to_string() } else { format!("\"{one}\"") };
        let list: Vec<String> = supported.iter().map(shown).collect();
        let message = format!("Unsupported value: {value}: supported values: {}", list.join(", "));
        self.add("FieldValueNotSupported", at, message);
    }

    /// A value of a type that the field does not have; `found` is the type.
    pub fn wrong_type(&mut self, at: &Path<'_>, found: &str, detail: &str) {
        self.add("FieldValueTypeInvalid", at, with_detail(&format!("Invalid value: {found:?}"), detail));
    }

    /// Takes in what was found elsewhere.
    pub fn extend(&mut self, other: Errors) {
        self.causes.extend(other.causes);
        self.warnings.extend(other.warnings);
    }

    /// A value that is there twice.
    pub fn duplicate(&mut self, at: &Path<'_>, value: &Value) {
        self.add("FieldValueDuplicate", at, format!("Duplicate value: {value}"));
    }

    /// A field that may not be there.
    pub fn forbidden(&mut self, at: &Path<'_>, detail: &str) {
        self.add("FieldValueForbidden", at, with_detail("Forbidden", detail));
    }

    /// A value that names nothing.
    pub fn not_found(&mut self, at: &Path<'_>, value: &str) {
        self.add("FieldValueNotFound", at, format!("Not found: {value:?}"));
    }

    /// A value of too many bytes.
    pub fn too_long(&mut self, at: &Path<'_>, bytes: usize) {
        self.add("FieldValueTooLong", at, format!("Too long: may not be more than {bytes} bytes"));
    }

    /// A list of too many items.
    pub fn too_many(&mut self, at: &Path<'_>, actual: usize, max: usize) {
        let items = if max == 1 { "item" } else { "items" };
        self.add("FieldValueTooMany", at, format!("Too many: {actual}: must have at most {max} {items}"));
    }

    /// Something that is allowed and hardly meant.
    pub fn warn(&mut self, at: &Path<'_>, text: &str) {
        self.warnings.push(format!("{at}: {text}"));
    }

    /// A field that must keep its value.
    pub fn immutable(&mut self, at: &Path<'_>, new: &Value, old: &Value) {
        if new != old {
            self.invalid(at, new, "field is immutable");
        }
    }

    /// A number that must be 0 or more.
    pub fn non_negative(&mut self, at: &Path<'_>, value: &Value) {
        if value.as_i64().is_some_and(|n| n < 0) {
            self.invalid(at, value, "must be greater than or equal to 0");
        }
    }

    /// A text out of a list; missing is fine when `required` is not set.
    pub fn one_of(&mut self, at: &Path<'_>, value: &Value, supported: &[&str]) {
        if let Some(found) = value.as_str().filter(|v| !supported.contains(v)) {
            self.unsupported(at, found, supported);
        }
    }

    /// Adds what a name rule says.
    pub fn check(&mut self, at: &Path<'_>, value: &str, rule: fn(&str) -> Result<(), String>) {
        if let Err(why) = rule(value) {
            self.invalid_text(at, value, &why);
        }
    }
}

fn with_detail(head: &str, detail: &str) -> String {
    if detail.is_empty() { head.to_owned() } else { format!("{head}: {detail}") }
}
