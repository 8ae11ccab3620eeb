//! Reading an object by its schema in one pass: unknown and duplicate fields are found, in the order of the document,
//! unknown fields dropped, leaf values checked and brought to canonical form (quantities, times).
//!
//! Works on raw JSON bytes and on values alike, because both are serde deserializers.

use super::definitions::{Definition, Type, table};
use super::node::Below;
use super::prune::{Loose, prune};
use crate::path::Path;
use crate::quantity::Quantity;
use crate::time;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;

/// More strict errors than this are counted but not told: a reader gives up long before.
const FINDINGS_MAX: usize = 100;

/// What was wrong with a document.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// Unknown and duplicate fields.
    pub(crate) strict: Vec<String>,
    /// The first value of a wrong type.
    pub(crate) fatal: Option<String>,
}

impl Findings {
    pub(super) fn strict(&mut self, text: String) {
        if self.strict.len() < FINDINGS_MAX && !self.strict.contains(&text) {
            self.strict.push(text);
        }
    }
}

/// Reads one document of the given definition.
pub(crate) fn read<'de, D: Deserializer<'de>>(
    definition: &Definition,
    from: D,
    findings: &mut Findings,
) -> Result<Value, D::Error> {
    let reader = ObjectReader { definition, or_bool: false, path: &Path::Root, findings };
    Ok(from.deserialize_any(reader)?.unwrap_or_default())
}

/// A value of some type at some place.
struct Reader<'a> {
    ty: &'a Type,
    /// Go name of the struct that holds the value.
    owner: &'a str,
    path: &'a Path<'a>,
    findings: &'a mut Findings,
}

impl Reader<'_> {
    fn mismatch(self, found: &str) -> Option<Value> {
        wrong(self.findings, found, self.owner, self.path, &go_type(self.ty));
        None
    }

    fn fatal(self, text: String) -> Option<Value> {
        self.findings.fatal.get_or_insert(text);
        None
    }
}

fn wrong(findings: &mut Findings, found: &str, owner: &str, path: &Path<'_>, ty: &str) {
    if findings.fatal.is_none() {
        let path = path.without_indexes();
        findings.fatal = Some(if path.is_empty() {
            format!("json: cannot unmarshal {found} into Go value of type {ty}")
        } else {
            format!("json: cannot unmarshal {found} into Go struct field {owner}.{path} of type {ty}")
        });
    }
}

/// The type's name in upstream's messages.
fn go_type(ty: &Type) -> String {
    match ty {
        Type::String => "string".into(),
        Type::Bool => "bool".into(),
        Type::Int32 => "int32".into(),
        Type::Int64 => "int64".into(),
        Type::Double => "float64".into(),
        Type::Bytes => "[]uint8".into(),
        Type::IntOrString => "intstr.IntOrString".into(),
        Type::Quantity => "resource.Quantity".into(),
        Type::Time => "v1.Time".into(),
        Type::MicroTime => "v1.MicroTime".into(),
        Type::Any => "v1.FieldsV1".into(),
        Type::Object(i) | Type::ObjectOrBool(i) => go_object(table().at(*i)),
        Type::List(items) => format!("[]{}", go_type(items)),
        Type::Map(values) => format!("map[string]{}", go_type(values)),
    }
}

/// `v1.PodSpec`
fn go_object(definition: &Definition) -> String {
    let mut parts = definition.name.rsplit('.');
    let name = parts.next().unwrap_or_default();
    format!("{}.{name}", parts.next().unwrap_or_default())
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    /// `None`: there is nothing to keep (null, or a value of the wrong type).
    type Value = Option<Value>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        match self.ty {
            Type::Any => {
                let value = <Value as serde::Deserialize>::deserialize(from)?;
                Ok(Some(value).filter(|v| !v.is_null()))
            }
            Type::Object(i) | Type::ObjectOrBool(i) => {
                let or_bool = matches!(self.ty, Type::ObjectOrBool(_));
                let definition = table().at(*i);
                from.deserialize_any(ObjectReader {
                    definition,
                    or_bool,
                    path: self.path,
                    findings: self.findings,
                })
            }
            _ => from.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, v: bool) -> Result<Self::Value, E> {
        Ok(if *self.ty == Type::Bool { Some(v.into()) } else { self.mismatch("bool") })
    }

    fn visit_i64<E>(self, v: i64) -> Result<Self::Value, E> {
        Ok(match self.ty {
            Type::Int64 => Some(v.into()),
            Type::Int32 | Type::IntOrString if i32::try_from(v).is_ok() => Some(v.into()),
            Type::Int32 => self.mismatch(&format!("number {v}")),
            Type::Double => Some(v.into()),
            Type::Quantity => read_quantity(self, &v.to_string()),
            _ => self.mismatch("number"),
        })
    }

    fn visit_u64<E: serde::de::Error>(self, v: u64) -> Result<Self::Value, E> {
        match i64::try_from(v) {
            Ok(v) => self.visit_i64(v),
            Err(_) if *self.ty == Type::Quantity => Ok(read_quantity(self, &v.to_string())),
            Err(_) => Ok(self.mismatch(&format!("number {v}"))),
        }
    }

    fn visit_f64<E>(self, v: f64) -> Result<Self::Value, E> {
        Ok(match self.ty {
            Type::Double => Some(v.into()),
            Type::Quantity => read_quantity(self, &v.to_string()),
            Type::Int32 | Type::Int64 => self.mismatch(&format!("number {}", Value::from(v))),
            _ => self.mismatch("number"),
        })
    }

    fn visit_str<E: serde::de::Error>(self, v: &str) -> Result<Self::Value, E> {
        self.visit_string(v.to_owned())
    }

    fn visit_string<E>(self, v: String) -> Result<Self::Value, E> {
        Ok(match self.ty {
            Type::String | Type::IntOrString => Some(Value::String(v)),
            Type::Bytes => read_bytes(self, v),
            Type::Quantity => read_quantity(self, &v),
            Type::Time | Type::MicroTime => read_time(self, v),
            _ => self.mismatch("string"),
        })
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let Type::List(items) = self.ty else {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(self.mismatch("array"));
        };
        let mut out = Vec::new();
        loop {
            let path = Path::Index(self.path, out.len());
            let reader = Reader { ty: items, owner: self.owner, path: &path, findings: &mut *self.findings };
            match seq.next_element_seed(reader)? {
                Some(value) => out.push(value.unwrap_or_else(|| zero(items))),
                None => return Ok(Some(Value::Array(out))),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let Type::Map(values) = self.ty else {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(self.mismatch("object"));
        };
        let mut out = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let path = Path::Field(self.path, &key);
            if out.contains_key(&key) {
                self.findings.strict(format!("duplicate field \"{path}\""));
            }
            let reader = Reader { ty: values, owner: self.owner, path: &path, findings: &mut *self.findings };
            let value = map.next_value_seed(reader)?.unwrap_or_else(|| zero(values));
            out.insert(key, value);
        }
        Ok(Some(Value::Object(out)))
    }
}

/// What null becomes where it cannot be left out: inside lists and maps.
fn zero(ty: &Type) -> Value {
    match ty {
        Type::Object(_) | Type::ObjectOrBool(_) | Type::Map(_) | Type::Any => Value::Object(Map::new()),
        Type::List(_) => Value::Array(Vec::new()),
        Type::Bool => false.into(),
        Type::Int32 | Type::Int64 | Type::Double | Type::IntOrString => 0.into(),
        Type::Quantity => "0".into(),
        Type::String | Type::Bytes => "".into(),
        Type::Time | Type::MicroTime => Value::Null,
    }
}

fn read_quantity(reader: Reader<'_>, text: &str) -> Option<Value> {
    match Quantity::parse(text) {
        Ok(quantity) => Some(quantity.to_string().into()),
        Err(why) => reader.fatal(why.to_string()),
    }
}

fn read_bytes(reader: Reader<'_>, text: String) -> Option<Value> {
    use base64::Engine as _;
    let clean: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    match base64::engine::general_purpose::STANDARD.decode(&clean) {
        Ok(_) => Some(Value::String(clean)),
        Err(base64::DecodeError::InvalidByte(at, _)) => {
            reader.fatal(format!("illegal base64 data at input byte {at}"))
        }
        Err(_) => reader.fatal(format!("illegal base64 data at input byte {}", clean.len() / 4 * 4)),
    }
}

fn read_time(reader: Reader<'_>, text: String) -> Option<Value> {
    let Some(moment) = time::parse(&text) else {
        let layout = "2006-01-02T15:04:05Z07:00";
        return reader
            .fatal(format!("parsing time \"{text}\" as \"{layout}\": cannot parse \"{text}\" as \"2006\""));
    };
    Some(if *reader.ty == Type::Time { time::seconds(moment) } else { time::micros(moment) }.into())
}

/// An object with known fields.
struct ObjectReader<'a> {
    definition: &'a Definition,
    or_bool: bool,
    path: &'a Path<'a>,
    findings: &'a mut Findings,
}

impl ObjectReader<'_> {
    fn mismatch(self, found: &str) -> Option<Value> {
        // Go names the struct that holds the field; the root has none.
        wrong(self.findings, found, self.definition.short(), self.path, &go_object(self.definition));
        None
    }
}

impl<'de> Visitor<'de> for ObjectReader<'_> {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_bool<E>(self, v: bool) -> Result<Self::Value, E> {
        Ok(if self.or_bool { Some(v.into()) } else { self.mismatch("bool") })
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(self.mismatch("number"))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(self.mismatch("number"))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(self.mismatch("number"))
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(self.mismatch("string"))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(self.mismatch("array"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut out = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let path = Path::Field(self.path, &key);
            let known = self.definition.field(&key);
            let below = self.definition.rest.as_ref().map_or(Below::Unknown, |rest| rest.below(&key));
            if known.is_none() && below == Below::Unknown {
                self.findings.strict(format!("unknown field \"{path}\""));
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            if out.contains_key(&key) {
                self.findings.strict(format!("duplicate field \"{path}\""));
            }
            let Some(field) = known else {
                let mut value = map.next_value_seed(Loose { path: &path, findings: &mut *self.findings })?;
                if let Below::Known(node) = below {
                    prune(&mut value, node, &path, self.findings);
                }
                out.insert(key, value);
                continue;
            };
            let owner = self.definition.short();
            let reader = Reader { ty: &field.ty, owner, path: &path, findings: &mut *self.findings };
            match map.next_value_seed(reader)? {
                Some(value) => out.insert(key, value),
                None => out.remove(&key),
            };
        }
        Ok(Some(Value::Object(out)))
    }
}
