//! Real charts, hostile charts, and helm as a program.

use super::*;
use crate::digest::Digest;
use flate2::{Compression, write::GzEncoder};

fn never() -> bool {
    false
}

/// A real chart of the foreign test data, if it is there.
fn real(name: &str) -> Option<Package> {
    let named = std::env::var_os("SEALIFT_TEST_DATA").map(PathBuf::from);
    let folder = named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"));
    if !folder.is_dir() {
        eprintln!("skipped: no shared data");
        return None;
    }
    Some(Package::open(&folder.join("charts").join(name)).unwrap())
}

fn names(images: &Images) -> Vec<String> {
    images.sources.iter().map(Source::to_string).collect()
}

fn read_images(package: &Package) -> Images {
    package.images(&[], &Settings::default(), &never).unwrap()
}

#[test]
fn podinfo() {
    let Some(package) = real("podinfo-5.0.0.tgz") else { return };
    let images = read_images(&package);
    assert_eq!(
        names(&images),
        ["docker.io/curlimages/curl:7.69.0", "docker.io/stefanprodan/grpc_health_probe:v0.3.0", "ghcr.io/stefanprodan/podinfo:5.0.0",]
    );
    let notes = images.notes.join("\n");
    assert!(notes.contains("without rendering") && notes.contains("install helm"), "{notes}");
    assert!(notes.contains("giantswarm/tiny-tools"), "what has no tag is told: {notes}");
    assert!(notes.contains("switch it off: redis:6.0.1"), "{notes}");
}

#[test]
fn ingress_nginx() {
    let Some(package) = real("ingress-nginx-4.12.1.tgz") else { return };
    let images = read_images(&package);
    assert_eq!(
        names(&images),
        [
            "registry.k8s.io/ingress-nginx/controller:v1.12.1@sha256:d2fbc4ec70d8aa2050dd91a91506e998765e86c96f32cffb56c503c9c34eed5b",
            "registry.k8s.io/ingress-nginx/kube-webhook-certgen:v1.5.2@sha256:e8825994b7a2c7497375a9b945f386506ca6a3eda80b89b74ef2db743f66a5ea",
        ]
    );
}

#[test]
fn a_chart_with_an_aliased_sub_chart() {
    let Some(package) = real("my-chart-with-subchart-alias-0.1.0.tgz") else { return };
    let images = read_images(&package);
    assert_eq!(
        names(&images),
        ["docker.io/library/nginx:1.16.0", "quay.io/fedora/postgresql-15:latest", "quay.io/rhdh-community/rhdh:next"],
        "{:#?}",
        images.notes
    );
    assert!(images.notes.iter().any(|n| n.contains("busybox")), "{:#?}", images.notes);
}

/// An archive of these files, as they are named.
pub(crate) fn tgz(files: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::best()));
    for (path, text) in files {
        let mut header = tar::Header::new_gnu();
        // Written by hand: the library refuses the paths an attacker would write.
        let name = &mut header.as_old_mut().name;
        name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        header.set_entry_type(tar::EntryType::Regular);
        header.set_cksum();
        archive.append(&header, text.as_bytes()).unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap()
}

const CHART: (&str, &str) = ("c/Chart.yaml", "name: c\nversion: 1.0.0\nappVersion: 1.10\n");

/// A small chart with these values and this template.
fn chart(values: &str, template: &str) -> Package {
    let archive = tgz(&[CHART, ("c/values.yaml", values), ("c/templates/x.yaml", template)]);
    Package::read(archive, "c.tgz").unwrap()
}

fn fault(archive: Vec<u8>) -> ChartFault {
    match Package::read(archive, "c.tgz") {
        Err(HelmError::Chart { chart, fault }) if chart == "c.tgz" => fault,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_tag_that_a_template_falls_back_to() {
    let values = "image: {repository: quay.io/a/b, tag: ''}\n";
    let image = |template: &str| names(&read_images(&chart(values, template)));
    // 1.10 is written as a number, and is none.
    assert_eq!(image("image: {{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}\n"), ["quay.io/a/b:1.10"]);
    assert_eq!(
        image("image: \"{{ .Values.image.repository }}:{{ default (printf \"v%s\" .Chart.AppVersion) .Values.image.tag }}\"\n"),
        ["quay.io/a/b:v1.10"]
    );
    assert_eq!(image("image: {{ mystery .Values.image }}\n"), [""; 0], "no template says what an empty tag becomes");
    assert_eq!(image("# tag: {{ .Values.image.tag | default .Chart.AppVersion }}\nimage: {{ mystery . }}\n"), ["quay.io/a/b:1.10"]);
}

#[test]
fn what_is_not_understood_is_told_and_values_help() {
    let package = chart(
        "sidecarImage: quay.io/a/side:1\nmain: {image: {registry: quay.io, repository: a/main, tag: 2}}\n",
        "image: {{ mystery . }}\n---\nimage: x/{{ mystery . }}:1\n",
    );
    let images = read_images(&package);
    assert_eq!(names(&images), ["quay.io/a/main:2", "quay.io/a/side:1"]);
    let notes = images.notes.join("\n");
    assert!(notes.contains("partly not understood; not taken (name it under additionalImages): ?, x/?:1"), "{notes}");
    assert!(notes.contains("named by values only"), "{notes}");
}

#[test]
fn annotations_values_files_and_image_paths() {
    let meta = "name: c\nversion: 1.0.0\nannotations:\n  artifacthub.io/images: |\n    - {name: x, image: quay.io/a/annotated:1}\n";
    let template = "kind: X\nspec: {plugin: '{{ .Values.plugin }}'}\n---\nkind: Pod\nspec: {containers: [{image: '{{ .Values.i }}'}]}\n";
    let package = Package::read(
        tgz(&[("c/Chart.yaml", meta), ("c/values.yaml", "plugin: quay.io/a/p:1\ni: quay.io/a/i:1\n"), ("c/templates/x.yaml", template)]),
        "c",
    )
    .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("v.yaml");
    std::fs::write(&file, "i: quay.io/a/i:2\n").unwrap();
    let paths = [ImagePath::parse("{.spec.plugin}").unwrap()];
    let values = [file];
    let images = package.images(&paths, &Settings { program: None, values: &values }, &never).unwrap();
    assert_eq!(names(&images), ["quay.io/a/annotated:1", "quay.io/a/i:2", "quay.io/a/p:1"]);
    std::fs::write(&values[0], "[").unwrap();
    assert!(matches!(package.images(&paths, &Settings { program: None, values: &values }, &never), Err(HelmError::Values { .. })));
}

#[test]
fn conditions_tags_and_aliases_of_dependencies() {
    let meta = "name: c\nversion: 1.0.0\ndependencies:\n- {name: a, alias: first, condition: first.enabled}\n- {name: a, alias: second, condition: 'no.such,second.enabled'}\n- {name: t, tags: [back]}\n- {name: gone}\n";
    let sub = |name: &str| format!("name: {name}\nversion: 1.0.0\n");
    let image = "image: {{ .Values.global.registry }}/{{ .Values.name }}:1\n";
    let package = Package::read(
        tgz(&[
            ("c/Chart.yaml", meta),
            ("c/values.yaml", "global: {registry: quay.io}\nfirst: {name: from-parent}\nsecond: {enabled: false}\ntags: {back: false}\n"),
            ("c/charts/a/Chart.yaml", &sub("a")),
            ("c/charts/a/values.yaml", "name: own\n"),
            ("c/charts/a/templates/x.yaml", image),
            ("c/charts/t/Chart.yaml", &sub("t")),
            ("c/charts/t/templates/x.yaml", "image: quay.io/tagged:1\n"),
        ]),
        "c",
    )
    .unwrap();
    let images = read_images(&package);
    assert_eq!(names(&images), ["quay.io/from-parent:1"]);
    let notes = images.notes.join("\n");
    assert!(notes.contains("switch it off: chart second, chart t"), "{notes}");
    assert!(notes.contains("chart gone, which is not in the archive"), "{notes}");
}

#[test]
fn a_packed_chart_in_a_chart_is_read() {
    let inner = tgz(&[("s/Chart.yaml", "name: s\nversion: 1.0.0\n"), ("s/templates/x.yaml", "image: quay.io/inner:1\n")]);
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::best()));
    for (path, bytes) in [(CHART.0, CHART.1.as_bytes()), ("c/charts/s-1.0.0.tgz", &inner)] {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_entry_type(tar::EntryType::Regular);
        archive.append_data(&mut header, path, bytes).unwrap();
    }
    let package = Package::read(archive.into_inner().unwrap().finish().unwrap(), "c").unwrap();
    assert_eq!(names(&read_images(&package)), ["quay.io/inner:1"]);
}

#[test]
fn an_archive_that_leads_elsewhere_is_refused() {
    for path in ["../evil", "c/../../evil", "/etc/passwd", "c/..", "c\\..\\x"] {
        assert!(matches!(fault(tgz(&[CHART, (path, "x")])), ChartFault::Traversal(_)), "{path}");
    }
    assert!(matches!(fault(tgz(&[CHART, ("other/x", "x")])), ChartFault::TopFolder(_)));
    assert!(matches!(fault(tgz(&[("Chart.yaml", "x")])), ChartFault::TopFolder(_)));
    assert_eq!(fault(tgz(&[("c/values.yaml", "")])), ChartFault::NoChartYaml);
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::best()));
    let mut link = tar::Header::new_gnu();
    link.set_entry_type(tar::EntryType::Symlink);
    link.set_size(0);
    archive.append_link(&mut link, "c/values.yaml", "/etc/passwd").unwrap();
    assert!(matches!(fault(archive.into_inner().unwrap().finish().unwrap()), ChartFault::Irregular(_)));
}

#[test]
fn bombs_are_refused_before_they_are_held() {
    let zeros = "\0".repeat(30 << 20);
    assert!(matches!(fault(tgz(&[CHART, ("c/README.md", &zeros)])), ChartFault::Ratio(_)));
    let long = "x: y\n".repeat(1_200_000);
    assert!(matches!(fault(tgz(&[CHART, ("c/values.yaml", &long)])), ChartFault::FileTooLarge(..) | ChartFault::Ratio(_)));
    let many: Vec<(String, &str)> = (0..limits::CHART_FILES + 1).map(|i| (format!("c/f{i}"), "")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(path, text)| (path.as_str(), *text)).collect();
    assert!(matches!(fault(tgz(&many)), ChartFault::TooManyFiles(_) | ChartFault::Ratio(_)));
    assert!(matches!(fault(b"not an archive".to_vec()), ChartFault::Archive(_)));
    let mut cut = tgz(&[CHART, ("c/README.md", &"a b c ".repeat(5000))]);
    cut.truncate(cut.len() / 2);
    assert!(matches!(fault(cut), ChartFault::Archive(_)));
}

#[test]
fn charts_in_charts_without_end_are_refused() {
    let path = |n: usize| format!("c/{}Chart.yaml", "charts/c/".repeat(n));
    let files: Vec<String> = (0..11).map(path).filter(|p| p.len() <= 100).collect();
    assert!(files.len() > limits::CHART_DEPTH + 1);
    let files: Vec<(&str, &str)> = files.iter().map(|path| (path.as_str(), CHART.1)).collect();
    assert_eq!(fault(tgz(&files)), ChartFault::TooDeep(limits::CHART_DEPTH));
}

#[test]
fn documents_that_multiply_and_names_that_lead_elsewhere_are_refused() {
    let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for i in 1..10 {
        bomb.push_str(&format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 10].join(",")));
    }
    assert!(matches!(fault(tgz(&[CHART, ("c/values.yaml", &bomb)])), ChartFault::Document { file, .. } if file == "values.yaml"));
    assert!(matches!(fault(tgz(&[("c/Chart.yaml", &format!("name: c\nversion: 1.0.0\n{bomb}"))])), ChartFault::Document { .. }));
    for bad in ["name: ../x\nversion: 1", "version: 1", "name: c", "name: c\nversion: \"1\\n2\"", "name: ..\nversion: 1"] {
        assert!(matches!(fault(tgz(&[("c/Chart.yaml", bad)])), ChartFault::Metadata(_)), "{bad}");
    }
}

#[test]
fn a_folder_becomes_the_same_archive_every_time() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("folder");
    std::fs::create_dir_all(folder.join("templates")).unwrap();
    for (path, text) in [
        ("Chart.yaml", CHART.1),
        ("values.yaml", "i: quay.io/a:1\n"),
        ("templates/x.yaml", "image: {{ .Values.i }}\n"),
        (".helmignore", "*.bak\n# words\n"),
        ("x.bak", "no"),
    ] {
        std::fs::write(folder.join(path), text).unwrap();
    }
    let package = Package::open(&folder).unwrap();
    assert_eq!(names(&read_images(&package)), ["quay.io/a:1"]);
    let files: Vec<String> = tar::Archive::new(flate2::read::GzDecoder::new(&package.bytes()[..]))
        .entries()
        .unwrap()
        .map(|e| e.unwrap().path().unwrap().display().to_string())
        .collect();
    assert_eq!(files, ["c/Chart.yaml", "c/.helmignore", "c/templates/x.yaml", "c/values.yaml"]);
    std::fs::File::open(folder.join("values.yaml")).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(Package::open(&folder).unwrap().bytes(), package.bytes());
    // A link would carry what lies outside.
    std::os::unix::fs::symlink("/etc/passwd", folder.join("templates/link")).unwrap();
    assert!(matches!(Package::open(&folder), Err(HelmError::Chart { fault: ChartFault::Irregular(_), .. })));
    assert!(matches!(Package::open(&dir.path().join("none")), Err(HelmError::Fs(_))));
    assert!(matches!(Package::open(dir.path()), Err(HelmError::Chart { fault: ChartFault::NoChartYaml, .. })));
}

#[test]
fn the_artifact_is_what_helm_pushes_and_the_same_every_time() {
    let dir = tempfile::tempdir().unwrap();
    let meta = "name: c\nversion: 1.0.0+up1\ndescription: words\nannotations: {org.opencontainers.image.title: forged}\nmaintainers: [{name: N, email: e@x}]\n";
    let package = Package::read(tgz(&[("c/Chart.yaml", meta)]), "c").unwrap();
    let make = |name: &str| {
        let workspace = Layout::create(&dir.path().join(name)).unwrap();
        let artifact = package.artifact(&workspace).unwrap();
        (workspace.manifest(&artifact.digest).unwrap(), artifact)
    };
    let (manifest, artifact) = make("a");
    assert_eq!((&manifest, &artifact), (&make("b").0, &make("c").1));
    assert_eq!((artifact.repository.as_str(), artifact.tag.as_str()), ("charts/c", "1.0.0_up1"));
    let document: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(document["config"]["mediaType"], "application/vnd.cncf.helm.config.v1+json");
    assert_eq!(document["layers"][0]["mediaType"], "application/vnd.cncf.helm.chart.content.v1.tar+gzip");
    assert_eq!(document["layers"][0]["digest"], Digest::sha256(package.bytes()).to_string());
    let annotations = &document["annotations"];
    assert_eq!(
        (&annotations["org.opencontainers.image.title"], &annotations["org.opencontainers.image.version"]),
        (&"c".into(), &"1.0.0+up1".into())
    );
    assert_eq!(annotations["org.opencontainers.image.authors"], "N (e@x)");
    assert!(annotations.get("org.opencontainers.image.created").is_none());
    let upper = Package::read(tgz(&[("c/Chart.yaml", "name: Upper\nversion: 1.0.0\n")]), "c").unwrap();
    assert!(matches!(upper.artifact(&Layout::create(&dir.path().join("d")).unwrap()), Err(HelmError::Name { .. })));
}

/// A `helm` that runs this script.
fn fake(dir: &Path, script: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let (draft, path) = (dir.join("draft"), dir.join("helm"));
    std::fs::write(&draft, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&draft, std::fs::Permissions::from_mode(0o755)).unwrap();
    // Written by another process: a child forked meanwhile by another test would hold this one's handle open for writing, and the
    // system then refuses to run the file ("text file busy").
    assert!(std::process::Command::new("cp").arg(&draft).arg(&path).status().unwrap().success());
    path
}

/// What a chart's images are with that script, and what is left in the scratch folder.
fn with_helm(script: &str, patience: std::time::Duration) -> (Images, usize) {
    let dir = tempfile::tempdir().unwrap();
    let path = fake(dir.path(), script);
    let scratch = dir.path().join("scratch");
    let program = Some(Program { path: &path, scratch: &scratch, patience });
    let package = chart("", "image: quay.io/read:1\n");
    let images = package.images(&[], &Settings { program, values: &[] }, &never).unwrap();
    let left = std::fs::read_dir(&scratch).map_or(0, Iterator::count);
    (images, left)
}

const LONG: std::time::Duration = std::time::Duration::from_secs(600);

#[test]
fn helm_renders_in_a_folder_of_its_own() {
    let script = r#"
test "$1" = template && test -s "$3" && test "$4" = --include-crds || exit 3
test -z "$SEALIFT_TEST_DATA$CARGO_MANIFEST_DIR$http_proxy" && test "$HOME" = "$HELM_CACHE_HOME" || exit 4
mkdir -p "$HELM_CACHE_HOME/repository/deep" && ln -s /etc "$HELM_CACHE_HOME/link" && echo x > "$HELM_CACHE_HOME/repository/deep/f"
printf -- '---\n# Source: c/x\nspec: {containers: [{image: "quay.io/rendered:1"}]}\n'"#;
    let (images, left) = with_helm(script, LONG);
    assert_eq!(names(&images), ["quay.io/rendered:1"], "{:?}", images.notes);
    assert!(images.notes[0].contains("rendered by helm template"), "{:?}", images.notes);
    assert_eq!(left, 0, "nothing stays");
}

#[test]
fn one_chart_rendered_twice_at_once_is_rendered_both_times() {
    let dir = tempfile::tempdir().unwrap();
    // Neither goes on before the other has begun, and so has made itself a folder.
    let script = format!(
        "cd {}\nif mkdir first 2>/dev/null; then read x < meet; else echo x > meet; fi\n[ -f \"$3\" ] || exit 1\nprintf 'image: q.io/x:1\\n'",
        dir.path().display()
    );
    assert!(std::process::Command::new("mkfifo").arg(dir.path().join("meet")).status().unwrap().success());
    let path = fake(dir.path(), &script);
    let run = || {
        let program = Some(Program { path: &path, scratch: dir.path(), patience: LONG });
        chart("", "").images(&[], &Settings { program, values: &[] }, &never).unwrap().notes[0].clone()
    };
    let both = std::thread::scope(|scope| [scope.spawn(run), scope.spawn(run)].map(|run| run.join().unwrap()));
    assert!(both.iter().all(|note| note.contains("rendered by helm template")), "{both:?}");
}

#[test]
fn where_helm_fails_the_chart_is_read_and_it_is_told() {
    let (images, left) = with_helm("echo 'Error: execution error: a value is missing' >&2; exit 1", LONG);
    assert_eq!((names(&images), left), (vec!["quay.io/read:1".to_owned()], 0));
    assert!(images.notes[0].contains("helm failed: execution error: a value is missing"), "{:?}", images.notes);
    let (images, _) = with_helm("yes x >&2 | head -c 300000; exit 1", std::time::Duration::from_secs(2));
    assert_eq!(names(&images), ["quay.io/read:1"]);
}

#[test]
fn a_helm_that_hangs_is_ended_with_all_it_started() {
    let (images, left) = with_helm("sleep 600 & sleep 600", std::time::Duration::from_millis(300));
    assert_eq!((names(&images), left), (vec!["quay.io/read:1".to_owned()], 0));
    assert!(images.notes[0].contains("did not finish"), "{:?}", images.notes);
}

#[test]
fn a_helm_that_prints_without_end_is_ended() {
    let (images, _) = with_helm("yes 'image: quay.io/endless:1'", LONG);
    assert_eq!(names(&images), ["quay.io/read:1"]);
    assert!(images.notes[0].contains("printed more than"), "{:?}", images.notes);
}

#[test]
fn no_helm_where_it_was_said_to_be() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("helm");
    let program = Some(Program { path: &path, scratch: dir.path(), patience: LONG });
    let package = chart("", "image: quay.io/read:1\n");
    let images = package.images(&[], &Settings { program, values: &[] }, &never).unwrap();
    assert!(images.notes[0].contains("cannot be started"), "{:?}", images.notes);
    let stopped = with_stop(dir.path());
    assert!(matches!(stopped, Err(HelmError::Interrupted)), "{stopped:?}");
}

fn with_stop(dir: &Path) -> Result<Images, HelmError> {
    let path = fake(dir, "sleep 600");
    let program = Some(Program { path: &path, scratch: dir, patience: LONG });
    chart("", "").images(&[], &Settings { program, values: &[] }, &|| true)
}

proptest::proptest! {
    #[test]
    fn no_archive_panics(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..600), values in "[ -~\n]{0,120}", template in "[ -~\n]{0,120}") {
        let _ = Package::read(bytes, "x");
        if let Ok(package) = Package::read(tgz(&[CHART, ("c/values.yaml", &values), ("c/templates/x.yaml", &template)]), "x") {
            read_images(&package);
        }
    }
}

/// Each chart inside gets a copy of the global values, and each alias is a chart of its own.
#[test]
fn values_and_templates_do_not_multiply_by_the_charts_inside() {
    let meta = |name: &str| format!("apiVersion: v2\nname: {name}\nversion: 1.0.0\n");
    let global = format!("global:\n  many: [{}]\nimage: q.test/a:1\n", "1,".repeat(100_000).trim_end_matches(','));
    let inner: Vec<(String, String)> = (0..60).map(|n| (format!("c/charts/s{n}/Chart.yaml"), meta(&format!("s{n}")))).collect();
    let mut files = vec![("c/Chart.yaml".to_owned(), meta("c")), ("c/values.yaml".to_owned(), global)];
    files.extend(inner);
    let aliases: String = (0..60_000).map(|n| format!("- {{name: s, alias: a{n}, version: 1.0.0}}\n")).collect();
    let words = "# words\n".repeat(8_000);
    let many = vec![
        ("c/Chart.yaml".to_owned(), format!("{}dependencies:\n{aliases}", meta("c"))),
        ("c/values.yaml".to_owned(), "image: q.test/a:1\n".to_owned()),
        ("c/charts/s/Chart.yaml".to_owned(), meta("s")),
        ("c/charts/s/templates/x.yaml".to_owned(), words),
    ];
    for files in [files, many] {
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        let images = read_images(&Package::read(tgz(&files), "c").unwrap());
        // What is read up to there counts, and that something is missing is said.
        assert_eq!(names(&images), ["q.test/a:1"]);
        assert!(images.notes.iter().any(|note| note.contains("too much")), "{:?}", images.notes);
    }
}
