//! The way of an object into the store: decode, default, validate, and the rules that hold for every kind.
//!
//! Called by `apiserver`; the per-kind rules are the function pointers of [`Kind`].

use super::errors::Errors;
use super::{Generation, Kind, meta};
use crate::json::{entries, fill, put};
use crate::status::Status;
use crate::time::{self, Timestamp};
use crate::{FieldValidation, yaml};
use serde_json::Value;
use uuid::Uuid;

/// What an admission needs from outside: time, randomness, place.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The namespace of the request path, `None` for cluster-wide kinds.
    pub namespace: Option<&'a str>,
    /// The time of the request.
    pub now: Timestamp,
    /// A fresh random id: the uid of a new object, and the source of the `generateName` suffix.
    pub uid: Uuid,
}

/// A body that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// The object, without the fields that its kind does not have.
    pub object: Value,
    /// For `Warning:` headers.
    pub warnings: Vec<String>,
}

impl Kind {
    /// Reads a JSON body; unknown and duplicate fields are refused, warned of or dropped as `validation` says, and
    /// a value of the wrong type is a 400.
    pub fn decode(&self, body: &[u8], validation: FieldValidation) -> Result<Decoded, Status> {
        let (object, warnings) = self.shape(&self.definition()).decode(body, validation)?;
        Ok(Decoded { object, warnings })
    }

    /// Reads a YAML body (or a JSON one, which is YAML too) likewise.
    pub fn decode_yaml(&self, body: &[u8], validation: FieldValidation) -> Result<Decoded, Status> {
        if body.trim_ascii_start().starts_with(b"{") {
            return self.decode(body, validation);
        }
        let parse = if validation == FieldValidation::Strict { yaml::parse } else { yaml::parse_lenient };
        let value = parse(body).map_err(|e| Status::bad_request(format!("error parsing YAML: {e}")))?;
        let (object, warnings) = self.shape(&self.definition()).conform(value, validation)?;
        Ok(Decoded { object, warnings })
    }

    /// Checks a value against the kind's schema (after a patch) and drops the fields that the kind does not have;
    /// the texts are warnings.
    pub fn conform(&self, object: &mut Value, validation: FieldValidation) -> Result<Vec<String>, Status> {
        let (checked, warnings) = self.shape(&self.definition()).conform(object.take(), validation)?;
        *object = checked;
        Ok(warnings)
    }

    /// Makes a decoded object ready to be stored as new: metadata, defaults, validation, generation 1, no status where
    /// the kind has a status subresource. The texts are warnings.
    pub fn admit_create(&self, object: &mut Value, ctx: &Context<'_>) -> Result<Vec<String>, Status> {
        meta::prepare_create(self, object, ctx)?;
        if self.status {
            put(object, "status", None);
        }
        if self.generation != Generation::None {
            object["metadata"]["generation"] = 1.into();
        }
        (self.prepare)(object, None);
        self.fill(object);
        let mut errors = Errors::default();
        meta::validate(self, object, &mut errors);
        self.check_whole(object, None, &mut errors);
        self.verdict(object, errors)
    }

    /// Makes `new` (decoded) ready to replace `old`. On the main resource the status is kept as it was; with
    /// `subresource` "status" everything but status and metadata is; "finalize" may change `spec.finalizers` only.
    /// Immutable fields are checked and the generation is counted. The texts are warnings.
    pub fn admit_update(
        &self,
        new: &mut Value,
        old: &Value,
        subresource: Option<&str>,
        ctx: &Context<'_>,
    ) -> Result<Vec<String>, Status> {
        meta::prepare_update(self, new, old, ctx)?;
        match subresource {
            // Upstream: the metadata of a custom object is no part of its status, its finalizers least of all.
            Some("status") if self.custom.is_some() => {
                let managed = new["metadata"].get("managedFields").cloned();
                keep_all_but(new, old, &["status"]);
                put(&mut new["metadata"], "managedFields", managed);
            }
            Some("status") => keep_all_but(new, old, &["metadata", "status"]),
            Some("finalize") => keep_finalizers(new, old),
            _ if self.keeps_status => put(new, "status", old.get("status").cloned()),
            _ => {}
        }
        // What a main update may not touch (a namespace's finalizers), a subresource is for.
        if subresource.is_none() {
            (self.prepare)(new, Some(old));
        }
        self.fill(new);
        if subresource != Some("status") {
            self.count_generation(new, old);
        }
        let mut errors = Errors::default();
        meta::validate(self, new, &mut errors);
        meta::validate_update(new, old, &mut errors);
        if subresource == Some("status") && self.custom.is_none() {
            (self.validate_status)(new, Some(old), &mut errors);
        } else {
            self.check_whole(new, Some(old), &mut errors);
        }
        self.verdict(new, errors)
    }

    /// Makes a stored object of a custom kind what its definition says now: the stored version, without the fields that
    /// are gone, with the defaults.
    pub fn settle_stored(&self, object: &mut Value) {
        object["apiVersion"] = self.api_version.into();
        if let Some(custom) = self.custom() {
            custom.prune(object);
            custom.fill(object);
        }
    }

    /// Fills and checks an object of a custom kind in a version in which it is not stored, as that version has it.
    pub fn judge(&self, object: &mut Value, old: Option<&Value>) -> Result<(), Status> {
        let Some(custom) = self.custom() else { return Ok(()) };
        custom.fill(object);
        let mut errors = Errors::default();
        custom.check(object, old, &mut errors);
        self.verdict(object, errors).map(drop)
    }

    /// Marks an object as being deleted: the time by which it must be gone, and one generation more.
    pub fn mark_deleted(&self, object: &mut Value, now: Timestamp, grace_seconds: i64) {
        let grace = grace_seconds.max(0);
        let meta = &mut object["metadata"];
        let by = now.saturating_add(jiff::Span::new().seconds(grace.min(i64::from(u32::MAX))));
        meta["deletionTimestamp"] = time::seconds(by.unwrap_or(now)).into();
        meta["deletionGracePeriodSeconds"] = grace.into();
        if let Some(n) = meta["generation"].as_i64().filter(|n| *n > 0) {
            meta["generation"] = (n + 1).into();
        }
    }

    /// Fills in what was left out.
    fn fill(&self, object: &mut Value) {
        match self.custom() {
            Some(custom) => custom.fill(object),
            None => (self.default)(object),
        }
    }

    /// The kind's own rules.
    fn check_whole(&self, new: &Value, old: Option<&Value>, errors: &mut Errors) {
        match self.custom() {
            Some(custom) => custom.check(new, old, errors),
            None => (self.validate)(new, old, errors),
        }
    }

    fn count_generation(&self, new: &mut Value, old: &Value) {
        if self.generation == Generation::None {
            return;
        }
        let annotations = self.generation == Generation::SpecAndAnnotations
            && new["metadata"].get("annotations") != old["metadata"].get("annotations");
        let status = self.generation == Generation::All && new.get("status") != old.get("status");
        let changed = annotations || status || differs(new, old);
        let count = old["metadata"]["generation"].as_i64().unwrap_or(0) + i64::from(changed);
        new["metadata"]["generation"] = count.into();
    }

    fn verdict(&self, object: &Value, errors: Errors) -> Result<Vec<String>, Status> {
        if errors.causes.is_empty() {
            return Ok(errors.warnings);
        }
        let meta = &object["metadata"];
        let name = meta["name"].as_str().filter(|n| !n.is_empty());
        let name = name.or(meta["generateName"].as_str()).unwrap_or_default();
        Err(Status::invalid(self.group, self.kind, name, errors.causes))
    }
}

/// Whether anything but metadata and status differs.
fn differs(new: &Value, old: &Value) -> bool {
    let of_interest = |k: &str| !matches!(k, "metadata" | "status" | "apiVersion" | "kind");
    let keys = entries(new).chain(entries(old)).map(|(k, _)| k);
    keys.filter(|k| of_interest(k)).any(|k| new.get(k) != old.get(k))
}

/// Puts every field back to what it was, but these. The usual case, nothing else changed, copies nothing.
fn keep_all_but(new: &mut Value, old: &Value, changed: &[&str]) {
    let (Value::Object(new), Value::Object(old)) = (new, old) else { return };
    new.retain(|key, _| changed.contains(&key.as_str()) || old.contains_key(key));
    for (key, value) in old.iter().filter(|(key, _)| !changed.contains(&key.as_str())) {
        if new.get(key) != Some(value) {
            new.insert(key.clone(), value.clone());
        }
    }
}

fn keep_finalizers(new: &mut Value, old: &Value) {
    let finalizers = new["spec"].get("finalizers").cloned();
    keep_all_but(new, old, &[]);
    fill(new, "spec", serde_json::Map::new());
    put(&mut new["spec"], "finalizers", finalizers.filter(|f| f.as_array().is_some_and(|a| !a.is_empty())));
}
