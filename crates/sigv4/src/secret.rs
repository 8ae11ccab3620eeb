//! Secret keys, and what is derived from them to sign with: a key for each day, region and service. Deriving one takes more
//! hashes than all else about a signature, and clients sign for the same few scopes all day, so the last ones are kept.

use crate::Principal;
use crate::sign::signing_key;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// Keys that are kept: the services that one pair signs for in a day, and some regions.
const KEPT: usize = 16;

/// What the server knows about one access key id; the answer of the lookup that [`verify`](crate::verify) takes.
#[derive(Clone)]
pub struct Secret {
    pub(crate) key: Arc<SecretKey>,
    /// Whom the pair stands for.
    pub principal: Principal,
}

impl Secret {
    /// The secret half of a pair that stands for somebody.
    pub fn new(secret_access_key: impl Into<String>, principal: Principal) -> Secret {
        Secret { key: Arc::new(SecretKey::new(secret_access_key)), principal }
    }
}

/// The secret half of a pair, and the keys that were derived from it last.
pub(crate) struct SecretKey {
    text: String,
    derived: Mutex<VecDeque<(String, [u8; 32])>>,
}

impl SecretKey {
    pub(crate) fn new(secret_access_key: impl Into<String>) -> SecretKey {
        SecretKey { text: secret_access_key.into(), derived: Mutex::default() }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The key that everything of a scope is signed with.
    pub(crate) fn signing(&self, scope: &str) -> [u8; 32] {
        let mut derived = self.derived.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, key)) = derived.iter().find(|(of, _)| of == scope) {
            return *key;
        }
        let key = signing_key(&self.text, scope);
        derived.truncate(KEPT - 1);
        derived.push_front((scope.to_owned(), key));
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_keys_are_those_of_their_scope_and_few() {
        let secret = SecretKey::new("secret");
        for day in 0..100 {
            let scope = format!("{day}/us-east-1/lambda/aws4_request");
            let first = secret.signing(&scope);
            assert_eq!((first, secret.signing(&scope)), (signing_key("secret", &scope), first));
        }
        assert_eq!(secret.derived.lock().expect("a lock").len(), KEPT);
    }
}
