//! Temporary credentials without a memory of them: what a session may be is written into its token and sealed with a
//! key that only the platform has; access key id and secret are derived from the token. So any number of sessions costs
//! nothing, and they outlive a restart. Pure: the caller passes the key and the time.

use crate::secret::SecretKey;
use crate::sign::hmac;
use crate::{Credentials, Principal, Secret, VerifyError};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use std::sync::Arc;

/// The form of tokens; another one would be another number.
const VERSION: &str = "1";

/// Bytes of a seal: HMAC-SHA-256 whole.
const SEAL_BYTES: usize = 32;

/// Tokens are some 200 bytes; what is longer is not one of ours and is not even decoded.
const TOKEN_BYTES_MAX: usize = 2048;

/// The letters of access key ids.
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Whom temporary credentials stand for, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The name of the role; `None` for the account itself.
    pub role: Option<String>,
    /// The name of the session: the function's, or the one that the caller of `AssumeRole` chose.
    pub name: String,
    /// When it ends, in seconds since 1970.
    pub expires: i64,
    /// The function instance that it was made for.
    pub instance: Option<String>,
}

/// All the keys that a platform accepts: its own pair, and the sessions that it made.
pub struct Keys {
    permanent: Vec<(Credentials, Arc<SecretKey>)>,
    seal: [u8; SEAL_BYTES],
}

impl Keys {
    /// `permanent` are the account's own pairs; `seed` is secret, random and stays the same over restarts.
    pub fn new(permanent: Vec<Credentials>, seed: &[u8]) -> Keys {
        let keyed = |pair: Credentials| {
            let key = Arc::new(SecretKey::new(pair.secret_access_key.clone()));
            (pair, key)
        };
        let permanent = permanent.into_iter().map(keyed).collect();
        Keys { permanent, seal: hmac(seed, b"dory session seal") }
    }

    /// The account's own pair, to sign with in the platform's name.
    pub fn own(&self) -> Option<&Credentials> {
        self.permanent.first().map(|(pair, _)| pair)
    }

    /// Makes the credentials of a session.
    pub fn mint(&self, session: &Session) -> Credentials {
        let instance = session.instance.as_deref().unwrap_or_default();
        let role = session.role.as_deref().unwrap_or_default();
        let text = format!("{VERSION}\n{role}\n{}\n{}\n{instance}", session.name, session.expires);
        let seal = hmac(&self.seal, text.as_bytes());
        let mut token = text.into_bytes();
        token.extend_from_slice(&seal);
        Credentials {
            access_key_id: self.access_key_id(&seal),
            secret_access_key: self.secret(&seal),
            session_token: Some(BASE64_STANDARD.encode(token)),
        }
    }

    /// The secret behind an access key id and the token that came with it.
    pub fn find(&self, id: &str, token: Option<&str>, now: Timestamp) -> Result<Secret, VerifyError> {
        let Some(token) = token else {
            let known = self.permanent.iter().find(|(known, _)| known.access_key_id == id);
            return known
                .map(|(_, key)| Secret { key: key.clone(), principal: Principal::Account })
                .ok_or(VerifyError::UnknownKey);
        };
        let (session, seal) = self.open(token).ok_or(VerifyError::UnknownKey)?;
        if self.access_key_id(&seal) != id {
            return Err(VerifyError::UnknownKey);
        }
        if session.expires <= now.as_second() {
            return Err(VerifyError::ExpiredToken);
        }
        Ok(Secret::new(self.secret(&seal), Principal::Session(session)))
    }

    fn open(&self, token: &str) -> Option<(Session, [u8; SEAL_BYTES])> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let bytes = BASE64_STANDARD.decode(token).ok()?;
        let (text, seal) = bytes.split_last_chunk::<SEAL_BYTES>()?;
        // The comparison takes as long wherever the first difference is.
        let expected = hmac(&self.seal, text);
        if expected.iter().zip(seal).fold(0, |difference, (a, b)| difference | (a ^ b)) != 0 {
            return None;
        }
        let text = std::str::from_utf8(text).ok()?;
        let [VERSION, role, name, expires, instance] = text.split('\n').collect::<Vec<_>>()[..] else {
            return None;
        };
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let session = Session {
            role: some(role),
            name: name.to_owned(),
            expires: expires.parse().ok()?,
            instance: some(instance),
        };
        Some((session, *seal))
    }

    /// `ASIA` and 16 letters, the form that tells clients and people of a session token.
    fn access_key_id(&self, seal: &[u8]) -> String {
        let digest = hmac(&self.seal, &[b"id", seal].concat());
        let letters = digest[..16].iter().map(|byte| char::from(BASE32[usize::from(*byte) % BASE32.len()]));
        format!("ASIA{}", letters.collect::<String>())
    }

    /// 40 characters, as all secret keys have.
    fn secret(&self, seal: &[u8]) -> String {
        BASE64_STANDARD.encode(&hmac(&self.seal, &[b"secret", seal].concat())[..30])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(expires: i64) -> Session {
        let role = Some("worker".to_owned());
        Session { role, name: "hello".to_owned(), expires, instance: Some("i1".to_owned()) }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    #[test]
    fn a_token_tells_its_session_until_it_expires() {
        let keys = Keys::new(Vec::new(), b"seed");
        let made = keys.mint(&session(1000));
        assert!(made.access_key_id.starts_with("ASIA") && made.access_key_id.len() == 20);
        assert_eq!(made.secret_access_key.len(), 40);
        let token = made.session_token.as_deref();
        let found = keys.find(&made.access_key_id, token, at(999)).expect("known");
        assert_eq!(found.principal, Principal::Session(session(1000)));
        assert_eq!(found.key.text(), made.secret_access_key);
        let late = keys.find(&made.access_key_id, token, at(1000)).map(|_| ());
        assert_eq!(late, Err(VerifyError::ExpiredToken));
    }

    #[test]
    fn what_was_not_made_here_is_unknown() {
        let keys = Keys::new(Vec::new(), b"seed");
        let made = keys.mint(&session(1000));
        let refused = |keys: &Keys, id: &str, token: Option<&str>| {
            assert_eq!(
                keys.find(id, token, at(0)).map(|_| ()),
                Err(VerifyError::UnknownKey),
                "{id} {token:?}"
            );
        };
        let token = made.session_token.clone().expect("a token");
        refused(&Keys::new(Vec::new(), b"another"), &made.access_key_id, Some(&token));
        refused(&keys, &made.access_key_id, None);
        refused(&keys, "ASIAAAAAAAAAAAAAAAAA", Some(&token));
        refused(&keys, &made.access_key_id, Some("nonsense"));
        refused(&keys, &made.access_key_id, Some(&"A".repeat(4096)));
        let mut bytes = BASE64_STANDARD.decode(&token).expect("base64");
        bytes[2] ^= 1;
        refused(&keys, &made.access_key_id, Some(&BASE64_STANDARD.encode(bytes)));
    }
}
