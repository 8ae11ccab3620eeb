//! A tar in OCI image layout, written as its blobs come.

use std::io;

use hyper::body::Incoming;
use ring::digest::{Context, SHA256};
use serde_json::{Value, json};
use tokio::fs::File;
use tokio::io::{AsyncWriteExt, BufWriter};

use crate::Error;
use crate::fetch::piece;

/// Tar pads every file to this.
const BLOCK_BYTES: u64 = 512;

/// The archive being written.
pub(crate) struct Archive {
    to: BufWriter<File>,
}

fn disk(error: io::Error) -> Error {
    Error::Disk(error.to_string())
}

/// `sha256:` and the digest of some bytes.
pub(crate) fn digest(bytes: &[u8]) -> String {
    let mut context = Context::new(&SHA256);
    context.update(bytes);
    hex(context)
}

fn hex(context: Context) -> String {
    let bytes = context.finish();
    let digits: String = bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{digits}")
}

fn blob_path(digest: &str) -> String {
    format!("blobs/{}", digest.replace(':', "/"))
}

impl Archive {
    pub(crate) async fn begin(to: std::fs::File) -> Result<Archive, Error> {
        let mut archive = Archive { to: BufWriter::new(File::from_std(to)) };
        archive.file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#).await?;
        Ok(archive)
    }

    async fn head(&mut self, path: &str, size: u64) -> Result<(), Error> {
        let mut header = tar::Header::new_gnu();
        header.set_path(path).map_err(disk)?;
        header.set_size(size);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_cksum();
        self.to.write_all(header.as_bytes()).await.map_err(disk)
    }

    async fn pad(&mut self, size: u64) -> Result<(), Error> {
        let rest = (BLOCK_BYTES - size % BLOCK_BYTES) % BLOCK_BYTES;
        let zeros = [0; BLOCK_BYTES as usize];
        let rest = usize::try_from(rest).expect("less than a block");
        self.to.write_all(&zeros[..rest]).await.map_err(disk)
    }

    async fn file(&mut self, path: &str, content: &[u8]) -> Result<(), Error> {
        self.head(path, content.len() as u64).await?;
        self.to.write_all(content).await.map_err(disk)?;
        self.pad(content.len() as u64).await
    }

    /// A blob that is here already.
    pub(crate) async fn blob(&mut self, content: &[u8]) -> Result<(), Error> {
        self.file(&blob_path(&digest(content)), content).await
    }

    /// A blob as it comes; it must have the digest and the size that its manifest says.
    pub(crate) async fn stream(&mut self, wanted: &str, size: u64, mut body: Incoming) -> Result<(), Error> {
        self.head(&blob_path(wanted), size).await?;
        let (mut context, mut so_far) = (Context::new(&SHA256), 0);
        while let Some(data) = piece(&mut body).await? {
            so_far += data.len() as u64;
            if so_far > size {
                break;
            }
            context.update(&data);
            self.to.write_all(&data).await.map_err(disk)?;
        }
        if so_far != size || hex(context) != wanted {
            return Err(Error::Invalid(format!("blob {wanted} is not what the manifest says")));
        }
        self.pad(size).await
    }

    /// Writes what the archive holds, and its end.
    pub(crate) async fn end(mut self, manifest: &[u8], media_type: &str) -> Result<(), Error> {
        let manifest = json!({ "mediaType": media_type, "digest": digest(manifest), "size": manifest.len() });
        let index: Value = json!({ "schemaVersion": 2, "manifests": [manifest] });
        self.file("index.json", index.to_string().as_bytes()).await?;
        // Two blocks of zeros are the end of a tar.
        self.to.write_all(&[0; 2 * BLOCK_BYTES as usize]).await.map_err(disk)?;
        self.to.flush().await.map_err(disk)
    }
}
