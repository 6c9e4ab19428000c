//! Where keys and trust lie: key files of OpenSSH, its agent, and the folder of trust files.
//!
//! Folders and the agent's socket are parameters; whoever calls knows the home directory and the environment.
//! Layout under the configuration folder: `keys/NAME` and `keys/NAME.pub`, `trust/allowed_signers`,
//! `trust/revoked_keys`, `trust/policy`.

mod agent;
mod error;
mod keys;
mod private_key;
mod trust;

pub use agent::{Agent, AgentKey, AgentSigner};
pub use error::{KeyFileProblem, KeystoreError};
pub use keys::{StoredKey, generate, list, load, locate, open_signer, public_key};
pub use trust::{TrustFolder, Which, trust_command};

#[cfg(test)]
mod tests;
