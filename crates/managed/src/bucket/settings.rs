//! How a bucket behaves: what S3 calls its configurations. What this room acts upon is spelled out; the rest is kept as it
//! came, for those who do.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Whether older versions of objects are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Versioning {
    /// Never were.
    #[default]
    Off,
    /// They are.
    Enabled,
    /// They were once; those are still there.
    Suspended,
}

/// The settings of one bucket.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BucketSettings {
    /// Whether older versions of objects are kept.
    pub versioning: Versioning,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// Who is told of what.
    pub notifications: Vec<Notification>,
    /// What goes when.
    pub rules: Vec<Rule>,
    /// What others act upon, by name, as they wrote it.
    pub kept: BTreeMap<String, Value>,
}

/// Who is told of what happens in a bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    /// Told too.
    pub id: String,
    /// The ARN of the queue or function.
    pub target: String,
    /// Such as `s3:ObjectCreated:*`.
    pub events: Vec<String>,
    /// Of keys; empty is all.
    pub prefix: String,
    /// Of keys; empty is all.
    pub suffix: String,
}

impl Notification {
    /// Whether it is about an event, such as `ObjectCreated:Put`, of a key.
    pub fn is_about(&self, event: &str, key: &str) -> bool {
        let named = self.events.iter().filter_map(|named| named.strip_prefix("s3:"));
        let told = |named: &str| match named.strip_suffix('*') {
            Some(begin) => event.starts_with(begin),
            None => event == named,
        };
        key.starts_with(&self.prefix) && key.ends_with(&self.suffix) && { named }.any(told)
    }
}

/// What goes when.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rule {
    /// What it is called.
    pub id: String,
    /// Whether it is followed.
    pub enabled: bool,
    /// Which objects it is about.
    pub filter: Filter,
    /// Objects so many days old are deleted.
    pub days: Option<u32>,
    /// From this time on, in milliseconds since 1970, objects are deleted.
    pub date_ms: Option<u64>,
    /// Marks of deletion that nothing is behind any more go.
    pub lone_markers: bool,
    /// Versions that were replaced so many days ago go.
    pub noncurrent_days: Option<u32>,
    /// But so many of them stay.
    pub noncurrent_kept: u32,
    /// Uploads that began so many days ago are given up.
    pub upload_days: Option<u32>,
}

/// Which objects a rule is about: those for which all of it holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Filter {
    /// Of keys.
    pub prefix: String,
    /// Tags that an object has.
    pub tags: BTreeMap<String, String>,
    /// Larger than so many bytes.
    pub larger: Option<u64>,
    /// Smaller than so many bytes.
    pub smaller: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notifications_are_about_events_and_keys() {
        let one = Notification {
            events: vec!["s3:ObjectCreated:*".into(), "s3:ObjectRemoved:Delete".into()],
            prefix: "in/".into(),
            suffix: ".jpg".into(),
            ..Notification::default()
        };
        assert!(
            one.is_about("ObjectCreated:Put", "in/a.jpg") && one.is_about("ObjectRemoved:Delete", "in/.jpg")
        );
        assert!(!one.is_about("ObjectRemoved:DeleteMarkerCreated", "in/a.jpg"));
        assert!(
            !one.is_about("ObjectCreated:Put", "a.jpg") && !one.is_about("ObjectCreated:Put", "in/a.png")
        );
    }
}
