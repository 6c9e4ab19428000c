//! The end of a pack (`sealift-archive(5)`, "Order of writing"): volumes get their names, then the documents, last the signature.

use super::{Error, PackPlan};
use crate::archive::Finished;
use crate::codec::frame::Compressor;
use crate::digest::Digest;
use crate::format::{Contents, ContentsRef, FileKind, FileRef, Index, SCHEMA, SetName};
use crate::fs::{Dir, Trouble};
use crate::limits;
use crate::sign::{Namespace, Signer, sign_detached};

/// What a person reads who finds the medium. The same in every set, so that several sets can share a folder.
pub const README: &str = "\
This medium carries container images packed by sealift.

To check it, use the trust file of YOUR side, never one that lies here:

    ssh-keygen -Y verify -f allowed_signers -I stream:STREAM \\
        -n sealift-index@1 -s NAME.index.json.sig < NAME.index.json

NAME is what the files here begin with; STREAM is NAME without its last
number. The index holds the SHA-256 of every block of every volume.

With sealift installed on your side (not started from this medium):

    sealift verify  THIS-FOLDER
    sealift inspect THIS-FOLDER
    sealift unpack  THIS-FOLDER --to registry.example:5000/prefix

The format, and how to open it with tar and zstd alone, is described in
the manual page sealift-archive(5).
";

/// Name of the file that holds [`README`].
const README_FILE: &str = "README.txt";

/// Stream, sequence and time of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    /// Names all files.
    pub name: SetName,
    /// RFC 3339 time, for people.
    pub created: String,
}

/// Publishes volumes and documents; gives the identity of the set. What it writes is no set before it is signed.
pub(super) fn documents(plan: &PackPlan, seal: &Seal, out: &Dir, volumes: Vec<Finished>, contents: &Contents) -> Result<Digest, Error> {
    let plain = contents.to_bytes()?;
    let packed = Compressor::new(plan.options.level)?.compress(&plain)?;
    let (refs, files): (Vec<_>, Vec<_>) = volumes.into_iter().map(|v| (v.volume, v.file)).unzip();
    let index = Index {
        schema: SCHEMA,
        requires: Vec::new(),
        hints: Default::default(),
        stream: seal.name.stream().to_owned(),
        sequence: seal.name.sequence(),
        created: seal.created.clone(),
        producer: plan.producer.clone(),
        plan: plan.digest()?,
        audience: plan.options.audience.clone(),
        labels: plan.options.labels.clone(),
        supersedes: None,
        missing: plan.missing.clone(),
        block_size: plan.block_size,
        volumes: refs,
        contents: ContentsRef {
            size: packed.len() as u64,
            digest: Digest::sha256(&packed),
            plain_size: plain.len() as u64,
            encryption: None,
        },
        files: vec![FileRef { name: README_FILE.into(), size: README.len() as u64, digest: Digest::sha256(README.as_bytes()) }],
        parity: None,
    };
    let bytes = index.to_bytes()?;
    // What is written must be readable by the strict reader, before anybody carries it.
    Contents::parse(&plain, &Index::parse(&bytes)?)?;
    make_way(out, &seal.name, &bytes)?;
    for file in files {
        file.publish()?;
    }
    out.sync()?;
    out.publish(&seal.name.file(FileKind::Contents { copy: true }), &packed)?;
    out.publish(&seal.name.file(FileKind::Index { copy: true }), &bytes)?;
    out.publish(README_FILE, README.as_bytes())?;
    out.publish(&seal.name.file(FileKind::Contents { copy: false }), &packed)?;
    out.publish(&seal.name.file(FileKind::Index { copy: false }), &bytes)?;
    Ok(Digest::sha256(&bytes))
}

/// A set of this name that is there already stays as it is while it is written again byte for byte; one that differs ceases
/// to be a set, and goes, before anything is put in its place.
fn make_way(out: &Dir, name: &SetName, index: &[u8]) -> Result<(), Error> {
    let there = out.read_if_there(&name.file(FileKind::Index { copy: false }), limits::INDEX_BYTES)?;
    if there.is_none_or(|there| there == index) {
        return Ok(());
    }
    unsign(out, name)?;
    for entry in out.list()? {
        if SetName::parse(&entry.name).is_some_and(|(of, _)| of == *name) {
            out.remove(&entry.name)?;
        }
    }
    Ok(())
}

fn signatures(out: &Dir, name: &SetName) -> Result<Vec<String>, Error> {
    let is_signature = |file: &str| matches!(SetName::parse(file), Some((of, FileKind::Signature { .. })) if of == *name);
    Ok(out.list()?.into_iter().map(|entry| entry.name).filter(|file| is_signature(file)).collect())
}

/// True when somebody signed the set.
pub(super) fn is_signed(out: &Dir, name: &SetName) -> Result<bool, Error> {
    Ok(!signatures(out, name)?.is_empty())
}

/// Removes all signatures: what is left is no set.
pub(super) fn unsign(out: &Dir, name: &SetName) -> Result<(), Error> {
    for file in signatures(out, name)? {
        out.remove(&file)?;
    }
    Ok(out.sync()?)
}

/// Signs a set that lies complete in `out`: the first signature makes it a set, further ones lie beside it. A signature this key
/// made before is not repeated.
pub fn sign_set(out: &Dir, name: &SetName, signer: &dyn Signer) -> Result<Digest, Error> {
    let file = name.file(FileKind::Index { copy: false });
    let bytes = match out.read(&file, limits::INDEX_BYTES) {
        Ok(bytes) => bytes,
        Err(e) if e.trouble() == Trouble::Absent => {
            return Err(Error::NoSet { name: name.to_string(), path: out.path().to_owned() });
        }
        Err(e) => return Err(e.into()),
    };
    Index::parse(&bytes)?;
    let signature = sign_detached(signer, Namespace::Index, &bytes)?;
    let mut number = 1;
    while let Some(there) = out.read_if_there(&name.file(FileKind::Signature { copy: false, number }), limits::SIGNATURE_BYTES)? {
        let mine = crate::sign::Signature::parse(&there).is_ok_and(|s| s.key() == signer.public_key());
        if mine {
            break;
        }
        number += 1;
    }
    if number as usize > limits::SIGNATURES {
        return Err(Error::Signatures(out.join(&file)));
    }
    out.publish(&name.file(FileKind::Signature { copy: true, number }), signature.as_bytes())?;
    out.sync_filesystem()?;
    out.publish(&name.file(FileKind::Signature { copy: false, number }), signature.as_bytes())?;
    Ok(Digest::sha256(&bytes))
}
