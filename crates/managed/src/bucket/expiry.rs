//! What goes with its age, as the rules of buckets say: at midnight (UTC) after it has the age, as on AWS, and when rules
//! change. Owns the rules' arithmetic and their carrying out; waits without a timer as long as no bucket has rules.

use std::sync::Arc;
use std::time::Duration;

use super::listing::Listing;
use super::object::Condition;
use super::record::Version;
use super::settings::Rule;
use super::{Bucket, Buckets, Cause, ObjectError, Versioning};

/// A day.
pub const MIDNIGHT_MS: u64 = 24 * 3600 * 1000;

/// Objects that are looked at together.
const PAGE: usize = 1000;

/// When an object goes, and the rule that says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiry {
    /// In milliseconds since 1970; a midnight.
    pub at_ms: u64,
    /// The id of the rule.
    pub rule: String,
}

/// The midnight after something is so many days old.
fn days_after(from_ms: u64, days: u32) -> u64 {
    from_ms.saturating_add(u64::from(days) * MIDNIGHT_MS).div_ceil(MIDNIGHT_MS).saturating_mul(MIDNIGHT_MS)
}

/// When an object goes, if it ever does: the first of the rules that speak of it.
pub(super) fn plan_expiry(rules: &[Rule], key: &str, version: &Version) -> Option<Expiry> {
    let mut first: Option<Expiry> = None;
    for rule in rules.iter().filter(|rule| rule.enabled && is_about(rule, key, version)) {
        let by_age = rule.days.map(|days| days_after(version.modified_ms, days));
        let Some(at_ms) = by_age.or(rule.date_ms) else { continue };
        if first.as_ref().is_none_or(|first| at_ms < first.at_ms) {
            first = Some(Expiry { at_ms, rule: rule.id.clone() });
        }
    }
    first
}

fn is_about(rule: &Rule, key: &str, version: &Version) -> bool {
    let filter = &rule.filter;
    key.starts_with(&filter.prefix)
        && filter.tags.iter().all(|(name, value)| version.description.tags.get(name) == Some(value))
        && filter.larger.is_none_or(|bytes| version.size > bytes)
        && filter.smaller.is_none_or(|bytes| version.size < bytes)
}

/// Of the versions of one key, the newest first, the ids of those that go.
fn plan_versions(rules: &[Rule], key: &str, versions: &[Version], now_ms: u64) -> Vec<String> {
    let mut gone = Vec::new();
    let active = || rules.iter().filter(|rule| rule.enabled);
    for (index, version) in versions.iter().enumerate().skip(1) {
        let replaced_ms = versions[index - 1].modified_ms;
        let goes = |rule: &Rule| {
            let newer = u32::try_from(index - 1).unwrap_or(u32::MAX);
            is_about(rule, key, version)
                && newer >= rule.noncurrent_kept
                && rule.noncurrent_days.is_some_and(|days| days_after(replaced_ms, days) <= now_ms)
        };
        if active().any(goes) {
            gone.push(version.id.clone());
        }
    }
    if let [marker] = versions
        && marker.marker
        && active().any(|rule| rule.lone_markers && key.starts_with(&rule.filter.prefix))
    {
        gone.push(marker.id.clone());
    }
    gone
}

impl Buckets {
    /// When an object goes, if a rule of its bucket speaks of it.
    pub fn expiry(&self, bucket: &Bucket, key: &str, version: &Version) -> Option<Expiry> {
        plan_expiry(&bucket.settings().rules, key, version)
    }

    /// Carries out the rules of all buckets from now on: at once, at every midnight, and when they change. Never returns.
    pub async fn keep_expiring(self: &Arc<Self>) {
        loop {
            let ruled = self.ruled.notified();
            let buckets: Vec<_> =
                self.all().into_iter().filter(|one| !one.settings().rules.is_empty()).collect();
            for bucket in &buckets {
                if let Err(error) = self.expire(bucket).await {
                    tracing::warn!(bucket = bucket.name(), %error, "what is too old is not removed yet");
                }
            }
            if buckets.is_empty() {
                ruled.await;
                continue;
            }
            let left = Duration::from_millis(MIDNIGHT_MS - self.now_ms() % MIDNIGHT_MS);
            drop(tokio::time::timeout(left, ruled).await);
        }
    }

    /// Carries out the rules of one bucket.
    pub async fn expire(self: &Arc<Self>, bucket: &Arc<Bucket>) -> Result<(), ObjectError> {
        let rules = bucket.settings().rules.clone();
        self.expire_objects(bucket, &rules).await?;
        let versions = |rule: &Rule| rule.noncurrent_days.is_some() || rule.lone_markers;
        if bucket.settings().versioning != Versioning::Off && rules.iter().any(versions) {
            self.expire_versions(bucket, &rules).await?;
        }
        let everything = Listing { max: usize::MAX, ..Listing::default() };
        for (key, id, upload) in self.list_uploads(bucket, &everything).await?.uploads {
            let goes = |rule: &Rule| {
                let days = rule.upload_days.filter(|_| rule.enabled && key.starts_with(&rule.filter.prefix));
                days.is_some_and(|days| days_after(upload.created_ms, days) <= self.now_ms())
            };
            if rules.iter().any(goes) {
                self.abort(bucket, &key, &id).await?;
            }
        }
        Ok(())
    }

    async fn expire_objects(
        self: &Arc<Self>,
        bucket: &Arc<Bucket>,
        rules: &[Rule],
    ) -> Result<(), ObjectError> {
        let mut listing = Listing { max: PAGE, ..Listing::default() };
        loop {
            let page = self.list(bucket, &listing).await?;
            for (key, version) in &page.objects {
                let due =
                    plan_expiry(rules, key, version).is_some_and(|expiry| expiry.at_ms <= self.now_ms());
                if due {
                    // One that was written again in between is another one.
                    let same = Condition::Matches(version.etag.clone());
                    let done = self.delete_object(bucket, key, None, &same, by_rule()).await;
                    if !matches!(done, Ok(_) | Err(ObjectError::NoKey | ObjectError::Precondition)) {
                        return done.map(drop);
                    }
                }
            }
            match page.next {
                Some(next) => listing.after = next,
                None => return Ok(()),
            }
        }
    }

    async fn expire_versions(
        self: &Arc<Self>,
        bucket: &Arc<Bucket>,
        rules: &[Rule],
    ) -> Result<(), ObjectError> {
        let mut listing = Listing { max: PAGE, ..Listing::default() };
        let mut of_key: (String, Vec<Version>) = Default::default();
        loop {
            let page = self.list_versions(bucket, &listing).await?;
            for (key, version, _) in page.versions {
                if key != of_key.0 {
                    let whole = std::mem::replace(&mut of_key, (key, Vec::new()));
                    self.expire_key(bucket, rules, whole).await?;
                }
                of_key.1.push(version);
            }
            match page.next {
                Some((key, id)) => (listing.after, listing.after_id) = (key, id.unwrap_or_default()),
                None => return self.expire_key(bucket, rules, of_key).await,
            }
        }
    }

    async fn expire_key(
        self: &Arc<Self>,
        bucket: &Arc<Bucket>,
        rules: &[Rule],
        (key, versions): (String, Vec<Version>),
    ) -> Result<(), ObjectError> {
        for id in plan_versions(rules, &key, &versions, self.now_ms()) {
            self.delete_object(bucket, &key, Some(&id), &Condition::Any, by_rule()).await?;
        }
        Ok(())
    }
}

fn by_rule() -> Cause {
    Cause { principal: "s3.amazonaws.com".to_owned(), expired: true, ..Cause::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_go_at_midnight() {
        assert_eq!(days_after(0, 1), MIDNIGHT_MS);
        assert_eq!(days_after(1, 1), 2 * MIDNIGHT_MS);
        assert_eq!(days_after(MIDNIGHT_MS + 5, 3), 5 * MIDNIGHT_MS);
    }
}
