//! What a registry is told about who asks.

use std::fmt;
use zeroize::Zeroizing;

/// A login.
pub enum Credential {
    /// User name and password, or a robot's token in the password's place.
    Basic {
        /// User.
        username: String,
        /// Password.
        password: Zeroizing<String>,
    },
    /// An OAuth2 refresh token (`identitytoken` of docker's files).
    IdentityToken(Zeroizing<String>),
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Credential::Basic { .. } => "Basic(...)",
            Credential::IdentityToken(_) => "IdentityToken(...)",
        })
    }
}

/// Why credentials could not be read.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// A credentials file could not be used.
    #[error("{0}")]
    Unusable(String),
}

/// Finds the login for a repository.
pub trait CredentialLookup: Send + Sync {
    /// The login for `repository` at `host`, or none for an anonymous request.
    fn lookup(&self, host: &str, repository: &str) -> Result<Option<Credential>, CredentialError>;
}

/// Knows no login.
pub struct NoCredentials;

impl CredentialLookup for NoCredentials {
    fn lookup(&self, _: &str, _: &str) -> Result<Option<Credential>, CredentialError> {
        Ok(None)
    }
}
