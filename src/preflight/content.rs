//! What is pushed on trial: small, valid, and like nothing that was ever pushed before.

use crate::digest::Digest;
use crate::oci::{Descriptor, media};
use serde_json::{Value, json};

/// Bytes of the blob that finds limits of bodies: twice what nginx lets pass unless told.
const LARGE: usize = 2 << 20;
/// Bytes of the small blob.
const SMALL: usize = 4096;

/// Blobs of one trial.
pub(super) struct Content {
    pub small: Vec<u8>,
    pub large: Vec<u8>,
    pub config: Vec<u8>,
}

/// A manifest of one trial.
pub(super) struct Doc {
    pub kind: &'static str,
    pub bytes: Vec<u8>,
}

impl Doc {
    fn new(kind: &'static str, value: &Value) -> Doc {
        Doc { kind, bytes: value.to_string().into_bytes() }
    }

    pub fn digest(&self) -> Digest {
        Digest::sha256(&self.bytes)
    }

    fn descriptor(&self, architecture: &str) -> Value {
        json!({ "mediaType": self.kind, "digest": self.digest(), "size": self.bytes.len(),
            "platform": { "os": "linux", "architecture": architecture } })
    }
}

pub(super) fn descriptor(bytes: &[u8]) -> Descriptor {
    Descriptor::new("application/octet-stream", Digest::sha256(bytes), bytes.len() as u64)
}

fn described(kind: &str, bytes: &[u8]) -> Value {
    json!({ "mediaType": kind, "digest": Digest::sha256(bytes), "size": bytes.len() })
}

impl Content {
    /// Content that follows from `seed`: another seed, other digests.
    pub fn new(seed: [u8; 16]) -> Content {
        let small = stream(seed, SMALL);
        let mut other = seed;
        other.reverse();
        let large = stream(other, LARGE);
        let ids = [&small, &large].map(|layer| Digest::sha256(layer).to_string());
        // The history has an entry per layer: Artifactory refuses images whose counts differ.
        let step = json!({ "created": "1970-01-01T00:00:00Z", "created_by": "sealift preflight" });
        let config = json!({ "architecture": "amd64", "os": "linux", "config": {}, "created": "1970-01-01T00:00:00Z",
            "history": [step, step], "rootfs": { "type": "layers", "diff_ids": ids } });
        Content { small, large, config: config.to_string().into_bytes() }
    }

    pub fn oci_image(&self) -> Doc {
        let layer = |bytes| described("application/vnd.oci.image.layer.v1.tar", bytes);
        self.image(media::OCI_MANIFEST, media::OCI_CONFIG, [layer(&self.small), layer(&self.large)])
    }

    pub fn docker_image(&self) -> Doc {
        let layer = |bytes| described("application/vnd.docker.image.rootfs.diff.tar.gzip", bytes);
        self.image(media::DOCKER_MANIFEST, media::DOCKER_CONFIG, [layer(&self.small), layer(&self.large)])
    }

    fn image(&self, kind: &'static str, config: &str, layers: [Value; 2]) -> Doc {
        let document = json!({ "schemaVersion": 2, "mediaType": kind, "config": described(config, &self.config), "layers": layers });
        Doc::new(kind, &document)
    }
}

/// An index of these, for architectures of their own.
pub(super) fn index(members: &[&Doc]) -> Doc {
    let names = ["amd64", "arm64"];
    let members: Vec<Value> = members.iter().zip(names).map(|(doc, name)| doc.descriptor(name)).collect();
    Doc::new(media::OCI_INDEX, &json!({ "schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": members }))
}

/// An index with a member that exists and one that does not.
pub(super) fn sparse(member: &Doc, seed: [u8; 16]) -> Doc {
    let absent = json!({ "mediaType": media::OCI_MANIFEST, "digest": Digest::sha256(&stream(seed, 32)), "size": 512,
        "platform": { "os": "linux", "architecture": "s390x" } });
    let members = [member.descriptor("amd64"), absent];
    Doc::new(media::OCI_INDEX, &json!({ "schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": members }))
}

/// Bytes that no proxy can compress or has seen before: each block of 32 is the hash of the seed and its number.
fn stream(seed: [u8; 16], length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 32);
    let mut number = 0_u64;
    while bytes.len() < length {
        let mut hasher = crate::digest::Hasher::new(crate::digest::Algorithm::Sha256);
        hasher.update(&seed);
        hasher.update(&number.to_be_bytes());
        // The hexadecimal form would be half as dense; two blocks of it are as good.
        bytes.extend(hasher.finish().hex().as_bytes());
        number += 1;
    }
    bytes.truncate(length);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Manifest;

    #[test]
    fn trials_are_valid_and_never_alike() {
        let (one, two) = (Content::new([1; 16]), Content::new([2; 16]));
        assert_ne!(one.oci_image().digest(), two.oci_image().digest());
        assert_eq!((one.small.len(), one.large.len()), (SMALL, LARGE));
        for doc in [one.oci_image(), one.docker_image()] {
            let manifest = Manifest::parse(&doc.bytes, Some(doc.kind)).unwrap();
            assert_eq!(manifest.media_type, doc.kind);
            let blobs: Vec<_> = manifest.blobs().map(|b| (b.digest, b.size)).collect();
            let wanted = [&one.config, &one.small, &one.large].map(|b| (Digest::sha256(b), b.len() as u64));
            assert_eq!(blobs, wanted);
        }
        let both = index(&[&one.oci_image(), &one.docker_image()]);
        assert_eq!(Manifest::parse(&both.bytes, None).unwrap().children().len(), 2);
        assert_eq!(Manifest::parse(&sparse(&one.oci_image(), [1; 16]).bytes, None).unwrap().children().len(), 2);
    }
}
