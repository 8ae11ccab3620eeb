//! ServiceAccount tokens: JSON web tokens signed with the cluster's P-256 key (ES256). Makes and checks them; whether
//! the account that one names still exists is asked of the cache.

use crate::{
    cache::Cache,
    identity::{Identity, SYSTEM_AUTHENTICATED},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey,
    },
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An object that a token is bound to: it dies with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reference {
    pub(crate) name: String,
    pub(crate) uid: String,
}

/// The private claims.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) namespace: String,
    pub(crate) serviceaccount: Reference,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pod: Option<Reference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) secret: Option<Reference>,
}

/// The claims of a token. Times are in seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    pub(crate) aud: Vec<String>,
    pub(crate) exp: i64,
    pub(crate) iat: i64,
    pub(crate) iss: String,
    pub(crate) jti: String,
    pub(crate) nbf: i64,
    pub(crate) sub: String,
    #[serde(rename = "kubernetes.io")]
    pub(crate) account: Account,
}

/// Signs and checks tokens.
pub(crate) struct Tokens {
    key: EcdsaKeyPair,
    key_id: String,
    random: SystemRandom,
    issuer: String,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

impl Tokens {
    /// `key` is a P-256 key as PKCS #8 DER.
    pub(crate) fn new(key: &[u8], issuer: &str) -> Result<Tokens, String> {
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key, &random)
            .map_err(|error| format!("service_account_key is not a P-256 key in PKCS #8: {error}"))?;
        let digest = ring::digest::digest(&ring::digest::SHA256, key.public_key().as_ref());
        let key_id = URL_SAFE_NO_PAD.encode(&digest.as_ref()[..16]);
        Ok(Tokens { key, key_id, random, issuer: issuer.to_owned() })
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// A signed token.
    pub(crate) fn sign(&self, claims: &Claims) -> Result<String, String> {
        let header = serde_json::json!({"alg": "ES256", "kid": self.key_id});
        let claims = serde_json::to_vec(claims).map_err(|error| error.to_string())?;
        let signed =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims));
        let signature = self.key.sign(&self.random, signed.as_bytes());
        let signature = signature.map_err(|_| "the token could not be signed".to_owned())?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// The claims of a token that this cluster signed and that has not expired.
    pub(crate) fn verify(&self, token: &str, now: i64) -> Result<Claims, &'static str> {
        let (signed, signature) = token.rsplit_once('.').ok_or("not a token")?;
        let (header, claims) = signed.split_once('.').ok_or("not a token")?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| "not a token");
        let header: serde_json::Value =
            serde_json::from_slice(&decode(header)?).map_err(|_| "not a token")?;
        if header["alg"] != "ES256" {
            return Err("the signature is of an unknown kind");
        }
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.key.public_key().as_ref())
            .verify(signed.as_bytes(), &decode(signature)?)
            .map_err(|_| "the signature is wrong")?;
        let claims: Claims =
            serde_json::from_slice(&decode(claims)?).map_err(|_| "the claims are not a ServiceAccount's")?;
        match () {
            () if claims.iss != self.issuer => Err("the issuer is another one"),
            () if claims.exp <= now => Err("the token has expired"),
            () if claims.nbf > now => Err("the token is not valid yet"),
            () => Ok(claims),
        }
    }

    /// Who a token for one of `audiences` stands for, if all that it is bound to still exists.
    pub(crate) fn identify(
        &self,
        cache: &Cache,
        token: &str,
        audiences: &[&str],
        now: i64,
    ) -> Result<Identity, &'static str> {
        let claims = self.verify(token, now)?;
        if !claims.aud.iter().any(|audience| audiences.contains(&audience.as_str())) {
            return Err("the token is for another audience");
        }
        let account = &claims.account;
        let alive = |plural: &str, reference: &Reference| {
            let item = cache.resource("", plural).get(&account.namespace, &reference.name);
            item.is_some_and(|item| *item.uid == *reference.uid)
        };
        if !alive("serviceaccounts", &account.serviceaccount) {
            return Err("the ServiceAccount has been deleted");
        }
        let bound = [("pods", &account.pod), ("secrets", &account.secret)];
        let orphaned =
            bound.into_iter().any(|(plural, own)| own.as_ref().is_some_and(|own| !alive(plural, own)));
        if orphaned {
            Err("the object that the token is bound to has been deleted")
        } else {
            Ok(identity(&claims))
        }
    }
}

fn identity(claims: &Claims) -> Identity {
    let Account { namespace, serviceaccount, pod, .. } = &claims.account;
    let mut extra = BTreeMap::new();
    let key = |name: &str| format!("authentication.kubernetes.io/{name}");
    extra.insert(key("credential-id"), vec![format!("JTI={}", claims.jti)]);
    if let Some(pod) = pod {
        extra.insert(key("pod-name"), vec![pod.name.clone()]);
        extra.insert(key("pod-uid"), vec![pod.uid.clone()]);
    }
    Identity {
        user: format!("system:serviceaccount:{namespace}:{}", serviceaccount.name),
        groups: vec![
            "system:serviceaccounts".to_owned(),
            format!("system:serviceaccounts:{namespace}"),
            SYSTEM_AUTHENTICATED.to_owned(),
        ],
        uid: serviceaccount.uid.clone(),
        extra,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> Tokens {
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("a key");
        Tokens::new(key.as_ref(), "me").expect("a signer")
    }

    fn claims() -> Claims {
        Claims {
            aud: vec!["me".to_owned()],
            exp: 100,
            iat: 0,
            iss: "me".to_owned(),
            jti: "id".to_owned(),
            nbf: 0,
            sub: "system:serviceaccount:a:b".to_owned(),
            account: Account {
                namespace: "a".to_owned(),
                serviceaccount: Reference { name: "b".to_owned(), uid: "u".to_owned() },
                pod: None,
                secret: None,
            },
        }
    }

    #[test]
    fn tokens_are_checked() {
        let tokens = tokens();
        let token = tokens.sign(&claims()).expect("signed");
        assert_eq!(tokens.verify(&token, 99), Ok(claims()));
        assert_eq!(tokens.verify(&token, 100), Err("the token has expired"));
        assert_eq!(self::tokens().verify(&token, 99), Err("the signature is wrong"));
        let mut forged = claims();
        forged.exp = 1000;
        let forged = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&forged).expect("claims are JSON"));
        let mut parts: Vec<&str> = token.split('.').collect();
        parts[1] = &forged;
        assert_eq!(tokens.verify(&parts.join("."), 99), Err("the signature is wrong"));
        assert_eq!(tokens.verify("a.b", 99), Err("not a token"));
    }
}
