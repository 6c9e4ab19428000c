use super::*;
use crate::digest::Digest;
use proptest::prelude::*;

const HEAD: &str = "kind: ImageSetConfiguration\napiVersion: mirror.openshift.io/v2alpha1\n";

fn parse(text: &str) -> (ImageSet, Vec<Notice>) {
    ImageSet::parse(text.as_bytes()).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

fn set(rest: &str) -> ImageSet {
    parse(&format!("{HEAD}{rest}")).0
}

fn refused(rest: &str) -> ImageSetError {
    match ImageSet::parse(format!("{HEAD}{rest}").as_bytes()) {
        Ok(_) => panic!("accepted: {rest}"),
        Err(e) => e,
    }
}

#[test]
fn lines_and_paths_are_exact() {
    let text = "mirror:\n  additionalImages:\n  - name: quay.io/a/b:1\n\n  # a comment: with colon\n  - name: |-\n      quay.io/a/c:1\n  - nmae: x\n";
    let error = refused(text);
    assert_eq!(error.to_string(), "line 10: mirror.additionalImages[2].nmae: there is no such member; did you mean name?");
    let error = refused("mirror:\n  platform:\n    channels:\n    - name: s\n      minVersion: 4.15\n");
    assert_eq!((error.line, error.field.as_str()), (Some(7), "mirror.platform.channels[0].minVersion"));
    assert!(error.to_string().ends_with("the number 4.15 was found where text must stand; put it in quotes"));
    let error = refused("mirror:\n  AdditionalImages: []\n  helm: {}\n  additionalimages: []\n");
    assert_eq!(error.to_string(), "line 6: mirror.additionalimages: it is given twice, first in line 4; letter case makes no difference");
    let error = refused("mirror:\n  additionalImages:\n  - name: quay.io/a/b:1\n  -   targetTag: x\n");
    assert_eq!((error.line, error.field.as_str()), (Some(6), "mirror.additionalImages[1].name"));
}

#[test]
fn lines_hold_in_json_and_through_aliases() {
    let json =
        "{\n \"kind\": \"ImageSetConfiguration\",\n\t\"mirror\": {\"additionalImages\": [\n {\"name\": \"quay.io/a/\\ud83d\\ude00:1\"}]}}";
    let error = ImageSet::parse(json.as_bytes()).unwrap_err();
    assert_eq!((error.line, error.field.as_str()), (Some(4), "mirror.additionalImages[0].name"));
    let error = refused("mirror:\n  operators: &o\n  - catalog: q.io/a:1\n  - catalog: q.io/a:1\n");
    assert_eq!(error.to_string(), "line 6: mirror.operators[1]: \"q.io/a:1\" is listed more than once, first in line 5");
    let error = refused("mirror:\n  additionalImages: &list\n  - name: bad reference\n  samples: *list\n");
    assert_eq!((error.line, error.field.as_str()), (Some(5), "mirror.additionalImages[0].name"));
}

#[test]
fn everything_that_may_be_given_arrives() {
    let image_set = set(include_str!("../../fixtures/imagesets/valid-everything.yaml").split_once("v2alpha1\n").unwrap().1);
    let platform = image_set.platform.as_ref().unwrap();
    assert_eq!(image_set.archive_size, Some(1 << 30));
    assert!(platform.graph && platform.kube_virt_container && platform.channels[0].shortest_path && platform.channels[1].full);
    assert_eq!(platform.channels[1].channel_type, ChannelType::Okd);
    assert_eq!(platform.channels[0].range.max.as_ref().unwrap().to_string(), "4.16.9");
    assert_eq!(platform.platforms[0].to_string(), "linux/arm64");
    assert_eq!(platform.release.as_ref().unwrap().host, "quay.io");
    let operator = &image_set.operators[0];
    assert_eq!((operator.target_catalog.as_deref(), operator.target_tag.as_deref()), (Some("my/catalog"), Some("v1")));
    assert_eq!(operator.packages[0].channels[0].range.min.as_ref().unwrap().to_string(), "1.2.3");
    assert_eq!(operator.packages[1].default_channel.as_deref(), Some("stable"));
    assert!(matches!(&image_set.operators[1].source, Source::Layout { dir, .. } if dir == "/srv/catalog"));
    let image = &image_set.additional_images[1];
    assert_eq!(image.destination(None).unwrap().to_string(), "tools/app:one");
    assert_eq!(image_set.helm.repositories[0].charts[0].image_paths, ["{.spec.image}"]);
    assert_eq!(image_set.helm.local[0].path, "/srv/chart.tgz");
    assert_eq!(image_set.blocked.matches("quay.io/x/blocked:1", "x/blocked:1"), Some("blocked:[0-9]$"));
    assert_eq!(image_set.samples, ["ruby"]);
}

#[test]
fn what_go_reads_is_read() {
    assert!(set("MIRROR:\n  Platform: {GRAPH: yes}\n").platform.unwrap().graph);
    assert!(!set("mirror: {platform: {graph: Off}}").platform.unwrap().graph);
    assert!(set("archivesize: 0\nmirror:\n  additionalImages:\n  helm: ~\n  platform:\n").platform.is_none());
    let merged = set("mirror:\n  additionalImages:\n  - &a {name: q.io/a:1, targetTag: x}\n  - {<<: *a, name: q.io/b:1}\n");
    assert_eq!(merged.additional_images[1].name, "q.io/b:1");
    assert_eq!(merged.additional_images[1].target_tag.as_deref(), Some("x"));
    assert!(ImageSet::parse(format!("\u{feff}{HEAD}mirror: {{}}").as_bytes()).is_ok());
    assert_eq!(set("archiveSize: 3.0\nmirror: {}").archive_size, Some(3 << 30));
}

#[test]
fn only_selectors_ask_for_nothing() {
    let image_set = set("mirror:\n  platform: {architectures: [multi, amd64]}\n  additionalImages: [{name: q.io/a:1}]\n");
    assert!(!image_set.platform.unwrap().asks_for_content());
}

#[test]
fn notices_tell_what_does_not_do_what_it_seems() {
    let text = format!(
        "kind: ImageSetConfiguration\narchiveSize: 500\nmirror:\n  operators:\n  - catalog: q.io/a:1\n    full: true\n    packages:\n    - name: p\n      \
         minBundle: b\n      minVersion: 2.0.0\n      maxVersion: 1.0.0\n    - name: q\n      bundles:\n      - name: b1\n      - name: b2\n{}",
        "    skipDependencies: true\n  platform: {channels: [{name: c, type: Okd}]}\n  samples: [{name: s}]\n---\nanything: [\n"
    );
    let (image_set, notices) = parse(&text);
    assert_eq!(image_set.archive_size, Some(crate::limits::VOLUME_BYTES_MAX));
    assert_eq!(image_set.operators[0].packages[1].bundles, ["b1", "b2"]);
    let lines: Vec<String> = notices.iter().map(Notice::to_string).collect();
    for expected in [
        "line 1: apiVersion is not given",
        "line 2: archiveSize: volumes are at most 4294967295 bytes",
        "line 9: mirror.operators[0].packages[0].minBundle: minBundle is obsolete",
        "line 10: mirror.operators[0].packages[0].minVersion: minVersion is above maxVersion",
        "line 14: mirror.operators[0].packages[1].bundles[0]: bundles is obsolete",
        "(2 places, this is the first)",
        "mirror.operators[0].skipDependencies: skipDependencies has no effect",
        "line 5: mirror.operators[0]: full: true together with a version range",
        "channels[0].type: the type is neither ocp nor okd",
        "samples are read but not carried",
        "only the first YAML document",
    ] {
        assert!(lines.iter().any(|line| line.contains(expected)), "{expected}\n{lines:#?}");
    }
    assert_eq!(lines.len(), 10);
}

#[test]
fn the_two_kinds_are_told_apart() {
    let delete =
        "kind: DeleteImageSetConfiguration\napiVersion: mirror.openshift.io/v2alpha1\ndelete:\n  additionalImages: [{name: q.io/a:1}]\n";
    let error = ImageSet::parse(delete.as_bytes()).unwrap_err();
    assert_eq!(error.problem, Problem::OtherKind { found: Kind::Delete, wanted: Kind::Mirror });
    assert_eq!(DeleteSet::parse(delete.as_bytes()).unwrap().0.additional_images.len(), 1);
    let blocked = delete.replace("additionalImages", "blockedImages");
    assert!(matches!(DeleteSet::parse(blocked.as_bytes()).unwrap_err().problem, Problem::Unknown { .. }));
    let mirror = format!("{HEAD}mirror: {{}}\n");
    assert_eq!(DeleteSet::parse(mirror.as_bytes()).unwrap_err().problem, Problem::OtherKind { found: Kind::Mirror, wanted: Kind::Delete });
}

#[test]
fn billion_laughs_are_refused() {
    let mut bomb = format!("{HEAD}a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for i in 1..20 {
        let before = i - 1;
        bomb += &format!("a{i}: &a{i} [*a{before}, *a{before}, *a{before}, *a{before}, *a{before}, *a{before}, *a{before}, *a{before}]\n");
    }
    assert!(matches!(ImageSet::parse(bomb.as_bytes()).unwrap_err().problem, Problem::TooMuch | Problem::Syntax(_)));
    let long = format!("{HEAD}a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), "*a, ".repeat(2000));
    assert_eq!(ImageSet::parse(long.as_bytes()).unwrap_err().problem, Problem::TooMuch);
    assert!(ImageSet::parse(b"&a [*a]").is_err());
    assert!(ImageSet::parse(b"kind: &a {x: *a}").is_err());
}

#[test]
fn deep_and_huge_documents_are_refused() {
    for deep in
        ["[".repeat(100_000), "{a: ".repeat(50_000), "- ".repeat(100_000), format!("{{\"a\":{}", "[".repeat(200_000)), "? ".repeat(100_000)]
    {
        ImageSet::parse(deep.as_bytes()).unwrap_err();
    }
    let deep = format!("mirror: {}1{}", "[".repeat(70), "]".repeat(70));
    assert_eq!(refused(&deep).problem, Problem::TooDeep);
    let huge = " ".repeat(crate::limits::IMAGE_SET_BYTES as usize + 1);
    assert_eq!(ImageSet::parse(huge.as_bytes()).unwrap_err().problem, Problem::TooLarge);
}

#[test]
fn hostile_text_is_shown_harmless() {
    let error = refused("mirror:\n  \"a\\e[2J\\nb\": 1\n");
    assert!(!error.to_string().contains(['\u{1b}', '\n']), "{error:?}");
    let error = refused("mirror: {platform: {release: \"x\\e[2J\"}}");
    assert!(!error.to_string().contains('\u{1b}'));
    let error = refused("mirror: {blockedImages: [{name: \"(\\e[2J\"}]}");
    assert!(!error.to_string().contains('\u{1b}'));
}

#[test]
fn catalogs_are_unique_as_they_arrive() {
    let two = |a: &str, b: &str| format!("mirror:\n  operators:\n  - {{catalog: {a}}}\n  - {{catalog: {b}}}\n");
    assert!(matches!(refused(&two("q.io/a/b:1", "q.io/a/c:1, targetCatalog: a/b")).problem, Problem::Repeated { .. }));
    assert_eq!(set(&two("q.io/a/b:1", "q.io/a/b:2")).operators.len(), 2);
    assert_eq!(set(&two("q.io/a/b:1", "q.io/a/b:1, targetTag: other")).operators.len(), 2);
    assert_eq!(set(&two("oci:///a/index", "oci:///b/index")).operators.len(), 2);
    assert!(matches!(refused(&two("oci:///a/index", "oci:/a/index/")).problem, Problem::Repeated { .. }));
    assert!(matches!(refused(&two("oci:///a/x, targetCatalog: i", "oci:///b/y, targetCatalog: i")).problem, Problem::Repeated { .. }));
    let digest = Digest::sha256(b"");
    assert!(matches!(refused(&two(&format!("q.io/a@{digest}"), &format!("q.io/a@{digest}"))).problem, Problem::Repeated { .. }));
}

/// Every rule has a file; its first line says what must be answered.
#[test]
fn fixtures_get_their_verdict() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/imagesets");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let bytes = std::fs::read(&path).unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let expected =
            text.lines().next().and_then(|line| line.split_once("expect: ")).map(|(_, rest)| rest.trim_end_matches("\",").to_owned());
        seen += 1;
        match (ImageSet::parse(&bytes), name.starts_with("valid-")) {
            (Ok(_), true) => {}
            (Err(error), false) => {
                let expected = expected.unwrap_or_else(|| panic!("{name} says not what to expect"));
                assert!(error.to_string().contains(&expected), "{name}\n expected {expected}\n found    {error}");
            }
            (Ok(_), false) => panic!("{name} was accepted"),
            (Err(error), true) => panic!("{name} was refused: {error}"),
        }
    }
    assert!(seen > 30, "{seen}");
}

proptest! {
    #[test]
    fn the_line_is_that_of_the_fault(filler in proptest::collection::vec(0usize..4, 1..20), at in any::<prop::sample::Index>()) {
        let at = at.index(filler.len());
        let mut lines: Vec<String> = HEAD.lines().map(str::to_owned).collect();
        lines.extend(["mirror:".to_owned(), "  additionalImages:".to_owned()]);
        let mut expected = 0;
        for (i, kind) in filler.iter().enumerate() {
            lines.extend(["", "  # name: x", "  -", ""].get(*kind).map(|line| (*line).to_owned()));
            let dash = if *kind == 2 { "   " } else { "  -" };
            lines.push(format!("{dash} {}: 'quay.io/a/b:{i}'", if i == at { "title" } else { "name" }));
            if i == at {
                expected = lines.len();
            }
        }
        let error = ImageSet::parse(lines.join("\n").as_bytes()).unwrap_err();
        prop_assert_eq!(error.line, Some(expected));
        prop_assert_eq!(error.field, format!("mirror.additionalImages[{at}].title"));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "(kind|mirror|[-:&*<{}\\[\\],|>'\"#? \n\t!]|[a-z]){0,40}") {
        let _ = ImageSet::parse(&bytes);
        let _ = ImageSet::parse(text.as_bytes());
        let _ = DeleteSet::parse(format!("kind: DeleteImageSetConfiguration\n{text}").as_bytes());
    }

    #[test]
    fn any_letter_case_of_a_member_means_the_same(flips in proptest::collection::vec(any::<bool>(), 16)) {
        let name: String = "additionalImages".chars().zip(flips).map(|(c, up)| if up { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() }).collect();
        prop_assert_eq!(set(&format!("mirror:\n  {name}:\n  - name: q.io/a:1\n")).additional_images.len(), 1);
    }
}
