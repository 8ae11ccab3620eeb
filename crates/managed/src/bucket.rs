//! Buckets: named objects of any size, with versions, multipart uploads, and events about them. The rules are those of Amazon
//! S3; no wire format is known here. What was acknowledged is durable, bytes and what is known of them.
//!
//! ```text
//!  Buckets ─ all buckets of one store and one directory
//!    ├─ Draft ─▶ file ─▶ synced ─▶ named ─▶ put, put_part     the store names it: one transaction, with the events
//!    ├─ find ─▶ Found ─▶ Reading
//!    ├─ delete, complete, list, list_versions
//!    ├─ expire ─ what the rules of buckets say
//!    └─ next_events ─▶ whoever delivers them ─▶ delivered
//! ```
//!
//! A file comes before the record that names it, and goes after it: what a crash leaves is a file that nothing names, and
//! such files are removed when the buckets are opened.

mod blob;
mod checksum;
mod copy;
mod event;
mod expiry;
mod listing;
mod multipart;
mod object;
mod record;
mod settings;

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use store::{Expect, Op, Range, Store};
use tokio::sync::{Notify, RwLock};

use crate::Clock;
use blob::Blobs;
use record::{Record, Version};

pub use blob::{Draft, Reading};
pub use checksum::{Algorithm, Checksum, Sums};
pub use event::{BucketEvent, Cause};
pub use expiry::{Expiry, MIDNIGHT_MS};
pub use listing::{Listed, ListedVersions, Listing};
pub use multipart::{Chosen, Complete, ListedPart, ListedUpload, UploadsListed};
pub use object::{Condition, Deleted, Found, NewObject, ObjectError, Written};
pub use record::{Description, NULL_VERSION, Part, Piece, Upload, Version as ObjectVersion};
pub use settings::{BucketSettings, Filter, Notification, Rule, Versioning};

/// Buckets of one store, as on AWS.
const BUCKETS_MAX: usize = 10_000;

/// What is known of objects is in memory too: so many versions, parts and uploads there may be, some 500 bytes each.
const RECORDS_MAX: u64 = 2_000_000;

/// Locks for keys: who writes the same key waits, who writes another one hardly ever does.
const STRIPES: usize = 256;

/// One at a time for each name, nearly.
struct Stripes(Vec<tokio::sync::Mutex<()>>);

impl Stripes {
    fn new() -> Stripes {
        Stripes(std::iter::repeat_with(tokio::sync::Mutex::default).take(STRIPES).collect())
    }

    /// Waits its turn for what is named like this.
    async fn turn(&self, bucket: &Bucket, name: &str) -> tokio::sync::MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        (&bucket.uid, name).hash(&mut hasher);
        let stripe = usize::try_from(hasher.finish() % STRIPES as u64).unwrap_or(0);
        self.0[stripe].lock().await
    }
}

/// Why a bucket was not made, changed or deleted.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BucketError {
    /// There is one of this name.
    #[error("the bucket exists already")]
    Exists,
    /// There is none of this name.
    #[error("the bucket does not exist")]
    Gone,
    /// There is something in it.
    #[error("the bucket is not empty")]
    NotEmpty,
    /// There are as many as may be.
    #[error("there are {BUCKETS_MAX} buckets, which is as many as may be")]
    TooMany,
    /// It could not be made durable.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Why buckets could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenBucketsError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The directory of files failed.
    #[error("the files of buckets cannot be used")]
    Files(#[from] io::Error),
}

/// A bucket that somebody made.
pub struct Bucket {
    name: Arc<str>,
    uid: Arc<str>,
    created_ms: u64,
    settings: Mutex<Arc<BucketSettings>>,
    /// Held shared while something is written into it; true when it was deleted.
    gone: RwLock<bool>,
}

impl Bucket {
    fn new(name: &str, record: Record) -> Arc<Bucket> {
        Arc::new(Bucket {
            name: name.into(),
            uid: record.uid.into(),
            created_ms: record.created_ms,
            settings: Mutex::new(Arc::new(record.settings)),
            gone: RwLock::new(false),
        })
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// When it was made, in milliseconds since 1970.
    pub fn created_ms(&self) -> u64 {
        self.created_ms
    }

    /// How it behaves.
    pub fn settings(&self) -> Arc<BucketSettings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn record(&self, settings: BucketSettings) -> Record {
        Record { uid: self.uid.to_string(), created_ms: self.created_ms, settings }
    }
}

/// All buckets of one store.
pub struct Buckets {
    store: Arc<dyn Store>,
    blobs: Arc<Blobs>,
    clock: Arc<dyn Clock>,
    buckets: Mutex<BTreeMap<Arc<str>, Arc<Bucket>>>,
    /// Held while settings are written, so that what is kept is what was written last.
    writing: tokio::sync::Mutex<()>,
    keys: Stripes,
    /// Who has the turn of an upload may wait for that of a key, never the other way round.
    uploads: Stripes,
    /// The last number that a version, an upload or an event was given. They grow with the time, in microseconds.
    last: AtomicU64,
    records: AtomicU64,
    /// There is an event to deliver.
    happened: Notify,
    /// The rules of a bucket changed.
    ruled: Notify,
}

impl Buckets {
    /// Reads what the store holds, and removes files that nothing names. Both must be for this alone.
    pub async fn open(
        store: Arc<dyn Store>,
        dir: PathBuf,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Buckets>, OpenBucketsError> {
        let blobs =
            tokio::task::spawn_blocking(move || Blobs::open(dir)).await.map_err(io::Error::other)??;
        let mut buckets = BTreeMap::new();
        for entry in store.list(Range::prefix(record::BUCKETS)).await?.entries {
            let name = entry.key.strip_prefix(record::BUCKETS);
            let (Some(name), Some(found)) = (name, record::read::<Record>(&entry.value)) else {
                return Err(damaged(&entry.key));
            };
            buckets.insert(name.into(), Bucket::new(name, found));
        }
        let opened = Arc::new(Buckets {
            store,
            blobs,
            clock,
            buckets: Mutex::new(buckets),
            writing: tokio::sync::Mutex::default(),
            keys: Stripes::new(),
            uploads: Stripes::new(),
            last: AtomicU64::new(0),
            records: AtomicU64::new(0),
            happened: Notify::new(),
            ruled: Notify::new(),
        });
        opened.sweep().await?;
        Ok(opened)
    }

    /// What a crash left: parts of uploads that are over, and files that nothing names.
    async fn sweep(&self) -> Result<(), OpenBucketsError> {
        let mut named = HashSet::new();
        let (mut records, mut last) = (0, 0);
        for entry in self.store.list(Range::prefix(record::OBJECTS)).await?.entries {
            // A record that cannot be read names files that must not go.
            let version: Version = record::read(&entry.value).ok_or_else(|| damaged(&entry.key))?;
            named.extend(version.blobs.into_iter().map(|blob| blob.id));
            last = last.max(record::split(&entry.key).map_or(0, |(_, order)| u64::MAX - order));
            records += 1;
        }
        let uploads = self.store.list(Range::prefix(record::UPLOADS)).await?.entries;
        let uids: HashSet<Arc<str>> = self.lock().values().map(|bucket| bucket.uid.clone()).collect();
        let (mut over, mut ids) = (Vec::new(), HashSet::new());
        for entry in &uploads {
            let uid = entry.key.strip_prefix(record::UPLOADS).and_then(|rest| rest.split('/').next());
            match uid.is_some_and(|uid| uids.contains(uid)) {
                true => ids.extend(entry.key.rsplit_once('\0').map(|(_, id)| id)),
                // Of a bucket that was deleted.
                false => over.push(Op::Delete { key: entry.key.clone(), expect: Expect::Any }),
            }
        }
        for entry in self.store.list(Range::prefix(record::PARTS)).await?.entries {
            let upload = entry.key.strip_prefix(record::PARTS).and_then(|rest| rest.split('/').next());
            if !upload.is_some_and(|upload| ids.contains(upload)) {
                over.push(Op::Delete { key: entry.key, expect: Expect::Any });
                continue;
            }
            let part: Part = record::read(&entry.value).ok_or_else(|| damaged(&entry.key))?;
            named.insert(part.blob);
            records += 1;
        }
        for some in over.chunks(store::OPS_MAX) {
            self.store.commit(some.to_vec()).await?;
        }
        self.records.store(records + ids.len() as u64, Ordering::Relaxed);
        self.last.store(last, Ordering::Relaxed);
        let blobs = self.blobs.clone();
        let swept = tokio::task::spawn_blocking(move || blobs.sweep(&named)).await;
        let removed = swept.map_err(io::Error::other)??;
        if removed > 0 {
            tracing::info!(removed, "files of buckets that nothing names were removed");
        }
        Ok(())
    }

    /// What time it is here, in milliseconds since 1970.
    pub fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// A number that is larger than all before it.
    fn number(&self) -> u64 {
        let now = self.clock.now_ms().saturating_mul(1000);
        let next = |last: u64| Some(now.max(last + 1));
        let last = self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        now.max(last.unwrap_or(0) + 1)
    }

    /// The bucket of this name.
    pub fn get(&self, name: &str) -> Option<Arc<Bucket>> {
        self.lock().get(name).cloned()
    }

    /// All of them, by name.
    pub fn all(&self) -> Vec<Arc<Bucket>> {
        self.lock().values().cloned().collect()
    }

    /// Makes a bucket.
    pub async fn create(&self, name: &str, settings: BucketSettings) -> Result<Arc<Bucket>, BucketError> {
        let _writing = self.writing.lock().await;
        if self.get(name).is_some() {
            return Err(BucketError::Exists);
        }
        if self.lock().len() >= BUCKETS_MAX {
            return Err(BucketError::TooMany);
        }
        let uid = uuid::Uuid::new_v4().simple().to_string();
        let record = Record { uid, created_ms: self.now_ms(), settings };
        let (key, value) = (record::bucket_key(name).into(), record::write(&record));
        self.store.commit(vec![Op::Put { key, value, expect: Expect::Absent }]).await?;
        let bucket = Bucket::new(name, record);
        self.lock().insert(name.into(), bucket.clone());
        Ok(bucket)
    }

    /// Changes the settings of a bucket; what fails to change them leaves them as they are.
    pub async fn change<E: From<BucketError>>(
        &self,
        name: &str,
        change: impl FnOnce(&mut BucketSettings) -> Result<(), E>,
    ) -> Result<(), E> {
        let _writing = self.writing.lock().await;
        let bucket = self.get(name).ok_or(BucketError::Gone)?;
        let mut settings = (*bucket.settings()).clone();
        change(&mut settings)?;
        let ruled = settings.rules != bucket.settings().rules;
        let (key, value) = (record::bucket_key(name).into(), record::write(&bucket.record(settings.clone())));
        let written = self.store.commit(vec![Op::Put { key, value, expect: Expect::Any }]).await;
        written.map_err(BucketError::Store)?;
        *bucket.settings.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
        if ruled {
            self.ruled.notify_one();
        }
        Ok(())
    }

    /// Deletes a bucket in which there is no version of any object. Its uploads are given up.
    pub async fn delete(self: &Arc<Self>, name: &str) -> Result<(), BucketError> {
        let writing = self.writing.lock().await;
        let bucket = self.get(name).ok_or(BucketError::Gone)?;
        let mut gone = bucket.gone.write().await;
        let any = Range { limit: Some(1), ..Range::prefix(&record::objects(&bucket.uid, "")) };
        if !self.store.list(any).await?.entries.is_empty() {
            return Err(BucketError::NotEmpty);
        }
        let key = record::bucket_key(name).into();
        self.store.commit(vec![Op::Delete { key, expect: Expect::Any }]).await?;
        *gone = true;
        self.lock().remove(name);
        drop((gone, writing));
        self.abort_all(&bucket).await;
        Ok(())
    }

    /// Begins to write an object or a part, with these checksums.
    pub fn draft(&self, algorithms: &[Algorithm]) -> Draft {
        Draft::new(self.blobs.clone(), algorithms)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Arc<Bucket>>> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn damaged(key: &str) -> OpenBucketsError {
    OpenBucketsError::Files(io::Error::other(format!("the record {key:?} cannot be read")))
}

#[cfg(test)]
mod tests;
