//! Why an image operation did not succeed, and what to do next.

use std::io;
use std::path::{Path, PathBuf};

use super::digest::Digest;
use super::name::BadName;

/// Why an image operation failed. The store is as it was before, except for blobs that the next removal collects.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such image here.
    #[error(
        "no image {name} here: make it with `dory image build`, or bring it with `dory image load` or `import`"
    )]
    NotFound {
        /// What was asked for.
        name: String,
    },
    /// Not an image name.
    #[error(transparent)]
    BadName(#[from] BadName),
    /// A short id that several images share.
    #[error("{id} is the start of several image ids: give more of it")]
    Ambiguous {
        /// The short id.
        id: String,
    },
    /// An id that has several names, where one image was to be removed.
    #[error("image {id} has several names: remove them one by one: {}", names.join(", "))]
    SeveralNames {
        /// The id.
        id: String,
        /// The names.
        names: Vec<String>,
    },
    /// Functions were made from the image.
    #[error("image {id} has no name any more and is kept for functions: it goes with the last of them")]
    Kept {
        /// The id.
        id: String,
    },
    /// Some process runs on the image.
    #[error("image {name} is in use by process {pid}: stop its container first")]
    InUse {
        /// The image.
        name: String,
        /// A process that has one of its layers mounted.
        pid: u32,
    },
    /// The file system said no.
    #[error("{doing} {} failed", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The archive cannot be read as an image.
    #[error("the archive is not an image: {problem}")]
    Archive {
        /// What is wrong.
        problem: String,
    },
    /// An entry of a layer cannot be unpacked.
    #[error("layer entry {entry:?} is refused: {problem}")]
    Entry {
        /// The path, as the layer has it.
        entry: String,
        /// What is wrong.
        problem: String,
    },
    /// More than the limits allow.
    #[error("{what} exceeds the limit of {max} {unit}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// The limit.
        max: u64,
        /// Its unit.
        unit: &'static str,
    },
    /// Bytes that are not what their digest says: damaged or forged.
    #[error("the content of {what} is {found}, not {expected}: the archive is damaged, make it again")]
    Digest {
        /// What the bytes are.
        what: String,
        /// What they should be.
        expected: Digest,
        /// What they are.
        found: Digest,
    },
    /// The archive holds an image without a name, and none was given.
    #[error(
        "the archive holds {images} image(s) without a usable name: give a name with --name, for one image"
    )]
    Nameless {
        /// Images in the archive.
        images: usize,
    },
    /// The image is for other machines.
    #[error("the image is for {found}, this machine is {host}: build it for {host}")]
    Platform {
        /// What the image is for.
        found: String,
        /// What would run here.
        host: String,
    },
    /// The thing to build from is not something that can be built from.
    #[error("{} cannot become an image: {problem}", path.display())]
    Source {
        /// The thing.
        path: PathBuf,
        /// Why not, and what to do.
        problem: String,
    },
    /// A file of the store itself does not hold what it should.
    #[error("{} is damaged: remove the image and load it again", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// How.
        #[source]
        source: serde_json::Error,
    },
}

/// For `map_err`: an I/O error with what was being done to which path.
pub(crate) fn failed<E: Into<io::Error>>(doing: &'static str, path: &Path) -> impl FnOnce(E) -> Error {
    let path = path.to_path_buf();
    move |source| Error::Io { doing, path, source: source.into() }
}
