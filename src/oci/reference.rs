//! Image references: `host/path:tag@digest` and the grammar of their parts.

use crate::digest::Digest;
use crate::limits;
use std::fmt;

/// A reference into a registry, normalised.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    /// Registry as written, port included (`quay.io`, `localhost:5000`, `[::1]:5000`); `docker.io` where none was written.
    pub host: String,
    /// Repository to ask the registry for (`library/` added where Docker Hub wants it).
    pub repository: String,
    /// The path as the user wrote it: what the destination keeps.
    pub path: String,
    /// Tag.
    pub tag: Option<String>,
    /// Digest; wins over the tag when content is fetched.
    pub digest: Option<Digest>,
}

/// A text that is not an image reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an image reference: {why}")]
pub struct ReferenceError {
    /// What was given, shortened.
    pub text: String,
    /// Which rule it breaks.
    pub why: &'static str,
}

impl Reference {
    /// Reads a reference as docker and podman do (distribution/reference grammar); a leading `docker://` is allowed.
    /// Neither tag nor digest is added where the user gave none.
    pub fn parse(text: &str) -> Result<Reference, ReferenceError> {
        let fail = |why| ReferenceError { text: text.chars().take(200).collect(), why };
        let rest = text.strip_prefix("docker://").unwrap_or(text);
        let (rest, digest) = match rest.split_once('@') {
            Some((rest, digest)) => {
                let digest = digest.parse().map_err(|_| fail("what follows @ is not a sha256 or sha512 digest"))?;
                (rest, Some(digest))
            }
            None => (rest, None),
        };
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag))
                if !tag.contains('/') && !tag.ends_with(']') && !name.is_empty() && (rest.contains('/') || !is_bare_host(rest)) =>
            {
                (name, Some(tag))
            }
            _ => (rest, None),
        };
        if let Some(tag) = tag
            && !is_tag(tag)
        {
            return Err(fail("what follows the last colon is not a tag (letters, digits, . _ -, at most 128)"));
        }
        let (host, path) = match name.split_once('/') {
            Some((host, path)) if is_host(host) => (host, path),
            _ => ("", name),
        };
        if !is_repository(path) {
            return Err(fail("the repository must be lower-case words of a-z 0-9 joined by . _ - and /"));
        }
        let (host, repository) = match host {
            "" | "docker.io" | "index.docker.io" if !path.contains('/') => ("docker.io", format!("library/{path}")),
            "" | "index.docker.io" => ("docker.io", path.to_owned()),
            host => (host, path.to_owned()),
        };
        if host.len() + 1 + repository.len() > limits::NAME_CHARS {
            return Err(fail("host and repository together are longer than 255 characters"));
        }
        Ok(Reference { host: host.to_owned(), repository, path: path.to_owned(), tag: tag.map(str::to_owned), digest })
    }

    /// The scopes it lies in, the most specific first, as `containers-policy.json(5)` and `containers-registries.d(5)` name them: the
    /// image itself, its repository, the namespaces above, the host, and `*.` with each domain above the host.
    pub fn scopes(&self) -> Vec<String> {
        let mut name = self.name();
        let mut all = Vec::new();
        match (&self.digest, &self.tag) {
            (Some(digest), _) => all.push(format!("{name}@{digest}")),
            (None, Some(tag)) => all.push(format!("{name}:{tag}")),
            (None, None) => {}
        }
        loop {
            all.push(name.clone());
            let Some((above, _)) = name.rsplit_once('/') else { break };
            name = above.to_owned();
        }
        let mut domain = name.split(':').next().unwrap_or_default();
        while let Some((_, above)) = domain.split_once('.') {
            all.push(format!("*.{above}"));
            domain = above;
        }
        all
    }

    /// `host/repository` without tag and digest.
    pub fn name(&self) -> String {
        format!("{}/{}", self.host, self.repository)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// `host:port` without a path: not a name with a tag.
fn is_bare_host(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| host.contains('.') && port.len() > 3 && port.bytes().all(|b| b.is_ascii_digit()))
}

/// A first component is a host when it could not be a path component on Docker Hub.
fn is_host(text: &str) -> bool {
    let charset = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']'));
    charset && (text.contains(['.', ':']) || text == "localhost" || text.bytes().any(|b| b.is_ascii_uppercase()))
}

/// A repository name (distribution specification, "Pulling manifests"): components of `[a-z0-9]+` joined by one of
/// `.`, `_`, `__` or any number of `-`.
pub fn is_repository(text: &str) -> bool {
    !text.is_empty() && text.len() <= limits::NAME_CHARS && text.split('/').all(is_component)
}

fn is_component(text: &str) -> bool {
    let bytes = text.as_bytes();
    let alnum = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    if !bytes.first().is_some_and(alnum) || !bytes.last().is_some_and(alnum) {
        return false;
    }
    text.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        .all(|separator| matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|b| b == b'-'))
}

/// A tag: `[A-Za-z0-9_][A-Za-z0-9._-]{0,127}`.
pub fn is_tag(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    text.len() <= 128 && text.bytes().next().is_some_and(word) && text.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

/// The tag that keeps content alive which was asked for by digest only. It collides with nothing: the
/// referrers fallback tag is `sha256-HEX` (distribution specification, "Referrers Tag Schema").
pub fn keep_tag(digest: &Digest) -> String {
    format!("keep.{}-{}", digest.algorithm().name(), digest.hex()).chars().take(128).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full(text: &str) -> String {
        Reference::parse(text).unwrap().to_string()
    }

    #[test]
    fn references_are_normalised_as_docker_does() {
        assert_eq!(full("nginx"), "docker.io/library/nginx");
        assert_eq!(full("docker://nginx:1.27"), "docker.io/library/nginx:1.27");
        assert_eq!(full("library/nginx:1"), "docker.io/library/nginx:1");
        assert_eq!(full("localhost/x"), "localhost/x");
        assert_eq!(full("localhost:5000/a/b:t"), "localhost:5000/a/b:t");
        assert_eq!(full("[::1]:5000/a:t"), "[::1]:5000/a:t");
        assert_eq!(full("index.docker.io/library/x:1"), "docker.io/library/x:1");
        let digest = format!("sha256:{}", "a".repeat(64));
        assert_eq!(full(&format!("quay.io/a/b:t@{digest}")), format!("quay.io/a/b:t@{digest}"));
        assert_eq!(Reference::parse("busybox:1").unwrap().path, "busybox");
    }

    #[test]
    fn what_is_no_reference_says_why() {
        for bad in [
            "",
            "quay.io/UPPER:1",
            "a:b:c",
            "quay.io/",
            "quay.io/a/../b",
            "quay.io/a@sha256:12",
            "quay.io/a:-x",
            "a/b:c/d e",
            "registry.test:5000",
        ] {
            assert!(Reference::parse(bad).is_err(), "{bad}");
        }
        assert!(Reference::parse(&format!("quay.io/{}", "a/".repeat(130) + "a")).is_err());
    }

    #[test]
    fn repository_grammar() {
        for good in ["a", "a/b", "a--b", "a__b", "a_b.c/d-e", "0"] {
            assert!(is_repository(good), "{good}");
        }
        for bad in ["", "/", "a/", "a..b", "a_-b", "-a", "a___b", "A", "a b", "a:b"] {
            assert!(!is_repository(bad), "{bad}");
        }
    }
}
