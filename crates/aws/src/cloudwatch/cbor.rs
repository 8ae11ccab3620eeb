//! CBOR (RFC 8949), as far as Smithy's RPC v2 uses it: maps with text keys, lists, text, numbers, booleans, null, and
//! times as tag 1. Pure.

use super::wire::Item;
use serde_json::{Map, Number, Value};

/// How deep values may be nested, so that a request cannot exhaust the stack.
const DEPTH_MAX: usize = 32;

/// Reads one value; times become their seconds.
pub(super) fn read(bytes: &[u8]) -> Result<Value, &'static str> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let mut reader = Reader { bytes };
    let value = reader.value(0)?.ok_or("a break outside of a list")?;
    if reader.bytes.is_empty() { Ok(value) } else { Err("something follows the value") }
}

struct Reader<'a> {
    bytes: &'a [u8],
}

/// The argument of an item's head: a number, or none for what has no length.
type Argument = Option<u64>;

impl<'a> Reader<'a> {
    fn take(&mut self, count: u64) -> Result<&'a [u8], &'static str> {
        let count = usize::try_from(count).map_err(|_| "too long")?;
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or("the value is cut off")?;
        self.bytes = rest;
        Ok(taken)
    }

    fn head(&mut self) -> Result<(u8, u8, Argument), &'static str> {
        let first = self.take(1)?[0];
        let (major, minor) = (first >> 5, first & 31);
        let argument = match minor {
            0..24 => Some(u64::from(minor)),
            24..28 => {
                let bytes = self.take(1 << (minor - 24))?;
                Some(bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)))
            }
            31 => None,
            _ => return Err("a reserved head"),
        };
        Ok((major, minor, argument))
    }

    /// `None` is the end of a list or map that did not say its length.
    fn value(&mut self, depth: usize) -> Result<Option<Value>, &'static str> {
        if depth > DEPTH_MAX {
            return Err("nested too deep");
        }
        let (major, minor, argument) = self.head()?;
        let value = match (major, argument) {
            (0, Some(number)) => number.into(),
            (1, Some(number)) => i64::try_from(number).map_or(Value::Null, |number| Value::from(-1 - number)),
            (3, _) => Value::String(self.text(argument)?),
            (4, _) => Value::Array(self.list(argument, depth)?),
            (5, _) => Value::Object(self.map(argument, depth)?),
            (6, Some(_)) => return self.value(depth + 1),
            (7, None) => return Ok(None),
            (7, Some(argument)) => simple(minor, argument)?,
            _ => return Err("a kind of value that no request has"),
        };
        Ok(Some(value))
    }

    fn text(&mut self, length: Argument) -> Result<String, &'static str> {
        let utf8 = |bytes: &[u8]| {
            std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| "text that is not UTF-8")
        };
        let Some(length) = length else {
            let mut text = String::new();
            loop {
                match self.head()? {
                    (7, 31, None) => return Ok(text),
                    (3, _, Some(length)) => text.push_str(&utf8(self.take(length)?)?),
                    _ => return Err("text in pieces of something else"),
                }
            }
        };
        utf8(self.take(length)?)
    }

    fn list(&mut self, length: Argument, depth: usize) -> Result<Vec<Value>, &'static str> {
        // Not reserved ahead: the length is only what the request claims.
        let mut items = Vec::new();
        while length.is_none_or(|length| (items.len() as u64) < length) {
            match (self.value(depth + 1)?, length) {
                (Some(item), _) => items.push(item),
                (None, None) => break,
                (None, Some(_)) => return Err("a list is cut off"),
            }
        }
        Ok(items)
    }

    fn map(&mut self, length: Argument, depth: usize) -> Result<Map<String, Value>, &'static str> {
        let mut members = Map::new();
        let mut count = 0;
        while length.is_none_or(|length| count < length) {
            let key = match (self.value(depth + 1)?, length) {
                (Some(Value::String(key)), _) => key,
                (None, None) => break,
                _ => return Err("a map's key is no text"),
            };
            let value = self.value(depth + 1)?.ok_or("a map is cut off")?;
            members.insert(key, value);
            count += 1;
        }
        Ok(members)
    }
}

fn simple(minor: u8, argument: u64) -> Result<Value, &'static str> {
    let float =
        |number: f64| Number::from_f64(number).map(Value::Number).ok_or("a number that is not finite");
    match minor {
        20 => Ok(Value::Bool(false)),
        21 => Ok(Value::Bool(true)),
        22 | 23 => Ok(Value::Null),
        25 => float(half(argument)),
        26 => float(f64::from(f32::from_bits(u32::try_from(argument).unwrap_or(0)))),
        27 => float(f64::from_bits(argument)),
        _ => Err("a simple value that no request has"),
    }
}

/// A half-precision number (RFC 8949, appendix D).
fn half(bits: u64) -> f64 {
    let exponent = i32::try_from(bits >> 10 & 31).unwrap_or(0);
    let mantissa = f64::from(u16::try_from(bits & 1023).unwrap_or(0));
    let value = match exponent {
        0 => mantissa * 2f64.powi(-24),
        31 => return if mantissa == 0.0 { f64::INFINITY } else { f64::NAN },
        other => (mantissa + 1024.0) * 2f64.powi(other - 25),
    };
    if bits & 0x8000 == 0 { value } else { -value }
}

/// Appends a value.
pub(super) fn write(bytes: &mut Vec<u8>, item: &Item) {
    match item {
        Item::Text(text) => {
            head(bytes, 3, text.len() as u64);
            bytes.extend_from_slice(text.as_bytes());
        }
        Item::Number(number) => {
            bytes.push(0xfb);
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        Item::Time(seconds) => {
            head(bytes, 6, 1);
            match u64::try_from(*seconds) {
                Ok(after) => head(bytes, 0, after),
                Err(_) => head(bytes, 1, seconds.unsigned_abs() - 1),
            }
        }
        Item::List(items) => {
            head(bytes, 4, items.len() as u64);
            items.iter().for_each(|item| write(bytes, item));
        }
        Item::Structure(members) => {
            head(bytes, 5, members.len() as u64);
            members.iter().for_each(|(name, item)| member(bytes, name, item));
        }
        Item::Map(members) => {
            head(bytes, 5, members.len() as u64);
            members.iter().for_each(|(name, item)| member(bytes, name, item));
        }
    }
}

fn member(bytes: &mut Vec<u8>, name: &str, item: &Item) {
    head(bytes, 3, name.len() as u64);
    bytes.extend_from_slice(name.as_bytes());
    write(bytes, item);
}

#[expect(clippy::cast_possible_truncation, reason = "each arm has checked the size")]
fn head(bytes: &mut Vec<u8>, major: u8, argument: u64) {
    let kind = major << 5;
    match argument {
        0..24 => bytes.push(kind | argument as u8),
        24..0x100 => bytes.extend_from_slice(&[kind | 24, argument as u8]),
        0x100..0x1_0000 => {
            bytes.push(kind | 25);
            bytes.extend_from_slice(&(argument as u16).to_be_bytes());
        }
        0x1_0000..0x1_0000_0000 => {
            bytes.push(kind | 26);
            bytes.extend_from_slice(&(argument as u32).to_be_bytes());
        }
        _ => {
            bytes.push(kind | 27);
            bytes.extend_from_slice(&argument.to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_written_is_read() {
        let item = Item::Structure(vec![
            ("Text", Item::Text("x".repeat(300))),
            ("Times", Item::List(vec![Item::Time(1_795_262_400), Item::Time(-5)])),
            ("Number", Item::Number(1.5)),
            ("Map", Item::Map(vec![("p99".to_owned(), Item::Number(-0.25))])),
        ]);
        let mut bytes = Vec::new();
        write(&mut bytes, &item);
        let wanted = json!({"Text": "x".repeat(300), "Times": [1_795_262_400, -5], "Number": 1.5, "Map": {"p99": -0.25}});
        assert_eq!(read(&bytes), Ok(wanted));
    }

    #[test]
    fn other_spellings_are_read_too() {
        let is = |hex: &str, wanted: Value| {
            let byte =
                |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("hex"), 16).expect("hex");
            let bytes: Vec<u8> = hex.as_bytes().chunks(2).map(byte).collect();
            assert_eq!(read(&bytes), Ok(wanted), "{hex}");
        };
        // Examples of RFC 8949, appendix A.
        is("f93c00", json!(1.0));
        is("f97bff", json!(65504.0));
        is("fa47c35000", json!(100_000.0));
        is("fb3ff199999999999a", json!(1.1));
        is("c11a514b67b0", json!(1_363_896_240));
        is("7f657374726561646d696e67ff", json!("streaming"));
        is("9f018202039f0405ffff", json!([1, [2, 3], [4, 5]]));
        is("bf61610161629f0203ffff", json!({"a": 1, "b": [2, 3]}));
        is("83f4f5f6", json!([false, true, null]));
        is("3903e7", json!(-1000));
        is("", Value::Null);
    }

    #[test]
    fn what_is_broken_is_refused() {
        for bytes in [
            &b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff"[..],
            b"\x61",
            b"\xa1\x01\x01",
            b"\x01\x01",
            b"\xff",
            b"\x42ab",
        ] {
            assert!(read(bytes).is_err(), "{bytes:?}");
        }
        assert_eq!(read(&[0x81; 100_000]), Err("nested too deep"));
    }
}
