//! OpenPGP signatures of images as podman, CRI-O and skopeo look for them: a folder `REPOSITORY@sha256=HEX/signature-N`, and a file of
//! `registries.d` that names it (containers-registries.d(5)).

use super::held::Holdings;
use super::yaml::quoted;
use crate::format::SignatureName;
use crate::text::{is_plain_name, shown};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use std::collections::BTreeSet;
use std::fmt::Write as _;

const HEAD: &str = "\
# Where signatures of images lie, for policy.json with signedBy. Goes to /etc/containers/registries.d/.
# Copy what is in the folder lookaside to the folder named here on each host; or serve it, and write its http(s) address in place.
docker:
";

/// Signatures in base64, and the file that leads to them; nothing where no signature was carried.
pub(super) fn files(holdings: &Holdings, notes: &mut Vec<String>) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for ((repository, digest), signatures) in &holdings.lookaside {
        for (number, signature) in (1..).zip(signatures) {
            let name = SignatureName { repository: repository.clone(), digest: *digest, number }.to_string();
            if !name.split('/').all(is_plain_name) {
                notes.push(format!("the signature {} is left out: its name makes no file", shown(&name)));
                continue;
            }
            files.push((format!("lookaside/{name}"), format!("{}\n", BASE64.encode(signature))));
        }
    }
    if files.is_empty() {
        return files;
    }
    let mut text = HEAD.to_owned();
    // Two targets may be seen under one name, and a scope that is there twice makes podman refuse every image.
    let scopes: BTreeSet<String> = holdings.places.iter().map(|place| format!("{}/{}", place.host, place.prefix)).collect();
    for scope in &scopes {
        let _ = write!(text, "  {}:\n    lookaside: file:///var/lib/containers/sigstore\n", quoted(scope.trim_end_matches('/')));
    }
    files.push(("registries.d/sealift.yaml".to_owned(), text));
    files
}
