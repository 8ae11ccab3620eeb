//! Who is asking. Listeners and in-process callers put one of these types into the request's extensions; the
//! authenticator turns whichever it finds, or a bearer token, into an [`Identity`].

use std::collections::BTreeMap;

/// The group that may do everything, whatever the RBAC objects say.
pub const SYSTEM_MASTERS: &str = "system:masters";
/// The group of everybody who proved who they are.
pub const SYSTEM_AUTHENTICATED: &str = "system:authenticated";
/// The group of everybody who did not.
pub const SYSTEM_UNAUTHENTICATED: &str = "system:unauthenticated";
/// The user name of everybody who did not.
pub const SYSTEM_ANONYMOUS: &str = "system:anonymous";

/// A caller, as authorization sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identity {
    /// The user name, such as `system:serviceaccount:default:builder`.
    pub user: String,
    /// Every group of the user.
    pub groups: Vec<String>,
    /// The user's uid, where the authenticator knows one.
    pub uid: String,
    /// More about the user, such as the pod that a token is bound to.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl Identity {
    /// An authenticated caller with these groups; `system:authenticated` is added.
    pub fn new(user: impl Into<String>, groups: &[&str]) -> Self {
        let mut groups: Vec<String> = groups.iter().map(|group| group.to_string()).collect();
        groups.push(SYSTEM_AUTHENTICATED.to_owned());
        Self { user: user.into(), groups, ..Self::default() }
    }

    /// A caller in `system:masters`: the roles of the platform that run in this process.
    pub fn master(user: impl Into<String>) -> Self {
        Self::new(user, &[SYSTEM_MASTERS])
    }

    /// A caller who showed nothing.
    pub fn anonymous() -> Self {
        Self {
            user: SYSTEM_ANONYMOUS.to_owned(),
            groups: vec![SYSTEM_UNAUTHENTICATED.to_owned()],
            ..Self::default()
        }
    }

    /// Whether the caller showed nothing.
    pub fn is_anonymous(&self) -> bool {
        self.user == SYSTEM_ANONYMOUS
    }

    /// Whether the caller is in this group.
    pub fn in_group(&self, group: &str) -> bool {
        self.groups.iter().any(|own| own == group)
    }
}

/// The client's leaf certificate in DER. The TLS layer that inserts it has verified the chain against the
/// cluster's certificate authority; here only its subject is read.
#[derive(Debug, Clone)]
pub struct PeerCertificate(pub Vec<u8>);
