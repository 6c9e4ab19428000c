//! The manual is made from the program: `man/` must be what this test would write.
//!
//! `SEALIFT_UPDATE_MANUAL=1 cargo test --test it manual` rewrites the generated pages.

use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};
use sealift::cli::environment::VARIABLES;
use sealift::error::{Code, FAMILIES, family};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const MANUAL: &str = "Sealift Manual";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("man")
}

fn source() -> String {
    format!("sealift {}", env!("CARGO_PKG_VERSION"))
}

/// `sealift-help` explains itself.
fn without_help(command: clap::Command) -> clap::Command {
    command.disable_help_subcommand(true).mut_subcommands(without_help)
}

fn generated() -> BTreeMap<String, String> {
    let mut command = without_help(sealift::cli::definition());
    command.build();
    let mut pages = BTreeMap::new();
    section_1(&command, "sealift", &mut pages);
    pages.insert("sealift-errors.7".to_owned(), errors());
    pages
}

fn section_1(command: &clap::Command, name: &str, pages: &mut BTreeMap<String, String>) {
    let man = Man::new(command.clone().display_name(name.to_owned())).title(name.to_uppercase()).source(source()).manual(MANUAL);
    let mut page = Vec::new();
    man.render(&mut page).unwrap();
    let mut more = Roff::new();
    if name == "sealift" {
        environment(&mut more);
        exit_status(&mut more);
    }
    examples(&mut more, name);
    see_also(&mut more, command, name);
    more.to_writer(&mut page).unwrap();
    pages.insert(format!("{name}.1"), String::from_utf8(page).unwrap());
    for below in command.get_subcommands() {
        section_1(below, &format!("{name}-{}", below.get_name()), pages);
    }
}

fn environment(roff: &mut Roff) {
    roff.control("SH", ["ENVIRONMENT"]);
    for (name, text) in VARIABLES {
        entry(roff, name, text);
    }
}

fn exit_status(roff: &mut Roff) {
    roff.control("SH", ["EXIT STATUS"]);
    for (exit, title) in FAMILIES {
        entry(roff, &exit.to_string(), title);
    }
}

fn examples(roff: &mut Roff, name: &str) {
    let command = name.trim_start_matches("sealift").trim_start_matches('-').replacen('-', " ", 1);
    let examples = sealift::cli::examples::of(&command);
    if !examples.is_empty() {
        roff.control("SH", ["EXAMPLES"]);
    }
    for (what, line) in examples {
        if !what.is_empty() {
            roff.control("PP", []);
            roff.text([roman(format!("{what}:"))]);
        }
        roff.control("RS", ["4"]);
        roff.control("nf", []);
        roff.text([bold(*line)]);
        roff.control("fi", []);
        roff.control("RE", []);
    }
}

fn entry(roff: &mut Roff, name: &str, text: &str) {
    roff.control("TP", []);
    roff.text([bold(name)]);
    roff.text([roman(text)]);
}

fn see_also(roff: &mut Roff, command: &clap::Command, name: &str) {
    let mut pages: Vec<(String, &str)> = Vec::new();
    if let Some((above, _)) = name.rsplit_once('-').filter(|_| name != "sealift") {
        // `sealift-trust-min-signatures` has a dash of its own.
        let above = above.strip_suffix("-min").unwrap_or(above);
        pages.push((above.to_owned(), "1"));
    }
    pages.extend(command.get_subcommands().map(|below| (format!("{name}-{}", below.get_name()), "1")));
    pages.extend(
        [("sealift-archive", "5"), ("sealift-hosts", "5"), ("sealift-imageset", "5"), ("sealift-errors", "7"), ("sealift-security", "7")]
            .map(|(n, s)| (n.to_owned(), s)),
    );
    roff.control("SH", ["SEE ALSO"]);
    let mut line: Vec<Inline> = Vec::new();
    for (i, (page, section)) in pages.iter().enumerate() {
        line.extend((i > 0).then(|| roman(", ")));
        line.extend([bold(page.as_str()), roman(format!("({section})"))]);
    }
    roff.text(line);
}

fn errors() -> String {
    let mut roff = Roff::new();
    let source = source();
    roff.control("TH", ["SEALIFT-ERRORS", "7", "", &source, MANUAL]);
    roff.control("SH", ["NAME"]);
    roff.text([roman("sealift-errors - codes and exit numbers of sealift, and what to do")]);
    roff.control("SH", ["DESCRIPTION"]);
    roff.text([roman(
        "Every failure ends with a code and an exit number. Codes are stable: scripts may rely on names and numbers. Several \
         codes may share a number, which then stands for their family; a number that is not listed is a failure as well. With ",
    )]);
    roff.text([bold("--json"), roman(" the final object has code, exit, error, causes, remedy and details. ")]);
    roff.text([bold("sealift explain"), roman(" "), italic("CODE"), roman(" prints these pages from the binary.")]);
    for (exit, title) in FAMILIES {
        roff.control("SH", [format!("{exit}: {title}").as_str()]);
        Code::of_exit(*exit).into_iter().for_each(|code| error(&mut roff, code));
    }
    roff.control("SH", ["SEE ALSO"]);
    roff.text([bold("sealift"), roman("(1), "), bold("sealift-archive"), roman("(5), "), bold("sealift-security"), roman("(7)")]);
    roff.to_roff()
}

fn error(roff: &mut Roff, code: Code) {
    let page = code.entry();
    roff.control("SS", [page.name]);
    roff.text([roman(page.means)]);
    for why in page.why {
        roff.control("IP", [r"\(bu", "2"]);
        roff.text([roman(*why)]);
    }
    if !page.steps.is_empty() {
        roff.control("PP", []);
        roff.text([italic("What to do:")]);
    }
    for step in page.steps {
        match step.strip_prefix("$ ") {
            Some(command) => {
                roff.control("PP", []);
                roff.control("RS", ["4"]);
                roff.control("nf", []);
                roff.text([bold(command)]);
                roff.control("fi", []);
                roff.control("RE", []);
            }
            None => {
                roff.control("PP", []);
                roff.text([roman(*step)]);
            }
        }
    }
}

#[test]
fn the_pages_are_what_the_program_says() {
    let update = std::env::var_os("SEALIFT_UPDATE_MANUAL").is_some_and(|value| value == "1");
    for (name, page) in generated() {
        let path = folder().join(&name);
        if update {
            fs::write(&path, &page).unwrap();
        }
        let found = fs::read_to_string(&path).unwrap_or_default();
        assert!(found == page, "man/{name} is not what the program says; run: SEALIFT_UPDATE_MANUAL=1 cargo test --test it manual");
    }
}

/// Pages that are written by hand.
const BY_HAND: &[&str] =
    &["sealift-archive.5", "sealift-hosts.5", "sealift-imageset.5", "sealift-kubernetes.7", "sealift-oc-mirror.7", "sealift-security.7"];

#[test]
fn no_page_is_left_over() {
    let pages = generated();
    for entry in fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let by_hand = BY_HAND.contains(&name.as_str());
        assert!(by_hand || pages.contains_key(&name), "man/{name} describes a command that does not exist");
    }
}

#[test]
fn every_code_has_its_section() {
    let page = errors();
    for code in Code::ALL {
        assert!(page.contains(&format!(".SS {}\n", code.name())), "{code}");
        assert!(family(code.exit()).is_some());
    }
}

fn oc_mirror() -> String {
    fs::read_to_string(folder().join("sealift-oc-mirror.7")).unwrap().replace(r"\-", "-")
}

/// The commands a page sets in bold, as words.
fn typed(page: &str) -> Vec<Vec<String>> {
    let bold = page
        .lines()
        .filter_map(|line| line.strip_prefix(".B ").or_else(|| line.strip_prefix(".BR ")).or_else(|| line.strip_prefix(r"\fB")));
    let plain = bold.map(|line| line.replace(r"\fR", "").replace('"', ""));
    let words = plain.map(|line| {
        line.split_whitespace()
            .map(|word| word.trim_end_matches([',', '.', ';', ':']).to_owned())
            .filter(|word| !word.is_empty())
            .collect::<Vec<_>>()
    });
    words.filter(|words| words.len() > 1 && words[0] == "sealift" && !words[1].starts_with('(')).collect()
}

/// Why a command line cannot be typed: a command or an option that does not exist.
fn unknown(words: &[String]) -> Option<String> {
    let mut command = without_help(sealift::cli::definition());
    command.build();
    let mut rest = words[1..].iter().peekable();
    while let Some(below) = rest.peek().and_then(|word| command.find_subcommand(word)) {
        command = below.clone();
        rest.next();
    }
    if command.has_subcommands() && !rest.peek().is_some_and(|word| word.starts_with('-')) {
        return Some(format!("{words:?}: no such command"));
    }
    let there = |word: &str| {
        let name = word.split('=').next().unwrap_or("");
        let mut all = command.get_arguments();
        all.any(|a| {
            Some(name) == a.get_long().map(|l| format!("--{l}")).as_deref()
                || Some(name) == a.get_short().map(|s| format!("-{s}")).as_deref()
        })
    };
    rest.filter(|word| word.starts_with('-')).find(|word| !there(word)).map(|word| format!("{words:?}: no {word}"))
}

#[test]
fn the_page_for_users_of_oc_mirror_types_only_what_there_is() {
    assert_eq!(unknown(&["sealift".into(), "pack".into(), "--key".into()]), None);
    assert!(unknown(&["sealift".into(), "pack".into(), "--kye".into()]).is_some() && unknown(&["sealift".into(), "pakc".into()]).is_some());
    let commands = typed(&oc_mirror());
    assert!(commands.len() > 20, "{commands:?}");
    let wrong: Vec<String> = commands.iter().filter_map(|words| unknown(words)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_readme_and_the_page_of_the_image_set_type_only_what_there_is() {
    let readme = fs::read_to_string(folder().join("../README.md")).unwrap();
    // In blocks one command per line, joined by backslashes; elsewhere between backquotes.
    let joined = readme.replace("\\\n", " ");
    let blocks = joined.lines().filter(|line| line.starts_with("sealift ")).map(|line| line.split("  ").next().unwrap_or(line));
    let inline = joined.split('`').filter(|piece| piece.starts_with("sealift ") && !piece.contains('\n'));
    let words = |line: &str| line.split_whitespace().map(|word| word.trim_matches('\'').to_owned()).collect::<Vec<String>>();
    let mut commands: Vec<Vec<String>> = blocks.chain(inline).map(words).collect();
    commands.extend(typed(&fs::read_to_string(folder().join("sealift-imageset.5")).unwrap().replace(r"\-", "-")));
    assert!(commands.len() > 25, "{commands:?}");
    let wrong: Vec<String> = commands.iter().filter_map(|words| unknown(words)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Every option of oc-mirror v2 and of `oc adm release mirror`.
#[test]
fn the_page_for_users_of_oc_mirror_leaves_no_option_out() {
    let page = oc_mirror();
    let options = "--config --cache-dir --workspace --log-level --port --parallel-images --parallel-layers --authfile --registries.d --policy \
         --src-tls-verify --dest-tls-verify --retry-times --retry-delay --v1 --v2 --src-authfile --dest-authfile --src-cert-dir --src-creds \
         --from --dry-run --dry-run-manifest-lists --since --image-timeout --secure-policy --max-nested-paths --strict-archive \
         --remove-signatures --ignore-release-signature --rootless-storage-path --quiet --force --generate --delete-id --delete-yaml-file \
         --force-cache-delete --delete-signatures --delete-v1-images --version --channel --channels --filter-by-archs --catalogs --package \
         --to --to-dir --from-dir --to-image-stream --to-release-image --skip-release-image --to-mirror --overwrite --insecure \
         --skip-verification --registry-config --certificate-authority --max-per-registry --keep-manifest-list \
         --apply-release-image-signature --release-image-signature-to-dir --print-mirror-instructions";
    let missing: Vec<&str> = options.split_whitespace().filter(|option| !page.contains(option)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
