//! Resource quantities (`100m`, `1.5Gi`): exact parsing, comparison and canonical form.
//!
//! The rules are those of the API's own grammar: signed decimal, then a binary suffix (Ki … Ei), a decimal one
//! (n u m k M G T P E) or an exponent (e3, E3). Used by validation, the scheduler and the node.

use std::fmt;

/// Decimal places that are kept; finer amounts are rounded up, as upstream does.
const SCALE: u32 = 9;
const NANO: i128 = 1_000_000_000;
/// Amounts are capped at ±(2⁶³−1), as upstream does.
const MAX: i128 = i64::MAX as i128 * NANO;

/// How the quantity was written, and so how it is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
enum Format {
    #[default]
    Decimal,
    Binary,
    Exponent,
}

/// An exact amount, in units of 10⁻⁹.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quantity {
    nano: i128,
    format: Format,
}

/// Why a text is not a quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not of the form.
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Form,
    /// A suffix that is none.
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

const BINARY: [(&str, u32); 6] = [("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50), ("Ei", 60)];
const DECIMAL: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];

impl Quantity {
    /// Reads a quantity.
    pub fn parse(text: &str) -> Result<Quantity, Error> {
        let (negative, rest) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, suffix) = rest.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.len() + fraction.len() == 0 || fraction.contains('.') {
            return Err(Error::Form);
        }
        let (format, exponent, shift) = parse_suffix(suffix)?;
        let nano = amount(whole, fraction, exponent, shift);
        Ok(Quantity { nano: if negative { -nano } else { nano }, format })
    }

    /// A number of thousandths (millicores).
    pub const fn from_milli(milli: i64) -> Quantity {
        Quantity { nano: milli as i128 * 1_000_000, format: Format::Decimal }
    }

    /// The same amount, printed with binary suffixes where they fit, as amounts of memory are.
    pub const fn in_binary(self) -> Quantity {
        Quantity { nano: self.nano, format: Format::Binary }
    }

    /// The nearest floating-point number.
    pub fn as_f64(self) -> f64 {
        self.nano as f64 / NANO as f64
    }

    /// Whole units, rounded up.
    pub fn value(self) -> i64 {
        rounded_up(self.nano, NANO)
    }

    /// Thousandths, rounded up.
    pub fn milli_value(self) -> i64 {
        rounded_up(self.nano, 1_000_000)
    }

    /// Whether the amount is below zero.
    pub fn is_negative(self) -> bool {
        self.nano < 0
    }

    /// Whether the amount is a whole number of units.
    pub fn is_whole(self) -> bool {
        self.nano % NANO == 0
    }
}

fn rounded_up(nano: i128, unit: i128) -> i64 {
    let up = nano.div_euclid(unit) + i128::from(nano.rem_euclid(unit) != 0);
    i64::try_from(up).unwrap_or(if up < 0 { i64::MIN } else { i64::MAX })
}

fn parse_suffix(suffix: &str) -> Result<(Format, i32, u32), Error> {
    if let Some((_, bits)) = BINARY.iter().find(|(s, _)| *s == suffix) {
        return Ok((Format::Binary, 0, *bits));
    }
    if let Some((_, power)) = DECIMAL.iter().find(|(s, _)| *s == suffix) {
        return Ok((Format::Decimal, *power, 0));
    }
    let form = suffix.bytes().all(|c| b"eEinumkKMGTP+-0123456789".contains(&c));
    match suffix.strip_prefix(['e', 'E']).map(str::parse::<i32>) {
        Some(Ok(power)) => Ok((Format::Exponent, power.clamp(-100, 100), 0)),
        _ if form => Err(Error::Suffix),
        _ => Err(Error::Form),
    }
}

/// `whole.fraction × 10^exponent × 2^shift` in 10⁻⁹, rounded up and capped. Digits beyond what an i128 can hold
/// cannot change the answer: the amount is capped long before.
fn amount(whole: &str, fraction: &str, exponent: i32, shift: u32) -> i128 {
    let mut mantissa: i128 = 0;
    let mut power = exponent + SCALE as i32;
    let mut inexact = false;
    let limit = i128::MAX >> 64;
    for (i, digit) in whole.bytes().chain(fraction.bytes()).enumerate() {
        let in_fraction = i >= whole.len();
        if mantissa > limit {
            inexact |= digit != b'0';
            power += i32::from(!in_fraction);
        } else {
            mantissa = mantissa * 10 + i128::from(digit - b'0');
            power -= i32::from(in_fraction);
        }
    }
    let mut value = mantissa.checked_shl(shift).filter(|v| v >> shift == mantissa).unwrap_or(i128::MAX);
    while power > 0 && value <= MAX && value != 0 {
        value *= 10;
        power -= 1;
    }
    while power < 0 && value != 0 {
        inexact |= value % 10 != 0;
        value /= 10;
        power += 1;
    }
    (value + i128::from(inexact)).min(MAX)
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Quantity) -> bool {
        self.nano == other.nano
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Quantity) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Quantity) -> std::cmp::Ordering {
        self.nano.cmp(&other.nano)
    }
}

impl std::hash::Hash for Quantity {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.nano.hash(state);
    }
}

impl std::ops::Add for Quantity {
    type Output = Quantity;

    fn add(self, other: Quantity) -> Quantity {
        Quantity { nano: (self.nano + other.nano).clamp(-MAX, MAX), format: self.format }
    }
}

impl std::ops::Sub for Quantity {
    type Output = Quantity;

    fn sub(self, other: Quantity) -> Quantity {
        Quantity { nano: (self.nano - other.nano).clamp(-MAX, MAX), format: self.format }
    }
}

impl std::iter::Sum for Quantity {
    fn sum<I: Iterator<Item = Quantity>>(items: I) -> Quantity {
        items.reduce(|a, b| a + b).unwrap_or_default()
    }
}

impl fmt::Display for Quantity {
    /// The canonical form: no fraction, and the largest suffix that allows that.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nano == 0 {
            return f.write_str("0");
        }
        // Binary suffixes hold whole multiples only; what is finer or below 1Ki goes to the decimal form.
        if self.format == Format::Binary && self.is_whole() && (self.nano / NANO).abs() >= 1024 {
            let units = self.nano / NANO;
            for (suffix, bits) in BINARY.iter().rev() {
                if units % (1i128 << bits) == 0 {
                    return write!(f, "{}{suffix}", units >> bits);
                }
            }
            return write!(f, "{units}");
        }
        let (mut mantissa, mut power) = (self.nano, -(SCALE as i32));
        while mantissa % 1000 == 0 && power < 18 {
            mantissa /= 1000;
            power += 3;
        }
        match self.format {
            Format::Exponent if power == 0 => write!(f, "{mantissa}"),
            Format::Exponent => write!(f, "{mantissa}e{power}"),
            _ => {
                let suffix = DECIMAL.iter().find(|(_, p)| *p == power).map_or("", |(s, _)| s);
                write!(f, "{mantissa}{suffix}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> String {
        Quantity::parse(text).map_or_else(|e| e.to_string(), |q| q.to_string())
    }

    #[test]
    fn canonical_forms() {
        for (text, want) in [
            ("0", "0"),
            ("100m", "100m"),
            ("0.5", "500m"),
            ("1.5", "1500m"),
            ("2", "2"),
            ("1000m", "1"),
            ("1000", "1k"),
            ("1500", "1500"),
            ("1.5Gi", "1536Mi"),
            ("1024Mi", "1Gi"),
            ("64Mi", "64Mi"),
            ("1023Ki", "1023Ki"),
            ("0.5Ki", "512"),
            ("1e3", "1e3"),
            ("5E", "5E"),
            ("12E", "9223372036854775807"),
            ("100e-1", "10"),
            ("0.1m", "100u"),
            ("1n", "1n"),
            ("0.1n", "1n"),
            ("-1.5Gi", "-1536Mi"),
            ("+5", "5"),
            (".5", "500m"),
            ("5.", "5"),
            ("16Ei", "9223372036854775807"),
            ("123456789012345678901234567890", "9223372036854775807"),
        ] {
            assert_eq!(canonical(text), want, "{text}");
        }
    }

    #[test]
    fn what_is_no_quantity() {
        for text in ["", "abc", "1.2.3", "1 Gi", "-", "1ki", "1e", "Gi", "1Gib", "100mm", "1é"] {
            assert!(Quantity::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn order_and_rounding() {
        let q = |t| Quantity::parse(t).expect("a quantity");
        assert!(q("1Gi") > q("1G") && q("1000m") == q("1") && q("-1") < q("0"));
        assert_eq!((q("100m").value(), q("1.1").value(), q("-0.1").value()), (1, 2, 0));
        assert_eq!((q("250m").milli_value(), q("1u").milli_value()), (250, 1));
        assert_eq!(q("50m").as_f64(), 0.05);
        assert_eq!(Quantity::from_milli(2_048_000).in_binary().to_string(), "2Ki");
        assert_eq!(Quantity::from_milli(2_048_500).in_binary().to_string(), "2048500m");
        assert_eq!([q("1"), q("500m")].into_iter().sum::<Quantity>().to_string(), "1500m");
    }
}
