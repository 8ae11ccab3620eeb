//! What a bucket is told about itself: one word in the query each, read, written and taken away. Of each, what dory does not
//! act upon is refused when it is written.

mod access;
mod lifecycle;
mod policy;
mod versioning;

use super::ask::Ask;
use super::refused::Refused;
use super::{Answer, checksum, cors, notification, tagging, xml};
use managed::{BucketError, BucketSettings};
use serde_json::{Value, json};
use wire::{Reply, reply};

pub(super) use access::blocks_public;

/// What `settings.kept` holds for each, and what is answered where there is none.
const MISSING: [(&str, &str, &str); 6] = [
    ("cors", "NoSuchCORSConfiguration", "The CORS configuration does not exist"),
    ("lifecycle", "NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist"),
    ("ownershipControls", "OwnershipControlsNotFoundError", "The bucket ownership controls were not found"),
    ("policy", "NoSuchBucketPolicy", "The bucket policy does not exist"),
    (
        "publicAccessBlock",
        "NoSuchPublicAccessBlockConfiguration",
        "The public access block configuration was not found",
    ),
    ("tagging", "NoSuchTagSet", "The TagSet does not exist"),
];

/// What dory does not have, as a bucket without it answers: with nothing, or with an error.
const NEVER: [(&str, &str, &str, &str); 6] = [
    ("GetBucketAccelerateConfiguration", "AccelerateConfiguration", "", ""),
    ("GetBucketLogging", "BucketLoggingStatus", "", ""),
    (
        "GetBucketWebsite",
        "",
        "NoSuchWebsiteConfiguration",
        "The specified bucket does not have a website configuration",
    ),
    (
        "GetBucketReplication",
        "",
        "ReplicationConfigurationNotFoundError",
        "The replication configuration was not found",
    ),
    (
        "GetObjectLockConfiguration",
        "",
        "ObjectLockConfigurationNotFoundError",
        "Object Lock configuration does not exist for this bucket",
    ),
    ("GetBucketRequestPayment", "RequestPaymentConfiguration", "", ""),
];

/// The inside of a document that is kept, as it is shown again.
pub(super) fn kept<'s>(settings: &'s BucketSettings, name: &str) -> Option<&'s str> {
    settings.kept.get(name).and_then(Value::as_str)
}

fn missing(ask: &Ask<'_>, name: &str) -> Refused {
    let found = MISSING.iter().find(|(known, ..)| *known == name);
    let (code, message) = found.map_or(("NoSuchConfiguration", ""), |(_, code, message)| (code, message));
    Refused::new(404, code, message).with("BucketName", &ask.name)
}

fn document(root: &str, inside: &str) -> Reply {
    let mut writer = xml::Writer::new(root);
    writer.raw(inside);
    writer.end(root)
}

pub(super) fn get(ask: &Ask<'_>) -> Answer {
    ask.only(&[])?;
    let bucket = ask.bucket()?;
    let settings = bucket.settings();
    let shown = |name: &str, root: &str, default: Option<&str>| {
        // Taken away is another thing than never said.
        let inside = match settings.kept.get(name) {
            Some(Value::Null) => None,
            Some(value) => value.as_str(),
            None => default,
        };
        inside.map(|inside| document(root, inside)).ok_or_else(|| missing(ask, name))
    };
    if let Some((_, root, code, message)) = NEVER.iter().find(|(operation, ..)| *operation == ask.operation) {
        return match root.is_empty() {
            true => Err(Refused::new(404, code, *message).with("BucketName", &ask.name)),
            false if ask.operation == "GetBucketRequestPayment" => {
                Ok(document(root, "<Payer>BucketOwner</Payer>"))
            }
            false => Ok(document(root, "")),
        };
    }
    match ask.operation {
        "GetBucketCors" => shown("cors", "CORSConfiguration", None),
        "GetBucketEncryption" => {
            shown("encryption", "ServerSideEncryptionConfiguration", Some(access::ENCRYPTION))
        }
        "GetBucketLifecycleConfiguration" => shown("lifecycle", "LifecycleConfiguration", None),
        "GetBucketNotificationConfiguration" => shown("notification", "NotificationConfiguration", Some("")),
        "GetBucketOwnershipControls" => {
            shown("ownershipControls", "OwnershipControls", Some(access::OWNERSHIP))
        }
        "GetPublicAccessBlock" => {
            shown("publicAccessBlock", "PublicAccessBlockConfiguration", Some(access::BLOCK_ALL))
        }
        "GetBucketPolicy" => {
            let policy = kept(&settings, "policy").ok_or_else(|| missing(ask, "policy"))?;
            Ok(reply::raw(200, "application/json", policy.to_owned()))
        }
        "GetBucketPolicyStatus" => {
            let policy = kept(&settings, "policy").ok_or_else(|| missing(ask, "policy"))?;
            let public = policy::is_public(policy);
            Ok(document("PolicyStatus", &format!("<IsPublic>{public}</IsPublic>")))
        }
        "GetBucketTagging" if settings.tags.is_empty() => Err(missing(ask, "tagging")),
        "GetBucketTagging" => Ok(tagging::show(&settings.tags)),
        "GetBucketVersioning" => {
            Ok(document("VersioningConfiguration", versioning::show(settings.versioning)))
        }
        other => Err(Refused::unsupported(other)),
    }
}

/// Why settings were not written.
enum Failed {
    Bucket(BucketError),
    Refused(Refused),
}

impl From<BucketError> for Failed {
    fn from(error: BucketError) -> Failed {
        Failed::Bucket(error)
    }
}

/// Changes the settings of the bucket that the request is about.
pub(super) async fn change(
    ask: &Ask<'_>,
    change: impl FnOnce(&mut BucketSettings) -> Result<(), Refused>,
) -> Result<(), Refused> {
    let change = |settings: &mut BucketSettings| change(settings).map_err(Failed::Refused);
    match ask.buckets().change(&ask.name, change).await {
        Ok(()) => Ok(()),
        Err(Failed::Refused(refused)) => Err(refused),
        Err(Failed::Bucket(error)) => Err(Refused::from(error).with("BucketName", &ask.name)),
    }
}

async fn keep(ask: &Ask<'_>, name: &str, value: Value) -> Result<(), Refused> {
    change(ask, |settings| {
        settings.kept.insert(name.to_owned(), value);
        Ok(())
    })
    .await
}

pub(super) async fn put(ask: &Ask<'_>, document: &str) -> Answer {
    let own = ["x-amz-skip-destination-validation", "x-amz-confirm-remove-self-bucket-access"];
    ask.only(&[&checksum::HEADERS[..], &own].concat())?;
    ask.bucket()?;
    let status =
        if ask.operation == "PutBucketPolicy" || ask.operation == "PutBucketTagging" { 204 } else { 200 };
    match ask.operation {
        "PutBucketVersioning" => {
            let wanted = versioning::read(document)?;
            change(ask, |settings| {
                settings.versioning = wanted;
                Ok(())
            })
            .await?;
        }
        "PutBucketTagging" => {
            let tags = tagging::of_bucket(document)?;
            change(ask, |settings| {
                settings.tags = tags;
                Ok(())
            })
            .await?;
        }
        "PutBucketPolicy" => policy::put(ask, document).await?,
        "PutBucketCors" => keep(ask, "cors", json!(cors::check(document)?)).await?,
        "PutBucketEncryption" => keep(ask, "encryption", json!(access::encryption(document)?)).await?,
        "PutPublicAccessBlock" => keep(ask, "publicAccessBlock", json!(access::block(document)?)).await?,
        "PutBucketOwnershipControls" => {
            keep(ask, "ownershipControls", json!(access::ownership(document)?)).await?
        }
        "PutBucketLifecycleConfiguration" => {
            let (rules, shown) = lifecycle::read(document)?;
            change(ask, |settings| {
                settings.rules = rules;
                settings.kept.insert("lifecycle".to_owned(), json!(shown));
                Ok(())
            })
            .await?;
        }
        "PutBucketNotificationConfiguration" => notification::put(ask, document).await?,
        other => return Err(Refused::unsupported(other)),
    }
    Ok(reply::raw(status, "application/xml", ""))
}

pub(super) async fn delete(ask: &Ask<'_>) -> Answer {
    ask.only(&[])?;
    let operation = ask.operation;
    change(ask, |settings| {
        match operation {
            "DeleteBucketTagging" => settings.tags.clear(),
            "DeleteBucketCors" => drop(settings.kept.remove("cors")),
            "DeleteBucketPolicy" => drop(settings.kept.remove("policy")),
            // Back to what it is from the start.
            "DeleteBucketEncryption" => drop(settings.kept.remove("encryption")),
            "DeleteBucketOwnershipControls" => {
                drop(settings.kept.insert("ownershipControls".to_owned(), Value::Null))
            }
            "DeletePublicAccessBlock" => {
                drop(settings.kept.insert("publicAccessBlock".to_owned(), Value::Null))
            }
            "DeleteBucketLifecycleConfiguration" => {
                settings.rules.clear();
                settings.kept.remove("lifecycle");
            }
            other => return Err(Refused::unsupported(other)),
        }
        Ok(())
    })
    .await?;
    Ok(reply::nothing())
}
