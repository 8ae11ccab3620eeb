//! `PutBucketLifecycleConfiguration`: rules that are carried out, and others refused. Pure.

use crate::condition;
use crate::refused::Refused;
use crate::xml;
use managed::{Filter, MIDNIGHT_MS, Rule};
use roxmltree::Node;
use std::collections::BTreeMap;
use wire::query::escape;

/// Rules of a bucket, as on AWS.
const RULES_MAX: usize = 1000;

/// The rules, and the document as it is shown again: with an id in each.
pub(super) fn read(document: &str) -> Result<(Vec<Rule>, String), Refused> {
    let document = xml::read(document, "LifecycleConfiguration")?;
    let root = document.root_element();
    xml::only(root, &["Rule"])?;
    let (mut rules, mut shown): (Vec<Rule>, String) = Default::default();
    for node in xml::all(root, "Rule") {
        let rule = rule(node)?;
        if rules.iter().any(|other| other.id == rule.id) {
            return Err(Refused::argument(
                "ID",
                &rule.id,
                "Rule ID must be unique. Found same ID for more than one rule",
            ));
        }
        shown.push_str(&format!("<Rule><ID>{}</ID>{}</Rule>", escape(&rule.id), inside(node, "ID")));
        rules.push(rule);
    }
    if rules.is_empty() || rules.len() > RULES_MAX {
        return Err(Refused::malformed());
    }
    Ok((rules, shown))
}

/// The elements in an element, but those of a name, as text.
fn inside(node: Node<'_, '_>, without: &str) -> String {
    let mut text = String::new();
    for child in node.children() {
        if child.is_element() && child.tag_name().name() != without {
            let name = child.tag_name().name();
            text.push_str(&format!("<{name}>{}</{name}>", inside(child, "")));
        } else if child.is_text() && !node.children().any(|other| other.is_element()) {
            text.push_str(&escape(child.text().unwrap_or_default()));
        }
    }
    text
}

fn rule(node: Node<'_, '_>) -> Result<Rule, Refused> {
    let known = [
        "ID",
        "Status",
        "Filter",
        "Prefix",
        "Expiration",
        "NoncurrentVersionExpiration",
        "AbortIncompleteMultipartUpload",
    ];
    xml::only(node, &known)?;
    let id = xml::text(node, "ID").filter(|id| !id.is_empty()).map(str::to_owned);
    let mut rule = Rule {
        id: id.unwrap_or_else(|| uuid::Uuid::new_v4().simple().to_string()),
        enabled: match xml::required(node, "Status")? {
            "Enabled" => true,
            "Disabled" => false,
            _ => return Err(Refused::malformed()),
        },
        filter: filter(node)?,
        ..Rule::default()
    };
    if let Some(expiration) = xml::child(node, "Expiration") {
        xml::only(expiration, &["Days", "Date", "ExpiredObjectDeleteMarker"])?;
        rule.days = days(expiration, "Days")?;
        rule.date_ms = xml::text(expiration, "Date").map(date).transpose()?;
        rule.lone_markers = xml::text(expiration, "ExpiredObjectDeleteMarker") == Some("true");
        if rule.days.is_some() && rule.date_ms.is_some() {
            return Err(Refused::malformed());
        }
    }
    if let Some(expiration) = xml::child(node, "NoncurrentVersionExpiration") {
        xml::only(expiration, &["NoncurrentDays", "NewerNoncurrentVersions"])?;
        rule.noncurrent_days = days(expiration, "NoncurrentDays")?;
        rule.noncurrent_kept = xml::number(expiration, "NewerNoncurrentVersions")?.unwrap_or(0);
    }
    if let Some(abort) = xml::child(node, "AbortIncompleteMultipartUpload") {
        rule.upload_days = days(abort, "DaysAfterInitiation")?;
        if !rule.filter.tags.is_empty() || rule.filter.larger.is_some() || rule.filter.smaller.is_some() {
            let message = "AbortIncompleteMultipartUpload cannot be specified with Tags or sizes.";
            return Err(Refused::request(message));
        }
    }
    let acts = rule.days.is_some()
        || rule.date_ms.is_some()
        || rule.lone_markers
        || rule.noncurrent_days.is_some()
        || rule.upload_days.is_some();
    match acts {
        true => Ok(rule),
        false => Err(Refused::request("At least one action needs to be specified in a rule.")),
    }
}

fn days(node: Node<'_, '_>, name: &str) -> Result<Option<u32>, Refused> {
    match xml::number(node, name)? {
        Some(0) => {
            Err(Refused::argument(name, "0", format!("'{name}' for an action must be a positive integer")))
        }
        other => Ok(other),
    }
}

fn date(text: &str) -> Result<u64, Refused> {
    let seconds = condition::time(text).and_then(|seconds| u64::try_from(seconds).ok());
    let ms = seconds.ok_or_else(Refused::malformed)?.saturating_mul(1000);
    match ms % MIDNIGHT_MS {
        0 => Ok(ms),
        _ => Err(Refused::argument("Date", text, "'Date' must be at midnight GMT")),
    }
}

fn filter(node: Node<'_, '_>) -> Result<Filter, Refused> {
    if let Some(prefix) = xml::text(node, "Prefix") {
        return Ok(Filter { prefix: prefix.to_owned(), ..Filter::default() });
    }
    let Some(filter) = xml::child(node, "Filter") else { return Err(Refused::malformed()) };
    let parts = xml::child(filter, "And").unwrap_or(filter);
    xml::only(parts, &["Prefix", "Tag", "ObjectSizeGreaterThan", "ObjectSizeLessThan"])?;
    let mut tags = BTreeMap::new();
    for tag in xml::all(parts, "Tag") {
        tags.insert(xml::required(tag, "Key")?.to_owned(), xml::required(tag, "Value")?.to_owned());
    }
    Ok(Filter {
        prefix: xml::text(parts, "Prefix").unwrap_or_default().to_owned(),
        tags,
        larger: xml::number(parts, "ObjectSizeGreaterThan")?,
        smaller: xml::number(parts, "ObjectSizeLessThan")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rule: &str) -> Result<(Vec<Rule>, String), Refused> {
        read(&format!("<LifecycleConfiguration><Rule>{rule}</Rule></LifecycleConfiguration>"))
    }

    #[test]
    fn rules_are_read_and_shown_again() {
        let body = "<Status>Enabled</Status><Filter><And><Prefix>a&amp;b</Prefix><Tag><Key>k</Key><Value>v</Value></Tag></And>\
                    </Filter><Expiration><Days>3</Days></Expiration>";
        let (rules, shown) = of(&format!("<ID>one</ID>{body}")).expect("rules");
        assert_eq!(shown, format!("<Rule><ID>one</ID>{body}</Rule>"));
        assert_eq!(
            (rules[0].days, rules[0].filter.prefix.as_str(), rules[0].filter.tags.len()),
            (Some(3), "a&b", 1)
        );
        assert!(!of(body).expect("rules").0[0].id.is_empty());
    }

    #[test]
    fn what_is_not_carried_out_is_refused() {
        let with = |more: &str| {
            of(&format!("<Status>Enabled</Status><Filter/>{more}")).map_err(|refused| refused.code)
        };
        assert_eq!(with("<Transition><Days>1</Days></Transition>"), Err("NotImplemented"));
        assert_eq!(with(""), Err("InvalidRequest"));
        assert_eq!(with("<Expiration><Days>0</Days></Expiration>"), Err("InvalidArgument"));
        assert_eq!(
            with("<Expiration><Date>2026-01-01T01:00:00Z</Date></Expiration>"),
            Err("InvalidArgument")
        );
        assert!(with("<Expiration><Date>2026-01-01T00:00:00Z</Date></Expiration>").is_ok());
    }
}
