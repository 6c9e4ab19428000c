//! Keys and trust of this user: where they lie, and whoever signs for `--key`.

use super::passphrase::passphrase;
use super::values::KeyChoice;
use super::{Context, options};
use crate::error::{Code, Error};
use crate::keystore::{self, Agent, KeystoreError, TrustFolder};
use crate::sign::{PublicKey, Signer};
use std::io;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// How often a person at the terminal may mistype a passphrase.
const TRIES: u32 = 3;

/// Folder of stored keys.
///
/// # Errors
/// `USAGE` when it is not known where this user's files are.
pub fn key_folder(ctx: &Context) -> Result<PathBuf, Error> {
    Ok(ctx.environment.config()?.join("keys"))
}

/// Folder of the trust files.
///
/// # Errors
/// As [`key_folder`].
pub fn trust_folder(ctx: &Context) -> Result<TrustFolder, Error> {
    Ok(TrustFolder::new(&ctx.environment.config()?.join("trust")))
}

impl options::Signing {
    /// Whoever signs; `None` without `--key`.
    ///
    /// # Errors
    /// As [`signer`].
    pub fn signer(&self, ctx: &Context) -> Result<Option<Box<dyn Signer>>, Error> {
        self.key.as_ref().map(|key| signer(ctx, key, self.passphrase_file.as_deref())).transpose()
    }
}

/// Whoever signs with this key. A passphrase is looked for only when the key has one; typed at the terminal it may be
/// mistyped.
///
/// # Errors
/// `BAD_KEY` and others, as the key store or the agent fails; `USAGE` when a passphrase is needed and there is none.
pub fn signer(ctx: &Context, key: &KeyChoice, passphrase_file: Option<&Path>) -> Result<Box<dyn Signer>, Error> {
    let signer = opened(ctx, key, passphrase_file)?;
    warn_of_revoked(ctx, signer.public_key());
    Ok(signer)
}

/// Here the key may sign all the same: what this side trusts, and what the other one does, are two things.
fn warn_of_revoked(ctx: &Context, key: &PublicKey) {
    // Trust files that cannot be read are told of by the commands that go by them.
    let Ok(trust) = trust_folder(ctx).and_then(|folder| Ok(folder.load()?)) else { return };
    if trust.revoked().contains(key) {
        let line = format!(
            "the key {} is revoked on this host: the other side refuses what it signs if it knows that; sign with another key",
            key.fingerprint()
        );
        ctx.output.warn(&line);
    }
}

fn opened(ctx: &Context, key: &KeyChoice, passphrase_file: Option<&Path>) -> Result<Box<dyn Signer>, Error> {
    let dir = key_folder(ctx)?;
    let named = match key {
        KeyChoice::Agent(wanted) => return in_agent(ctx, &dir, wanted),
        KeyChoice::Stored(name) => name.clone(),
        KeyChoice::File(path) => path.to_string_lossy().into_owned(),
    };
    let typed = passphrase_file.is_none() && ctx.environment.passphrase.is_none() && ctx.ask.is_some();
    let mut left = if typed { TRIES } else { 1 };
    loop {
        left -= 1;
        let mut word = || {
            let secret = passphrase(ctx, passphrase_file, &named).map_err(io::Error::other)?;
            Ok(Zeroizing::new(secret.expose().to_owned()))
        };
        match keystore::open_signer(&dir, &named, ctx.environment.ssh_agent.as_deref(), &mut word) {
            Err(KeystoreError::WrongPassphrase { .. }) if left > 0 => ctx.output.message("wrong passphrase, try again"),
            other => return Ok(other?),
        }
        ctx.go_on()?;
    }
}

/// A key that never leaves its agent, by fingerprint, or by anything that holds its public half.
fn in_agent(ctx: &Context, dir: &Path, wanted: &str) -> Result<Box<dyn Signer>, Error> {
    let Some(socket) = ctx.environment.ssh_agent.as_deref() else {
        return Err(KeystoreError::NoAgent { key: crate::text::shown(wanted).to_string() }.into());
    };
    let agent = Agent::new(socket);
    if wanted.starts_with("SHA256:") {
        let fingerprint = wanted.parse().map_err(|why| {
            Error::from_chain(Code::Usage, &why).remedy("write the fingerprint as `ssh-add -l` prints it: SHA256: and 43 characters")
        })?;
        return Ok(Box::new(agent.signer_by_fingerprint(&fingerprint)?));
    }
    let (key, _) = keystore::public_key(dir, wanted)?;
    Ok(Box::new(agent.signer(&key)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::environment::{Environment, Secret};
    use crate::cli::tests::context;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    fn at(home: &Path) -> Context {
        let mut ctx = context();
        let home = home.as_os_str().to_owned();
        ctx.environment = Environment::read(|name| (name == "SEALIFT_HOME").then(|| home.clone())).unwrap();
        ctx
    }

    fn protected() -> (tempfile::TempDir, Context) {
        let temp = tempfile::tempdir().unwrap();
        let ctx = at(temp.path());
        keystore::generate(&key_folder(&ctx).unwrap(), "site", "site", Some("right")).unwrap();
        (temp, ctx)
    }

    #[test]
    fn a_mistyped_passphrase_may_be_typed_again_a_wrong_file_not() {
        let (_temp, mut ctx) = protected();
        let asked = Arc::new(AtomicU32::new(0));
        let count = asked.clone();
        ctx.ask = Some(Box::new(move |_| Ok(if count.fetch_add(1, Ordering::Relaxed) < 2 { "wrong" } else { "right" }.into())));
        let key = KeyChoice::Stored("site".into());
        signer(&ctx, &key, None).map(|_| ()).unwrap();
        assert_eq!(asked.load(Ordering::Relaxed), 3);
        ctx.environment.passphrase = Some(Secret::new("wrong".into()));
        let error = signer(&ctx, &key, None).map(|_| ()).unwrap_err();
        assert_eq!(error.code, Code::BadKey);
        assert_eq!(asked.load(Ordering::Relaxed), 3, "who sets the variable is not asked");
    }

    #[test]
    fn a_terminal_that_is_missing_is_told_as_such() {
        let (_temp, ctx) = protected();
        let error = signer(&ctx, &KeyChoice::Stored("site".into()), None).map(|_| ()).unwrap_err();
        assert_eq!(error.code, Code::Usage);
        assert!(error.what.contains("no terminal") && error.remedy.contains("--passphrase-file"), "{error}");
    }
}
