//! What an archive may cost, however it was made. One value, so that tests can be stingy.

/// The bounds of unpacking one layer or archive.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Bytes after decompression: beyond the largest images in use, which carry machine learning models.
    pub unpacked_bytes: u64,
    /// Decompressed bytes per compressed byte. Layers reach 3 to 10, zeroed disks 1,000.
    pub ratio: u64,
    /// Below so many decompressed bytes, any ratio is harmless.
    pub any_ratio_bytes: u64,
    /// Entries: several times what a full distribution has.
    pub entries: u64,
    /// Bytes of the names of directories, which are remembered until the end of a layer.
    pub directory_name_bytes: u64,
    /// Bytes of one extended header: a path, a link and a few attributes. Read into memory.
    pub header_bytes: u64,
    /// Bytes of a manifest, a configuration or an index. Read into memory; the distribution specification's figure.
    pub json_bytes: u64,
}

pub(crate) const LIMITS: Limits = Limits {
    unpacked_bytes: 64 << 30,
    ratio: 200,
    any_ratio_bytes: 1 << 30,
    entries: 2_000_000,
    directory_name_bytes: 64 << 20,
    header_bytes: 1 << 20,
    json_bytes: 4 << 20,
};
