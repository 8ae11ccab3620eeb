//! Reading values whose schema came at run time: everything is read as it is, duplicate fields are found on the way, and
//! fields that the schema does not have are dropped afterwards. Whether a value is of the right type is validation's to say.

use super::decode::Findings;
use super::node::{Below, Node};
use crate::path::Path;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::fmt;

/// Reads any value, and finds fields that are there twice.
pub(super) struct Loose<'a> {
    pub(super) path: &'a Path<'a>,
    pub(super) findings: &'a mut Findings,
}

impl<'de> DeserializeSeed<'de> for Loose<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Loose<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_f64<E>(self, v: f64) -> Result<Value, E> {
        Ok(Number::from_f64(v).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_string<E>(self, v: String) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut out = Vec::new();
        loop {
            let path = self.path.index(out.len());
            match seq.next_element_seed(Loose { path: &path, findings: &mut *self.findings })? {
                Some(value) => out.push(value),
                None => return Ok(Value::Array(out)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut out = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let path = self.path.field(&key);
            if out.contains_key(&key) {
                self.findings.strict(format!("duplicate field \"{path}\""));
            }
            let value = map.next_value_seed(Loose { path: &path, findings: &mut *self.findings })?;
            out.insert(key, value);
        }
        Ok(Value::Object(out))
    }
}

/// Drops the fields that the schema does not have.
pub(crate) fn prune(value: &mut Value, node: &Node, path: &Path<'_>, findings: &mut Findings) {
    match value {
        Value::Array(list) => {
            let Some(items) = &node.items else { return };
            for (index, item) in list.iter_mut().enumerate() {
                prune(item, items, &path.index(index), findings);
            }
        }
        Value::Object(map) => map.retain(|key, value| {
            let path = path.field(key);
            match node.below(key) {
                Below::Known(node) => prune(value, node, &path, findings),
                Below::Kept => {}
                Below::Unknown => {
                    findings.strict(format!("unknown field \"{path}\""));
                    return false;
                }
            }
            true
        }),
        _ => {}
    }
}
