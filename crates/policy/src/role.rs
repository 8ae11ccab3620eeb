//! Names around the role of a function. Pure.

use sha2::{Digest, Sha256};

/// The role that functions without one of this account act as; made with the platform.
pub const DEFAULT_ROLE: &str = "dory";

/// The letters of ids.
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// The name of the role of this account that an ARN names (`arn:aws:iam::000000000000:role/path/name`).
pub fn role_name<'a>(arn: &'a str, account_id: &str) -> Option<&'a str> {
    let mut parts = arn.splitn(6, ':').skip(2);
    let found = (parts.next()?, parts.next()?, parts.next()?);
    let path = parts.next()?.strip_prefix("role")?;
    let name = path.rsplit('/').next().filter(|name| !name.is_empty())?;
    (found == ("iam", "", account_id)).then_some(name)
}

/// IAM's id of the object with this uid, `AROA…` for a role: the same for the life of an object, another one for the
/// next of its name.
pub fn iam_id(prefix: &str, uid: &str) -> String {
    let digest = Sha256::digest(uid);
    let letters = digest.iter().take(17).map(|byte| char::from(BASE32[usize::from(*byte) % BASE32.len()]));
    format!("{prefix}{}", letters.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_of_this_account_have_names() {
        let name = |arn| role_name(arn, "000000000000");
        assert_eq!(name("arn:aws:iam::000000000000:role/team/x"), Some("x"));
        assert_eq!(name("arn:aws:iam::111111111111:role/x"), None);
        assert_eq!(name("arn:aws:iam::000000000000:user/x"), None);
        assert_eq!(name("arn:aws:iam::000000000000:role/"), None);
        assert_eq!(name(""), None);
    }

    #[test]
    fn ids_are_of_one_object() {
        assert_eq!(iam_id("AROA", "u"), iam_id("AROA", "u"));
        assert_ne!(iam_id("AROA", "u"), iam_id("AROA", "v"));
        assert_eq!(iam_id("AROA", "u").len(), 21);
    }
}
