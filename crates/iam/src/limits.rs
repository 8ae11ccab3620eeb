//! IAM's bounds: those of the service model, and the account's default quotas.

use wire::Fault;
use wire::query::{Form, invalid};

pub(super) const ROLES_MAX: usize = 1000;
pub(super) const POLICIES_MAX: usize = 1500;
/// Managed policies attached to one role.
pub(super) const ATTACHED_MAX: usize = 10;
pub(super) const TAGS_MAX: usize = 50;
pub(super) const VERSIONS_MAX: usize = 5;
/// All inline policies of a role together; white space does not count.
pub(super) const INLINE_CHARACTERS_MAX: usize = 10_240;
/// A managed policy; white space does not count.
pub(super) const MANAGED_CHARACTERS_MAX: usize = 6144;
/// A trust policy; white space does not count.
pub(super) const TRUST_CHARACTERS_MAX: usize = 2048;
/// What the model lets a document be at all.
pub(super) const DOCUMENT_BYTES_MAX: usize = 131_072;
const DESCRIPTION_CHARACTERS_MAX: usize = 1000;
const PATH_CHARACTERS_MAX: usize = 512;

/// What of a document counts against a quota.
pub(super) fn characters(document: &str) -> usize {
    document.chars().filter(|c| !c.is_whitespace()).count()
}

/// `[\w+=,.@-]+`, up to `max` characters.
pub(super) fn name<'a>(form: &'a Form, member: &str, max: usize) -> Result<&'a str, Fault> {
    let name = form.required(member)?;
    let value = format!("'{name}'");
    let plain = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    if name.len() > max {
        return Err(invalid(member, &value, &format!("Member must have length less than or equal to {max}")));
    }
    if name.is_empty() {
        return Err(invalid(member, &value, "Member must have length greater than or equal to 1"));
    }
    // A name of dots alone cannot stand between the slashes of an address.
    if !name.chars().all(plain) || name == "." || name == ".." {
        return Err(Fault {
            message: format!(
                "The specified value for {} is invalid. It must contain only alphanumeric characters and/or the \
                 following: +=,.@_-",
                lower_first(member)
            ),
            ..invalid(member, &value, "")
        });
    }
    Ok(name)
}

pub(super) fn description(form: &Form) -> Result<Option<&str>, Fault> {
    match form.text("Description") {
        Some(text) if text.chars().count() > DESCRIPTION_CHARACTERS_MAX => {
            let constraint =
                format!("Member must have length less than or equal to {DESCRIPTION_CHARACTERS_MAX}");
            Err(invalid("Description", &format!("'{text}'"), &constraint))
        }
        text => Ok(text),
    }
}

/// `/` or `/…/`.
pub(super) fn path(form: &Form) -> Result<&str, Fault> {
    let path = form.text("Path").unwrap_or("/");
    let framed = path.starts_with('/') && path.ends_with('/') && path.len() <= PATH_CHARACTERS_MAX;
    if !framed || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Fault {
            message:
                "The specified value for path is invalid. It must begin and end with / and contain only \
                      alphanumeric characters and/or / characters."
                    .to_owned(),
            ..invalid("Path", path, "")
        });
    }
    Ok(path)
}

/// The tags of a request: no key twice, in whatever case.
pub(super) fn tags(form: &Form) -> Result<Vec<(String, String)>, Fault> {
    let mut tags: Vec<(String, String)> = Vec::new();
    for (i, tag) in form.list("Tags").iter().enumerate() {
        let (key, value) = (tag.required("Key")?, tag.required("Value")?);
        let at = format!("tags.{}.member", i + 1);
        if key.is_empty() || key.chars().count() > 128 {
            let constraint = "Member must have length between 1 and 128";
            return Err(invalid(&format!("{at}.key"), &format!("'{key}'"), constraint));
        }
        if value.chars().count() > 256 {
            let constraint = "Member must have length less than or equal to 256";
            return Err(invalid(&format!("{at}.value"), &format!("'{value}'"), constraint));
        }
        if tags.iter().any(|(known, _)| known.eq_ignore_ascii_case(key)) {
            let message = "Duplicate tag keys found. Please note that Tag keys are case insensitive.";
            return Err(Fault::malformed_input(message));
        }
        tags.push((key.to_owned(), value.to_owned()));
    }
    Ok(tags)
}

fn lower_first(member: &str) -> String {
    let mut letters = member.chars();
    letters.next().map(|letter| letter.to_ascii_lowercase()).into_iter().chain(letters).collect()
}
