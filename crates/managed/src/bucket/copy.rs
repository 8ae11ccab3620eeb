//! Bytes that are there already, under another name. A file that is copied whole is not copied: it gets a second name.

use std::sync::Arc;

use super::object::{Found, ObjectError, Written};
use super::record::Blob;
use super::{Algorithm, Bucket, Buckets, Sums};

impl Buckets {
    /// So many bytes of an object from a place on, as bytes of another one, with these checksums.
    pub async fn copy(
        self: &Arc<Self>,
        bucket: &Bucket,
        key: &str,
        found: &Found,
        (from, size): (u64, u64),
        algorithm: Algorithm,
    ) -> Result<Written, ObjectError> {
        let version = &found.version;
        if let ([blob], Some(checksum)) = (&version.blobs[..], &version.checksum)
            && (from, size) == (0, version.size)
            && version.pieces.is_empty()
            && (checksum.algorithm, checksum.whole) == (algorithm, true)
        {
            let sums = Sums {
                size,
                md5: version.etag.clone(),
                others: [(algorithm, checksum.value.clone())].into(),
            };
            // Held until the file has its second name.
            let _reading = self.read(bucket, key, found, 0, size).await?;
            let (blobs, id) = (self.blobs.clone(), blob.id.clone());
            let linked = tokio::task::spawn_blocking(move || blobs.link(&id)).await;
            // A file has 65,000 names at most; then it is copied after all.
            if let Ok(Ok(fresh)) = linked {
                let blob = Blob { id: fresh.id().to_owned(), size };
                return Ok(Written { files: vec![(Some(fresh), blob)], sums });
            }
        }
        let mut reading = self.read(bucket, key, found, from, size).await?;
        let mut draft = self.draft(&[algorithm]);
        while let Some(bytes) = reading.next().await {
            draft.write(bytes?).await?;
        }
        draft.end().await
    }
}
