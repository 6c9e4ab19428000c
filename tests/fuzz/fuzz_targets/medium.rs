//! What an attacker may put on a medium: before the signature, and, where the signer is the attacker, behind it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealift::archive::{self, Decoders, OpenSet};
use sealift::digest::Digest;
use sealift::format::{self, Contents, Index, SetName, VolumeRef, volume};
use sealift::fs::Dir;
use sealift::layout::Layout;
use sealift::ledger::{Ledger, Log};
use sealift::progress::Silent;
use sealift::serve::{ArchiveStore, Store as _};
use sealift::sign::{AllowedSigners, Moment, Namespace, PatternList, Policy, PublicKey, RevokedKeys, Signature, sign_detached};
use sealift::unpack::{self, LayoutTarget, Setting, Spool};
use sealift_fuzz::{Input, edited, folder, samples};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

fuzz_target!(init: sealift_fuzz::seeds::write("medium"), |data: &[u8]| {
    let mut input = Input(data);
    let set = samples::set();
    match input.byte() % 8 {
        0 => raw(input),
        1 => {
            let (contents, about) = samples::sealed(set.contents.to_string().as_bytes());
            let mut index = set.index.clone();
            index["contents"] = about;
            let index = edited(index, &mut input);
            medium(&index, &contents, &set.volume, true);
        }
        2..=4 => {
            let contents = edited(set.contents.clone(), &mut input).to_string();
            let (contents, about) = samples::sealed(contents.as_bytes());
            let mut index = set.index.clone();
            index["contents"] = about;
            medium(&index, &contents, &set.volume, true);
        }
        // A volume that was never as the format says, but is signed all the same.
        5 | 6 => {
            let volume = patched(&set.volume, &mut input);
            let contents = if input.byte() % 2 == 0 { edited(set.contents.clone(), &mut input) } else { set.contents.clone() };
            let (contents, about) = samples::sealed(contents.to_string().as_bytes());
            let mut index = set.index.clone();
            index["contents"] = about;
            index["volumes"][0]["size"] = volume.len().into();
            let blocks: Vec<[u8; 32]> =
                volume.chunks(1 << 20).map(|block| Digest::sha256(block).bytes().try_into().unwrap_or_default()).collect();
            index["volumes"][0]["blocks"] = VolumeRef::encode_blocks(&blocks).into();
            medium(&index, &contents, &volume, true);
        }
        // Files changed on the way.
        _ => {
            let (contents, about) = samples::sealed(set.contents.to_string().as_bytes());
            let mut index = set.index.clone();
            index["contents"] = about;
            let signed = input.byte() % 2 == 0;
            let contents = if input.byte() % 2 == 0 { patched(&contents, &mut input) } else { contents };
            medium(&index, &contents, &patched(&set.volume, &mut input), signed);
        }
    }
});

/// Single readers.
fn raw(mut input: Input<'_>) {
    let _ = match input.byte() % 12 {
        0 => drop(Signature::parse(input.0)),
        1 => drop(AllowedSigners::parse(input.0)),
        2 => drop(RevokedKeys::parse(input.0)),
        3 => drop(Policy::parse(input.0)),
        4 => drop(PublicKey::from_line(&input.word())),
        5 => drop(PublicKey::from_blob(input.0)),
        6 => {
            let word = input.word();
            let _ = Moment::parse(&word);
            if let Ok(list) = PatternList::parse(&word) {
                list.matches(&input.word());
            }
        }
        7 => drop(SetName::parse(&input.word()).map(|(name, kind)| name.file(kind))),
        8 => drop(volume::read_tag(input.0)),
        9 => drop(sealift::codec::frame::unfold(input.0, 1 << 16)),
        10 => drop(Index::parse(input.0)),
        _ => {
            let index: Result<Index, _> = serde_json::from_value(samples::set().index.clone());
            drop(index.map(|index| Contents::parse(input.0, &index)));
        }
    };
}

/// Bytes at some places replaced; sometimes an end of another length.
fn patched(bytes: &[u8], input: &mut Input<'_>) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..input.byte() % 8 {
        let at = input.short() % bytes.len().max(1);
        let most = usize::from(input.byte() % 16);
        for (place, new) in bytes.iter_mut().skip(at).zip(input.take(most)) {
            *place = *new;
        }
    }
    match input.byte() % 8 {
        0 => bytes.truncate(input.short()),
        1 => bytes.extend(input.take(64)),
        _ => {}
    }
    bytes
}

fn medium(index: &Value, contents: &[u8], volume: &[u8], signed: bool) {
    let temp = folder();
    let put = |name: &str, bytes: &[u8]| std::fs::write(temp.path().join(name), bytes).expect("a file");
    let index = index.to_string();
    let signature = sign_detached(&samples::key(), Namespace::Index, if signed { index.as_bytes() } else { b"" }).expect("a signature");
    let media = temp.path().join("m");
    std::fs::create_dir(&media).expect("a folder");
    put("m/s-1.index.json", index.as_bytes());
    put("m/s-1.index.json.sig", signature.as_bytes());
    put("m/s-1.contents.json.zst", contents);
    put("m/s-1-0001.tar.zst", volume);
    let trust = samples::trust();
    let Ok(sets) = archive::open(&[media.clone()], &trust, 0) else { return };
    for set in sets {
        used(Arc::new(set), temp.path());
    }
    if let Ok(sets) = archive::open(&[media], &trust, 0) {
        served(sets);
    }
}

/// Everything that is done with a set that was let in.
fn used(set: Arc<OpenSet>, temp: &Path) {
    let _ = set.check(true, &Silent::new());
    let _ = set.check(false, &Silent::new());
    set.images_with(&set.blobs_in(&BTreeSet::from([1])));
    let decoders = Decoders::new();
    for blob in 0..set.contents().blobs.len().min(8) {
        set.blob_lacks(blob, 1);
        if let Some(reader) = set.blob_reader(blob, 0, &decoders) {
            let _ = std::io::copy(&mut reader.take(1 << 20), &mut std::io::sink());
        }
    }
    if let Ok(manifests) = set.contents().manifests() {
        format::referrers(&set.contents().images, &manifests);
    }
    let dir = |name: &str| {
        std::fs::create_dir_all(temp.join(name)).expect("a folder");
        Dir::open(&temp.join(name)).expect("a folder").durable(false)
    };
    let layout = Layout::create(&temp.join("layout")).expect("a layout").durable(false);
    let target = LayoutTarget::new(layout);
    let (Ok(spool), Ok(mut ledger)) = (Spool::open(&dir("spool"), 1 << 30, 1 << 20), Ledger::open(&dir("state"), "t")) else { return };
    let log = Log::open(&dir("state"));
    let options = unpack::Options { first: true, uploads: 1, probes: 1, small: 1 << 20, host: "h".into(), ..Default::default() };
    let setting = Setting { media: &*set, target: &target, spool: &spool, log: &log, options: &options, progress: &Silent::new() };
    if let Ok(plan) = unpack::plan(&setting, &ledger) {
        let _ = unpack::run(&setting, &mut ledger, &plan);
    }
}

fn served(sets: Vec<OpenSet>) {
    let store = ArchiveStore::new(sets);
    store.contested();
    let _ = store.readers();
}
