//! The value of `dory up --function-growth`: how many new instances a function may have in ten seconds. Pure.

use std::fmt::{Display, Formatter, Result as FmtResult};
use std::str::FromStr;

/// What Lambda allows.
const LAMBDA: u32 = 1000;

/// New instances of one function in ten seconds; `None` is as many as the machine can start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Growth(pub Option<u32>);

impl FromStr for Growth {
    type Err = String;

    fn from_str(text: &str) -> Result<Growth, String> {
        match text {
            "machine" => Ok(Growth(None)),
            "lambda" => Ok(Growth(Some(LAMBDA))),
            count => match count.parse() {
                Ok(count) if (1..=1_000_000).contains(&count) => Ok(Growth(Some(count))),
                _ => Err("give machine, lambda, or how many new instances in ten seconds (1 to 1000000)"
                    .to_owned()),
            },
        }
    }
}

impl Display for Growth {
    fn fmt(&self, out: &mut Formatter<'_>) -> FmtResult {
        match self.0 {
            None => out.write_str("machine"),
            Some(LAMBDA) => out.write_str("lambda"),
            Some(count) => write!(out, "{count}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_and_shown() {
        for (text, growth) in [("machine", None), ("lambda", Some(1000)), ("50", Some(50))] {
            let read: Growth = text.parse().expect("a rule");
            assert_eq!((read.0, read.to_string().as_str()), (growth, text));
        }
        for text in ["", "0", "-1", "1.5", "aws", "1000001"] {
            assert!(text.parse::<Growth>().is_err(), "{text}");
        }
    }
}
