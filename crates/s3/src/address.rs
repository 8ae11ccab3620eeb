//! Which bucket and key a request is about: named by its path, or the bucket by its host. Pure.

use super::refused::Refused;
use http::header;
use http::request::Parts;
use percent_encoding::percent_decode_str;

/// What hosts end with that may begin with a bucket.
const DOMAINS: [&str; 3] = [".localhost", ".amazonaws.com", ".localhost.localstack.cloud"];

/// The longest key, in bytes of UTF-8, as on AWS.
const KEY_BYTES_MAX: usize = 1024;

/// The bucket that a request's host names, if it does: `BUCKET.localhost`, `BUCKET.s3.localhost`,
/// `BUCKET.s3.us-east-1.localhost`, and so with AWS's own hosts.
pub(super) fn by_host<'a>(parts: &'a Parts, region: &str) -> Option<&'a str> {
    let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| parts.uri.authority().map(|authority| authority.as_str()))?;
    let host = host.split(':').next()?;
    let rest = DOMAINS.iter().find_map(|domain| host.strip_suffix(domain))?;
    let rest = rest.strip_suffix(region).and_then(|rest| rest.strip_suffix('.')).unwrap_or(rest);
    let rest = if rest == "s3" { "" } else { rest.strip_suffix(".s3").unwrap_or(rest) };
    (!rest.is_empty()).then_some(rest)
}

/// Bucket and key; either may be empty.
pub(super) fn of(parts: &Parts, region: &str) -> Result<(String, String), Refused> {
    let path = parts.uri.path().strip_prefix('/').unwrap_or_default();
    let (bucket, key) = match by_host(parts, region) {
        Some(bucket) => (bucket, path),
        None => path.split_once('/').unwrap_or((path, "")),
    };
    let decode = |text: &str| {
        let decoded = percent_decode_str(text).decode_utf8();
        decoded
            .map(|text| text.into_owned())
            .map_err(|_| Refused::new(400, "InvalidURI", "Couldn't parse the specified URI."))
    };
    let key = decode(key)?;
    check_key(&key)?;
    Ok((decode(bucket)?, key))
}

pub(super) fn check_key(key: &str) -> Result<(), Refused> {
    if key.len() > KEY_BYTES_MAX {
        return Err(Refused::new(400, "KeyTooLongError", "Your key is too long")
            .with("Size", key.len().to_string())
            .with("MaxSizeAllowed", KEY_BYTES_MAX.to_string()));
    }
    if key.contains('\0') {
        return Err(Refused::argument("key", "", "A key cannot have the character NUL in it."));
    }
    Ok(())
}

/// Whether a bucket may be called like this ("Bucket naming rules", S3 user guide).
pub(super) fn check_bucket_name(name: &str) -> Result<(), Refused> {
    let bytes = name.as_bytes();
    let outer = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let fits = (3..=63).contains(&name.len())
        && bytes.iter().all(|byte| outer(byte) || *byte == b'-' || *byte == b'.')
        && bytes.first().is_some_and(outer)
        && bytes.last().is_some_and(outer)
        && !name.contains("..")
        && name.parse::<std::net::Ipv4Addr>().is_err()
        && !["xn--", "sthree-", "amzn-s3-demo-"].iter().any(|prefix| name.starts_with(prefix))
        && !["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"]
            .iter()
            .any(|suffix| name.ends_with(suffix));
    match fits {
        true => Ok(()),
        false => Err(Refused::new(400, "InvalidBucketName", "The specified bucket is not valid.")
            .with("BucketName", name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(host: &str, path: &str) -> (String, String) {
        let request = http::Request::get(path).header("host", host).body(()).expect("a request");
        of(&request.into_parts().0, "us-east-1").expect("an address")
    }

    #[test]
    fn buckets_are_named_by_host_or_path() {
        let is = |host, path, bucket: &str, key: &str| {
            assert_eq!(found(host, path), (bucket.to_owned(), key.to_owned()), "{host} {path}");
        };
        is("127.0.0.1:4566", "/b/k/l%20m", "b", "k/l m");
        is("localhost:4566", "/b", "b", "");
        is("localhost:4566", "/", "", "");
        is("b.localhost:4566", "/k//", "b", "k//");
        is("a.b.s3.localhost", "/", "a.b", "");
        is("b.s3.us-east-1.localhost:1", "/b/k", "b", "b/k");
        is("s3.localhost:4566", "/b/k", "b", "k");
        is("s3.us-east-1.localhost:4566", "/b/k", "b", "k");
        is("b.s3.amazonaws.com", "/k", "b", "k");
    }

    #[test]
    fn names_of_buckets() {
        for good in ["abc", "a.b-c", "123"] {
            assert_eq!(check_bucket_name(good), Ok(()));
        }
        for bad in
            ["ab", "Abc", "a_b", "-ab", "ab-", "a..b", "1.2.3.4", "xn--abc", "abc--x-s3", &"a".repeat(64)]
        {
            assert!(check_bucket_name(bad).is_err(), "{bad}");
        }
    }
}
