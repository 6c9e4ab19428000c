//! The manual is made from the program: `man/` must be what the program says.
//!
//! `SEALIFT_UPDATE_MANUAL=1 cargo test --test it manual` rewrites the generated pages.

use crate::support::run::in_process;
use sealift::cli::manual::{self, Page};
use sealift::error::{Code, family};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("man")
}

/// `sealift-help` explains itself.
fn without_help(command: clap::Command) -> clap::Command {
    command.disable_help_subcommand(true).mut_subcommands(without_help)
}

fn file(page: &Page) -> String {
    page.file().1
}

#[test]
fn the_pages_are_what_the_program_says() {
    let update = std::env::var_os("SEALIFT_UPDATE_MANUAL").is_some_and(|value| value == "1");
    for page in manual::generated() {
        let name = file(&page);
        let path = folder().join(&name);
        if update {
            fs::write(&path, &page.source).unwrap();
        }
        let found = fs::read_to_string(&path).unwrap_or_default();
        assert!(found == page.source, "man/{name} is not what the program says; run: SEALIFT_UPDATE_MANUAL=1 cargo test --test it manual");
    }
}

#[test]
fn every_page_is_in_the_program_and_none_is_left_over() {
    let mut there: Vec<String> = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let mut pages: Vec<String> = manual::pages().iter().map(file).collect();
    there.sort();
    pages.sort();
    assert_eq!(there, pages, "a page written by hand belongs into src/cli/manual; a generated one describes a command");
    for page in manual::pages() {
        assert_eq!(fs::read_to_string(folder().join(file(&page))).unwrap(), page.source, "{page}");
        assert!(page.source.bytes().all(|b| b == b'\n' || (b' '..=b'~').contains(&b)), "{page}: man pages are ASCII");
        assert!(!page.about().is_empty(), "{page}");
    }
}

fn read(page: &str, section: &str) -> String {
    let (exit, out, err) = in_process(&[], &["sealift", "explain", &format!("sealift-{page}({section})")]);
    assert_eq!((exit, err.as_str()), (0, ""), "{page}");
    out
}

#[test]
fn every_page_is_readable_without_man() {
    for page in manual::pages() {
        let text = page.text(80).unwrap_or_else(|e| panic!("{page}: {e}"));
        assert!(!text.contains("\\f") && !text.contains("\\-") && !text.contains("\n\n\n"), "{page}");
        assert!(text.lines().any(|line| line == "NAME") && text.starts_with(&page.to_string().to_uppercase()), "{page}");
        let (exit, out, _) = in_process(&[], &["sealift", "explain", &page.to_string()]);
        assert_eq!((exit, out), (0, text), "{page}");
    }
    let page = read("oc-mirror", "7");
    for name in ["oc-mirror", "sealift-oc-mirror", "sealift-oc-mirror.7", "OC-MIRROR(7)", "oc mirror"] {
        assert_eq!(in_process(&[], &["sealift", "explain", name]).1, page, "{name}");
    }
    assert_eq!(in_process(&[], &["sealift", "explain", "trust", "min-signatures"]).1, read("trust-min-signatures", "1"));
    assert_eq!(in_process(&[], &["sealift", "explain", "sealift"]).1, manual::find("sealift(1)").unwrap().text(80).unwrap());
    for wrong in ["oc-mirror(5)", "sealift-sealift", "oc-mirror(7", "", "."] {
        assert_eq!(in_process(&[], &["sealift", "explain", wrong]).0, 2, "{wrong}");
    }
}

#[test]
fn the_list_names_every_page_and_what_it_is_about() {
    let (exit, out, _) = in_process(&[], &["sealift", "explain"]);
    assert_eq!(exit, 0);
    for page in manual::pages() {
        let mut lines = out.lines().filter(|line| line.trim_start().starts_with(&format!("{page} ")));
        assert!(lines.next().unwrap().ends_with(&page.about()) && lines.next().is_none(), "{page}");
        let named = |word: &str| Code::from_name(word).is_some() || word.parse::<u8>().is_ok();
        assert!(!named(page.name.trim_start_matches("sealift-")), "{page} would be hidden by a code");
    }
}

#[test]
fn the_sources_can_be_installed() {
    let (exit, out, _) = in_process(&[], &["sealift", "explain", "security", "--man"]);
    assert_eq!((exit, out), (0, fs::read_to_string(folder().join("sealift-security.7")).unwrap()));
    let temp = tempfile::tempdir().unwrap();
    let to = temp.path().join("share/man");
    let (exit, out, err) = in_process(&[], &["sealift", "explain", "-o", to.to_str().unwrap()]);
    assert_eq!((exit, err.as_str()), (0, ""), "{out}");
    for page in manual::pages() {
        let path = to.join(format!("man{}", page.section)).join(file(&page));
        assert_eq!(fs::read_to_string(&path).unwrap(), page.source, "{}", path.display());
    }
    let one = temp.path().join("one");
    assert_eq!(in_process(&[], &["sealift", "explain", "archive", "-o", one.to_str().unwrap()]).0, 0);
    assert!(one.join("man5/sealift-archive.5").is_file() && !one.join("man7").exists());
    for words in [&["sealift", "explain", "13", "--man"][..], &["sealift", "explain", "BUG", "-o", "x"], &["sealift", "explain", "--man"]] {
        assert_eq!(in_process(&[], words).0, 2, "{words:?}");
    }
}

/// What groff sets, in the characters that this program uses.
fn by_groff(page: &Page) -> Vec<String> {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join(file(page));
    fs::write(&path, &page.source).unwrap();
    // Lines so long that no word is divided; no colours, no overstriking.
    let output = Command::new("groff")
        .args(["-man", "-Tutf8", "-rLL=2000n", "-rHY=0", "-rcR=1", "-P-c", "-P-b", "-P-o", "-P-u"])
        .arg(&path)
        .env("LC_ALL", "C.UTF-8")
        .output()
        .unwrap();
    assert!(output.status.success(), "{page}: {}", String::from_utf8_lossy(&output.stderr));
    let text: String = String::from_utf8(output.stdout).unwrap().chars().map(plain).collect();
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    // What stands above and below is made from the same words in another way.
    lines[1..lines.len() - 1].iter().flat_map(|line| line.split_whitespace()).map(str::to_owned).collect()
}

fn plain(c: char) -> char {
    match c {
        '\u{2010}' | '\u{2212}' | '\u{2011}' => '-',
        '\u{2018}' => '`',
        '\u{2019}' => '\'',
        '\u{201c}' | '\u{201d}' => '"',
        '\u{2022}' | '\u{b7}' => '*',
        '\u{2c6}' => '^',
        '\u{2dc}' => '~',
        '\u{a0}' => ' ',
        other => other,
    }
}

#[test]
fn every_page_has_the_words_that_groff_sets() {
    if Command::new("groff").arg("--version").output().is_err() {
        // Not what a machine that builds this must have.
        return eprintln!("skipped: no groff");
    }
    for page in manual::pages() {
        let ours = page.text(80).unwrap();
        let ours: Vec<&str> = ours.lines().skip(1).flat_map(str::split_whitespace).collect();
        let theirs = by_groff(&page);
        let at = ours.iter().zip(&theirs).position(|(ours, theirs)| ours != theirs).unwrap_or(ours.len().min(theirs.len()));
        let around = |words: &[String]| words[at.saturating_sub(3)..(at + 4).min(words.len())].join(" ");
        let owned: Vec<String> = ours.iter().map(|word| (*word).to_owned()).collect();
        assert!(ours.len() == theirs.len() && at == ours.len(), "{page}:\nhere:  {}\ngroff: {}", around(&owned), around(&theirs));
    }
}

/// Names of pages with their sections, wherever they stand in a text.
fn mentioned(text: &str) -> Vec<String> {
    let names = regex::Regex::new(r"\bsealift[a-z-]*\([0-9]\)").unwrap();
    names.find_iter(text).map(|found| found.as_str().to_owned()).collect()
}

#[test]
fn every_page_that_is_mentioned_is_there() {
    let mut texts: Vec<String> = manual::pages().iter().map(|page| page.text(2000).unwrap()).collect();
    for entry in walkdir::WalkDir::new(folder().join("../src")) {
        let path = entry.unwrap().into_path();
        if path.extension().is_some_and(|ending| ending == "rs") && !path.ends_with("paper.rs") {
            texts.push(fs::read_to_string(path).unwrap());
        }
    }
    texts.push(fs::read_to_string(folder().join("../README.md")).unwrap());
    let mentioned: Vec<String> = texts.iter().flat_map(|text| mentioned(text)).collect();
    assert!(mentioned.len() > 100);
    for name in mentioned {
        assert!(manual::find(&name).is_some(), "{name} is no page");
    }
}

#[test]
fn every_code_has_its_section() {
    let page = manual::find("errors").unwrap().source;
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

#[test]
fn a_synopsis_says_which_options_take_a_value() {
    for (page, words) in [
        ("sealift-unpack.1", vec!["\\-\\-to\\fR \\fITARGET\\fR", "[\\fB\\-\\-image\\fR \\fIPATTERN\\fR]", "[\\fB\\-\\-first\\fR]"]),
        ("sealift-serve.1", vec!["[\\fB\\-\\-listen\\fR \\fIADDRESS:PORT\\fR]"]),
        ("sealift-list-operators.1", vec!["<\\fB\\-\\-catalog\\fR \\fIREFERENCE\\fR|"]),
    ] {
        let source = std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("man").join(page)).unwrap();
        let synopsis = source.split(".SH ").find(|part| part.starts_with("SYNOPSIS")).unwrap();
        for word in words {
            assert!(synopsis.contains(word), "{page}: {word}: {synopsis}");
        }
    }
}
