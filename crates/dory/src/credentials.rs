//! The AWS key pair of this platform, and the seed of the sessions that it makes: random, made at first start, never a
//! default, kept in `credentials`.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::data_dir::DataDir;

const FILE: &str = "credentials";
/// 52 letters of five bits each: 260 bits.
const SEED_LETTERS: usize = 52;

/// What the aws CLI signs with.
#[derive(Clone, Serialize, Deserialize)]
pub struct Credentials {
    pub access_key_id: String,
    pub secret_access_key: String,
    /// What session tokens are sealed with; without it a data directory of an earlier version gets one.
    #[serde(default)]
    session_seed: String,
}

impl Credentials {
    /// Reads the pair of this data directory, or makes it.
    pub fn open(data: &DataDir) -> Result<Credentials> {
        let kept: Option<Credentials> = data.read_json(FILE)?;
        if let Some(kept) = kept.as_ref().filter(|kept| !kept.session_seed.is_empty()) {
            return Ok(kept.clone());
        }
        let session_seed = random(SEED_LETTERS, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")?;
        if let Some(mut kept) = kept {
            kept.session_seed = session_seed;
            data.write_json(FILE, &kept)?;
            return Ok(kept);
        }
        let fresh = Credentials {
            access_key_id: format!("AKIA{}", random(16, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")?),
            secret_access_key: random(
                40,
                b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
            )?,
            session_seed,
        };
        data.write_json(FILE, &fresh)?;
        Ok(fresh)
    }
}

impl Credentials {
    /// What the doors verify signatures with.
    pub fn into_keys(self) -> sigv4::Keys {
        let pair = sigv4::Credentials {
            access_key_id: self.access_key_id,
            secret_access_key: self.secret_access_key,
            session_token: None,
        };
        sigv4::Keys::new(vec![pair], self.session_seed.as_bytes())
    }
}

/// `length` letters of an alphabet whose size is a power of two, so that a masked byte is unbiased.
fn random(length: usize, alphabet: &[u8]) -> Result<String> {
    use ring::rand::SecureRandom;
    let mut bytes = vec![0; length];
    ring::rand::SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| anyhow::anyhow!("the kernel gave no random bytes"))?;
    Ok(bytes.iter().map(|byte| char::from(alphabet[usize::from(*byte) % alphabet.len()])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_data_directory_has_its_own_pair_and_keeps_it() {
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let open = |i: usize| {
            let data = DataDir::choose(Some(dirs[i].path().into()), None, true).unwrap();
            Credentials::open(&data).unwrap()
        };
        assert_eq!(open(0).secret_access_key, open(0).secret_access_key);
        assert_ne!(open(0).secret_access_key, open(1).secret_access_key);
        assert_eq!(open(0).session_seed, open(0).session_seed);
        assert_ne!(open(0).session_seed, open(1).session_seed);
        assert_eq!((open(0).access_key_id.len(), open(0).secret_access_key.len()), (20, 40));
    }
}
