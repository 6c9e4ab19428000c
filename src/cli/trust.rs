//! `sealift trust`: whose signatures this side accepts, and for what.

use super::signing::{key_folder, trust_folder};
use super::{Context, Outcome, values};
use crate::error::{Code, Error};
use crate::keystore::{self, TrustFolder, Which};
use crate::sign::{PublicKey, Trust, TrustLine};
use crate::text::{counted, shown};
use clap::Subcommand;
use serde_json::{Value, json};

/// Says whose signatures this side accepts, and for what
///
/// The trust store is the OpenSSH file allowed_signers in the configuration folder, which `ssh-keygen -Y verify` reads as
/// well, with a list of revoked keys and a file of thresholds and the site's label beside it.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What `sealift trust` does.
#[derive(Subcommand, Debug)]
pub enum Action {
    /// Accept signatures of a key for some streams
    Add(Add),
    /// List trusted keys, thresholds, revoked keys and this site's label
    List,
    /// Stop trusting a key, by its fingerprint or its line number in the list
    Remove(Remove),
    /// Refuse a key for ever, whatever else trusts it
    Revoke(Revoke),
    /// Demand signatures of several owners for a stream
    MinSignatures(MinSignatures),
    /// Set the label of this site: sets meant for other sites are refused
    Audience(Audience),
}

/// Arguments of `sealift trust add`.
#[derive(clap::Args, Debug)]
pub struct Add {
    /// Streams the key may speak for, separated by commas: stream:ocp4,stream:tools-*
    #[arg(value_name = "PRINCIPALS")]
    pub principals: String,
    /// A .pub file, or a quoted public key line (ssh-ed25519 AAAA... comment)
    #[arg(value_name = "KEY")]
    pub key: String,
    /// Who owns the key (default: the key's comment). Several keys of one owner count as one signature
    #[arg(long, value_name = "NAME")]
    pub owner: Option<String>,
}

/// Arguments of `sealift trust remove`.
#[derive(clap::Args, Debug)]
pub struct Remove {
    /// Fingerprint (SHA256:...) or line number
    #[arg(value_name = "FINGERPRINT|LINE")]
    pub which: String,
}

/// Arguments of `sealift trust revoke`.
#[derive(clap::Args, Debug)]
pub struct Revoke {
    /// A .pub file, a quoted public key line, or the fingerprint of a trusted key
    #[arg(value_name = "KEY")]
    pub key: String,
}

/// Arguments of `sealift trust min-signatures`.
#[derive(clap::Args, Debug)]
pub struct MinSignatures {
    /// The stream
    #[arg(value_name = "STREAM", value_parser = values::stream)]
    pub stream: String,
    /// Distinct keys of distinct owners that must have signed, 1 to 16
    #[arg(value_name = "N", value_parser = clap::value_parser!(u8).range(1..=16))]
    pub number: u8,
}

/// Arguments of `sealift trust audience`.
#[derive(clap::Args, Debug)]
pub struct Audience {
    /// The label
    #[arg(value_name = "LABEL", required_unless_present = "clear", conflicts_with = "clear")]
    pub label: Option<String>,
    /// Remove the label: sets that name an audience are refused then
    #[arg(long)]
    pub clear: bool,
}

/// Runs the command.
///
/// # Errors
/// `BAD_TRUST` when a trust file is refused; `USAGE` for what is not about streams or not there; `BAD_KEY` for what is no key.
pub fn run(args: Args, ctx: &Context) -> Result<Outcome, Error> {
    let trust = trust_folder(ctx)?;
    match args.action {
        Action::Add(args) => add(args, &trust, ctx),
        Action::List => list(&trust, ctx),
        Action::Remove(args) => remove(&args.which, &trust, ctx),
        Action::Revoke(args) => revoke(&args.key, &trust, ctx),
        Action::MinSignatures(args) => min_signatures(&args, &trust, ctx),
        Action::Audience(args) => audience(args.label, &trust, ctx),
    }
}

fn add(args: Add, trust: &TrustFolder, ctx: &Context) -> Result<Outcome, Error> {
    let (key, comment) = keystore::public_key(&key_folder(ctx)?, &args.key)?;
    let line = trust.add(&args.principals, &key, args.owner.as_deref().unwrap_or(&comment))?;
    ctx.output.line(&format!("{} may now sign for {}{}", key.fingerprint(), line.principals.as_str(), owner_of(&line)));
    Outcome::done().with("added", object(&line))
}

fn owner_of(line: &TrustLine) -> String {
    match line.owner.as_str() {
        "" => String::new(),
        owner => format!(", as a key of {}", shown(owner)),
    }
}

fn list(folder: &TrustFolder, ctx: &Context) -> Result<Outcome, Error> {
    let trust = folder.load()?;
    let (policy, out) = (trust.policy(), &ctx.output);
    if trust.is_empty() {
        out.line("no key is trusted: no set can be accepted; `sealift trust add stream:NAME KEY.pub`");
    } else {
        out.table(&table(&trust));
    }
    for (patterns, number) in policy.thresholds() {
        out.line(&format!("min-signatures  {number} for {}", patterns.as_str()));
    }
    for label in policy.audience() {
        out.line(&format!("audience        {label}"));
    }
    for key in trust.revoked().keys() {
        out.line(&format!("revoked         {}", key.fingerprint()));
    }
    let thresholds = policy.thresholds().iter().map(|(patterns, number)| json!({"principals": patterns.as_str(), "number": number}));
    let revoked = trust.revoked().keys().map(|key| json!({"fingerprint": key.fingerprint().to_string(), "public": key.to_line()}));
    Outcome::done()
        .with("trusted", trust.lines().iter().map(object).collect::<Vec<_>>())?
        .with("minSignatures", thresholds.collect::<Vec<_>>())?
        .with("audience", policy.audience())?
        .with("revoked", revoked.collect::<Vec<_>>())?
        .with("files", [folder.allowed_signers(), folder.revoked_keys(), folder.policy()])
}

fn table(trust: &Trust) -> Vec<Vec<String>> {
    let mut rows = vec![["LINE", "STREAMS", "FINGERPRINT", "VALID", "OWNER"].map(String::from).to_vec()];
    for line in trust.lines() {
        let valid = match trust.revoked().contains(&line.key) {
            true => "revoked".to_owned(),
            false => validity(line),
        };
        let fingerprint = line.key.fingerprint().to_string();
        rows.push(vec![line.number.to_string(), line.principals.as_str().to_owned(), fingerprint, valid, line.owner.clone()]);
    }
    rows
}

fn validity(line: &TrustLine) -> String {
    match (&line.valid_after, &line.valid_before) {
        (None, None) => "always".to_owned(),
        (Some(from), None) => format!("from {from}"),
        (None, Some(until)) => format!("until {until}"),
        (Some(from), Some(until)) => format!("{from} to {until}"),
    }
}

fn remove(which: &str, trust: &TrustFolder, ctx: &Context) -> Result<Outcome, Error> {
    let gone = trust.remove(parse_which(which)?)?;
    for line in &gone {
        ctx.output.line(&format!("{} may no longer sign for {}", line.key.fingerprint(), line.principals.as_str()));
    }
    Outcome::done().with("removed", gone.iter().map(object).collect::<Vec<_>>())
}

fn parse_which(text: &str) -> Result<Which, Error> {
    let number = text.parse().ok().filter(|number| *number > 0).map(Which::Line);
    number.or_else(|| text.parse().ok().map(Which::Key)).ok_or_else(|| {
        Error::new(Code::Usage, format!("{} is neither a fingerprint (SHA256:...) nor a line number", shown(text)))
            .remedy("`sealift trust list` shows both")
    })
}

fn revoke(text: &str, trust: &TrustFolder, ctx: &Context) -> Result<Outcome, Error> {
    let (key, note) = match text.starts_with("SHA256:") {
        true => by_fingerprint(text, trust)?,
        false => keystore::public_key(&key_folder(ctx)?, text)?,
    };
    trust.revoke(&key, &note)?;
    ctx.output.line(&format!("{} is revoked: whatever it signed counts for nothing here", key.fingerprint()));
    Outcome::done().with("revoked", json!({"fingerprint": key.fingerprint().to_string(), "public": key.to_line()}))
}

/// A fingerprint alone cannot be revoked: the list holds whole keys. One that is trusted is known.
fn by_fingerprint(text: &str, trust: &TrustFolder) -> Result<(PublicKey, String), Error> {
    let line = trust.list()?.into_iter().find(|line| line.key.fingerprint().to_string() == text);
    line.map(|line| (line.key, line.owner)).ok_or_else(|| {
        Error::new(Code::Usage, format!("no trusted key has the fingerprint {}", shown(text)))
            .remedy("give the public key itself: `sealift trust revoke KEY.pub`")
    })
}

fn min_signatures(args: &MinSignatures, folder: &TrustFolder, ctx: &Context) -> Result<Outcome, Error> {
    folder.set_min_signatures(&args.stream, usize::from(args.number))?;
    let counts = folder.load()?.policy().min_signatures(&format!("stream:{}", args.stream));
    ctx.output.line(&format!("sets of stream {} need signatures of {}", args.stream, counted(counts, "owner")));
    if counts > usize::from(args.number) {
        ctx.output.warn(&format!("a statement about several streams demands {counts}; the highest counts (`sealift trust list`)"));
    }
    Outcome::done().with("stream", &args.stream)?.with("minSignatures", counts)
}

fn audience(label: Option<String>, folder: &TrustFolder, ctx: &Context) -> Result<Outcome, Error> {
    folder.set_audience(label.as_deref())?;
    match &label {
        Some(label) => ctx.output.line(&format!("this site is {label}: sets meant for other sites only are refused")),
        None => ctx.output.line("this site has no label: sets that name an audience are refused"),
    }
    Outcome::done().with("audience", label)
}

fn object(line: &TrustLine) -> Value {
    json!({
        "line": line.number,
        "principals": line.principals.as_str(),
        "namespaces": line.namespaces,
        "fingerprint": line.key.fingerprint().to_string(),
        "public": line.key.to_line(),
        "owner": line.owner,
        "validAfter": line.valid_after.as_ref().map(ToString::to_string),
        "validBefore": line.valid_before.as_ref().map(ToString::to_string),
    })
}
