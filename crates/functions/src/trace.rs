//! The X-Ray header of an invocation: handed on as it came, made where none came, and with a count of how often it has
//! been through this function, by which a function that calls itself round and round is stopped. Pure but for the ids.

use jiff::Timestamp;
use sigv4::hex_sha256;
use std::fmt::Write;

/// How often the same chain of calls may go through one function, as on AWS.
const ROUNDS_MAX: u32 = 16;

/// Functions that a chain remembers; a longer one forgets where it began, and the header stays short.
const LINEAGE_MAX: usize = 32;

/// A header that is made here.
const HEADER_BYTES: usize = 100;

/// The chain of calls goes round and round through this function.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Loop;

/// What a chain of calls remembers a function by.
pub(crate) fn lineage(arn: &str) -> Box<str> {
    hex_sha256(arn.as_bytes())[..8].into()
}

/// The header for the function that chains remember as `own`. `sampled` is the mark of a header that is made here: whether the function is
/// traced (`TracingConfig` `Active`). With `cut` a loop is refused, else only counted.
pub(crate) fn pass_on(incoming: Option<&str>, own: &str, sampled: bool, cut: bool) -> Result<String, Loop> {
    let Some(incoming) = incoming.filter(|header| header.contains("Root=")) else {
        let random = || uuid::Uuid::new_v4().as_u128();
        let (root, parent) = (random() >> 32, random() >> 64);
        let (seconds, sampled) = (Timestamp::now().as_second(), u8::from(sampled));
        let mut header = String::with_capacity(HEADER_BYTES);
        // Writing to a String cannot fail.
        let _ = write!(
            header,
            "Root=1-{seconds:08x}-{root:024x};Parent={parent:016x};Sampled={sampled};Lineage={own}:1"
        );
        return Ok(header);
    };
    let (mut fields, mut lineage) = (Vec::new(), Vec::new());
    for field in incoming.split(';').map(str::trim).filter(|field| !field.is_empty()) {
        match field.strip_prefix("Lineage=") {
            Some(chain) => lineage.extend(chain.split('|').filter_map(|entry| entry.split_once(':'))),
            None => fields.push(field),
        }
    }
    let known = lineage.iter().find(|(name, _)| *name == own);
    let rounds = known.and_then(|(_, count)| count.parse::<u32>().ok()).unwrap_or(0);
    if cut && rounds >= ROUNDS_MAX {
        return Err(Loop);
    }
    let mut chain: Vec<String> = lineage
        .iter()
        .filter(|(name, _)| *name != own)
        .map(|(name, count)| format!("{name}:{count}"))
        .collect();
    chain.push(format!("{own}:{}", rounds.saturating_add(1)));
    let kept = chain.len().saturating_sub(LINEAGE_MAX);
    Ok(format!("{};Lineage={}", fields.join(";"), chain[kept..].join("|")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: &str = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0";

    #[test]
    fn a_header_is_handed_on_with_its_lineage() {
        let once = pass_on(Some(GIVEN), "a", true, true).expect("no loop");
        assert!(once.starts_with(GIVEN) && once.ends_with(":1"), "{once}");
        let other = pass_on(Some(&once), "b", true, true).expect("no loop");
        assert!(other.starts_with(&once) && other.contains(":1|"), "{other}");
        let again = pass_on(Some(&other), "a", true, true).expect("no loop yet");
        assert!(again.ends_with(":2"), "{again}");
    }

    #[test]
    fn where_none_came_one_is_made() {
        let made = pass_on(None, "a", true, true).expect("no loop");
        assert!(made.starts_with("Root=1-") && made.contains(";Sampled=1;"), "{made}");
        assert!(pass_on(None, "a", false, true).expect("no loop").contains(";Sampled=0;"));
    }

    #[test]
    fn loops_are_cut_where_they_are_not_allowed() {
        let mut header = GIVEN.to_owned();
        for _ in 0..ROUNDS_MAX {
            header = pass_on(Some(&header), "a", false, true).expect("not yet");
        }
        assert_eq!(pass_on(Some(&header), "a", false, true), Err(Loop));
        assert!(pass_on(Some(&header), "a", false, false).is_ok());
        assert!(pass_on(Some(&header), "b", false, true).is_ok());
    }

    #[test]
    fn the_header_stays_short() {
        let mut header = GIVEN.to_owned();
        for function in 0..1000 {
            header = pass_on(Some(&header), &function.to_string(), false, true).expect("no loop");
        }
        assert!(header.len() < 600, "{}", header.len());
    }
}
