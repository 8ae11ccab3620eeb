//! What a reader of a log asks for: the query of `kubectl logs`. Pure.

use jiff::{SignedDuration, Timestamp};

/// `PodLogOptions`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) follow: bool,
    pub(crate) previous: bool,
    pub(crate) timestamps: bool,
    pub(crate) tail_lines: Option<u64>,
    pub(crate) limit_bytes: Option<u64>,
    /// Lines before this are left out, as the log spells times.
    pub(crate) since: Option<String>,
    /// `Stdout` or `Stderr` alone.
    pub(crate) stderr_only: Option<bool>,
}

impl Options {
    /// Reads the query; the error is for the caller to answer 400 with.
    pub(crate) fn parse(query: &[(String, String)], now: Timestamp) -> Result<Options, String> {
        let mut options = Options::default();
        for (name, value) in query.iter().filter(|(_, value)| !value.is_empty()) {
            let number = || value.parse::<u64>().map_err(|_| format!("invalid value for {name}: {value:?}"));
            let flag = || match value.as_str() {
                "true" | "1" | "True" | "TRUE" => Ok(true),
                "false" | "0" | "False" | "FALSE" => Ok(false),
                _ => Err(format!("invalid value for {name}: {value:?}")),
            };
            match name.as_str() {
                "follow" => options.follow = flag()?,
                "previous" => options.previous = flag()?,
                "timestamps" => options.timestamps = flag()?,
                "tailLines" => options.tail_lines = Some(number()?),
                "limitBytes" => options.limit_bytes = Some(number()?.max(1)),
                "sinceSeconds" => {
                    let seconds = i64::try_from(number()?).unwrap_or(i64::MAX);
                    let since = now.checked_sub(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MIN);
                    options.since = Some(spelled(since));
                }
                "sinceTime" => {
                    let time = value.parse().map_err(|_| format!("invalid value for {name}: {value:?}"))?;
                    options.since = Some(spelled(time));
                }
                "stream" => {
                    options.stderr_only = match value.as_str() {
                        "Stdout" => Some(false),
                        "Stderr" => Some(true),
                        _ => None,
                    };
                }
                _ => {}
            }
        }
        Ok(options)
    }
}

/// With nine digits, so that times compare as texts.
fn spelled(time: Timestamp) -> String {
    format!("{time:.9}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Options, String> {
        let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
        let query: Vec<_> = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Options::parse(&query, Timestamp::from_second(100).expect("in range"))
    }

    #[test]
    fn reads_the_query() {
        let options =
            parse("follow=true&tailLines=5&sinceSeconds=10&timestamps=1&container=x").expect("valid");
        assert!(options.follow && options.timestamps && !options.previous);
        assert_eq!(options.tail_lines, Some(5));
        assert_eq!(options.since.as_deref(), Some("1970-01-01T00:01:30.000000000Z"));
        assert!(
            parse("tailLines=-1").is_err() && parse("follow=maybe").is_err() && parse("sinceTime=x").is_err()
        );
    }
}
