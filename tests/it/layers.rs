//! The house keeps its layers: every `use crate::` line, and every path in code, is compared with one table.
//!
//! Dependencies point one way, from the edge to the pure centre, so that a format can be tested without a file, a road
//! without a terminal, and an archive be read by a program that has no network in it.

use crate::support::rust_paths::Source;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Layer 0: values that know nothing else of this program.
const BASE: &[&str] = &["digest", "limits", "progress", "text", "fault", "parallel", "buffers", "x509"];
/// Layers 1 and 2, pure: no file, socket, environment or clock.
const PURE: &[&str] = &["oci", "blob", "web", "yaml", "sign", "codec", "image_set", "format", "openpgp", "policy"];
/// Layer 3: each adapts one piece of the world and knows no sibling.
const ADAPTERS: &[&str] = &["keystore", "ledger", "registry", "layout", "archive", "lookaside"];
/// Layer 4: images, wherever they come from.
const ORIGIN: &[&str] = &["origin"];
/// Layer 5: the verbs and what they are told by others. They meet through values of `format`, never through each other.
const VERBS: &[&str] = &["pack", "unpack", "preflight", "serve", "openshift", "helm", "cluster"];
/// Layer 6: verbs made of verbs.
const WHOLE: &[&str] = &["gather", "mirror", "inventory"];

/// What a module may use besides itself; `None` for a module that has no row yet.
fn may_use(module: &str) -> Option<Vec<&'static str>> {
    let rows: &[&[&str]] = match module {
        module if BASE.contains(&module) => &[],
        "oci" | "fs" => &[BASE],
        "blob" => &[BASE, &["oci"]],
        "web" | "yaml" => &[BASE],
        "cluster" => &[BASE, PURE],
        "origin" => &[BASE, PURE, &["fs"], ADAPTERS],
        "sign" | "codec" | "openpgp" => &[BASE, &["oci", "blob"]],
        "image_set" => &[BASE, &["oci", "blob", "yaml"]],
        "format" => &[BASE, &["oci", "blob", "sign", "codec"]],
        "policy" => &[BASE, &["oci", "blob", "sign", "image_set", "format", "openpgp"]],
        module if ADAPTERS.contains(&module) => &[BASE, PURE, &["fs"]],
        module if VERBS.contains(&module) => &[BASE, PURE, &["fs"], ADAPTERS, ORIGIN],
        module if WHOLE.contains(&module) => &[BASE, PURE, &["fs"], ADAPTERS, ORIGIN, VERBS],
        "error" => &[BASE, PURE, &["fs"], ADAPTERS, ORIGIN, VERBS, WHOLE],
        "cli" => &[BASE, PURE, &["fs"], ADAPTERS, ORIGIN, VERBS, WHOLE, &["error"]],
        "main" | "lib" => &[BASE, PURE, &["fs"], ADAPTERS, ORIGIN, VERBS, WHOLE, &["error", "cli"]],
        _ => return None,
    };
    Some(rows.concat())
}

/// Parts of the world only some modules may touch: how its paths look, whose it is, and why.
struct Door {
    paths: &'static [&'static str],
    open_to: &'static [&'static str],
    why: &'static str,
}

const DOORS: &[Door] = &[
    Door {
        paths: &["std::env", "process::exit", "std::process::exit"],
        open_to: &["cli", "main"],
        why: "only the command line knows the environment and how to end",
    },
    Door {
        paths: &[
            "io::stdout",
            "io::stderr",
            "io::stdin",
            "print!",
            "println!",
            "eprint!",
            "eprintln!",
            "clap",
            "indicatif",
            "rpassword",
            "signal_hook",
        ],
        open_to: &["cli", "main"],
        why: "only the command line knows the terminal",
    },
    Door {
        paths: &["tokio", "reqwest", "hyper", "hyper_util", "http_body_util", "tokio_rustls", "rustls", "futures_util"],
        open_to: &["registry", "serve"],
        why: "tokio lives at the network edge",
    },
    Door { paths: &["std::fs", "walkdir"], open_to: &["fs", "cli", "main"], why: "files are opened through crate::fs, which says how" },
    Door {
        paths: &["std::net", "std::os::unix::net", "SystemTime::now", "std::time::SystemTime", "Timestamp::now", "Zoned::now"],
        open_to: &["fs", "keystore", "ledger", "registry", "layout", "archive", "pack", "unpack", "serve", "error", "cli", "main", "lib"],
        why: "layers 0 to 2 know no socket and no clock",
    },
    Door {
        paths: &["rustix"],
        open_to: &["fs", "keystore", "ledger", "registry", "layout", "archive", "helm", "cli", "main"],
        why: "layers 0 to 2 know no operating system",
    },
];

/// One source file as the rules see it: the parts of its module path below the crate, and its text.
fn violations(module: &[String], source: &Source) -> Vec<String> {
    let home = module.first().map_or("lib", String::as_str);
    let Some(allowed) = may_use(home) else {
        return vec![format!("{home} has no row in the table of layers")];
    };
    let mut found = Vec::new();
    for path in source.paths() {
        if let Some(used) = of_this_crate(module, &path)
            && used != home
            && may_use(used).is_some()
            && !allowed.contains(&used)
        {
            found.push(format!("{home} uses {used}: {}", path.join("::")));
        }
        for door in DOORS.iter().filter(|door| !door.open_to.contains(&home)) {
            if door.paths.iter().any(|closed| touches(&path, closed)) {
                found.push(format!("{home} uses {}: {}", path.join("::"), door.why));
            }
        }
    }
    found
}

/// The top module a path of this crate leads to: `crate::x`, `sealift::x`, or enough `super`s and then `x`.
fn of_this_crate<'a>(module: &[String], path: &'a [String]) -> Option<&'a str> {
    let supers = path.iter().take_while(|part| *part == "super").count();
    match path.first()?.as_str() {
        "crate" | "sealift" => path.get(1).map(String::as_str),
        "super" if supers >= module.len() => path.get(supers).map(String::as_str),
        _ => None,
    }
}

/// True when the path begins with the closed one, or holds it where that is shorter by its root (`use std::io; io::stdin()`).
fn touches(path: &[String], closed: &str) -> bool {
    let closed: Vec<&str> = closed.split("::").collect();
    let rooted = closed.first() == Some(&"std") || closed.len() == 1;
    let mut windows = path.windows(closed.len());
    let is = |window: &[String]| window.iter().map(String::as_str).eq(closed.iter().copied());
    if rooted { windows.next().is_some_and(is) } else { windows.any(is) }
}

/// All files under `src` that are not test code, with their module paths.
fn sources() -> Vec<(PathBuf, Vec<String>, Source)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = walkdir::WalkDir::new(&root).sort_by_file_name().into_iter().map(|entry| entry.unwrap().into_path());
    let parse = |path: PathBuf| {
        let source = Source::parse(&std::fs::read_to_string(&path).unwrap());
        (path.clone(), module_path(path.strip_prefix(&root).unwrap()), source)
    };
    let all: Vec<_> = files.filter(|path| path.extension().is_some_and(|ext| ext == "rs")).map(parse).collect();
    let for_tests: HashSet<Vec<String>> = all
        .iter()
        .flat_map(|(_, module, source)| source.test_modules.iter().map(|name| [module.clone(), vec![name.clone()]].concat()))
        .collect();
    all.into_iter().filter(|(_, module, _)| !(1..=module.len()).any(|n| for_tests.contains(&module[..n]))).collect()
}

/// `oci/walk.rs` is `oci::walk`, `oci/mod.rs` is `oci`, `lib.rs` is the crate itself.
fn module_path(file: &Path) -> Vec<String> {
    let mut parts: Vec<String> = file.with_extension("").iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    if parts.last().is_some_and(|part| part == "mod") || parts == ["lib"] {
        parts.pop();
    }
    parts
}

#[test]
fn every_module_keeps_to_its_layer() {
    let sources = sources();
    assert!(sources.len() > 15, "the sources are where this test looks for them");
    let found: Vec<String> = sources
        .iter()
        .flat_map(|(path, module, source)| violations(module, source).into_iter().map(move |v| format!("{}: {v}", path.display())))
        .collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn every_top_module_has_a_row() {
    let without: HashSet<String> =
        sources().into_iter().filter_map(|(_, module, _)| module.into_iter().next()).filter(|module| may_use(module).is_none()).collect();
    assert!(without.is_empty(), "{without:?}");
}

/// The test of the test: made-up violations are found, and what is allowed is not.
#[test]
fn made_up_violations_are_found() {
    let of = |module: &[&str], text: &str| {
        let module: Vec<String> = module.iter().map(|part| (*part).to_owned()).collect();
        violations(&module, &Source::parse(text)).len()
    };
    for (module, text) in [
        (&["layout"][..], "use crate::registry::Client;"),
        (&["layout"], "use crate::{fs::Dir, registry};"),
        (&["archive", "reader"], "fn f() { crate::ledger::read() }"),
        (&["archive", "reader"], "use super::super::layout::Layout;"),
        (&["pack"], "use crate::unpack::Plan;"),
        (&["pack"], "use crate::error::Error;"),
        (&["unpack"], "fn f() -> crate::cli::Args { g() }"),
        (&["oci", "walk"], "use crate::fs::File;"),
        (&["digest"], "use crate::oci::Descriptor;"),
        (&["codec"], "use crate::format::index::Index;"),
        (&["image_set"], "use std::{fs, io};"),
        (&["format"], "fn now() -> u64 { std::time::SystemTime::now().x() }"),
        (&["format"], "use std::time::{Duration, SystemTime};"),
        (&["sign"], "use std::net::TcpStream;"),
        (&["registry"], "fn f() { std::env::var(\"HOME\") }"),
        (&["registry"], "use std::env;"),
        (&["ledger"], "fn f() { println!(\"x\") }"),
        (&["ledger"], "use std::io; fn f() { io::stdin().read() }"),
        (&["pack"], "use std::process; fn f() { process::exit(1) }"),
        (&["pack"], "use tokio::runtime::Runtime;"),
        (&["layout"], "fn f() { reqwest::get(x) }"),
        (&["archive"], "use std::fs::File;"),
        (&["keystore"], "use clap::Parser;"),
        (&["novelty"], "fn f() {}"),
    ] {
        assert_eq!(of(module, text), 1, "{module:?}: {text}");
    }
    for (module, text) in [
        (&["layout", "store"][..], "use super::registry; use super::super::layout; use crate::{fs, oci, format};"),
        (&["registry", "client"], "use tokio::runtime; use reqwest::Client; fn f() { rustls::x() }"),
        (&["cli", "pack"], "use crate::error::Error; fn f() { std::env::var(x); println!(\"y\"); std::process::exit(1) }"),
        (&["main"], "use sealift::cli; fn main() { std::process::exit(cli::run()) }"),
        (&["format"], "#[cfg(test)] mod tests { use std::fs; use crate::cli; } // use crate::cli"),
        (&["registry"], "use std::process::Command; const X: &str = env!(\"CARGO_PKG_VERSION\");"),
        (&["fault"], "use std::path::Path; use std::time::Duration;"),
    ] {
        assert_eq!(of(module, text), 0, "{module:?}: {text}");
    }
}
