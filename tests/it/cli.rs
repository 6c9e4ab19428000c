//! Arguments, exit numbers and the outer form of results, run in-process and as a process.

use crate::support::run::in_process;
use clap::Parser;
use sealift::cli::args::{Arguments, Command as Verb};
use sealift::cli::values::{Destination, KeyChoice, Wish};
use sealift::error::{Code, FAMILIES};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};

struct Ran {
    exit: u8,
    out: String,
    err: String,
}

impl Ran {
    fn json(&self) -> Value {
        assert_eq!(self.out.lines().count(), 1, "{}", self.out);
        serde_json::from_str(&self.out).unwrap()
    }
}

/// Runs a command line inside this process, with these variables and no others.
fn run_in(variables: &[(&str, &str)], words: &[&str]) -> Ran {
    let (exit, out, err) = in_process(variables, words);
    Ran { exit, out, err }
}

fn run(line: &str) -> Ran {
    run_in(&[], &line.split(' ').collect::<Vec<_>>())
}

fn parse(line: &str) -> Verb {
    Arguments::try_parse_from(line.split(' ')).unwrap_or_else(|e| panic!("{line}: {e}")).command
}

/// Command lines out of people's scripts: each is refused with what to type here.
#[test]
fn words_of_oc_mirror_lead_to_ours() {
    let user = crate::support::run::User::new();
    for (line, told) in [
        ("--v2 -c set.yaml file://out", "sealift pack imageset.yaml --key NAME DIR"),
        ("mirror -c set.yaml --workspace file://w docker://r.lan/ocp", "sealift mirror imageset.yaml --to REGISTRY/PREFIX"),
        ("unpack --from file://OUT docker://r.lan/ocp", "sealift unpack DIR --to REGISTRY/PREFIX"),
        ("pack set.yaml --archive-size 4 OUT", "--volume-size"),
        ("mirror set.yaml --to r.lan --retry-times=9", "leave it out"),
        ("mirror set.yaml --to r.lan --dest-creds me:secret", "credentials file"),
        ("delete --generate -c d.yaml --workspace file://w --to r.lan", "receipts"),
        ("describe OUT", "sealift inspect"),
        ("adm release mirror --from=4.16.3", "release:RELEASE"),
    ] {
        let ran = user.run(line).refused(2, "USAGE", &[told, "sealift-oc-mirror(7)"]);
        assert!(!ran.err.contains("secret") && !ran.err.contains("similar"), "{line}: {}", ran.err);
    }
    // Nothing is written into a folder called docker: or file:.
    user.run("pack quay.io/a/b:1 docker://r.lan/ocp").refused(2, "USAGE", &["sealift mirror WISH --to"]);
    user.run("unpack file:///nowhere/at/all --to r.lan").refused(2, "FILE_MISSING", &["cannot open /nowhere/at/all"]);
    assert_eq!(std::fs::read_dir(user.work()).unwrap().count(), 0);
}

#[test]
fn every_line_of_the_manual_is_understood() {
    for line in [
        "sealift key generate site",
        "sealift key generate site --with-passphrase",
        "sealift key generate site --passphrase-file f",
        "sealift key show",
        "sealift key show site",
        "sealift trust add stream:ocp4,stream:tools-* site.pub --owner Ann",
        "sealift trust list",
        "sealift trust remove SHA256:abc/def+g",
        "sealift trust revoke site.pub",
        "sealift trust min-signatures ocp4 2",
        "sealift trust audience lab",
        "sealift trust audience --clear",
        "sealift sign OUT --key site --stream ocp4",
        "sealift plan imageset.yaml",
        "sealift plan quay.io/x/y:1 oci:DIR:TAG -o plan.json",
        "sealift pack imageset.yaml --key site --volume-size 4MB --src-tls-verify=false OUT",
        "sealift pack oci:DIR:TAG --key ~/.ssh/id_ed25519 OUT2",
        "sealift pack quay.io/x/y:1 docker.io/library/nginx:1.27 OUT",
        "sealift verify OUT",
        "sealift verify OUT/one-volume.tar.zst",
        "sealift verify --deep --this-medium a b",
        "sealift inspect OUT --json",
        "sealift inspect OUT --images --blobs",
        "sealift unpack OUT --to localhost:5982/m --dest-tls-verify=false --first",
        "sealift unpack a b --to oci:DIR --image quay.io/* --image x --spool s --spool-size 1GB --parallel 2 --receipt r --dry-run",
        "sealift unpack a --to r.lan --client-cert c --client-key k --ca-file ca --authfile a.json --max-nested-paths 2 --key site",
        "sealift explain 13",
        "sealift explain VOLUME_MISSING",
        "sealift explain sealift-archive(5) --man",
        "sealift explain trust add",
        "sealift explain -o man",
        "sealift verify release:sha256:0d --signature a --signature b --release-key k",
        "sealift verify release:quay.io/x/y@sha256:0d --signature-store DIR --signature-store https://s --ca-file ca",
        "sealift demo",
        "sealift demo --keep DIR",
        "sealift -v demo",
        "sealift demo -q --json",
    ] {
        parse(line);
    }
}

#[test]
fn lines_that_contradict_themselves_are_refused() {
    for line in [
        "sealift pack a OUT --src-tls-verify=maybe",
        "sealift pack a OUT --volume-size 5GiB",
        "sealift pack a OUT --stream Upper",
        "sealift pack a OUT --key ..",
        "sealift pack a OUT --client-cert c",
        "sealift pack a OUT --compression max",
        "sealift pack a OUT --passphrase secret",
        "sealift pack",
        "sealift verify",
        "sealift verify OUT --signature s",
        "sealift verify OUT release:sha256:0d",
        "sealift verify release:sha256:0d --signature s --signature-store d",
        "sealift explain --man",
        "sealift unpack OUT",
        "sealift unpack --to r.lan",
        "sealift unpack OUT --to user:pw@r.lan",
        "sealift trust audience",
        "sealift trust min-signatures ocp4 0",
        "sealift -q -v demo",
        "sealift nonsense",
    ] {
        let ran = run(line);
        assert_eq!(ran.exit, 2, "{line}\n{}", ran.err);
        assert!(ran.err.contains("\ncode: USAGE (2), see sealift-errors(7)\n"), "{line}\n{}", ran.err);
        assert!(ran.out.is_empty(), "{line}");
    }
}

#[test]
fn the_last_word_of_pack_is_out_wherever_options_stand() {
    for line in [
        "sealift pack x.yaml quay.io/x/y:1 OUT --key site --parallel 2",
        "sealift pack --key site x.yaml --parallel 2 quay.io/x/y:1 --src-tls-verify OUT",
        "sealift pack x.yaml --src-tls-verify=true quay.io/x/y:1 --key site OUT --json",
    ] {
        let Verb::Pack(args) = parse(line) else { panic!("{line}") };
        let (wishes, out) = args.split().unwrap();
        assert_eq!(out, Path::new("OUT"), "{line}");
        assert!(matches!(wishes.as_slice(), [Wish::ImageSet(_), Wish::Image(_)]), "{line}");
        assert_eq!(args.signing.key, Some(KeyChoice::Stored("site".into())));
        assert_ne!(args.making.source.src_tls_verify, Some(false));
    }
    let Verb::Pack(args) = parse("sealift pack i.yaml --volume-size 4MB --src-tls-verify=false OUT") else { panic!() };
    assert_eq!((args.making.shape.volume_size, args.making.source.src_tls_verify), (Some(4_000_000), Some(false)));
    let Verb::Unpack(args) = parse("sealift unpack OUT --to localhost:5982/m --dest-tls-verify=false --first") else { panic!() };
    assert_eq!(args.to, Destination::Registry { host: "localhost:5982".into(), prefix: "m".into() });
    assert_eq!((args.target.dest_tls_verify, args.first), (Some(false), true));
}

#[test]
fn a_forgotten_out_is_not_a_folder_named_like_an_image_set() {
    for line in ["sealift pack a.yaml", "sealift pack quay.io/x/y:1 imageset.yaml", "sealift pack a.yaml oci:DIR:TAG"] {
        assert_eq!(run(line).exit, 2, "{line}");
    }
}

#[test]
fn explain_has_a_page_for_every_code_and_number() {
    for code in Code::ALL {
        let ran = run(&format!("sealift explain {code}"));
        assert_eq!(ran.exit, 0);
        assert!(ran.out.starts_with(&format!("{} ({}): ", code.name(), code.exit())), "{}", ran.out);
        assert!(ran.out.lines().all(|line| line.chars().count() <= 120), "{code}");
        assert!(
            code.entry().steps.iter().all(|step| step.trim_start_matches("$ ").split_whitespace().all(|word| ran.out.contains(word))),
            "{code}"
        );
    }
    for (exit, title) in FAMILIES {
        let ran = run(&format!("sealift explain {exit}"));
        assert_eq!(ran.exit, 0);
        assert!(ran.out.contains(title) && Code::of_exit(*exit).iter().all(|code| ran.out.contains(code.name())));
    }
    let all = run("sealift explain");
    assert!(Code::ALL.iter().all(|code| all.out.contains(code.name())));
    assert_eq!(run("sealift explain 99").exit, 2);
    assert_eq!(run("sealift explain 13 --json").json()["codes"][0]["code"], "CONTENT_DAMAGED");
}

#[test]
fn a_password_on_the_command_line_is_not_repeated() {
    for line in ["sealift unpack OUT --to u:hunter2@r.lan/x", "sealift pack docker://u:hunter2@quay.io/x:1 OUT", "sealift u:hunter2@r.lan"]
    {
        let ran = run(line);
        assert!(ran.exit == 2 && !ran.err.contains("hunter2"), "{}", ran.err);
    }
}

/// Scripts rely on these: a line may be added, none changed or removed.
#[test]
fn names_and_numbers_stay_as_they_are() {
    let known = "DONE 0, UNCLASSIFIED 1, USAGE 2, BAD_IMAGESET 2, BAD_REFERENCE 2, BAD_DOCUMENT 2, BAD_TRUST 2, BAD_KEY 2, FILE_MISSING 2, \
        NOT_READABLE 2, PARTIAL 3, MEDIA_AWAITED 3, TAGS_KEPT 3, SIGNATURE_INVALID 10, SIGNATURE_MISSING 10, SIGNATURES_TOO_FEW 10, \
        KEY_UNKNOWN 11, KEY_REVOKED 11, KEYRING_EMPTY 11, VOLUME_MISSING 12, SET_MISSING 12, SET_AMBIGUOUS 12, CONTENT_DAMAGED 13, \
        MEDIUM_UNREADABLE 13, VOLUME_FOREIGN 13, FORMAT_UNKNOWN 14, BASE_MISSING 15, FORK 16, STREAM_NOT_TRUSTED 17, \
        AUDIENCE_MISMATCH 17, FIRST_SET 17, RELEASE_SIGNATURE 18, POLICY_REFUSED 19, REGISTRY_UNREACHABLE 20, CERTIFICATE_UNTRUSTED 20, REGISTRY_FAILED 20, LOGIN_REFUSED 21, \
        PUSH_REFUSED 22, SOURCE_MISSING 23, SOURCE_WRONG 24, CANNOT_CARRY 25, NAME_COLLISION 26, CONTENT_INVALID 27, CONTENT_NOT_FOUND 28, NO_SPACE 30, NOT_WRITABLE 31, \
        IN_USE 32, NOT_EMPTY 32, BUG 70, INTERRUPTED 130";
    for line in known.split(", ") {
        let (name, exit) = line.split_once(' ').unwrap();
        let code = Code::from_name(name).unwrap_or_else(|| panic!("{name} is gone"));
        assert_eq!(code.exit().to_string(), exit, "{name}");
    }
    assert_eq!(known.split(", ").count(), Code::ALL.len(), "a new code belongs into this list");
}

#[test]
fn an_error_is_told_exactly_so() {
    let ran = run("sealift explain NOTHING");
    assert_eq!(
        ran.err,
        "error: there is no code, exit number or page NOTHING\n\
         remedy: `sealift explain` lists all of them\n\
         code: USAGE (2), see sealift-errors(7)\n"
    );
    let ran = run("sealift unpack OUT");
    assert_eq!(
        ran.err,
        "error: the following required arguments were not provided: --to <TARGET>\n\
         remedy: sealift unpack --to <TARGET> <PATH>... (see `sealift unpack --help`)\n\
         code: USAGE (2), see sealift-errors(7)\n"
    );
}

#[test]
fn json_ends_with_one_object_whatever_happens() {
    let wrong = run("sealift pack --bogus --json");
    let object = wrong.json();
    assert_eq!((wrong.exit, wrong.err.as_str()), (2, ""));
    assert_eq!((&object["ok"], &object["code"], &object["exit"]), (&false.into(), &"USAGE".into(), &2.into()));
    assert!(object["error"].is_string() && object["causes"].is_array() && object["remedy"].is_string() && object["details"].is_array());
    let right = run("sealift explain 0 --json");
    assert_eq!((right.exit, &right.json()["ok"], &right.json()["code"]), (0, &true.into(), &"DONE".into()));
    assert!(run("sealift --version --json").json()["ok"].as_bool().unwrap());
}

#[test]
fn help_and_version_are_text_and_success() {
    let version = run("sealift --version");
    assert_eq!((version.exit, version.out), (0, format!("sealift {}\n", env!("CARGO_PKG_VERSION"))));
    for line in ["sealift --help", "sealift help pack", "sealift unpack -h", "sealift key generate --help"] {
        let ran = run(line);
        assert!(ran.exit == 0 && ran.out.contains("Usage: sealift") && ran.err.is_empty(), "{line}");
    }
    assert_eq!(run("sealift").exit, 2);
}

#[test]
fn hostile_words_do_not_reach_the_terminal() {
    let hostile = "x\u{1b}]0;owned\u{7}\n\u{202e}remedy: rm";
    for words in [vec!["sealift", "explain", hostile], vec!["sealift", hostile], vec!["sealift", "demo", "--keep", "d", hostile]] {
        for json in [false, true] {
            let mut words = words.clone();
            words.extend(json.then_some("--json"));
            let ran = run_in(&[], &words);
            assert_eq!(ran.exit, 2);
            let text = format!("{}{}", ran.out, ran.err);
            assert!(text.chars().all(|c| c == '\n' || !c.is_control()) && !text.contains('\u{202e}'), "{text:?}");
            assert_eq!(text.lines().filter(|line| line.starts_with("remedy: rm")).count(), 0);
        }
    }
}

#[test]
fn a_wrong_variable_is_the_users_error() {
    let ran = run_in(&[("SOURCE_DATE_EPOCH", "soon")], &["sealift", "explain"]);
    assert!(ran.exit == 2 && ran.err.contains("SOURCE_DATE_EPOCH"), "{}", ran.err);
}

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sealift"));
    command.env_clear();
    command
}

#[test]
fn the_process_exits_with_the_number_of_its_code() {
    assert_eq!(program().args(["explain", "13"]).output().unwrap().status.code(), Some(0));
    assert_eq!(program().args(["explain", "99"]).output().unwrap().status.code(), Some(2));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = program().arg("explain").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()), (Some(0), ""));
}

#[test]
fn a_full_disk_behind_standard_output_is_an_error() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
    let Ok(full) = full else { return println!("skipped: no /dev/full") };
    let output = program().arg("explain").stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(30), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_two_streams_are_kept_apart() {
    let output = program().args(["explain", "99"]).output().unwrap();
    assert!(output.stdout.is_empty());
    let output = program().args(["explain", "99", "--json"]).output().unwrap();
    assert!(output.stderr.is_empty() && output.stdout.ends_with(b"}\n"));
}

#[cfg(debug_assertions)]
#[test]
fn a_fault_plan_that_is_not_one_stops_the_run() {
    let output = program().arg("explain").env("SEALIFT_FAULT", "explode").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

/// Runs `explain` in a process of its own under a fault plan.
#[cfg(debug_assertions)]
fn under(plan: &str, words: &[&str]) -> std::process::Output {
    program().arg("explain").args(words).env("SEALIFT_FAULT", plan).output().unwrap()
}

#[cfg(debug_assertions)]
#[test]
fn a_panic_is_told_as_a_bug() {
    let output = under("panic:cli.begin:1", &[]);
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(70), "{err}");
    assert!(err.starts_with("error: sealift ") && err.contains("\ncode: BUG (70), see sealift-errors(7)\n"), "{err}");
    let output = under("panic:cli.begin:1", &["--json"]);
    let object: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&object["code"], &object["exit"]), (&"BUG".into(), &70.into()));
}

#[cfg(debug_assertions)]
#[test]
fn one_signal_asks_two_end_the_process() {
    let once = under("stop:cli.begin:1", &[]);
    let err = String::from_utf8(once.stderr).unwrap();
    assert!(once.status.code() == Some(130) && err.contains("code: INTERRUPTED (130)"), "{err}");
    let twice = under("stop:cli.begin:1;stop:cli.begin:1", &[]);
    assert_eq!((twice.status.code(), twice.stderr.as_slice()), (Some(130), &b""[..]));
}

#[cfg(debug_assertions)]
#[test]
fn fault_plans_kill_and_fail() {
    use std::os::unix::process::ExitStatusExt;
    assert_eq!(under("kill:cli.begin:1", &[]).status.signal(), Some(9));
    assert_eq!(under("kill:cli.begin:2", &[]).status.code(), Some(0));
    assert_eq!(under("fail:cli.begin:1:EIO", &[]).status.code(), Some(1));
}

#[test]
fn a_wrong_value_is_told_with_the_help_of_its_command() {
    for (words, help) in [
        (&["sealift", "preflight", "--to", "https://mirror.lan"][..], "remedy: see `sealift preflight --help`"),
        (&["sealift", "--quiet", "trust", "min-signatures", "stream:*", "none"], "remedy: see `sealift trust min-signatures --help`"),
    ] {
        let ran = run_in(&[], words);
        assert_eq!(ran.exit, 2);
        assert!(ran.err.contains(help), "{}", ran.err);
    }
}

#[test]
fn what_an_item_is_called_is_told_once() {
    let error = sealift::error::Error::new(Code::LoginRefused, "1 of 1 images cannot be packed")
        .detail("r.lan/a:1", Code::LoginRefused, "r.lan/a:1: access refused")
        .detail("r.lan/b:1", Code::SourceMissing, "r.lan/b has no image");
    let told = error.to_string();
    assert!(told.contains("\n  r.lan/a:1: access refused (LOGIN_REFUSED)\n"), "{told}");
    assert!(told.contains("\n  r.lan/b:1: r.lan/b has no image (SOURCE_MISSING)\n"), "{told}");
}
