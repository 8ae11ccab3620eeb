//! Lists of what is in a bucket, a page at a time, in the order of keys; keys that go on alike up to a delimiter are listed
//! as one common prefix. What is rolled up is skipped, not read.

use std::collections::VecDeque;
use std::sync::Arc;

use store::{Entry, Range};

use super::object;
use super::record::{self, Version};
use super::{Bucket, Buckets};

/// Entries that are taken from the store at a time.
const PAGE: usize = 1000;

/// What is to be listed.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// Only keys that begin like this.
    pub prefix: String,
    /// What ends a common prefix; empty is nothing.
    pub delimiter: String,
    /// Only what comes after this key, or common prefix.
    pub after: String,
    /// Of the key `after`, what comes after this version or upload; nothing of it when this is empty.
    pub after_id: String,
    /// So many keys and prefixes at most.
    pub max: usize,
}

/// A page of objects.
#[derive(Debug, Clone, Default)]
pub struct Listed {
    /// Keys, with what is known of them.
    pub objects: Vec<(String, Version)>,
    /// Common prefixes.
    pub prefixes: Vec<String>,
    /// What the next page comes after, if there is one.
    pub next: Option<String>,
}

/// A page of versions.
#[derive(Debug, Clone, Default)]
pub struct ListedVersions {
    /// Keys, with what is known of a version, and whether that is the newest.
    pub versions: Vec<(String, Version, bool)>,
    /// Common prefixes.
    pub prefixes: Vec<String>,
    /// The key or prefix, and the version, that the next page comes after, if there is one.
    pub next: Option<(String, Option<String>)>,
}

/// Entries under a key of the store, from some place on.
pub(super) struct Cursor<'a> {
    buckets: &'a Buckets,
    range: Range,
    page: VecDeque<Entry>,
    more: bool,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(buckets: &'a Buckets, base: &str, prefix: &str) -> Cursor<'a> {
        let range = Range { limit: Some(PAGE), ..Range::prefix(&format!("{base}{prefix}")) };
        Cursor { buckets, range, page: VecDeque::new(), more: true }
    }

    pub(super) async fn next(&mut self) -> Result<Option<Entry>, store::Error> {
        if self.page.is_empty() && self.more {
            let page = self.buckets.store.list(self.range.clone()).await?;
            self.more = page.more;
            self.page = page.entries.into();
            if let Some(last) = self.page.back() {
                self.range.after = Some(last.key.clone());
            }
        }
        Ok(self.page.pop_front())
    }

    /// Goes on after this place.
    pub(super) fn skip_to(&mut self, after: &str) {
        while self.page.front().is_some_and(|entry| *entry.key <= *after) {
            self.page.pop_front();
        }
        if self.page.is_empty() && self.range.after.as_deref().is_none_or(|at| at < after) {
            self.range.after = Some(Arc::from(after));
        }
    }
}

/// After everything that begins with a text, and before everything else that comes after it.
pub(super) fn past(text: &str) -> Option<String> {
    let mut letters: Vec<char> = text.chars().collect();
    while let Some(last) = letters.pop() {
        // Some numbers are no characters.
        let next = (u32::from(last) + 1..=u32::from(char::MAX)).find_map(char::from_u32);
        if let Some(next) = next {
            letters.push(next);
            return Some(letters.into_iter().collect());
        }
    }
    None
}

impl Listing {
    /// The common prefix that a key is listed as, if it is.
    pub(super) fn common<'k>(&self, key: &'k str) -> Option<&'k str> {
        if self.delimiter.is_empty() {
            return None;
        }
        let at = key.get(self.prefix.len()..)?.find(&self.delimiter)?;
        key.get(..self.prefix.len() + at + self.delimiter.len())
    }

    /// Where to begin: keys before it are not listed.
    pub(super) fn begin(&self, base: &str) -> Option<String> {
        if self.after.is_empty() {
            return None;
        }
        // Everything below a common prefix was listed as it.
        let below = self.common(&self.after).filter(|common| *common == self.after).and_then(past);
        Some(match below {
            Some(past) => format!("{base}{past}"),
            // All of the key, or all of it up to the version.
            None if self.after_id.is_empty() => format!("{base}{}\0g", self.after),
            None => format!("{base}{}\0{}", self.after, self.after_id),
        })
    }
}

impl Buckets {
    /// A page of the objects that are there.
    pub async fn list(&self, bucket: &Bucket, listing: &Listing) -> Result<Listed, store::Error> {
        let mut listed = Listed::default();
        let base = record::objects(&bucket.uid, "");
        let mut cursor = Cursor::new(self, &base, &listing.prefix);
        if let Some(begin) = listing.begin(&base) {
            cursor.skip_to(&begin);
        }
        let mut last = String::new();
        while let Some(entry) = cursor.next().await? {
            let Some((key, _)) = entry.key.strip_prefix(&base).and_then(record::split) else { continue };
            let found = object::read(&entry).filter(|found| !found.version.marker);
            let Some(found) = found else {
                cursor.skip_to(&format!("{base}{key}\0g"));
                continue;
            };
            if listed.objects.len() + listed.prefixes.len() >= listing.max {
                listed.next = Some(last);
                break;
            }
            match listing.common(key) {
                Some(common) => {
                    last = common.to_owned();
                    listed.prefixes.push(last.clone());
                    match past(common) {
                        Some(past) => cursor.skip_to(&format!("{base}{past}")),
                        None => break,
                    }
                }
                None => {
                    last = key.to_owned();
                    listed.objects.push((last.clone(), found.version));
                    cursor.skip_to(&format!("{base}{last}\0g"));
                }
            }
        }
        Ok(listed)
    }

    /// A page of all versions, the newest of each key first.
    pub async fn list_versions(
        &self,
        bucket: &Bucket,
        listing: &Listing,
    ) -> Result<ListedVersions, store::Error> {
        let mut listed = ListedVersions::default();
        let base = record::objects(&bucket.uid, "");
        let mut cursor = Cursor::new(self, &base, &listing.prefix);
        let listing = self.resolved(bucket, listing).await?;
        if let Some(begin) = listing.begin(&base) {
            cursor.skip_to(&begin);
        }
        let (mut last, mut seen) = (None, listing.after.clone());
        while let Some(entry) = cursor.next().await? {
            let Some((key, _)) = entry.key.strip_prefix(&base).and_then(record::split) else { continue };
            let Some(found) = object::read(&entry) else { continue };
            if listed.versions.len() + listed.prefixes.len() >= listing.max {
                listed.next = last;
                break;
            }
            match listing.common(key) {
                Some(common) => {
                    listed.prefixes.push(common.to_owned());
                    last = Some((common.to_owned(), None));
                    match past(common) {
                        Some(past) => cursor.skip_to(&format!("{base}{past}")),
                        None => break,
                    }
                }
                None => {
                    last = Some((key.to_owned(), Some(found.version.id.clone())));
                    listed.versions.push((key.to_owned(), found.version, key != seen));
                    key.clone_into(&mut seen);
                }
            }
        }
        Ok(listed)
    }

    /// With the place of the version that a page comes after in place of its id.
    async fn resolved(&self, bucket: &Bucket, listing: &Listing) -> Result<Listing, store::Error> {
        let mut resolved = listing.clone();
        if !listing.after_id.is_empty() {
            let found = self.version_of(bucket, &listing.after, &listing.after_id).await?;
            let order = match found {
                Some(found) => Some(found.order),
                // Deleted since: its id says where it was.
                None => listing.after_id.get(..16).and_then(|text| u64::from_str_radix(text, 16).ok()),
            };
            resolved.after_id = order.map(|order| format!("{order:016x}")).unwrap_or_default();
        }
        Ok(resolved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_after_a_prefix() {
        assert_eq!(past("a/").as_deref(), Some("a0"));
        assert_eq!(past("a\u{d7ff}").as_deref(), Some("a\u{e000}"));
        assert_eq!(past("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(past("\u{10ffff}"), None);
    }
}
