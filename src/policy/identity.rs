//! Whose name a signature has to carry (`containers-policy.json(5)`, "signedIdentity").

use crate::oci::Reference;
use crate::text::shown;
use serde::Deserialize;
use serde_json::Value;

/// How the name in a signature is compared with that of the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Identity {
    /// The same name and tag.
    Exact,
    /// The same repository where the image is asked for by digest, else the same name and tag.
    RepoDigestOrExact,
    /// The same repository.
    Repository,
    /// This name and tag.
    ExactReference(Reference),
    /// This repository.
    ExactRepository(Reference),
    /// As [`Identity::RepoDigestOrExact`], after the beginning of the image's name was replaced.
    Remap { prefix: String, signed: String },
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all_fields = "camelCase", deny_unknown_fields)]
enum Document {
    #[serde(rename = "matchExact")]
    Exact {},
    #[serde(rename = "matchRepoDigestOrExact")]
    RepoDigestOrExact {},
    #[serde(rename = "matchRepository")]
    Repository {},
    #[serde(rename = "exactReference")]
    ExactReference { docker_reference: String },
    #[serde(rename = "exactRepository")]
    ExactRepository { docker_repository: String },
    #[serde(rename = "remapIdentity")]
    Remap { prefix: String, signed_prefix: String },
}

impl Identity {
    pub fn parse(value: Value) -> Result<Identity, String> {
        let document: Document = serde_json::from_value(value).map_err(|e| format!("signedIdentity: {}", shown(&e.to_string())))?;
        let reference = |text: &str| Reference::parse(text).map_err(|e| format!("signedIdentity: {e}"));
        Ok(match document {
            Document::Exact {} => Identity::Exact,
            Document::RepoDigestOrExact {} => Identity::RepoDigestOrExact,
            Document::Repository {} => Identity::Repository,
            Document::ExactReference { docker_reference } => {
                let named = reference(&docker_reference)?;
                if named.tag.is_none() && named.digest.is_none() {
                    return Err("signedIdentity: dockerReference has neither tag nor digest".into());
                }
                Identity::ExactReference(named)
            }
            Document::ExactRepository { docker_repository } => {
                let named = reference(&docker_repository)?;
                if named.tag.is_some() || named.digest.is_some() {
                    return Err("signedIdentity: dockerRepository has a tag or a digest".into());
                }
                Identity::ExactRepository(named)
            }
            Document::Remap { prefix, signed_prefix } => {
                if prefix.is_empty() || signed_prefix.is_empty() || prefix.ends_with('/') || signed_prefix.ends_with('/') {
                    return Err("signedIdentity: prefix and signedPrefix are hosts, namespaces or repositories".into());
                }
                Identity::Remap { prefix, signed: signed_prefix }
            }
        })
    }

    /// Whether a signature for `signed` (its `docker-reference`) is one for `image`; `None` for an image of no registry, which only a
    /// fixed name can be demanded of.
    pub fn matches(&self, image: Option<&Reference>, signed: &str) -> bool {
        // A transport is none of a name: podman takes no such signature.
        let Some(signed) = Some(signed).filter(|text| !text.contains("://")).and_then(|text| Reference::parse(text).ok()) else {
            return false;
        };
        match (self, image) {
            (Identity::ExactReference(named), _) => named.to_string() == signed.to_string(),
            (Identity::ExactRepository(named), _) => named.name() == signed.name(),
            (_, None) => false,
            (Identity::Exact, Some(image)) => image.tag.is_some() && image.to_string() == signed.to_string(),
            (Identity::Repository, Some(image)) => image.name() == signed.name(),
            (Identity::RepoDigestOrExact, Some(image)) => repo_digest_or_exact(&image.name(), image, &signed),
            (Identity::Remap { prefix, signed: replacement }, Some(image)) => {
                let name = image.name();
                let rest = name.strip_prefix(prefix.as_str()).filter(|rest| rest.is_empty() || rest.starts_with('/'));
                repo_digest_or_exact(&rest.map_or(name.clone(), |rest| format!("{replacement}{rest}")), image, &signed)
            }
        }
    }
}

fn repo_digest_or_exact(name: &str, image: &Reference, signed: &Reference) -> bool {
    let same = name == signed.name();
    match (&image.tag, &image.digest) {
        (Some(tag), None) => same && signed.tag.as_ref() == Some(tag) && signed.digest.is_none(),
        (None, Some(_)) => same,
        (Some(tag), Some(digest)) => same && signed.tag.as_ref() == Some(tag) && signed.digest.as_ref() == Some(digest),
        (None, None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn matches(identity: Value, image: &str, signed: &str) -> bool {
        Identity::parse(identity).unwrap().matches(Some(&Reference::parse(image).unwrap()), signed)
    }

    #[test]
    fn names_are_compared_as_the_manual_says() {
        let digest = format!("quay.io/a/b@{DIGEST}");
        let default = || json!({"type": "matchRepoDigestOrExact"});
        assert!(matches(default(), "quay.io/a/b:1", "quay.io/a/b:1") && matches(default(), &digest, "quay.io/a/b"));
        assert!(!matches(default(), "quay.io/a/b:1", "quay.io/a/b") && !matches(default(), "quay.io/a/b:1", "quay.io/a/b:2"));
        assert!(!matches(default(), &digest, "quay.io/a/c") && !matches(default(), "quay.io/a/b:1", "docker://quay.io/a/b:1"));
        let exact = || json!({"type": "matchExact"});
        assert!(matches(exact(), "nginx:1", "docker.io/library/nginx:1") && !matches(exact(), &digest, "quay.io/a/b"));
        let repository = || json!({"type": "matchRepository"});
        assert!(matches(repository(), "quay.io/a/b:1", "quay.io/a/b") && !matches(repository(), "quay.io/a/b:1", "quay.io/a"));
        let fixed = || json!({"type": "exactReference", "dockerReference": "quay.io/x:9"});
        assert!(matches(fixed(), "quay.io/a/b:1", "quay.io/x:9") && !matches(fixed(), "quay.io/a/b:1", "quay.io/a/b:1"));
        let fixed = || json!({"type": "exactRepository", "dockerRepository": "quay.io/x"});
        assert!(matches(fixed(), "quay.io/a/b:1", "quay.io/x") && Identity::parse(fixed()).unwrap().matches(None, "quay.io/x:1"));
        let remap = || json!({"type": "remapIdentity", "prefix": "mirror.lan/ocp", "signedPrefix": "quay.io/openshift"});
        assert!(matches(remap(), "mirror.lan/ocp/b:1", "quay.io/openshift/b:1") && matches(remap(), "other.lan/b:1", "other.lan/b:1"));
        assert!(
            !matches(remap(), "mirror.lan/ocpx/b:1", "quay.io/openshiftx/b:1")
                && !matches(remap(), "mirror.lan/ocp/b:1", "mirror.lan/ocp/b:1")
        );
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for bad in [
            json!({"type": "matchAnything"}),
            json!({"type": "matchExact", "more": 1}),
            json!({"type": "exactReference", "dockerReference": "quay.io/x"}),
            json!({"type": "exactRepository", "dockerRepository": "quay.io/x:1"}),
            json!({"type": "remapIdentity", "prefix": "", "signedPrefix": "x"}),
            json!({}),
        ] {
            assert!(Identity::parse(bad.clone()).is_err(), "{bad}");
        }
    }
}
