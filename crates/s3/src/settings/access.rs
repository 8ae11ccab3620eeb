//! The settings that say who has an object and who may see it: encryption, ownership, and what is never public. Pure.

use super::kept;
use crate::refused::Refused;
use crate::xml;
use managed::BucketSettings;
use serde_json::Value;

/// What a bucket says that nobody has told otherwise.
pub(super) const ENCRYPTION: &str = "<Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm>\
     </ApplyServerSideEncryptionByDefault><BucketKeyEnabled>false</BucketKeyEnabled></Rule>";
pub(super) const OWNERSHIP: &str = "<Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule>";
pub(super) const BLOCK_ALL: &str = "<BlockPublicAcls>true</BlockPublicAcls><IgnorePublicAcls>true</IgnorePublicAcls>\
     <BlockPublicPolicy>true</BlockPublicPolicy><RestrictPublicBuckets>true</RestrictPublicBuckets>";

const BLOCKS: [&str; 4] =
    ["BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"];

pub(super) fn encryption(document: &str) -> Result<String, Refused> {
    let document = xml::read(document, "ServerSideEncryptionConfiguration")?;
    let rules: Vec<_> = xml::all(document.root_element(), "Rule").collect();
    let [rule] = rules[..] else { return Err(Refused::malformed()) };
    xml::only(rule, &["ApplyServerSideEncryptionByDefault", "BucketKeyEnabled"])?;
    let default = xml::child(rule, "ApplyServerSideEncryptionByDefault").ok_or_else(Refused::malformed)?;
    match xml::required(default, "SSEAlgorithm")? {
        "AES256" => {}
        other => return Err(Refused::unsupported(&format!("Encryption with {other}"))),
    }
    let key = xml::text(rule, "BucketKeyEnabled") == Some("true");
    Ok(ENCRYPTION.replace("<BucketKeyEnabled>false", &format!("<BucketKeyEnabled>{key}")))
}

pub(super) fn ownership(document: &str) -> Result<String, Refused> {
    let document = xml::read(document, "OwnershipControls")?;
    let rule = xml::child(document.root_element(), "Rule").ok_or_else(Refused::malformed)?;
    match xml::required(rule, "ObjectOwnership")? {
        "BucketOwnerEnforced" => Ok(OWNERSHIP.to_owned()),
        other => Err(Refused::unsupported(&format!("The object ownership {other}"))),
    }
}

pub(super) fn block(document: &str) -> Result<String, Refused> {
    let document = xml::read(document, "PublicAccessBlockConfiguration")?;
    let root = document.root_element();
    xml::only(root, &BLOCKS)?;
    let mut shown = String::new();
    for name in BLOCKS {
        let value = match xml::text(root, name).map(|text| text.trim().to_ascii_lowercase()).as_deref() {
            Some("true") => true,
            None | Some("false") => false,
            Some(_) => return Err(Refused::malformed()),
        };
        shown.push_str(&format!("<{name}>{value}</{name}>"));
    }
    Ok(shown)
}

/// Whether something public is refused: everything is, until somebody says otherwise.
pub(crate) fn blocks_public(settings: &BucketSettings, name: &str) -> bool {
    let shown = match settings.kept.get("publicAccessBlock") {
        Some(Value::Null) => return false,
        _ => kept(settings, "publicAccessBlock").unwrap_or(BLOCK_ALL),
    };
    shown.contains(&format!("<{name}>true"))
}
