//! Buckets themselves: `CreateBucket`, `HeadBucket`, `DeleteBucket`, `ListBuckets`, `GetBucketLocation`.

use super::address::check_bucket_name;
use super::ask::{Ask, set};
use super::refused::Refused;
use super::{Answer, checksum, tagging, xml};
use managed::BucketSettings;
use wire::reply;

pub(super) async fn create(ask: &Ask<'_>, document: &str) -> Answer {
    let own = ["x-amz-acl", "x-amz-object-ownership", "x-amz-bucket-object-lock-enabled"];
    ask.only(&[&checksum::HEADERS[..], &own].concat())?;
    check_bucket_name(&ask.name)?;
    ask.check_acl()?;
    match ask.header("x-amz-object-ownership") {
        None | Some("BucketOwnerEnforced") => {}
        Some(other) => return Err(Refused::unsupported(&format!("The object ownership {other}"))),
    }
    if ask
        .header("x-amz-bucket-object-lock-enabled")
        .is_some_and(|value| !value.eq_ignore_ascii_case("false"))
    {
        return Err(Refused::unsupported_header("x-amz-bucket-object-lock-enabled"));
    }
    let mut settings = BucketSettings::default();
    if !document.trim().is_empty() {
        configure(ask, document, &mut settings)?;
    }
    ask.buckets()
        .create(&ask.name, settings)
        .await
        .map_err(|error| Refused::from(error).with("BucketName", &ask.name))?;
    let mut reply = reply::raw(200, "application/xml", "");
    set(&mut reply, "location", &format!("/{}", ask.name));
    Ok(reply)
}

fn configure(ask: &Ask<'_>, document: &str, settings: &mut BucketSettings) -> Result<(), Refused> {
    let document = xml::read(document, "CreateBucketConfiguration")?;
    let root = document.root_element();
    xml::only(root, &["LocationConstraint", "Tags"])?;
    let region = &ask.s3.config.region;
    match xml::text(root, "LocationConstraint") {
        None | Some("") => {}
        // The first region has no name here, as on AWS.
        Some(location) if location == region && location != "us-east-1" => {}
        Some("us-east-1") if region == "us-east-1" => {
            let message = "The specified location-constraint is not valid";
            return Err(Refused::new(400, "InvalidLocationConstraint", message)
                .with("LocationConstraint", "us-east-1"));
        }
        Some(other) => {
            return Err(Refused::new(
                400,
                "IllegalLocationConstraintException",
                format!(
                    "The {other} location constraint is incompatible for the region specific endpoint this request was \
                     sent to."
                ),
            ));
        }
    }
    if let Some(tags) = xml::child(root, "Tags") {
        settings.tags = tagging::of_new_bucket(tags)?;
    }
    Ok(())
}

pub(super) fn head(ask: &Ask<'_>) -> Answer {
    ask.only(&[])?;
    ask.bucket()?;
    let mut reply = reply::raw(200, "application/xml", "");
    set(&mut reply, "x-amz-bucket-region", &ask.s3.config.region);
    set(&mut reply, "x-amz-access-point-alias", "false");
    Ok(reply)
}

pub(super) async fn delete(ask: &Ask<'_>) -> Answer {
    ask.only(&[])?;
    let done = ask.buckets().delete(&ask.name).await;
    done.map_err(|error| Refused::from(error).with("BucketName", &ask.name))?;
    Ok(reply::nothing())
}

pub(super) fn list(ask: &Ask<'_>) -> Answer {
    ask.only(&[])?;
    let prefix = ask.parameter("prefix").unwrap_or_default();
    let after = ask.parameter("continuation-token").unwrap_or_default();
    let max = ask.number("max-buckets", 1, 10_000)?.unwrap_or(10_000);
    let region = &ask.s3.config.region;
    let here = ask.parameter("bucket-region").is_none_or(|asked| asked == region);
    let mut all = ask.buckets().all();
    all.retain(|bucket| here && bucket.name().starts_with(prefix) && bucket.name() > after);
    let more = all.len() > max as usize;
    all.truncate(max as usize);
    let mut writer = xml::Writer::new("ListAllMyBucketsResult");
    writer.inside("Owner", |writer| {
        writer.put("ID", ask.owner());
    });
    writer.inside("Buckets", |writer| {
        for bucket in &all {
            writer.inside("Bucket", |writer| {
                writer.put("Name", bucket.name()).put("CreationDate", xml::time(bucket.created_ms()));
                writer
                    .put("BucketRegion", region)
                    .put("BucketArn", format!("arn:aws:s3:::{}", bucket.name()));
            });
        }
    });
    writer.put_some("Prefix", ask.parameter("prefix"));
    writer.put_some("ContinuationToken", all.last().filter(|_| more).map(|bucket| bucket.name()));
    Ok(writer.end("ListAllMyBucketsResult"))
}

pub(super) fn location(ask: &Ask<'_>) -> Answer {
    ask.only(&[])?;
    ask.bucket()?;
    let mut writer = xml::Writer::new("LocationConstraint");
    // The first region has no name here, as on AWS.
    if ask.s3.config.region != "us-east-1" {
        writer.raw(&ask.s3.config.region);
    }
    Ok(writer.end("LocationConstraint"))
}
