//! What refers to a manifest: signatures, attestations, SBOMs, and the documents and tags they are found by.
//!
//! Two ways are in use. A manifest names its `subject`, and is listed by the referrers API or, where a registry has none, by an
//! index under the fallback tag (distribution specification, "Referrers Tag Schema"). Cosign puts ordinary manifests under tags
//! made of the digest they are about (cosign's signature specification, "Storage").

use super::{Descriptor, Kind, Manifest, media};
use crate::digest::Digest;
use crate::limits;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What cosign appends to the digest's tag: signatures, attestations, SBOMs.
pub const COSIGN_SUFFIXES: [&str; 3] = ["sig", "att", "sbom"];

/// A payload that cosign signs (its media type as a layer).
pub const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";

/// Where cosign puts the signature of a layer's bytes.
pub const COSIGN_SIGNATURE: &str = "dev.cosignproject.cosign/signature";

/// The tag under which a registry without the API keeps the index of what refers to `subject`.
pub fn fallback_tag(subject: &Digest) -> String {
    let cut = |text: &str, n: usize| text.chars().take(n).collect::<String>();
    format!("{}-{}", cut(subject.algorithm().name(), 32), cut(&subject.hex(), 64))
}

/// The tag under which cosign keeps what it says about `subject`; `suffix` is one of [`COSIGN_SUFFIXES`].
pub fn cosign_tag(subject: &Digest, suffix: &str) -> String {
    format!("{}-{}.{suffix}", subject.algorithm().name(), subject.hex())
}

/// Which of [`COSIGN_SUFFIXES`] makes `tag` cosign's tag for `subject`.
pub fn cosign_suffix(tag: &str, subject: &Digest) -> Option<&'static str> {
    COSIGN_SUFFIXES.into_iter().find(|suffix| tag == cosign_tag(subject, suffix))
}

/// Something that is said to refer to a manifest; whether it does shows when it has been fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Referrer {
    /// Its manifest.
    pub digest: Digest,
    /// The tag that says what it refers to, where there is one; without it the manifest must name its subject.
    pub tag: Option<String>,
}

/// Which referrers are wanted, and how sure one has to be of the signatures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReferrerFilter {
    kinds: Kinds,
    /// Images are judged by their signatures.
    judged: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Kinds {
    #[default]
    All,
    None,
    Named(Vec<String>),
}

impl ReferrerFilter {
    /// All there are.
    pub fn all() -> ReferrerFilter {
        ReferrerFilter::default()
    }

    /// None.
    pub fn none() -> ReferrerFilter {
        ReferrerFilter { kinds: Kinds::None, judged: false }
    }

    /// Those of these kinds: `sig`, `att`, `sbom` for cosign's tags, else an artifact type, in which `*` stands for anything.
    pub fn of(kinds: Vec<String>) -> ReferrerFilter {
        ReferrerFilter { kinds: Kinds::Named(kinds), judged: false }
    }

    /// The same, and cosign's signatures besides, by which images will be judged.
    pub fn with_signatures(self) -> ReferrerFilter {
        let sig = || "sig".to_owned();
        let kinds = match self.kinds {
            Kinds::All => Kinds::All,
            Kinds::None => Kinds::Named(vec![sig()]),
            Kinds::Named(kinds) if kinds.contains(&sig()) => Kinds::Named(kinds),
            Kinds::Named(kinds) => Kinds::Named(kinds.into_iter().chain([sig()]).collect()),
        };
        ReferrerFilter { kinds, judged: true }
    }

    /// Whether nothing is wanted.
    pub fn is_none(&self) -> bool {
        self.kinds == Kinds::None
    }

    /// Whether images are judged by signatures. Then the tags that may be signatures are asked for one by one: a list of tags may
    /// come from a cache, be hours older than the tag beside it, and would hide a signature without a word.
    pub fn is_judged(&self) -> bool {
        self.judged
    }

    /// Whether cosign's tag with this suffix is asked for.
    pub fn asks_tag(&self, suffix: &str) -> bool {
        self.has(|kind| kind == suffix)
    }

    /// Whether the API or the fallback tag is asked: for anything but cosign's tags.
    pub fn asks_list(&self) -> bool {
        self.has(|kind| !COSIGN_SUFFIXES.contains(&kind))
    }

    /// Whether a referrer of this artifact type, found by a list, is wanted.
    pub fn takes_type(&self, artifact_type: &str) -> bool {
        self.has(|kind| crate::text::matches(kind, artifact_type))
    }

    fn has(&self, wanted: impl Fn(&str) -> bool) -> bool {
        match &self.kinds {
            Kinds::All => true,
            Kinds::None => false,
            Kinds::Named(kinds) => kinds.iter().any(|kind| wanted(kind)),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    #[serde(default)]
    artifact_type: Option<String>,
    #[serde(default)]
    subject: Option<Descriptor>,
    #[serde(default)]
    config: Option<Descriptor>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

/// What a manifest says of itself as a referrer: not its lister, which may be wrong (distribution specification, "Listing Referrers").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// What it refers to.
    pub subject: Option<Digest>,
    /// `artifactType`, else the type of its configuration; empty where it has neither.
    pub artifact_type: String,
    /// Its annotations, which lists repeat.
    pub annotations: BTreeMap<String, String>,
}

impl Attached {
    /// Reads a manifest or index. What cannot be read refers to nothing.
    pub fn parse(bytes: &[u8]) -> Attached {
        let nothing = || Attached { subject: None, artifact_type: String::new(), annotations: BTreeMap::new() };
        if bytes.len() as u64 > limits::MANIFEST_BYTES {
            return nothing();
        }
        let Ok(shape) = serde_json::from_slice::<Shape>(bytes) else { return nothing() };
        let artifact_type = shape.artifact_type.filter(|t| !t.is_empty()).or(shape.config.map(|c| c.media_type)).unwrap_or_default();
        Attached { subject: shape.subject.map(|s| s.digest), artifact_type, annotations: shape.annotations.unwrap_or_default() }
    }
}

/// One entry for a list of referrers: media type, digest and size, with what the manifest says of itself.
pub fn listed(media_type: &str, bytes: &[u8]) -> Value {
    let attached = Attached::parse(bytes);
    let mut entry = Map::new();
    entry.insert("mediaType".into(), media_type.into());
    entry.insert("digest".into(), Digest::sha256(bytes).to_string().into());
    entry.insert("size".into(), (bytes.len() as u64).into());
    if !attached.artifact_type.is_empty() {
        entry.insert("artifactType".into(), attached.artifact_type.into());
    }
    if !attached.annotations.is_empty() {
        entry
            .insert("annotations".into(), attached.annotations.into_iter().map(|(k, v)| (k, Value::from(v))).collect::<Map<_, _>>().into());
    }
    Value::Object(entry)
}

/// Entries of an index of referrers.
///
/// # Errors
/// What is no OCI index is no list; why.
pub fn read_list(bytes: &[u8]) -> Result<Vec<Descriptor>, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct List {
        #[serde(default)]
        media_type: Option<String>,
        manifests: Option<Vec<Descriptor>>,
        #[serde(default)]
        config: Option<serde::de::IgnoredAny>,
        #[serde(default)]
        layers: Option<serde::de::IgnoredAny>,
    }
    let list: List = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
    if list.media_type.is_some_and(|t| t != media::OCI_INDEX) || list.config.is_some() || list.layers.is_some() {
        return Err("it is no OCI index".into());
    }
    list.manifests.ok_or_else(|| "it is no OCI index".into())
}

/// The index under a fallback tag with `entries` in it. What it has already stays as it is, entries of others and members this
/// program does not know included; `None` when it needs no change.
///
/// # Errors
/// What is there is no index, and is not to be overwritten; why.
pub fn merged(before: Option<&[u8]>, entries: &[Value]) -> Result<Option<Vec<u8>>, String> {
    let mut index = match before {
        Some(bytes) => {
            read_list(bytes)?;
            serde_json::from_slice::<Map<String, Value>>(bytes).map_err(|e| e.to_string())?
        }
        None => {
            let head = [("schemaVersion", Value::from(2)), ("mediaType", media::OCI_INDEX.into()), ("manifests", Value::Array(Vec::new()))];
            head.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()
        }
    };
    let Some(Value::Array(list)) = index.get_mut("manifests") else { return Err("it is no OCI index".into()) };
    let new: Vec<&Value> = entries.iter().filter(|entry| !list.iter().any(|old| old.get("digest") == entry.get("digest"))).collect();
    if new.is_empty() && before.is_some() {
        return Ok(None);
    }
    list.extend(new.into_iter().cloned());
    if list.len() > limits::INDEX_CHILDREN {
        return Err("it would list more than any registry takes".into());
    }
    let bytes = serde_json::to_vec(&index).map_err(|e| e.to_string())?;
    if bytes.len() as u64 > limits::MANIFEST_BYTES { Err("it would be larger than 4 MiB".into()) } else { Ok(Some(bytes)) }
}

/// Layers of what lies under a cosign tag, each with its signature: what is signed twice is one blob.
fn said(bytes: &[u8]) -> Vec<(Digest, Option<String>)> {
    let Ok(manifest) = Manifest::parse(bytes, None) else { return Vec::new() };
    let Kind::Image { layers, .. } = manifest.kind else { return Vec::new() };
    layers.into_iter().map(|mut layer| (layer.digest, layer.annotations.remove(COSIGN_SIGNATURE))).collect()
}

/// Whether `theirs`, a manifest under a cosign tag, holds a signature or attestation that `ours` does not: who signs what is signed
/// already adds to the same manifest (cosign's signature specification, "Storage"). What is no image holds none.
pub fn says_more(theirs: &[u8], ours: &[u8]) -> bool {
    let ours = said(ours);
    said(theirs).iter().any(|one| !ours.contains(one))
}

/// A manifest under a cosign tag that has come to hold more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completed {
    /// Its bytes.
    pub manifest: Vec<u8>,
    /// Its configuration, which counts the layers.
    pub config: Vec<u8>,
}

/// The manifest `theirs` under a cosign tag, with configuration `config`, and after its own the layers of `ours` that it lacks; `None`
/// when it lacks none. All else in it stays as it is.
///
/// # Errors
/// One of them is no image; why.
pub fn completed(theirs: &[u8], config: &[u8], ours: &[u8]) -> Result<Option<Completed>, String> {
    type Object = Map<String, Value>;
    let read = |bytes: &[u8]| serde_json::from_slice::<Object>(bytes).map_err(|e| e.to_string());
    let (there, wanted) = (said(theirs), said(ours));
    let (mut manifest, ours) = (read(theirs)?, read(ours)?);
    let (Some(Value::Array(layers)), Some(Value::Array(more))) = (manifest.get_mut("layers"), ours.get("layers")) else {
        return Err("it is no image".into());
    };
    let lacking: Vec<&Value> = wanted.iter().zip(more).filter(|(one, _)| !there.contains(one)).map(|(_, layer)| layer).collect();
    if lacking.is_empty() {
        return Ok(None);
    }
    layers.extend(lacking.iter().copied().cloned());
    let mut config = config.to_vec();
    if let Ok(mut counted) = read(&config) {
        if let Some(Value::Array(ids)) = counted.get_mut("rootfs").and_then(|rootfs| rootfs.get_mut("diff_ids")) {
            ids.extend(lacking.iter().filter_map(|layer| layer.get("digest").cloned()));
        }
        if let Some(Value::Array(history)) = counted.get_mut("history") {
            history.extend(lacking.iter().map(|_| serde_json::json!({ "created": "0001-01-01T00:00:00Z" })));
        }
        config = serde_json::to_vec(&counted).map_err(|e| e.to_string())?;
    }
    let Some(Value::Object(descriptor)) = manifest.get_mut("config") else { return Err("it is no image".into()) };
    descriptor.remove("data");
    descriptor.insert("digest".into(), Digest::sha256(&config).to_string().into());
    descriptor.insert("size".into(), (config.len() as u64).into());
    let manifest = serde_json::to_vec(&manifest).map_err(|e| e.to_string())?;
    if manifest.len() as u64 > limits::MANIFEST_BYTES {
        Err("it would be larger than 4 MiB".into())
    } else {
        Ok(Some(Completed { manifest, config }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Who signs here adds to what came; what comes adds to what is here.
    #[test]
    fn signatures_of_several_hands_lie_under_one_tag() {
        let blob = |text: &str| json!({"mediaType": SIMPLE_SIGNING, "digest": Digest::sha256(text.as_bytes()), "size": text.len()});
        let layer = |text: &str, signature: &str| {
            let mut layer = blob(text);
            layer["annotations"] = json!({ COSIGN_SIGNATURE: signature });
            layer
        };
        let config = |layers: &[Value]| {
            let ids: Vec<&Value> = layers.iter().map(|layer| &layer["digest"]).collect();
            json!({"history": vec![json!({}); layers.len()], "rootfs": {"type": "layers", "diff_ids": ids}}).to_string()
        };
        let manifest = |layers: &[Value]| {
            json!({"schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "config": blob(&config(layers)), "layers": layers, "own": 1})
                .to_string()
        };
        // The same payload, signed by another key, is another signature.
        let (upstream, again, local) = (layer("p", "one"), layer("p", "two"), layer("q", "three"));
        let (ours, theirs) = (manifest(&[upstream.clone(), again.clone()]), manifest(&[local.clone(), upstream.clone()]));
        let both = manifest(&[local.clone(), upstream.clone(), again.clone()]);
        let says_more = |theirs: &str, ours: &str| says_more(theirs.as_bytes(), ours.as_bytes());
        assert!(says_more(&theirs, &ours) && says_more(&both, &ours) && says_more(&both, &theirs));
        assert!(!says_more(&ours, &both) && !says_more(&ours, &ours));
        assert!(!says_more("{}", &ours) && !says_more(r#"{"schemaVersion":2,"manifests":[]}"#, &ours));

        let of = |theirs: &str, layers: &[Value], ours: &str| completed(theirs.as_bytes(), config(layers).as_bytes(), ours.as_bytes());
        assert_eq!(of(&both, &[local.clone(), upstream.clone(), again.clone()], &ours), Ok(None));
        let made = of(&theirs, &[local.clone(), upstream.clone()], &ours).unwrap().unwrap();
        let (document, counted): (Value, Value) =
            (serde_json::from_slice(&made.manifest).unwrap(), serde_json::from_slice(&made.config).unwrap());
        assert_eq!((&document["layers"], &document["own"]), (&json!([local, upstream, again]), &json!(1)));
        assert_eq!(document["config"]["digest"], Digest::sha256(&made.config).to_string());
        assert_eq!(document["config"]["size"], made.config.len());
        let lengths = [&counted["rootfs"]["diff_ids"], &counted["history"]].map(|list| list.as_array().unwrap().len());
        assert_eq!((lengths, &counted["rootfs"]["diff_ids"][2]), ([3, 3], &again["digest"]));
        // A configuration that counts nothing stays.
        assert_eq!(completed(theirs.as_bytes(), b"{}", ours.as_bytes()).unwrap().unwrap().config, b"{}");
        assert!(completed(b"{}", b"{}", ours.as_bytes()).is_err());
    }

    #[test]
    fn tags_are_made_of_the_digest() {
        let digest = Digest::sha256(b"x");
        assert_eq!(fallback_tag(&digest), format!("sha256-{}", digest.hex()));
        assert_eq!(cosign_suffix(&cosign_tag(&digest, "att"), &digest), Some("att"));
        assert_eq!(cosign_suffix(&cosign_tag(&digest, "att"), &Digest::sha256(b"y")), None);
        assert_eq!(cosign_suffix(&fallback_tag(&digest), &digest), None);
        let long: Digest = format!("sha512:{}", "ab".repeat(64)).parse().unwrap();
        assert_eq!(fallback_tag(&long), format!("sha512-{}", "ab".repeat(32)));
    }

    #[test]
    fn filters_decide_what_is_asked() {
        let (all, none) = (ReferrerFilter::all(), ReferrerFilter::none());
        assert!(all.asks_tag("sig") && all.asks_list() && !all.is_none() && !all.is_judged());
        assert!(!none.asks_tag("sig") && !none.asks_list() && none.is_none());
        let sig = ReferrerFilter::of(vec!["sig".into()]);
        assert!(sig.asks_tag("sig") && !sig.asks_tag("att") && !sig.asks_list());
        let sbom = ReferrerFilter::of(vec!["application/spdx*".into()]);
        assert!(sbom.takes_type("application/spdx+json") && !sbom.takes_type("x") && sbom.asks_list() && !sbom.asks_tag("sig"));
        for judged in [sbom.with_signatures(), none.with_signatures(), sig.with_signatures(), all.with_signatures()] {
            assert!(judged.asks_tag("sig") && judged.is_judged());
        }
    }

    #[test]
    fn the_type_is_what_the_manifest_says() {
        let subject = Digest::sha256(b"s");
        let config = json!({"mediaType": "c", "digest": subject, "size": 1});
        let named = json!({"artifactType": "a", "config": config, "subject": config}).to_string();
        let silent = json!({"config": config, "annotations": null}).to_string();
        assert_eq!(
            (Attached::parse(named.as_bytes()).artifact_type.as_str(), Attached::parse(named.as_bytes()).subject),
            ("a", Some(subject))
        );
        assert_eq!((Attached::parse(silent.as_bytes()).artifact_type.as_str(), Attached::parse(silent.as_bytes()).subject), ("c", None));
        assert_eq!(Attached::parse(b"[").subject, None);
    }

    #[test]
    fn entries_of_others_stay() {
        let of = |text: &[u8]| listed(media::OCI_MANIFEST, text);
        let first = merged(None, &[of(b"a")]).unwrap().unwrap();
        assert_eq!(read_list(&first).unwrap().len(), 1);
        assert_eq!(merged(Some(&first), &[of(b"a")]), Ok(None));
        let mut theirs: Value = serde_json::from_slice(&first).unwrap();
        theirs["annotations"] = json!({"kept": "yes"});
        theirs["manifests"][0]["own"] = json!(1);
        let second: Value =
            serde_json::from_slice(&merged(Some(theirs.to_string().as_bytes()), &[of(b"a"), of(b"b")]).unwrap().unwrap()).unwrap();
        assert_eq!((&second["annotations"]["kept"], &second["manifests"][0]["own"]), (&json!("yes"), &json!(1)));
        assert_eq!(second["manifests"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn what_is_no_list_is_not_overwritten() {
        for text in
            [r#"{"config":{},"layers":[]}"#, r#"{"manifests":[],"config":{}}"#, "[]", "<html>", r#"{"mediaType":"x","manifests":[]}"#]
        {
            assert!(merged(Some(text.as_bytes()), &[]).is_err(), "{text}");
        }
    }
}
