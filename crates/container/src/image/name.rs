//! Image names as docker users write them, and what they stand for. Pure; never looks whether an image exists.

use std::fmt;

use super::digest::Digest;

/// Characters in a repository, domain included; the limit of the distribution specification.
const REPOSITORY_LEN_MAX: usize = 255;

/// Characters in a tag; the limit of the distribution specification.
const TAG_LEN_MAX: usize = 128;

/// The registry that a name without one means, and the folder of its one-word names.
const DEFAULT_DOMAIN: &str = "docker.io";
const OFFICIAL: &str = "library/";

/// A name in full: `api` is `docker.io/library/api:latest`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    domain: String,
    path: String,
    version: Version,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Version {
    Tag(String),
    Digest(Digest),
}

/// A text that is not an image name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an image name: {problem}")]
pub struct BadName {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl Name {
    /// Reads `[domain/]path[:tag][@digest]`. Without a tag or digest it is `latest`; a digest outweighs a tag.
    pub fn parse(text: &str) -> Result<Name, BadName> {
        plan_name(text).map_err(|problem| BadName { text: text.chars().take(300).collect(), problem })
    }

    /// The shortest text that means the same, as `docker images` shows it: `api:latest`.
    pub fn familiar(&self) -> String {
        let full = self.to_string();
        let short = full.strip_prefix(DEFAULT_DOMAIN).and_then(|rest| rest.strip_prefix('/'));
        short.map_or(full.as_str(), |short| short.strip_prefix(OFFICIAL).unwrap_or(short)).to_owned()
    }

    /// The digest, when the name holds one.
    pub fn digest(&self) -> Option<&Digest> {
        match &self.version {
            Version::Digest(digest) => Some(digest),
            Version::Tag(_) => None,
        }
    }

    /// Where the registry of the name answers: the default one has its interface beside its front page.
    pub fn api_host(&self) -> String {
        if self.domain == DEFAULT_DOMAIN {
            format!("registry-1.{DEFAULT_DOMAIN}")
        } else {
            self.domain.clone()
        }
    }

    /// The registry, as people and credentials name it.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The repository in its registry.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The digest, or else the tag.
    pub fn version(&self) -> String {
        match &self.version {
            Version::Tag(tag) => tag.clone(),
            Version::Digest(digest) => digest.to_string(),
        }
    }

    /// Domain and path: what is left when the tag or digest is taken off.
    pub fn repository(&self) -> String {
        format!("{}/{}", self.domain, self.path)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            Version::Tag(tag) => write!(f, "{}/{}:{tag}", self.domain, self.path),
            Version::Digest(digest) => write!(f, "{}/{}@{digest}", self.domain, self.path),
        }
    }
}

fn plan_name(text: &str) -> Result<Name, &'static str> {
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => {
            (rest, Some(Digest::parse(digest).ok_or("the digest must be sha256: and 64 hex digits")?))
        }
        None => (text, None),
    };
    // A colon before the last slash belongs to the domain's port.
    let (repository, tag) = match rest.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
        _ => (rest, None),
    };
    if repository.is_empty() {
        return Err("it is empty");
    }
    if repository.len() > REPOSITORY_LEN_MAX {
        return Err("it is longer than 255 characters");
    }
    if repository.len() == 64 && repository.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err("64 hex digits are an image id, not a name");
    }
    let (domain, path) = match repository.split_once('/') {
        Some((first, path)) if is_domain(first) => (first, path.to_owned()),
        Some(_) => (DEFAULT_DOMAIN, repository.to_owned()),
        None => (DEFAULT_DOMAIN, format!("{OFFICIAL}{repository}")),
    };
    let domain = if domain == "index.docker.io" { DEFAULT_DOMAIN } else { domain };
    check_domain(domain)?;
    if path.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err("the repository must be in lower case");
    }
    if !path.split('/').all(is_component) {
        return Err("each part must be letters and digits, joined by '.', '_', '__' or dashes");
    }
    let tag = tag.unwrap_or("latest");
    if !is_tag(tag) {
        return Err(
            "a tag is at most 128 letters, digits, '_', '.' and '-', and starts with none of the last two",
        );
    }
    let version = digest.map_or_else(|| Version::Tag(tag.to_owned()), Version::Digest);
    Ok(Name { domain: domain.to_owned(), path, version })
}

/// Docker's rule for telling `localhost:5000/app` from `team/app`.
fn is_domain(first: &str) -> bool {
    first == "localhost" || first.contains(['.', ':']) || first.bytes().any(|b| b.is_ascii_uppercase())
}

fn check_domain(domain: &str) -> Result<(), &'static str> {
    let (host, port) = domain.rsplit_once(':').map_or((domain, None), |(host, port)| (host, Some(port)));
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let port_ok = port.is_none_or(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()));
    if host.split('.').all(label) && port_ok {
        Ok(())
    } else {
        Err("the registry is not a host name and port")
    }
}

fn is_component(component: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = component.as_bytes();
    let ends =
        bytes.first().is_some_and(|b| alphanumeric(*b)) && bytes.last().is_some_and(|b| alphanumeric(*b));
    let separator = |part: &[u8]| {
        part.is_empty() || matches!(part, b"." | b"_" | b"__") || part.iter().all(|b| *b == b'-')
    };
    ends && bytes.iter().all(|b| alphanumeric(*b) || matches!(b, b'.' | b'_' | b'-'))
        && bytes.split(|b| alphanumeric(*b)).all(separator)
}

fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    tag.len() <= TAG_LEN_MAX
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn names_mean_what_docker_users_mean() {
        for (text, full, familiar) in [
            ("api", "docker.io/library/api:latest", "api:latest"),
            ("api:1.0", "docker.io/library/api:1.0", "api:1.0"),
            (
                "my-registry/api-service:1.0.0",
                "docker.io/my-registry/api-service:1.0.0",
                "my-registry/api-service:1.0.0",
            ),
            ("docker.io/library/api", "docker.io/library/api:latest", "api:latest"),
            ("index.docker.io/team/api", "docker.io/team/api:latest", "team/api:latest"),
            ("localhost/api", "localhost/api:latest", "localhost/api:latest"),
            ("localhost:5000/api:2", "localhost:5000/api:2", "localhost:5000/api:2"),
            ("ghcr.io/a/b/c__d:v1_2-3", "ghcr.io/a/b/c__d:v1_2-3", "ghcr.io/a/b/c__d:v1_2-3"),
            ("a--b.c/d", "a--b.c/d:latest", "a--b.c/d:latest"),
        ] {
            let name = Name::parse(text).unwrap();
            assert_eq!((name.to_string().as_str(), name.familiar().as_str()), (full, familiar), "{text}");
            assert_eq!(Name::parse(full).unwrap(), name);
            assert_eq!(Name::parse(familiar).unwrap(), name);
        }
    }

    #[test]
    fn where_registries_answer() {
        let parts = |text: &str| {
            let name = Name::parse(text).unwrap();
            format!("{} {} {}", name.api_host(), name.path(), name.version())
        };
        assert_eq!(parts("api"), "registry-1.docker.io library/api latest");
        assert_eq!(parts("localhost:5000/a/b:1"), "localhost:5000 a/b 1");
        assert_eq!(parts(&format!("localhost/a:1@{DIGEST}")), format!("localhost a {DIGEST}"));
    }

    #[test]
    fn a_digest_outweighs_a_tag() {
        let name = Name::parse(&format!("team/api:1.0@{DIGEST}")).unwrap();
        assert_eq!(name.to_string(), format!("docker.io/team/api@{DIGEST}"));
        assert_eq!(name.digest().unwrap().to_string(), DIGEST);
        assert_eq!(name.repository(), "docker.io/team/api");
    }

    #[test]
    fn what_is_not_a_name_is_refused() {
        let hex = "a".repeat(64);
        let long = format!("{}/x", "a".repeat(260));
        let tag = format!("a:{}", "x".repeat(129));
        for text in [
            "",
            ":",
            "@",
            "/",
            "a/",
            "/a",
            "a//b",
            "Api",
            "a b",
            "a:",
            "a:-x",
            "a:.x",
            "a___b",
            "a..b",
            "-a",
            "a-",
            "a@x",
            "a@sha256:12",
            "../a",
            "a/../b",
            "https://x/y",
            "-x.y/a",
            "x.y:z/a",
            "a:b:c",
            "a\n",
            "ä",
            &hex,
            &long,
            &tag,
        ] {
            assert!(Name::parse(text).is_err(), "{text:?} became {}", Name::parse(text).unwrap());
        }
        let said = Name::parse("Api").unwrap_err().to_string();
        assert_eq!(said, "\"Api\" is not an image name: the repository must be in lower case");
    }
}
