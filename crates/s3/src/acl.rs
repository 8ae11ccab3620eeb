//! Access control lists, as buckets have had them since 2023: none. Everything belongs to the account; what says so is
//! accepted, everything else refused.

use super::ask::Ask;
use super::refused::Refused;
use super::{Answer, checksum, get, xml};
use wire::reply;

const TYPE: &str = "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"CanonicalUser\"";

pub(super) async fn get(ask: &Ask<'_>) -> Answer {
    ask.only(&[])?;
    let bucket = ask.bucket()?;
    if !ask.key.is_empty() {
        get::find(ask, &bucket, &ask.key, ask.version()?).await?;
    }
    let mut writer = xml::Writer::new("AccessControlPolicy");
    writer.inside("Owner", |writer| {
        writer.put("ID", ask.owner());
    });
    writer.inside("AccessControlList", |writer| {
        writer.inside("Grant", |writer| {
            writer.inside_with("Grantee", TYPE, |writer| {
                writer.put("ID", ask.owner());
            });
            writer.put("Permission", "FULL_CONTROL");
        });
    });
    Ok(writer.end("AccessControlPolicy"))
}

pub(super) async fn put(ask: &Ask<'_>, document: &str) -> Answer {
    ask.only(&[&checksum::HEADERS[..], &["x-amz-acl"]].concat())?;
    let bucket = ask.bucket()?;
    if !ask.key.is_empty() {
        get::find(ask, &bucket, &ask.key, ask.version()?).await?;
    }
    ask.check_acl()?;
    if ask.header("x-amz-acl").is_none() {
        let document = xml::read(document, "AccessControlPolicy")?;
        let list = xml::child(document.root_element(), "AccessControlList").ok_or_else(Refused::malformed)?;
        let own = |grant| {
            let id = xml::child(grant, "Grantee").and_then(|grantee| xml::text(grantee, "ID"));
            id == Some(ask.owner().as_str()) && xml::text(grant, "Permission") == Some("FULL_CONTROL")
        };
        if !xml::all(list, "Grant").all(own) {
            return Err(Refused::new(400, "AccessControlListNotSupported", "The bucket does not allow ACLs"));
        }
    }
    Ok(reply::raw(200, "application/xml", ""))
}
