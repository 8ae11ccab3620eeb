//! Service account tokens of projected volumes: which a pod wants, asked for with TokenRequest, renewed in time.

use std::collections::BTreeMap;

use client::k8s_openapi::api::core::v1 as api;
use client::{Key, Objects};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

/// What the API grants where nothing is said; its own default.
const SECONDS: i64 = 3600;
/// No token is used for longer, however long it would be valid; upstream's `maxTTL`.
const AGE_MAX: SignedDuration = SignedDuration::from_hours(24);

/// A token that a volume wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) volume: String,
    pub(crate) path: String,
    audience: Option<String>,
    seconds: i64,
}

/// A token and when to replace it.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) renew: Timestamp,
}

/// Every token that the pod's volumes want.
pub(crate) fn wanted(pod: &api::Pod) -> Vec<Wanted> {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    let sources = volumes.flat_map(|volume| {
        let projected = volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten());
        projected.map(move |source| (volume, source))
    });
    let token = |(volume, source): (&api::Volume, &api::VolumeProjection)| {
        let token = source.service_account_token.as_ref()?;
        Some(Wanted {
            volume: volume.name.clone(),
            path: token.path.clone(),
            audience: token.audience.clone().filter(|audience| !audience.is_empty()),
            seconds: token.expiration_seconds.unwrap_or(SECONDS),
        })
    };
    sources.filter_map(token).collect()
}

/// The tokens of one pod.
#[derive(Debug, Default)]
pub(crate) struct Tokens(BTreeMap<(String, String), Token>);

impl Tokens {
    /// Asks for every wanted token that is missing or due.
    pub(crate) async fn renew(
        &mut self,
        client: &client::kube::Client,
        pod: &api::Pod,
        now: Timestamp,
    ) -> Result<(), String> {
        for wanted in wanted(pod) {
            let place = (wanted.volume.clone(), wanted.path.clone());
            if self.0.get(&place).is_none_or(|token| token.renew <= now) {
                let token = request(client, pod, &wanted, now).await?;
                self.0.insert(place, token);
            }
        }
        Ok(())
    }

    pub(crate) fn texts(&self) -> BTreeMap<(String, String), String> {
        self.0.iter().map(|(place, token)| (place.clone(), token.text.clone())).collect()
    }

    /// When the next one is due.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        self.0.values().map(|token| token.renew).min()
    }
}

async fn request(
    client: &client::kube::Client,
    pod: &api::Pod,
    wanted: &Wanted,
    now: Timestamp,
) -> Result<Token, String> {
    let account =
        pod.spec.as_ref().and_then(|spec| spec.service_account_name.as_deref()).unwrap_or("default");
    let key = Key::new(pod.metadata.namespace.as_deref().unwrap_or_default(), account);
    let body = json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {
            "audiences": wanted.audience.iter().collect::<Vec<_>>(),
            "expirationSeconds": wanted.seconds,
            "boundObjectRef": {
                "apiVersion": "v1",
                "kind": "Pod",
                "name": pod.metadata.name,
                "uid": pod.metadata.uid,
            },
        },
    });
    let accounts = Objects::of::<api::ServiceAccount>(client);
    let answer = accounts
        .create_sub(&key, "token", &body)
        .await
        .map_err(|error| format!("failed to fetch token: {error}"))?;
    let text = answer["status"]["token"].as_str().ok_or("failed to fetch token: an empty answer")?;
    let expires = answer["status"]["expirationTimestamp"].as_str().and_then(|time| time.parse().ok());
    let expires = expires.unwrap_or(now + SignedDuration::from_secs(wanted.seconds));
    Ok(Token { text: text.to_owned(), renew: renewal(now, expires) })
}

/// At four fifths of its life, or after a day.
fn renewal(now: Timestamp, expires: Timestamp) -> Timestamp {
    let life = expires.duration_since(now);
    now + (life * 4 / 5).min(AGE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renewed_well_before_the_end() {
        let now = Timestamp::UNIX_EPOCH;
        let after = |seconds: i64| renewal(now, now + SignedDuration::from_secs(seconds)).as_second();
        assert_eq!(after(3607), 2885);
        assert_eq!(after(365 * 24 * 3600), 24 * 3600);
    }
}
