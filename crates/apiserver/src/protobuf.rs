//! Bodies in `application/vnd.kubernetes.protobuf`, which Go clients send for the built-in kinds: read into JSON, by a
//! table of field numbers. Answers are always JSON, which the same clients accept.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};
use std::{collections::HashMap, sync::OnceLock};

/// Derived table, see its first line.
const TABLE: &str = include_str!("protobuf/kubernetes.fields");
/// What every body starts with.
const MAGIC: &[u8] = b"k8s\0";
/// Messages inside messages; the deepest object has a dozen.
const DEPTH_MAX: usize = 40;

type Messages = HashMap<&'static str, Vec<Field>>;

/// Number, JSON name (`^` for a message whose fields lie in its parent) and type.
#[derive(Debug)]
struct Field {
    number: u64,
    name: &'static str,
    kind: &'static str,
}

/// Why a body cannot be read; reads after "the body cannot be read: ".
pub(crate) type Unreadable = String;

fn messages() -> &'static Messages {
    static MESSAGES: OnceLock<Messages> = OnceLock::new();
    MESSAGES.get_or_init(|| {
        let mut messages = Messages::new();
        let mut fields: Option<&mut Vec<Field>> = None;
        for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
            let words: Vec<&'static str> = line.split_whitespace().collect();
            match (words.as_slice(), &mut fields) {
                ([name], _) => fields = Some(messages.entry(name).or_default()),
                ([number, name, kind], Some(fields)) => {
                    let number = number.parse().expect("the derived table has numbers first");
                    fields.push(Field { number, name, kind });
                }
                _ => unreachable!("the derived table has one or three words in a line"),
            }
        }
        messages
    })
}

/// Reads a body: the envelope with apiVersion and kind, and the object in it.
pub(crate) fn read(body: &[u8]) -> Result<Value, Unreadable> {
    let body = body.strip_prefix(MAGIC).ok_or("it does not start with the magic bytes of the format")?;
    let (mut type_meta, mut raw) = (&[][..], &[][..]);
    for pair in Pairs(body) {
        match pair? {
            (1, Wire::Bytes(bytes)) => type_meta = bytes,
            (2, Wire::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let (mut api_version, mut kind) = (String::new(), String::new());
    for pair in Pairs(type_meta) {
        match pair? {
            (1, Wire::Bytes(bytes)) => api_version = text(bytes)?,
            (2, Wire::Bytes(bytes)) => kind = text(bytes)?,
            _ => {}
        }
    }
    let name = message_name(&api_version, &kind);
    let mut object = message(raw, &name, 0)?;
    object.insert("apiVersion".to_owned(), api_version.into());
    object.insert("kind".to_owned(), kind.into());
    Ok(Value::Object(object))
}

fn message_name(api_version: &str, kind: &str) -> String {
    if kind == "DeleteOptions" {
        return "meta/v1.DeleteOptions".to_owned();
    }
    let (group, version) = api_version.split_once('/').unwrap_or(("core", api_version));
    format!("{}/{version}.{kind}", group.split('.').next().unwrap_or_default())
}

/// A value as it lies on the wire.
#[derive(Debug, Clone, Copy)]
enum Wire<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'a [u8]),
}

/// Field numbers and values, in order.
struct Pairs<'a>(&'a [u8]);

impl<'a> Pairs<'a> {
    fn varint(&mut self) -> Result<u64, Unreadable> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or("it ends inside a number")?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err("a number in it is too long".to_owned())
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Unreadable> {
        if length > self.0.len() {
            return Err("it ends inside a field".to_owned());
        }
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        Ok(taken)
    }

    fn pair(&mut self) -> Result<(u64, Wire<'a>), Unreadable> {
        let tag = self.varint()?;
        let wire = match tag & 7 {
            0 => Wire::Varint(self.varint()?),
            1 => Wire::Fixed64(u64::from_le_bytes(self.take(8)?.try_into().map_err(|_| "a field is short")?)),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| "a field is too long")?;
                Wire::Bytes(self.take(length)?)
            }
            5 => Wire::Fixed32(u32::from_le_bytes(self.take(4)?.try_into().map_err(|_| "a field is short")?)),
            other => return Err(format!("it has a field of the unknown wire type {other}")),
        };
        Ok((tag >> 3, wire))
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = Result<(u64, Wire<'a>), Unreadable>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let pair = self.pair();
        if pair.is_err() {
            self.0 = &[];
        }
        Some(pair)
    }
}

fn text(bytes: &[u8]) -> Result<String, Unreadable> {
    String::from_utf8(bytes.to_vec()).map_err(|_| "a text in it is not UTF-8".to_owned())
}

fn message(bytes: &[u8], name: &str, depth: usize) -> Result<Map<String, Value>, Unreadable> {
    let fields = messages().get(name).ok_or_else(|| format!("{name} is not known in protobuf, send JSON"))?;
    if depth > DEPTH_MAX {
        return Err("it is nested too deeply".to_owned());
    }
    let mut out = Map::new();
    for pair in Pairs(bytes) {
        let (number, wire) = pair?;
        // Unknown numbers are fields of another version, which have no name here.
        let Some(field) = fields.iter().find(|field| field.number == number) else { continue };
        put(&mut out, field, wire, depth)?;
    }
    Ok(out)
}

fn put(out: &mut Map<String, Value>, field: &Field, wire: Wire<'_>, depth: usize) -> Result<(), Unreadable> {
    if field.name == "^" {
        // Whether or not the parent points to it, its fields are the parent's.
        let name = field.kind.trim_start_matches('?');
        let Wire::Bytes(bytes) = wire else { return Err(mismatch(field)) };
        out.extend(message(bytes, name, depth + 1)?);
    } else if let Some(kind) = field.kind.strip_prefix("[]") {
        let value = value(kind, wire, depth)?.ok_or_else(|| mismatch(field))?;
        let list = out.entry(field.name).or_insert_with(|| Value::Array(Vec::new()));
        list.as_array_mut().ok_or_else(|| mismatch(field))?.push(value);
    } else if let Some(kind) = field.kind.strip_prefix("{}") {
        let Wire::Bytes(entry) = wire else { return Err(mismatch(field)) };
        let (key, value) = entry_of(kind, entry, depth)?;
        let map = out.entry(field.name).or_insert_with(|| Value::Object(Map::new()));
        map.as_object_mut().ok_or_else(|| mismatch(field))?.insert(key, value);
    } else {
        let kind = field.kind.trim_start_matches('?');
        let value = value(kind, wire, depth)?.ok_or_else(|| mismatch(field))?;
        // Go writes every field that is not a pointer, also those that nobody set.
        if field.kind.starts_with('?') || !is_zero(&value) {
            out.insert(field.name.to_owned(), value);
        }
    }
    Ok(())
}

fn mismatch(field: &Field) -> Unreadable {
    format!("the field {} has an unexpected form", field.name)
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(value) => value.as_f64() == Some(0.0),
        Value::String(value) => value.is_empty(),
        Value::Array(value) => value.is_empty(),
        Value::Object(value) => value.is_empty(),
    }
}

fn entry_of(kind: &str, entry: &[u8], depth: usize) -> Result<(String, Value), Unreadable> {
    let (mut key, mut found) = (String::new(), None);
    for pair in Pairs(entry) {
        match pair? {
            (1, Wire::Bytes(bytes)) => key = text(bytes)?,
            (2, wire) => found = value(kind, wire, depth)?,
            _ => {}
        }
    }
    Ok((key, found.unwrap_or_else(|| Value::String(String::new()))))
}

/// One value; `None` when the wire has another form than the type.
fn value(kind: &str, wire: Wire<'_>, depth: usize) -> Result<Option<Value>, Unreadable> {
    Ok(match (kind, wire) {
        ("string", Wire::Bytes(bytes)) => Some(text(bytes)?.into()),
        // A negative number is on the wire as its 64 bits.
        ("int", Wire::Varint(number)) => Some(number.cast_signed().into()),
        ("bool", Wire::Varint(number)) => Some((number != 0).into()),
        ("double", Wire::Fixed64(bits)) => Some(f64::from_bits(bits).into()),
        ("float", Wire::Fixed32(bits)) => Some(f32::from_bits(bits).into()),
        ("bytes", Wire::Bytes(bytes)) => Some(STANDARD.encode(bytes).into()),
        ("quantity", Wire::Bytes(bytes)) => Some(first_text(bytes)?.into()),
        ("raw", Wire::Bytes(bytes)) => {
            let raw = first_text(bytes)?;
            let parsed = if raw.is_empty() { Ok(Value::Null) } else { serde_json::from_str(&raw) };
            Some(parsed.map_err(|error| format!("a field with JSON in it has none: {error}"))?)
        }
        ("time" | "microtime", Wire::Bytes(bytes)) => Some(time(bytes, kind == "microtime")?),
        ("intstr", Wire::Bytes(bytes)) => Some(int_or_string(bytes)?),
        ("items[]string", Wire::Bytes(bytes)) => {
            let items = Pairs(bytes).filter_map(|pair| match pair {
                Ok((1, Wire::Bytes(bytes))) => Some(text(bytes).map(Value::from)),
                Ok(_) => None,
                Err(why) => Some(Err(why)),
            });
            Some(Value::Array(items.collect::<Result<_, _>>()?))
        }
        (name, Wire::Bytes(bytes)) if name.contains('/') => {
            Some(Value::Object(message(bytes, name, depth + 1)?))
        }
        _ => None,
    })
}

fn first_text(bytes: &[u8]) -> Result<String, Unreadable> {
    for pair in Pairs(bytes) {
        if let (1, Wire::Bytes(bytes)) = pair? {
            return text(bytes);
        }
    }
    Ok(String::new())
}

/// Seconds and nanoseconds; the zero time of Go, which no JSON has, is left out.
fn time(bytes: &[u8], micro: bool) -> Result<Value, Unreadable> {
    let (mut seconds, mut nanos) = (0_i64, 0_i32);
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    for pair in Pairs(bytes) {
        match pair? {
            (1, Wire::Varint(number)) => seconds = number.cast_signed(),
            (2, Wire::Varint(number)) => nanos = i32::try_from(number).unwrap_or(0),
            _ => {}
        }
    }
    let time = jiff::Timestamp::new(seconds, nanos).map_err(|error| error.to_string())?;
    Ok(if micro { object::time::micros(time) } else { object::time::seconds(time) }.into())
}

fn int_or_string(bytes: &[u8]) -> Result<Value, Unreadable> {
    let (mut is_text, mut number, mut string) = (false, 0_i64, String::new());
    for pair in Pairs(bytes) {
        match pair? {
            (1, Wire::Varint(kind)) => is_text = kind == 1,
            (2, Wire::Varint(value)) => number = value.cast_signed(),
            (3, Wire::Bytes(bytes)) => string = text(bytes)?,
            _ => {}
        }
    }
    Ok(if is_text { string.into() } else { number.into() })
}

#[cfg(test)]
mod tests;
