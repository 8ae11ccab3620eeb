//! `PutBucketVersioning` and how it is shown. Pure.

use crate::refused::Refused;
use crate::xml;
use managed::Versioning;

pub(super) fn read(document: &str) -> Result<Versioning, Refused> {
    let document = xml::read(document, "VersioningConfiguration")?;
    let root = document.root_element();
    xml::only(root, &["Status", "MfaDelete"])?;
    if xml::text(root, "MfaDelete").is_some_and(|text| text != "Disabled") {
        return Err(Refused::unsupported("MFA delete"));
    }
    match xml::text(root, "Status") {
        Some("Enabled") => Ok(Versioning::Enabled),
        Some("Suspended") => Ok(Versioning::Suspended),
        _ => Err(Refused::new(
            400,
            "IllegalVersioningConfigurationException",
            "The Versioning element must be specified",
        )),
    }
}

pub(super) fn show(versioning: Versioning) -> &'static str {
    match versioning {
        Versioning::Off => "",
        Versioning::Enabled => "<Status>Enabled</Status>",
        Versioning::Suspended => "<Status>Suspended</Status>",
    }
}
