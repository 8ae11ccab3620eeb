//! Objects: written, found, deleted. What of them is durable and when is decided here.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use store::{Expect, Op, Range};

use super::blob::{self, Draft, Finished, Fresh, Reading};
use super::event::{Cause, Happened};
use super::record::{self, Blob, Description, NULL_VERSION, Version};
use super::{Bucket, Buckets, Checksum, Piece, RECORDS_MAX, Sums, Versioning};

/// Why nothing was done with an object or an upload.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ObjectError {
    /// The bucket was deleted.
    #[error("the bucket does not exist")]
    NoBucket,
    /// There is no such object.
    #[error("the key does not exist")]
    NoKey,
    /// It has no such version.
    #[error("the version does not exist")]
    NoVersion,
    /// What is there is not what the caller takes for granted.
    #[error("a precondition does not hold")]
    Precondition,
    /// There is no such upload.
    #[error("the upload does not exist")]
    NoUpload,
    /// There is no such part, or it is another one by now.
    #[error("a part could not be found")]
    NoPart,
    /// A part that is not the last one has less than 5 MiB.
    #[error("a part is too small")]
    SmallPart {
        /// Its number.
        number: u32,
        /// Its size in bytes.
        size: u64,
        /// Its MD5.
        etag: String,
    },
    /// The sum of the whole is not what the caller says.
    #[error("the checksum of the object differs")]
    BadSum,
    /// The object would be larger than objects can be.
    #[error("the object would be too large")]
    TooLarge,
    /// There is no room on the disk.
    #[error("there is no room on the disk")]
    DiskFull,
    /// There are as many objects as can be.
    #[error("there are {RECORDS_MAX} objects, which is as many as may be")]
    TooMany,
    /// A file could not be written or read.
    #[error("the disk failed: {0}")]
    Disk(String),
    /// It could not be made durable.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl From<io::Error> for ObjectError {
    fn from(error: io::Error) -> ObjectError {
        if blob::is_full(&error) { ObjectError::DiskFull } else { ObjectError::Disk(error.to_string()) }
    }
}

/// What must hold of the object that is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Condition {
    /// Nothing.
    #[default]
    Any,
    /// There must be none.
    Absent,
    /// It must have this ETag; `*` is any.
    Matches(String),
}

/// Bytes that are on the disk; they go when this is dropped.
pub struct Written {
    pub(super) files: Vec<(Option<Fresh>, Blob)>,
    /// What they came to.
    pub sums: Sums,
}

impl Written {
    pub(super) fn new(finished: Finished) -> Written {
        let blob = Blob { id: finished.fresh.id().to_owned(), size: finished.sums.size };
        Written { files: vec![(Some(finished.fresh), blob)], sums: finished.sums }
    }
}

impl Draft {
    /// Everything is there; it is on the disk when this returns.
    pub async fn end(self) -> Result<Written, ObjectError> {
        Ok(Written::new(self.finish().await?))
    }
}

/// An object that is to be.
pub struct NewObject {
    /// What it is called.
    pub key: String,
    /// Its bytes.
    pub written: Written,
    /// Its checksum.
    pub checksum: Option<Checksum>,
    /// What is said about it.
    pub description: Description,
    /// What must hold.
    pub condition: Condition,
    /// What is told of it, such as `ObjectCreated:Put`.
    pub event: &'static str,
    /// Who does it.
    pub cause: Cause,
}

/// An object that is there, with all that is known of it.
pub struct Found {
    /// What is known of it.
    pub version: Version,
    pub(super) order: u64,
}

/// What a deletion did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deleted {
    /// The version that was deleted, or the mark that was made.
    pub version_id: Option<String>,
    /// Whether that is a mark.
    pub marker: bool,
}

impl Buckets {
    /// Makes an object. When this returns it is durable, and whatever was there without a version is gone.
    pub async fn put(self: &Arc<Self>, bucket: &Arc<Bucket>, new: NewObject) -> Result<Version, ObjectError> {
        let (buckets, bucket) = (self.clone(), bucket.clone());
        // A caller who goes away must not part the record from its files.
        let done = tokio::spawn(async move {
            let NewObject { key, written, checksum, description, condition, event, cause } = new;
            let _turn = buckets.keys.turn(&bucket, &key).await;
            let version = Version {
                id: String::new(),
                modified_ms: 0,
                marker: false,
                size: written.sums.size,
                etag: written.sums.md5.clone(),
                checksum,
                description,
                pieces: Vec::new(),
                upload: None,
                blobs: written.files.iter().map(|(_, blob)| blob.clone()).collect(),
            };
            buckets.check_condition(&bucket, &key, &condition).await?;
            let happened = Happened { event, cause };
            let written = written.files.into_iter().filter_map(|(fresh, _)| fresh).collect();
            buckets.write_version(&bucket, &key, version, Vec::new(), written, &happened).await
        });
        done.await.map_err(|error| ObjectError::Disk(error.to_string()))?
    }

    pub(super) async fn check_condition(
        &self,
        bucket: &Bucket,
        key: &str,
        condition: &Condition,
    ) -> Result<(), ObjectError> {
        if *condition == Condition::Any {
            return Ok(());
        }
        let found = self.newest(bucket, key).await?.filter(|found| !found.version.marker);
        match (condition, found) {
            (Condition::Absent, Some(_)) => Err(ObjectError::Precondition),
            (Condition::Matches(_), None) => Err(ObjectError::NoKey),
            (Condition::Matches(etag), Some(found)) if *etag != "*" && *etag != found.version.etag => {
                Err(ObjectError::Precondition)
            }
            _ => Ok(()),
        }
    }

    /// Writes a version of an object, whose turn the caller has, and all that goes with it, in one transaction.
    pub(super) async fn write_version(
        self: &Arc<Self>,
        bucket: &Bucket,
        key: &str,
        mut version: Version,
        mut ops: Vec<Op>,
        written: Vec<Fresh>,
        happened: &Happened,
    ) -> Result<Version, ObjectError> {
        let gone = bucket.gone.read().await;
        if *gone {
            return Err(ObjectError::NoBucket);
        }
        if self.records.load(Ordering::Relaxed) >= RECORDS_MAX {
            return Err(ObjectError::TooMany);
        }
        let settings = bucket.settings();
        let versioned = settings.versioning == Versioning::Enabled;
        let order = u64::MAX - self.number();
        let random = uuid::Uuid::new_v4().as_u64_pair().0;
        version.id = if versioned { format!("{order:016x}{random:016x}") } else { NULL_VERSION.to_owned() };
        version.modified_ms = self.now_ms();
        let replaced = if versioned { None } else { self.version_of(bucket, key, NULL_VERSION).await? };
        if let Some(replaced) = &replaced {
            let key = record::version_key(&bucket.uid, key, replaced.order).into();
            ops.push(Op::Delete { key, expect: Expect::Any });
        }
        let at = record::version_key(&bucket.uid, key, order).into();
        ops.push(Op::Put { key: at, value: record::write(&version), expect: Expect::Absent });
        let told = self.plan_events(bucket, &settings, key, &version, happened, &mut ops);
        let done = self.store.commit(ops).await;
        match done {
            // Whether it was written is not known: the next start finds out.
            Ok(_) | Err(store::Error::Closed) => written.into_iter().for_each(Fresh::keep),
            Err(_) => {}
        }
        done?;
        drop(gone);
        match replaced {
            Some(replaced) => self.blobs.remove(ids(replaced.version)),
            None => drop(self.records.fetch_add(1, Ordering::Relaxed)),
        }
        if told {
            self.happened.notify_one();
        }
        Ok(version)
    }

    /// The newest version of an object, which may be the mark that it was deleted.
    pub(super) async fn newest(&self, bucket: &Bucket, key: &str) -> Result<Option<Found>, store::Error> {
        let range = Range { limit: Some(1), ..Range::prefix(&record::versions(&bucket.uid, key)) };
        Ok(self.store.list(range).await?.entries.first().and_then(read))
    }

    /// A version by its id.
    pub(super) async fn version_of(
        &self,
        bucket: &Bucket,
        key: &str,
        id: &str,
    ) -> Result<Option<Found>, store::Error> {
        if id != NULL_VERSION {
            let order = id.get(..16).and_then(|text| u64::from_str_radix(text, 16).ok());
            let Some(order) = order else { return Ok(None) };
            let found = self.store.get(&record::version_key(&bucket.uid, key, order)).await?;
            return Ok(found.as_ref().and_then(read).filter(|found| found.version.id == id));
        }
        let mut range = Range { limit: Some(64), ..Range::prefix(&record::versions(&bucket.uid, key)) };
        loop {
            let page = self.store.list(range.clone()).await?;
            let found = page.entries.iter().filter_map(read).find(|found| found.version.id == NULL_VERSION);
            if found.is_some() || !page.more {
                return Ok(found);
            }
            range.after = page.entries.last().map(|entry| entry.key.clone());
        }
    }

    /// Finds an object, or a version of it. A mark of deletion is found too: the caller says what it means.
    pub async fn find(&self, bucket: &Bucket, key: &str, id: Option<&str>) -> Result<Found, ObjectError> {
        match id {
            None => self.newest(bucket, key).await?.ok_or(ObjectError::NoKey),
            Some(id) => self.version_of(bucket, key, id).await?.ok_or(ObjectError::NoVersion),
        }
    }

    /// Opens bytes of an object for reading: so many from a place on. What is gone by now is `NoKey`: look again.
    pub async fn read(
        &self,
        bucket: &Bucket,
        key: &str,
        found: &Found,
        from: u64,
        size: u64,
    ) -> Result<Reading, ObjectError> {
        let (mut pieces, mut at, end) = (VecDeque::new(), 0, from + size);
        for blob in &found.version.blobs {
            let (begin, stop) = (from.max(at), end.min(at + blob.size));
            if begin < stop {
                pieces.push_back(blob::Piece { id: blob.id.clone(), from: begin - at, size: stop - begin });
            }
            at += blob.size;
        }
        let pinned = self.blobs.pin(pieces.iter().map(|piece| piece.id.clone()));
        let at = record::version_key(&bucket.uid, key, found.order);
        let now = self.store.get(&at).await?.as_ref().and_then(read);
        // Files go after what names them: what is still named now stays.
        match now {
            Some(now) if now.version.blobs == found.version.blobs => {
                Ok(Reading::new(self.blobs.clone(), pieces, pinned))
            }
            _ => Err(ObjectError::NoKey),
        }
    }

    /// Deletes an object, or one of its versions. What is not there is deleted already.
    pub async fn delete_object(
        self: &Arc<Self>,
        bucket: &Arc<Bucket>,
        key: &str,
        id: Option<&str>,
        condition: &Condition,
        cause: Cause,
    ) -> Result<Deleted, ObjectError> {
        let (buckets, bucket, key) = (self.clone(), bucket.clone(), key.to_owned());
        let (id, condition) = (id.map(str::to_owned), condition.clone());
        let done = tokio::spawn(async move {
            let _turn = buckets.keys.turn(&bucket, &key).await;
            buckets.check_condition(&bucket, &key, &condition).await?;
            match (&id, bucket.settings().versioning) {
                (Some(id), _) => buckets.delete_version(&bucket, &key, id, cause).await,
                (None, Versioning::Off) => {
                    let deleted = buckets.delete_version(&bucket, &key, NULL_VERSION, cause).await?;
                    Ok(Deleted { version_id: None, ..deleted })
                }
                (None, _) => buckets.mark_deleted(&bucket, &key, cause).await,
            }
        });
        done.await.map_err(|error| ObjectError::Disk(error.to_string()))?
    }

    async fn mark_deleted(
        self: &Arc<Self>,
        bucket: &Bucket,
        key: &str,
        cause: Cause,
    ) -> Result<Deleted, ObjectError> {
        let marker = Version {
            id: String::new(),
            modified_ms: 0,
            marker: true,
            size: 0,
            etag: String::new(),
            checksum: None,
            description: Description::default(),
            pieces: Vec::new(),
            upload: None,
            blobs: Vec::new(),
        };
        let happened = Happened { event: cause.removed("DeleteMarkerCreated"), cause };
        let marker = self.write_version(bucket, key, marker, Vec::new(), Vec::new(), &happened).await?;
        Ok(Deleted { version_id: Some(marker.id), marker: true })
    }

    async fn delete_version(
        &self,
        bucket: &Bucket,
        key: &str,
        id: &str,
        cause: Cause,
    ) -> Result<Deleted, ObjectError> {
        let deleted = Deleted { version_id: Some(id.to_owned()), marker: false };
        let Some(found) = self.version_of(bucket, key, id).await? else { return Ok(deleted) };
        let at = record::version_key(&bucket.uid, key, found.order).into();
        let mut ops = vec![Op::Delete { key: at, expect: Expect::Any }];
        let happened = Happened { event: cause.removed("Delete"), cause };
        let told = self.plan_events(bucket, &bucket.settings(), key, &found.version, &happened, &mut ops);
        self.store.commit(ops).await?;
        self.records.fetch_sub(1, Ordering::Relaxed);
        if told {
            self.happened.notify_one();
        }
        let marker = found.version.marker;
        self.blobs.remove(ids(found.version));
        Ok(Deleted { marker, ..deleted })
    }

    /// Says something else about a version.
    pub async fn describe(
        &self,
        bucket: &Bucket,
        key: &str,
        id: Option<&str>,
        change: impl FnOnce(&mut Description) + Send,
    ) -> Result<Version, ObjectError> {
        let _turn = self.keys.turn(bucket, key).await;
        let Found { mut version, order } = self.find(bucket, key, id).await?;
        if version.marker {
            return Err(ObjectError::NoKey);
        }
        change(&mut version.description);
        let at = record::version_key(&bucket.uid, key, order).into();
        let op = Op::Put { key: at, value: record::write(&version), expect: Expect::Any };
        self.store.commit(vec![op]).await?;
        Ok(version)
    }
}

impl Found {
    /// The bytes of one part: where they begin, and how many they are. Parts are counted from 1.
    pub fn part(&self, number: u32) -> Option<(u64, &Piece)> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        let from = self.version.pieces.get(..index)?.iter().map(|piece| piece.size).sum();
        Some((from, self.version.pieces.get(index)?))
    }
}

pub(super) fn read(entry: &store::Entry) -> Option<Found> {
    let (_, order) = record::split(&entry.key)?;
    Some(Found { version: record::read(&entry.value)?, order })
}

pub(super) fn ids(version: Version) -> Vec<String> {
    version.blobs.into_iter().map(|blob| blob.id).collect()
}
