//! How buckets lie in the store, and under which keys. Pure.
//!
//! ```text
//!  bucket/NAME                      a bucket
//!  object/UID/KEY\0ORDER            a version of an object; ORDER falls from version to version, so the newest comes first
//!  upload/UID/KEY\0UPLOAD           a multipart upload
//!  part/UPLOAD/NUMBER               a part of it
//!  event/ORDER                      an event that is to be delivered
//! ```

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Algorithm, BucketSettings, Checksum};

pub(super) const BUCKETS: &str = "bucket/";
pub(super) const OBJECTS: &str = "object/";
pub(super) const UPLOADS: &str = "upload/";
pub(super) const PARTS: &str = "part/";
pub(super) const EVENTS: &str = "event/";

/// The id of the version of an object that was written without versioning.
pub const NULL_VERSION: &str = "null";

/// A bucket.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    /// One that is deleted and made again is another.
    pub(super) uid: String,
    pub(super) created_ms: u64,
    pub(super) settings: BucketSettings,
}

/// A file with bytes of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Blob {
    pub(super) id: String,
    pub(super) size: u64,
}

/// What is said about an object beside its bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// Such as `content-type`: given back as they came.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The user's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// Tags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

/// A part that an object was put together from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// Its number in the upload.
    pub number: u32,
    /// In bytes.
    pub size: u64,
    /// Its checksum, of the algorithm of the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<String>,
}

/// A version of an object, or the mark that it was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// [`NULL_VERSION`] when it was written without versioning.
    pub id: String,
    /// When it was written, in milliseconds since 1970.
    pub modified_ms: u64,
    /// Whether it only says that the object was deleted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub marker: bool,
    /// In bytes.
    #[serde(default)]
    pub size: u64,
    /// Without quotes.
    #[serde(default)]
    pub etag: String,
    /// Its checksum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<Checksum>,
    /// What was said about it.
    #[serde(flatten)]
    pub description: Description,
    /// The parts that it was put together from, if it was.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pieces: Vec<Piece>,
    /// The upload that these were parts of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) upload: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) blobs: Vec<Blob>,
}

/// A multipart upload that has begun.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Upload {
    /// When, in milliseconds since 1970.
    pub created_ms: u64,
    /// What the checksums of its parts are computed with.
    pub algorithm: Algorithm,
    /// Whether somebody asked for that.
    pub asked: bool,
    /// Whether the object's checksum will be that of all its bytes.
    pub whole: bool,
    /// What was said about the object.
    pub description: Description,
}

/// A part of an upload.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Part {
    /// When it was written, in milliseconds since 1970.
    pub modified_ms: u64,
    /// In bytes.
    pub size: u64,
    /// Its MD5, without quotes.
    pub etag: String,
    /// Its checksum, in base64.
    pub checksum: String,
    pub(super) blob: String,
}

pub(super) fn write(record: &impl Serialize) -> Bytes {
    serde_json::to_vec(record).expect("records are JSON").into()
}

pub(super) fn read<T: DeserializeOwned>(value: &[u8]) -> Option<T> {
    serde_json::from_slice(value).ok()
}

pub(super) fn bucket_key(name: &str) -> String {
    format!("{BUCKETS}{name}")
}

/// Before the keys of all objects of a bucket, or of those with a prefix.
pub(super) fn objects(uid: &str, prefix: &str) -> String {
    format!("{OBJECTS}{uid}/{prefix}")
}

pub(super) fn versions(uid: &str, key: &str) -> String {
    format!("{OBJECTS}{uid}/{key}\0")
}

/// Key and order of a version, from its key in the store without what is before all objects of its bucket.
pub(super) fn split(rest: &str) -> Option<(&str, u64)> {
    let (key, order) = rest.rsplit_once('\0')?;
    Some((key, u64::from_str_radix(order, 16).ok()?))
}

pub(super) fn version_key(uid: &str, key: &str, order: u64) -> String {
    format!("{OBJECTS}{uid}/{key}\0{order:016x}")
}

pub(super) fn uploads(uid: &str, prefix: &str) -> String {
    format!("{UPLOADS}{uid}/{prefix}")
}

pub(super) fn upload_key(uid: &str, key: &str, id: &str) -> String {
    format!("{UPLOADS}{uid}/{key}\0{id}")
}

pub(super) fn parts(upload: &str) -> String {
    format!("{PARTS}{upload}/")
}

pub(super) fn part_key(upload: &str, number: u32) -> String {
    format!("{PARTS}{upload}/{number:05}")
}
