//! Archives of functions and layers that lie in buckets.

use crate::Lambda;
use bytes::Bytes;
use managed::{ObjectError, Reading};
use tokio::sync::{Semaphore, SemaphorePermit};

/// Archives are checked in memory, one at a time: those from buckets may be as large as what they unpack to.
static ONE: Semaphore = Semaphore::const_new(1);

/// Why there is no archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoCode {
    /// With S3's code and message.
    Missing(&'static str, &'static str),
    TooLarge,
    Failed(String),
}

/// An archive in memory. There is one at a time.
pub(crate) struct Archive {
    pub(crate) zip: Bytes,
    _one: SemaphorePermit<'static>,
}

/// Reads an archive of at most so many bytes.
pub(crate) async fn archive(
    lambda: &Lambda,
    bucket: &str,
    key: &str,
    version: Option<&str>,
    max: u64,
) -> Result<Archive, NoCode> {
    let buckets = &lambda.config.buckets;
    let missing = "The specified bucket does not exist";
    let bucket = buckets.get(bucket).ok_or(NoCode::Missing("NoSuchBucket", missing))?;
    let no_key = NoCode::Missing("NoSuchKey", "The specified key does not exist.");
    let found = match buckets.find(&bucket, key, version).await {
        Ok(found) if !found.version.marker => found,
        Ok(_) | Err(ObjectError::NoKey) => return Err(no_key),
        Err(ObjectError::NoVersion) => {
            return Err(NoCode::Missing("NoSuchVersion", "The specified version does not exist."));
        }
        Err(error) => return Err(NoCode::Failed(error.to_string())),
    };
    if found.version.size > max {
        return Err(NoCode::TooLarge);
    }
    let one = ONE.acquire().await.map_err(|error| NoCode::Failed(error.to_string()))?;
    let reading = buckets.read(&bucket, key, &found, 0, found.version.size).await;
    let reading = reading.map_err(|_| no_key)?;
    let zip = whole(reading).await.map_err(|error| NoCode::Failed(error.to_string()))?;
    Ok(Archive { zip, _one: one })
}

/// The whole of an object that must not be large.
async fn whole(mut reading: Reading) -> std::io::Result<Bytes> {
    let mut bytes = Vec::with_capacity(usize::try_from(reading.size()).unwrap_or(0));
    while let Some(block) = reading.next().await {
        bytes.extend_from_slice(&block?);
    }
    Ok(bytes.into())
}
