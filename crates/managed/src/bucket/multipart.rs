//! Uploads of objects in parts: each part is a file of its own, and so they stay; the object names them in order.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use store::{Expect, Op, Range};

use super::checksum::{etag_of_parts, of_parts};
use super::event::Happened;
use super::listing::{Cursor, Listing, past};
use super::object::Condition;
use super::record::{self, Blob, Part, Piece, Upload, Version};
use super::{Bucket, Buckets, Cause, ObjectError, RECORDS_MAX, Written};

/// All parts of an object but the last have so many bytes at least, as on AWS.
const PART_BYTES_MIN: u64 = 5 << 20;

/// A part as the one who completes an upload names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// Its number.
    pub number: u32,
    /// Its MD5, without quotes.
    pub etag: String,
    /// Its checksum, if it is named.
    pub checksum: Option<String>,
}

/// What completes an upload.
#[derive(Debug, Clone)]
pub struct Complete {
    /// Its parts, in the order of their numbers.
    pub parts: Vec<Chosen>,
    /// What the sum of all the bytes must be.
    pub checksum: Option<String>,
    /// How many bytes it must be.
    pub size: Option<u64>,
    /// What must hold of the object that is there.
    pub condition: Condition,
    /// Who does it.
    pub cause: Cause,
}

/// A part with its number.
pub type ListedPart = (u32, Part);

/// A key, the id of an upload, and what is known of it.
pub type ListedUpload = (String, String, Upload);

/// A page of uploads.
#[derive(Debug, Clone, Default)]
pub struct UploadsListed {
    /// By key, then by age.
    pub uploads: Vec<ListedUpload>,
    /// Common prefixes.
    pub prefixes: Vec<String>,
    /// The key or prefix, and the upload, that the next page comes after, if there is one.
    pub next: Option<(String, String)>,
}

impl Buckets {
    /// Begins an upload; gives its id.
    pub async fn begin(&self, bucket: &Bucket, key: &str, mut upload: Upload) -> Result<String, ObjectError> {
        let gone = bucket.gone.read().await;
        if *gone {
            return Err(ObjectError::NoBucket);
        }
        self.check_records()?;
        upload.created_ms = self.now_ms();
        let random = uuid::Uuid::new_v4().simple().to_string();
        let id = format!("{:016x}{random}", self.number());
        let at = record::upload_key(&bucket.uid, key, &id).into();
        self.store
            .commit(vec![Op::Put { key: at, value: record::write(&upload), expect: Expect::Absent }])
            .await?;
        self.records.fetch_add(1, Ordering::Relaxed);
        Ok(id)
    }

    fn check_records(&self) -> Result<(), ObjectError> {
        match self.records.load(Ordering::Relaxed) >= RECORDS_MAX {
            true => Err(ObjectError::TooMany),
            false => Ok(()),
        }
    }

    /// An upload that has begun and is not over.
    pub async fn upload(&self, bucket: &Bucket, key: &str, id: &str) -> Result<Upload, ObjectError> {
        let at = record::upload_key(&bucket.uid, key, id);
        let found = self.store.get(&at).await?.and_then(|entry| record::read(&entry.value));
        found.ok_or(ObjectError::NoUpload)
    }

    /// Makes written bytes a part of an upload, in place of the one that had its number.
    pub async fn put_part(
        self: &Arc<Self>,
        bucket: &Arc<Bucket>,
        key: &str,
        id: &str,
        number: u32,
        written: Written,
    ) -> Result<Part, ObjectError> {
        let (buckets, bucket, key, id) = (self.clone(), bucket.clone(), key.to_owned(), id.to_owned());
        let done = tokio::spawn(async move {
            let _turn = buckets.uploads.turn(&bucket, &id).await;
            let upload = buckets.upload(&bucket, &key, &id).await?;
            buckets.check_records()?;
            let [(Some(fresh), blob)] = <[_; 1]>::try_from(written.files).map_err(|_| ObjectError::NoPart)?
            else {
                return Err(ObjectError::NoPart);
            };
            let checksum = written.sums.others.get(&upload.algorithm).cloned().ok_or(ObjectError::NoPart)?;
            let (modified_ms, etag) = (buckets.now_ms(), written.sums.md5);
            let part = Part { modified_ms, size: blob.size, etag, checksum, blob: blob.id };
            let at: Arc<str> = record::part_key(&id, number).into();
            let before = buckets.store.get(&at).await?;
            let done = buckets
                .store
                .commit(vec![Op::Put { key: at, value: record::write(&part), expect: Expect::Any }])
                .await;
            if matches!(done, Ok(_) | Err(store::Error::Closed)) {
                fresh.keep();
            }
            done?;
            match before.and_then(|entry| record::read::<Part>(&entry.value)) {
                Some(before) => buckets.blobs.remove(vec![before.blob]),
                None => drop(buckets.records.fetch_add(1, Ordering::Relaxed)),
            }
            Ok(part)
        });
        done.await.map_err(|error| ObjectError::Disk(error.to_string()))?
    }

    /// Parts of an upload after a number, so many at most, and whether there are more.
    pub async fn parts(
        &self,
        id: &str,
        after: u32,
        max: usize,
    ) -> Result<(Vec<ListedPart>, bool), ObjectError> {
        let prefix = record::parts(id);
        let after = Some(record::part_key(id, after).into());
        let page = self.store.list(Range { after, limit: Some(max), ..Range::prefix(&prefix) }).await?;
        let read = |entry: &store::Entry| {
            Some((entry.key.strip_prefix(&prefix)?.parse().ok()?, record::read(&entry.value)?))
        };
        Ok((page.entries.iter().filter_map(read).collect(), page.more))
    }

    /// Makes an object of the parts of an upload.
    pub async fn complete(
        self: &Arc<Self>,
        bucket: &Arc<Bucket>,
        key: &str,
        id: &str,
        complete: Complete,
    ) -> Result<Version, ObjectError> {
        let (buckets, bucket, key, id) = (self.clone(), bucket.clone(), key.to_owned(), id.to_owned());
        let done = tokio::spawn(async move {
            let _upload = buckets.uploads.turn(&bucket, &id).await;
            let upload = buckets.upload(&bucket, &key, &id).await?;
            let (all, _) = buckets.parts(&id, 0, usize::MAX).await?;
            let version = Version { upload: Some(id.clone()), ..plan(&upload, &complete, &all)? };
            let named: HashSet<String> = version.blobs.iter().map(|blob| blob.id.clone()).collect();
            let at = record::upload_key(&bucket.uid, &key, &id).into();
            let ops = vec![Op::Delete { key: at, expect: Expect::Any }];
            let happened = Happened { event: "ObjectCreated:CompleteMultipartUpload", cause: complete.cause };
            let written =
                buckets.written_at(&bucket, &key, &complete.condition, version, ops, &happened).await?;
            buckets.forget_parts(&id, all, &named).await;
            Ok(written)
        });
        done.await.map_err(|error| ObjectError::Disk(error.to_string()))?
    }

    /// The object that an upload became, if it was completed with these parts and nothing has come in its place. Who did not
    /// hear that it was done asks again.
    pub async fn completed(
        &self,
        bucket: &Bucket,
        key: &str,
        id: &str,
        parts: &[Chosen],
    ) -> Result<Version, ObjectError> {
        let newest = self.newest(bucket, key).await?.map(|found| found.version);
        let etag = etag_of_parts(parts.iter().map(|part| part.etag.as_str()));
        let numbers =
            |made: &Version| made.pieces.iter().map(|p| p.number).eq(parts.iter().map(|p| p.number));
        newest
            .filter(|made| made.upload.as_deref() == Some(id) && made.etag == etag && numbers(made))
            .ok_or(ObjectError::NoUpload)
    }

    async fn written_at(
        self: &Arc<Self>,
        bucket: &Bucket,
        key: &str,
        condition: &Condition,
        version: Version,
        ops: Vec<Op>,
        happened: &Happened,
    ) -> Result<Version, ObjectError> {
        let _turn = self.keys.turn(bucket, key).await;
        self.check_condition(bucket, key, condition).await?;
        self.write_version(bucket, key, version, ops, Vec::new(), happened).await
    }

    /// Gives an upload up.
    pub async fn abort(self: &Arc<Self>, bucket: &Bucket, key: &str, id: &str) -> Result<(), ObjectError> {
        let _turn = self.uploads.turn(bucket, id).await;
        self.upload(bucket, key, id).await?;
        let at = record::upload_key(&bucket.uid, key, id).into();
        self.store.commit(vec![Op::Delete { key: at, expect: Expect::Any }]).await?;
        let (all, _) = self.parts(id, 0, usize::MAX).await?;
        self.forget_parts(id, all, &HashSet::new()).await;
        Ok(())
    }

    pub(super) async fn abort_all(self: &Arc<Self>, bucket: &Bucket) {
        let everything = Listing { max: usize::MAX, ..Listing::default() };
        let Ok(listed) = self.list_uploads(bucket, &everything).await else { return };
        for (key, id, _) in listed.uploads {
            if let Err(error) = self.abort(bucket, &key, &id).await {
                tracing::warn!(bucket = bucket.name(), key, %error, "an upload of a deleted bucket is still there");
            }
        }
    }

    /// The upload is over. What cannot be removed now is when the buckets are opened again.
    async fn forget_parts(self: &Arc<Self>, id: &str, parts: Vec<ListedPart>, named: &HashSet<String>) {
        let end = |(number, _): &ListedPart| Op::Delete {
            key: record::part_key(id, *number).into(),
            expect: Expect::Any,
        };
        self.records.fetch_sub(1, Ordering::Relaxed);
        for some in parts.chunks(store::OPS_MAX) {
            if let Err(error) = self.store.commit(some.iter().map(end).collect()).await {
                tracing::warn!(%error, "parts of an upload that is over are still there");
                return;
            }
            self.records.fetch_sub(some.len() as u64, Ordering::Relaxed);
        }
        self.blobs
            .remove(parts.into_iter().map(|(_, part)| part.blob).filter(|id| !named.contains(id)).collect());
    }

    /// A page of uploads that have begun.
    pub async fn list_uploads(
        &self,
        bucket: &Bucket,
        listing: &Listing,
    ) -> Result<UploadsListed, store::Error> {
        let mut listed = UploadsListed::default();
        let base = record::uploads(&bucket.uid, "");
        let mut cursor = Cursor::new(self, &base, &listing.prefix);
        if let Some(begin) = listing.begin(&base) {
            cursor.skip_to(&begin);
        }
        let mut last = None;
        while let Some(entry) = cursor.next().await? {
            let Some((key, id)) = entry.key.strip_prefix(&base).and_then(|rest| rest.rsplit_once('\0'))
            else {
                continue;
            };
            let Some(upload) = record::read(&entry.value) else { continue };
            if listed.uploads.len() + listed.prefixes.len() >= listing.max {
                listed.next = last;
                break;
            }
            match listing.common(key) {
                Some(common) => {
                    last = Some((common.to_owned(), String::new()));
                    listed.prefixes.push(common.to_owned());
                    match past(common) {
                        Some(past) => cursor.skip_to(&format!("{base}{past}")),
                        None => break,
                    }
                }
                None => {
                    last = Some((key.to_owned(), id.to_owned()));
                    listed.uploads.push((key.to_owned(), id.to_owned(), upload));
                }
            }
        }
        Ok(listed)
    }
}

/// The object that parts make, if they are what the caller says.
fn plan(upload: &Upload, complete: &Complete, all: &[ListedPart]) -> Result<Version, ObjectError> {
    let mut parts = Vec::with_capacity(complete.parts.len());
    for chosen in &complete.parts {
        let at = all
            .binary_search_by_key(&chosen.number, |(number, _)| *number)
            .map_err(|_| ObjectError::NoPart)?;
        let part = &all[at].1;
        let same_sum = chosen.checksum.as_ref().is_none_or(|sum| *sum == part.checksum);
        if part.etag != chosen.etag || !same_sum {
            return Err(ObjectError::NoPart);
        }
        parts.push((chosen.number, part));
    }
    let Some((_, others)) = parts.split_last() else { return Err(ObjectError::NoPart) };
    if let Some((number, small)) = others.iter().find(|(_, part)| part.size < PART_BYTES_MIN) {
        let (number, size, etag) = (*number, small.size, small.etag.clone());
        return Err(ObjectError::SmallPart { number, size, etag });
    }
    let sums: Vec<(u64, &str)> = parts.iter().map(|(_, part)| (part.size, part.checksum.as_str())).collect();
    let checksum = of_parts(upload.algorithm, upload.whole, &sums).ok_or(ObjectError::BadSum)?;
    let size = parts.iter().map(|(_, part)| part.size).sum();
    let said = |sum: &String| checksum.value == *sum || checksum.value.split('-').next() == Some(sum);
    if !complete.checksum.as_ref().is_none_or(said) || complete.size.is_some_and(|said| said != size) {
        return Err(ObjectError::BadSum);
    }
    let piece = |(number, part): &(u32, &Part)| Piece {
        number: *number,
        size: part.size,
        checksum: upload.asked.then(|| part.checksum.clone()),
    };
    Ok(Version {
        id: String::new(),
        modified_ms: 0,
        marker: false,
        size,
        etag: etag_of_parts(parts.iter().map(|(_, part)| part.etag.as_str())),
        checksum: Some(checksum),
        description: upload.description.clone(),
        pieces: parts.iter().map(piece).collect(),
        upload: None,
        blobs: parts.iter().map(|(_, part)| Blob { id: part.blob.clone(), size: part.size }).collect(),
    })
}
