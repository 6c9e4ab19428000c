//! What a plan is: bounds, choice of members, names, documents.

use super::*;
use crate::archive;
use crate::format::{Document, DocumentKind, FileKind, SignatureName};
use crate::limits;
use crate::lookaside::{Lookasides, Scopes, Store};
use crate::web::{Get, Web, WebError};

#[test]
fn bounds_hold() {
    let memory = Arc::new(three());
    for (names, size) in [(&NAMES[..], limits::VOLUME_BYTES_MIN), (&NAMES[..1], 300_000), (&NAMES[..], limits::VOLUME_BYTES_MAX)] {
        let bench = Bench::new();
        let (plan, _) = planned(&memory, &wish(names), size);
        let estimate = plan.estimate().unwrap();
        let report = bench.pack(&memory, plan, vec![], false, &bench.path("out"), &Silent::new()).unwrap();
        let written: u64 = report.volumes.iter().map(|(_, size)| size).sum();
        assert!(report.volumes.len() as u64 <= estimate.volumes, "{} volumes, at most {}", report.volumes.len(), estimate.volumes);
        assert!(written <= estimate.volumes_bytes, "{written} bytes, at most {}", estimate.volumes_bytes);
        let dir = Dir::open(&bench.path("out")).unwrap();
        let of = |kind| dir.size_of(&report.name.file(kind)).unwrap().unwrap();
        let documents = of(FileKind::Index { copy: false }) + of(FileKind::Contents { copy: false });
        assert!(documents <= estimate.documents, "{documents} bytes, at most {}", estimate.documents);
        let all: u64 = files(&bench.path("out")).values().map(|bytes| bytes.len() as u64).sum();
        assert!(all <= estimate.staging());
    }
}

#[test]
fn a_saved_plan_is_the_plan() {
    let (bench, memory) = (Bench::new(), Arc::new(three()));
    let mut wish = wish(&NAMES);
    wish.asks[2].platforms = vec!["linux/arm64".parse().unwrap()];
    let (plan, _) = planned(&memory, &wish, 300_000);
    let saved = PackPlan::parse(&plan.to_bytes().unwrap()).unwrap();
    assert_eq!(saved, plan);
    bench.pack(&memory, plan.clone(), vec![], false, &bench.path("one"), &Silent::new()).unwrap();
    bench.pack(&memory, saved, vec![], false, &bench.path("two"), &Silent::new()).unwrap();
    assert!(files(&bench.path("one")) == files(&bench.path("two")));
    // A plan that was tampered with is refused: it is input like any other.
    let text = String::from_utf8(plan.to_bytes().unwrap()).unwrap();
    let size = format!("\"size\": {}", plan.blobs[0].size);
    assert!(PackPlan::parse(text.replacen(&size, "\"size\": 1", 1).as_bytes()).is_err());
    let mut swapped = plan.clone();
    let other = swapped.manifests[1].data.clone();
    swapped.manifests[0].data = other;
    let forged = serde_json::from_slice::<PackPlan>(&swapped.to_bytes().unwrap()).unwrap();
    assert!(matches!(forged.derived(), Err(Error::Plan(why)) if why.contains("other bytes")));
    assert!(PackPlan::parse(text.replace(env!("CARGO_PKG_VERSION"), "9.9.9").as_bytes()).is_err());
}

#[test]
fn members_of_an_index_that_were_not_asked_for_stay_away() {
    let (bench, memory) = (Bench::new(), Arc::new(three()));
    let mut one = wish(&NAMES[2..]);
    one.asks[0].platforms = vec!["linux/arm64".parse().unwrap()];
    let (plan, _) = planned(&memory, &one, 300_000);
    assert_eq!(plan.images[0].platforms.len(), 1);
    bench.pack(&memory, plan, vec![], false, &bench.path("out"), &Silent::new()).unwrap();
    let sets = archive::open(&[bench.path("out")], &bench.trust(), 0).unwrap();
    assert_eq!(sets[0].contents().manifests.len(), 2);
    one.asks[0].platforms = vec!["linux/arm64".parse().unwrap(), "linux/amd64".parse().unwrap()];
    assert!(planned(&memory, &one, 300_000).0.images[0].platforms.is_empty(), "all of them is not a part");
    one.asks[0].platforms = vec!["linux/s390x".parse().unwrap()];
    let (_, failures) = planned(&memory, &one.on_platforms(&[]), 300_000);
    assert!(failures[0].reason.to_string().contains("linux/amd64, linux/arm64"), "{}", failures[0].reason);
}

#[test]
fn an_attestation_goes_with_its_member_and_is_no_platform() {
    let mut memory = Memory::default();
    let (amd, arm) = (memory.image(&[noise(50_000, 3)]), memory.image(&[noise(70_000, 4)]));
    let mut about = |image: &str, seed| {
        let image: Descriptor = serde_json::from_str(image).unwrap();
        let attestation = memory.image(&[noise(100, seed)]);
        let annotations = format!(r#""annotations":{{"vnd.docker.reference.digest":"{}"}}"#, image.digest);
        format!(r#"{},{annotations},"platform":{{"os":"unknown","architecture":"unknown"}}}}"#, attestation.strip_suffix('}').unwrap())
    };
    let members = [about(&amd, 5), about(&arm, 6)].join(",");
    let plain = memory.index(&[("amd64", amd), ("arm64", arm)]);
    let plain: Descriptor = serde_json::from_str(&plain).unwrap();
    let text = String::from_utf8(memory.content[&plain.digest].clone()).unwrap();
    let multi = memory.put(text.replace("]}", &format!(",{members}]}}")).into_bytes(), media::OCI_INDEX);
    memory.tag("team/multi:1", &multi);
    let mut one = wish(&NAMES[2..]);
    one.asks[0].platforms = vec!["linux/arm64".parse().unwrap()];
    let (plan, _) = planned(&Arc::new(memory), &one, 300_000);
    assert_eq!(plan.images[0].platforms, ["linux/arm64".parse().unwrap()]);
    assert_eq!(plan.manifests.len(), 3, "index, member, attestation of the member");
    assert_eq!(PackPlan::parse(&plan.to_bytes().unwrap()).unwrap(), plan);
}

#[test]
fn two_images_on_one_name_are_refused_before_anything_is_fetched() {
    let memory = Arc::new(three());
    let mut both = wish(&NAMES[..2]);
    both.asks[1].target_repo = Some("team/a".into());
    let refused = plan(&both, Options::default(), &One(memory.clone()), 2, |_| "X".into(), &Silent::new());
    assert!(matches!(refused, Err(Error::Collision(_))));
    assert_eq!(memory.opened.load(Ordering::Relaxed), 0);
    // The same image twice is one image.
    let twice = planned(&memory, &wish(&[NAMES[0], NAMES[0]]), 300_000).0;
    assert_eq!(twice.images.len(), 1);
}

/// Two charts, or a chart and a list of images, may need one image on different platforms.
#[test]
fn an_image_that_is_asked_for_twice_is_carried_on_the_platforms_of_both() {
    let mut memory = Memory::default();
    let members = ["amd64", "arm64", "s390x"].map(|arch| (arch, memory.image(&[noise(50_000, arch.len() as u8 + arch.as_bytes()[1])])));
    let multi = memory.index(&members);
    memory.tag("team/multi:1", &multi);
    let memory = Arc::new(memory);
    let carried = |platforms: [&[&str]; 2]| {
        let mut both = wish(&[NAMES[2], NAMES[2]]);
        for (ask, platforms) in both.asks.iter_mut().zip(platforms) {
            ask.platforms = platforms.iter().map(|p| p.parse().unwrap()).collect();
        }
        let (plan, failures) = planned(&memory, &both, 300_000);
        assert!(failures.is_empty() && plan.images.len() == 1);
        assert_eq!(PackPlan::parse(&plan.to_bytes().unwrap()).unwrap(), plan);
        let platforms: Vec<String> = plan.images[0].platforms.iter().map(ToString::to_string).collect();
        (platforms.join(" "), plan.manifests.len())
    };
    let two = ("linux/amd64 linux/arm64".to_owned(), 3);
    assert_eq!(carried([&["linux/arm64"], &["linux/amd64"]]), two);
    assert_eq!(carried([&["linux/amd64", "linux/arm64"], &["linux/amd64"]]), two);
    assert_eq!(carried([&["linux/arm64"], &[]]), (String::new(), 4));
    assert_eq!(carried([&["linux/arm64", "linux/s390x"], &["linux/amd64"]]), (String::new(), 4), "all of them is not a part");
}

#[test]
fn blocked_images_stay_outside() {
    let memory = Arc::new(three());
    let mut all = wish(&NAMES);
    all.blocked = crate::image_set::Blocked::new(vec!["team/b".into()]).unwrap();
    let (plan, _) = planned(&memory, &all, 300_000);
    assert_eq!(plan.images.iter().map(|i| i.repository.as_str()).collect::<Vec<_>>(), ["team/a", "team/multi"]);
    all.blocked = crate::image_set::Blocked::new(vec!["reg.test".into()]).unwrap();
    assert!(matches!(super::plan(&all, Options::default(), &One(memory), 2, |_| "X".into(), &Silent::new()), Err(Error::Nothing)));
}

/// One signature for every manifest, which says which store it is from.
struct Signing;

impl Web for Signing {
    fn get(&self, request: &Get<'_>) -> Result<Vec<u8>, WebError> {
        match request.url.ends_with("/signature-1") {
            true => Ok(request.url.split('/').nth(2).unwrap().as_bytes().to_vec()),
            false => Err(WebError::NotFound("x".into())),
        }
    }
}

/// The plan with signatures of everything; images of a scope have them in another store.
fn signed(plan: PackPlan, scope: &str) -> PackPlan {
    let mut scopes = Scopes::default();
    scopes.set(None, Store::parse("https://all.test"));
    scopes.set(Some(scope), Store::parse("https://scope.test"));
    let (plan, failures) = carry_signatures(plan, &Lookasides::new(scopes, Scopes::default()), &Signing, 2, &Silent::new()).unwrap();
    assert!(failures.is_empty(), "{failures:?}");
    plan
}

/// A scope may be a tag: the same manifest of one repository may be signed in two stores.
#[test]
fn every_store_of_a_manifest_is_asked() {
    let mut memory = three();
    let root = memory.tags["team/a:1"];
    memory.tags.insert("team/a:2".into(), root);
    let (plan, _) = planned(&Arc::new(memory), &wish(&["reg.test/team/a:1", "reg.test/team/a:2"]), 300_000);
    let plan = signed(plan, "reg.test/team/a:2");
    let found: Vec<Vec<u8>> = plan.documents.iter().map(Document::bytes).collect();
    assert_eq!(found, [b"all.test".to_vec(), b"scope.test".to_vec()]);
    assert_eq!(PackPlan::parse(&plan.to_bytes().unwrap()).unwrap(), plan);
}

#[test]
fn signatures_of_an_image_that_is_left_out_are_left_out() {
    let memory = Arc::new(three());
    let (plan, _) = planned(&memory, &wish(&NAMES), 300_000);
    let plan = signed(plan, "reg.test/none");
    let repositories = |plan: &PackPlan| -> Vec<String> {
        assert!(plan.documents.iter().all(|document| document.kind == DocumentKind::ImageSignature));
        plan.documents.iter().map(|document| SignatureName::parse(&document.name).unwrap().repository).collect()
    };
    assert_eq!(repositories(&plan), ["team/a", "team/b", "team/multi", "team/multi", "team/multi"]);
    let left_out = plan.images.iter().find(|image| image.repository == "team/multi").unwrap();
    let failure = Failure::of(left_out, Reason::Shared(left_out.root.digest));
    let smaller = run::without(&plan, &[failure], &|_| "X".into()).unwrap();
    assert_eq!(repositories(&smaller), ["team/a", "team/b"]);
    assert_eq!(PackPlan::parse(&smaller.to_bytes().unwrap()).unwrap(), smaller);
}

#[test]
fn documents_that_no_reader_would_take_are_refused_when_planned() {
    let template = |data: &[u8]| Document::new(DocumentKind::CatalogTemplate, "redhat/index:v1", data);
    let refused = PackPlan::new(Options::default(), vec![], vec![], vec![template(b"x"), template(b"y")]).unwrap_err();
    assert!(matches!(&refused, Error::Documents(why) if why.contains("redhat/index:v1")), "{refused}");
}
