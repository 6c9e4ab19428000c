//! `sealift key`: signing keys.

use super::passphrase::new_passphrase;
use super::signing::{key_folder, trust_folder};
use super::{Context, Outcome, values};
use crate::error::Error;
use crate::keystore::{self, KeystoreError, StoredKey};
use clap::Subcommand;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Makes and shows signing keys
#[derive(clap::Args, Debug)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What `sealift key` does.
#[derive(Subcommand, Debug)]
pub enum Action {
    /// Make an Ed25519 key pair
    ///
    /// The key is stored in the OpenSSH format, readable by its owner only, beside its public half NAME.pub. The public half
    /// goes to the disconnected side by a way both trust, and is trusted there with `sealift trust add`. An existing key is
    /// never overwritten.
    Generate(Generate),
    /// Show stored keys: name, type, fingerprint, public half
    Show(Show),
}

/// Arguments of `sealift key generate`.
#[derive(clap::Args, Debug)]
pub struct Generate {
    /// Name to store the key under
    #[arg(value_name = "NAME", value_parser = values::key_name)]
    pub name: String,
    /// Encrypt the key with a passphrase: SEALIFT_PASSPHRASE, or asked for on the terminal
    #[arg(long)]
    pub with_passphrase: bool,
    /// Encrypt the key with the first line of this file
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
}

/// Arguments of `sealift key show`.
#[derive(clap::Args, Debug)]
pub struct Show {
    /// Only this key
    #[arg(value_name = "NAME", value_parser = values::key_name)]
    pub name: Option<String>,
}

/// For which streams a key that was made here is trusted here: whoever packs can check what was packed.
const EVERY_STREAM: &str = "stream:*";

/// Runs the command.
///
/// # Errors
/// `NOT_EMPTY` when the name is taken, `BAD_KEY` when it does not exist; what the key store and the trust files fail with.
pub fn run(args: Args, ctx: &Context) -> Result<Outcome, Error> {
    match args.action {
        Action::Generate(args) => generate(args, ctx),
        Action::Show(args) => show(args, ctx),
    }
}

fn generate(args: Generate, ctx: &Context) -> Result<Outcome, Error> {
    let (keys, trust) = (key_folder(ctx)?, trust_folder(ctx)?);
    // What would fail afterwards is tried before: a key that is there and not trusted would need an explanation.
    trust.load()?;
    let word = match args.with_passphrase || args.passphrase_file.is_some() {
        true => Some(new_passphrase(ctx, args.passphrase_file.as_deref(), &args.name)?),
        false => None,
    };
    let key = keystore::generate(&keys, &args.name, &args.name, word.as_ref().map(|word| word.expose()))?;
    trust.add(EVERY_STREAM, &key, &args.name).map_err(|error| {
        Error::from(error)
            .because(format!("the key {} was made; only trusting it on this host failed", args.name))
            .remedy(format!("mend the cause above, then `sealift trust add '{EVERY_STREAM}' {}`", args.name))
    })?;
    let made = StoredKey { name: args.name.clone(), key, comment: args.name, passphrase: word.is_some() };
    let out = &ctx.output;
    out.line(&format!("{} is made, and trusted on this host for every stream:", keys.join(&made.name).display()));
    out.line("");
    print(&made, ctx);
    out.line("");
    out.line("On the other side type this, after comparing the fingerprint by a way you trust. Name the streams if it shall not be all:");
    out.line("");
    out.line(&command(&made));
    Outcome::done().with("key", object(&made))?.with("path", keys.join(&made.name))
}

fn show(args: Show, ctx: &Context) -> Result<Outcome, Error> {
    let folder = key_folder(ctx)?;
    let mut keys = keystore::list(&folder)?;
    if let Some(name) = args.name {
        keys.retain(|key| key.name == name);
        if keys.is_empty() {
            return Err(KeystoreError::NoSuchKey { path: folder.join(name) }.into());
        }
    }
    if keys.is_empty() {
        ctx.output.line("no keys are stored; `sealift key generate NAME` makes one");
    }
    for (i, key) in keys.iter().enumerate() {
        if i > 0 {
            ctx.output.line("");
        }
        print(key, ctx);
        ctx.output.line(&format!("  trust        {}", command(key)));
    }
    Outcome::done().with("keys", keys.iter().map(object).collect::<Vec<_>>())
}

fn print(key: &StoredKey, ctx: &Context) {
    let out = &ctx.output;
    out.line(&key.name);
    out.line(&format!("  type         {}", key.key.kind().as_str()));
    out.line(&format!("  fingerprint  {}", key.key.fingerprint()));
    out.line(&format!("  passphrase   {}", if key.passphrase { "yes" } else { "no" }));
    out.line(&format!("  public       {}", line(key)));
}

fn line(key: &StoredKey) -> String {
    format!("{} {}", key.key.to_line(), key.comment).trim_end().to_owned()
}

/// What to type on the other side.
fn command(key: &StoredKey) -> String {
    keystore::trust_command(EVERY_STREAM, &key.key, &key.comment)
}

fn object(key: &StoredKey) -> Value {
    json!({
        "name": key.name,
        "type": key.key.kind().as_str(),
        "fingerprint": key.key.fingerprint().to_string(),
        "passphrase": key.passphrase,
        "public": line(key),
        "trust": command(key),
    })
}
