//! Versions of runtimes. There is one of each here: the image that a runtime was given, or the interpreter of the host. Its id
//! says which, so that another interpreter or another image is another version, as it is on AWS.

use sigv4::hex_sha256;

/// One version of a runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeVersion {
    /// The last part of its ARN: 64 hexadecimal digits.
    pub id: String,
    /// The digest of its image; `None` when it is of the host.
    pub image: Option<String>,
}

impl RuntimeVersion {
    pub(crate) fn of_image(runtime: &str, digest: String) -> RuntimeVersion {
        RuntimeVersion { id: id(runtime, &digest), image: Some(digest) }
    }

    /// `interpreter` is its version, such as `3.12.1`; runtimes that bring their own program have none.
    pub(crate) fn of_host(runtime: &str, interpreter: &str) -> RuntimeVersion {
        RuntimeVersion { id: id(runtime, interpreter), image: None }
    }
}

fn id(runtime: &str, what: &str) -> String {
    hex_sha256(format!("{runtime} {what}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_interpreter_is_another_version() {
        let of = |interpreter| RuntimeVersion::of_host("python3.12", interpreter);
        assert_eq!(of("3.12.1"), of("3.12.1"));
        assert_ne!(of("3.12.1").id, of("3.12.2").id);
        assert_ne!(of("").id, RuntimeVersion::of_host("python3.13", "").id);
        let image = RuntimeVersion::of_image("python3.12", "sha256:ab".to_owned());
        assert_eq!((image.id.len(), image.image.as_deref()), (64, Some("sha256:ab")));
    }
}
