//! Who a process runs as: names looked up in the container's own `/etc/passwd` and `/etc/group`.
use crate::process::{StartError, StartErrorKind, User};

/// The numbers behind a [`User`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ids {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// All supplementary groups.
    pub groups: Vec<u32>,
    /// Home directory, `/` when the user is not listed.
    pub home: String,
}

struct Account<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

/// Finds the ids of `user`, given the texts of the two files (empty when missing).
pub fn resolve(user: &User, passwd: &str, group: &str) -> Result<Ids, StartError> {
    let (name, group_name) = match user.name.split_once(':') {
        Some((name, group)) => (name, Some(group).filter(|g| !g.is_empty())),
        None => (user.name.as_str(), None),
    };
    let wanted = user.uid.map(|uid| uid.to_string());
    let account = account(wanted.as_deref().unwrap_or(if name.is_empty() { "0" } else { name }), passwd);
    let (uid, primary, login, home) = match account {
        Ok(account) => (account.uid, account.gid, account.name, account.home),
        Err(number) => (number.ok_or_else(|| missing("user", name))?, 0, "", "/"),
    };
    let gid = match (user.gid, group_name) {
        (Some(gid), _) => gid,
        (None, Some(name)) => group_id(name, group).ok_or_else(|| missing("group", name))?,
        (None, None) => primary,
    };
    let mut groups: Vec<u32> = match group_name {
        // As runc: naming a group leaves out the memberships of the user.
        Some(_) => Vec::new(),
        None => memberships(login, group),
    };
    groups.extend(&user.groups);
    groups.retain(|g| *g != gid);
    groups.sort_unstable();
    groups.dedup();
    Ok(Ids { uid, gid, groups, home: if home.is_empty() { "/".into() } else { home.to_owned() } })
}

fn missing(what: &str, name: &str) -> StartError {
    let message = format!("unable to find {what} {name}: no matching entries in {what} file")
        .replace("in user file", "in passwd file");
    StartError { kind: StartErrorKind::User, message }
}

/// The account with this name or number; else the number that `wanted` is, if it is one.
fn account<'a>(wanted: &str, passwd: &'a str) -> Result<Account<'a>, Option<u32>> {
    let number: Option<u32> = wanted.parse().ok();
    let accounts = passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(Account { name, uid, gid, home: fields.nth(1).unwrap_or("/") })
    });
    let mut by_number = None;
    for account in accounts {
        if account.name == wanted {
            return Ok(account);
        }
        if by_number.is_none() && number == Some(account.uid) {
            by_number = Some(account);
        }
    }
    by_number.ok_or(number)
}

fn group_id(wanted: &str, group: &str) -> Option<u32> {
    let named = group.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == wanted).then(|| fields.nth(1)?.parse().ok())?
    });
    named.or_else(|| wanted.parse().ok())
}

fn memberships(login: &str, group: &str) -> Vec<u32> {
    let lines = group.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let gid = fields.nth(2)?.parse().ok()?;
        let members = fields.next()?;
        (!login.is_empty() && members.split(',').any(|m| m == login)).then_some(gid)
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/srv/app:/bin/sh\n";
    const GROUP: &str = "root:x:0:\nstaff:x:50:app\nweb:x:33:bob,app\n";

    fn check(user: User, expected: (u32, u32, &[u32], &str)) {
        let ids = resolve(&user, PASSWD, GROUP).unwrap();
        assert_eq!((ids.uid, ids.gid, ids.groups.as_slice(), ids.home.as_str()), expected);
    }

    fn named(name: &str) -> User {
        User { name: name.into(), ..User::default() }
    }

    #[test]
    fn names_and_numbers() {
        check(named(""), (0, 0, &[], "/root"));
        check(named("app"), (1000, 1001, &[33, 50], "/srv/app"));
        check(named("1000"), (1000, 1001, &[33, 50], "/srv/app"));
        check(named("app:web"), (1000, 33, &[], "/srv/app"));
        check(named("4000:5000"), (4000, 5000, &[], "/"));
        check(User { uid: Some(7), gid: Some(8), groups: vec![9], ..named("app") }, (7, 8, &[9], "/"));
    }

    #[test]
    fn a_missing_user_is_named() {
        let error = resolve(&named("nobody"), PASSWD, GROUP).unwrap_err();
        assert_eq!(error.kind, StartErrorKind::User);
        assert_eq!(error.message, "unable to find user nobody: no matching entries in passwd file");
    }
}
