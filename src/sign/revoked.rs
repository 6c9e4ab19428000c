//! Revoked keys: public keys, one per line, as `ssh-keygen -Y verify -r FILE` reads them too.

use super::public_key::{KeyError, PublicKey};
use super::trust::{LineProblem, TrustFileError, lines};
use std::collections::BTreeSet;

/// Keys that count for nothing any more, whatever the trust file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RevokedKeys(BTreeSet<PublicKey>);

impl RevokedKeys {
    /// Reads the list. A line that is no key refuses the whole file: a revocation must not be lost to a typing error.
    /// RSA keys and certificates may stand there, they are not accepted anyway. OpenSSH's binary revocation lists
    /// (KRL) are refused.
    pub fn parse(file: &[u8]) -> Result<RevokedKeys, TrustFileError> {
        let mut keys = BTreeSet::new();
        for (number, line) in lines(file)? {
            match PublicKey::from_line(line) {
                Ok((key, _)) => {
                    keys.insert(key);
                }
                Err(KeyError::Rsa(_) | KeyError::Certificate(_)) => {}
                Err(why) => return Err(TrustFileError { line: number, why: LineProblem::Key(why) }),
            }
        }
        Ok(RevokedKeys(keys))
    }

    /// True for a revoked key.
    pub fn contains(&self, key: &PublicKey) -> bool {
        self.0.contains(key)
    }

    /// All of them.
    pub fn keys(&self) -> impl Iterator<Item = &PublicKey> {
        self.0.iter()
    }
}
