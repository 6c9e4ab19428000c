//! Signatures and trust: who may say what a set contains.
//!
//! The signature file is OpenSSH's SSHSIG (`PROTOCOL.sshsig`), the trust file OpenSSH's `allowed_signers`
//! (`ssh-keygen(1)`, "ALLOWED SIGNERS"), both read more strictly than `ssh-keygen` reads them: what is accepted here
//! is accepted by `ssh-keygen -Y verify -I stream:NAME` as well, not the other way round.
//!
//! Pure: no files, no environment, no clock (`now` is a parameter). There is one door, [`verify`], and one value that
//! remembers having passed it, [`Verified`].

#![deny(clippy::indexing_slicing)]

mod allowed_signers;
mod patterns;
mod policy;
mod public_key;
mod raw;
mod revoked;
mod signer;
mod sshsig;
mod trust;
mod verified;
pub(crate) mod wire;

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests;

pub use allowed_signers::{AllowedSigners, Moment, TrustLine};
pub use patterns::PatternList;
pub use policy::Policy;
pub use public_key::{Fingerprint, KeyError, KeyKind, PublicKey};
pub use revoked::RevokedKeys;
pub use signer::{SignError, Signer, SoftwareKey, sign_detached};
pub use sshsig::{Signature, SshsigError};
pub use trust::{LineProblem, Trust, TrustFileError, is_about_streams, is_stream_name};
pub use verified::{Rejected, Rejection, SignedBy, Streamed, Verified, VerifyError, verify};

/// What a signature is about: bytes signed for one purpose are worthless for another (`PROTOCOL.sshsig`, "namespace").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Namespace {
    /// The index of a set. Its number changes with the major schema, so that old trust lines never bless a new meaning.
    Index,
    /// The receipt the inside writes.
    Receipt,
}

impl Namespace {
    /// Every namespace there is, in the order a trust line lists them.
    pub const ALL: [Namespace; 2] = [Namespace::Index, Namespace::Receipt];

    /// As it stands in signature and trust files.
    pub fn as_str(self) -> &'static str {
        match self {
            Namespace::Index => "sealift-index@1",
            Namespace::Receipt => "sealift-receipt@1",
        }
    }
}

impl std::fmt::Display for Namespace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
