//! The checksums of objects: computed while bytes pass, and put together from those of parts. Pure.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use crc::{CRC_32_ISCSI, CRC_64_NVME, Crc, Table};
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::Sha256;

static CRC32C: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);
static CRC64NVME: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_NVME);

/// The polynomials with their bits reversed, as the sums have them.
const CRC32_POLYNOMIAL: u64 = 0xedb8_8320;
const CRC32C_POLYNOMIAL: u64 = 0x82f6_3b78;
const CRC64NVME_POLYNOMIAL: u64 = 0x9a6c_9329_ac4b_c9b5;

/// What checksums are computed with, beside the MD5 that every object has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Algorithm {
    /// The CRC of zip and Ethernet.
    Crc32,
    /// Castagnoli's.
    Crc32c,
    /// The 64 bits of NVMe; what an object has when nobody asked for another.
    Crc64Nvme,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
}

/// The checksum of an object or a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checksum {
    /// What it was computed with.
    pub algorithm: Algorithm,
    /// In base64; followed by `-N` when it is that of N checksums of parts.
    pub value: String,
    /// Whether it is that of all the bytes, not of the checksums of parts.
    pub whole: bool,
}

impl Algorithm {
    /// Whether the sum of a whole can be had from the sums of its parts.
    pub fn combines(self) -> bool {
        matches!(self, Algorithm::Crc32 | Algorithm::Crc32c | Algorithm::Crc64Nvme)
    }

    /// Bytes of a sum.
    pub fn bytes(self) -> usize {
        match self {
            Algorithm::Crc32 | Algorithm::Crc32c => 4,
            Algorithm::Crc64Nvme => 8,
            Algorithm::Sha1 => 20,
            Algorithm::Sha256 => 32,
        }
    }

    /// Whether a text can be such a sum.
    pub fn reads(self, text: &str) -> bool {
        BASE64_STANDARD.decode(text).is_ok_and(|sum| sum.len() == self.bytes())
    }
}

/// One sum that grows with the bytes that pass.
enum Running {
    Crc32(crc32fast::Hasher),
    Crc32c(crc::Digest<'static, u32, Table<16>>),
    Crc64(crc::Digest<'static, u64, Table<16>>),
    Sha1(Box<Sha1>),
    Sha256(Box<Sha256>),
}

impl Running {
    fn new(algorithm: Algorithm) -> Running {
        match algorithm {
            Algorithm::Crc32 => Running::Crc32(crc32fast::Hasher::new()),
            Algorithm::Crc32c => Running::Crc32c(CRC32C.digest()),
            Algorithm::Crc64Nvme => Running::Crc64(CRC64NVME.digest()),
            Algorithm::Sha1 => Running::Sha1(Box::default()),
            Algorithm::Sha256 => Running::Sha256(Box::default()),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Running::Crc32(sum) => sum.update(bytes),
            Running::Crc32c(sum) => sum.update(bytes),
            Running::Crc64(sum) => sum.update(bytes),
            Running::Sha1(sum) => Digest::update(&mut **sum, bytes),
            Running::Sha256(sum) => Digest::update(&mut **sum, bytes),
        }
    }

    fn end(self) -> Vec<u8> {
        match self {
            Running::Crc32(sum) => sum.finalize().to_be_bytes().to_vec(),
            Running::Crc32c(sum) => sum.finalize().to_be_bytes().to_vec(),
            Running::Crc64(sum) => sum.finalize().to_be_bytes().to_vec(),
            Running::Sha1(sum) => sum.finalize().to_vec(),
            Running::Sha256(sum) => sum.finalize().to_vec(),
        }
    }
}

/// All sums of one stream of bytes.
pub(super) struct Digests {
    md5: Md5,
    others: Vec<(Algorithm, Running)>,
}

/// What all the bytes of a stream came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sums {
    /// How many they were.
    pub size: u64,
    /// In lower-case hexadecimal.
    pub md5: String,
    /// In base64, by algorithm.
    pub others: BTreeMap<Algorithm, String>,
}

impl Sums {
    /// Those of bytes that are at hand.
    pub fn of(bytes: &[u8], algorithms: &[Algorithm]) -> Sums {
        let mut digests = Digests::new(algorithms);
        digests.update(bytes);
        digests.end(bytes.len() as u64)
    }
}

impl Digests {
    pub(super) fn new(algorithms: &[Algorithm]) -> Digests {
        let mut wanted = algorithms.to_vec();
        wanted.sort_unstable();
        wanted.dedup();
        Digests { md5: Md5::new(), others: wanted.iter().map(|one| (*one, Running::new(*one))).collect() }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.md5.update(bytes);
        self.others.iter_mut().for_each(|(_, sum)| sum.update(bytes));
    }

    pub(super) fn end(self, size: u64) -> Sums {
        let others = self.others.into_iter().map(|(one, sum)| (one, BASE64_STANDARD.encode(sum.end())));
        Sums { size, md5: hex(&self.md5.finalize()), others: others.collect() }
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The ETag of an object of several parts: the MD5 of their MD5s, and how many they are.
pub(super) fn etag_of_parts<'a>(etags: impl ExactSizeIterator<Item = &'a str>) -> String {
    let count = etags.len();
    let mut all = Md5::new();
    for etag in etags {
        let bytes =
            (0..etag.len() / 2).filter_map(|at| u8::from_str_radix(etag.get(2 * at..2 * at + 2)?, 16).ok());
        all.update(bytes.collect::<Vec<u8>>());
    }
    format!("{}-{count}", hex(&all.finalize()))
}

/// The sum of an object of several parts: of all its bytes, or of the sums. None when a part's sum is missing.
pub(super) fn of_parts(algorithm: Algorithm, whole: bool, parts: &[(u64, &str)]) -> Option<Checksum> {
    let sums: Option<Vec<Vec<u8>>> = parts.iter().map(|(_, sum)| BASE64_STANDARD.decode(sum).ok()).collect();
    let sums = sums?;
    let value = match whole {
        true => {
            let mut all = 0;
            for ((size, _), sum) in parts.iter().zip(&sums) {
                let sum = sum.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte));
                all = combine(algorithm, all, sum, *size);
            }
            BASE64_STANDARD.encode(&all.to_be_bytes()[8 - algorithm.bytes()..])
        }
        false => {
            let mut all = Running::new(algorithm);
            sums.iter().for_each(|sum| all.update(sum));
            format!("{}-{}", BASE64_STANDARD.encode(all.end()), parts.len())
        }
    };
    Some(Checksum { algorithm, value, whole })
}

/// The sum of two runs of bytes, of which the second has this size: the first sum is moved on by so many zero bytes, which is a
/// multiplication of polynomials modulo that of the algorithm.
fn combine(algorithm: Algorithm, first: u64, second: u64, size: u64) -> u64 {
    let (polynomial, width) = match algorithm {
        Algorithm::Crc32 => (CRC32_POLYNOMIAL, 32),
        Algorithm::Crc32c => (CRC32C_POLYNOMIAL, 32),
        _ => (CRC64NVME_POLYNOMIAL, 64),
    };
    let one = 1u64 << (width - 1);
    let multiply = |a: u64, mut b: u64| {
        let (mut product, mut bit) = (0, one);
        while bit != 0 {
            if a & bit != 0 {
                product ^= b;
            }
            bit >>= 1;
            b = if b & 1 == 1 { (b >> 1) ^ polynomial } else { b >> 1 };
        }
        product
    };
    // x to the power of 8 * size, by squaring.
    let (mut power, mut square, mut left) = (one, one >> 8, size);
    while left > 0 {
        if left & 1 == 1 {
            power = multiply(power, square);
        }
        square = multiply(square, square);
        left >>= 1;
    }
    multiply(power, first) ^ second
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Algorithm; 5] =
        [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64Nvme, Algorithm::Sha1, Algorithm::Sha256];

    fn sums(bytes: &[u8]) -> Sums {
        Sums::of(bytes, &ALL)
    }

    #[test]
    fn known_sums() {
        let sums = sums(b"123456789");
        let known = ["y/Q5Jg==", "4waSgw==", "rosUhgp5mIg=", "98O8HYCOBHMq32eZZczDTKeuNEE="];
        let value = |index: usize| sums.others[&ALL[index]].as_str();
        assert_eq!([value(0), value(1), value(2), value(3)], known);
        assert_eq!(value(4), "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=");
        assert_eq!((sums.size, sums.md5.as_str()), (9, "25f9e794323b453885f5181f1b624d0b"));
        assert!(ALL.iter().all(|one| one.reads(&sums.others[one]) && !one.reads("x") && !one.reads("eA==")));
    }

    #[test]
    fn sums_of_parts_make_that_of_the_whole() {
        let bytes: Vec<u8> = (0..100_003u32).map(|number| (number * 7 % 251) as u8).collect();
        let whole = sums(&bytes);
        let parts: Vec<Sums> = bytes.chunks(33_333).map(sums).collect();
        for algorithm in ALL.into_iter().filter(|one| one.combines()) {
            let of: Vec<(u64, &str)> =
                parts.iter().map(|part| (part.size, part.others[&algorithm].as_str())).collect();
            let put_together = of_parts(algorithm, true, &of).expect("all have sums");
            assert_eq!(put_together.value, whole.others[&algorithm], "{algorithm:?}");
            assert!(of_parts(algorithm, false, &of).expect("sums").value.ends_with("=-4"));
        }
        assert_eq!(
            etag_of_parts(["25f9e794323b453885f5181f1b624d0b"].into_iter()).split('-').next_back(),
            Some("1")
        );
    }
}
