//! Which images are accepted: `policy.json` of `containers-policy.json(5)`, judged over manifests and signatures alone.
//!
//! Pure: the caller brings the documents, and the bytes of the keys and payloads they name. The same judgement is made where images
//! are pulled and, from the archive, where they arrive.
//!
//! Of the requirements `insecureAcceptAnything`, `reject`, `signedBy` with OpenPGP keys and `sigstoreSigned` with keys are judged. What
//! cannot be judged offline (Fulcio, Rekor, PKI) accepts nothing, and says so where it applies.

mod document;
mod identity;
mod judge;
mod key;
mod payload;
mod scope;
#[cfg(test)]
mod tests;
mod unique;

pub use document::{Policy, PolicyError};
pub use judge::{Evidence, FetchPayload, FetchSignatures, FindFolder, Judged, Lack, Lying, Refused, judge};
pub use key::{Key, KeyError};
pub use scope::plain_folders;
