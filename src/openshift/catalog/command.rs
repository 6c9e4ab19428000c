//! How a catalog is served: entrypoint, command, and where its cache is.

use crate::openshift::files::{ImageConfig, normal};
use std::collections::BTreeSet;

/// The flag of `opm serve` that names a cache computed beforehand.
const CACHE_FLAG: &str = "--cache-dir";
/// Where caches are in published catalogs, whether their command says so or not.
const CACHES: [&str; 2] = ["tmp/cache", "cache"];
/// Folders that an image has for other purposes too; they are never hidden as a whole.
const COMMON: [&str; 19] = [
    "", "bin", "boot", "dev", "etc", "home", "lib", "lib64", "opt", "proc", "root", "run", "sbin", "srv", "sys", "tmp", "usr", "usr/bin",
    "var",
];

/// True for a folder that can be a catalog's alone.
pub(super) fn is_own(path: &str) -> bool {
    !COMMON.contains(&path)
}

/// The new entrypoint, where it must change, and the new command.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Command {
    pub entrypoint: Option<Vec<String>>,
    pub cmd: Vec<String>,
    /// True when a shell runs the server: what it is told cannot be changed here.
    pub opaque: bool,
}

/// `serve /configs` without a cache, by the program that served before.
pub(super) fn command(config: &ImageConfig) -> Command {
    let serve = ["serve".to_owned(), format!("/{}", super::CONFIGS)];
    if config.entrypoint.is_empty() {
        let program: Vec<String> = without_cache(&config.cmd).into_iter().take_while(|word| word != "serve").collect();
        return Command { entrypoint: None, cmd: program.into_iter().chain(serve).collect(), opaque: is_shell(&config.cmd) };
    }
    // An entrypoint that serves by itself would be told to serve twice.
    let program: Vec<String> = without_cache(&config.entrypoint).into_iter().take_while(|word| word != "serve").collect();
    let entrypoint = Some(program).filter(|program| *program != config.entrypoint && !program.is_empty());
    Command { entrypoint, cmd: serve.into(), opaque: is_shell(&config.entrypoint) }
}

fn is_shell(words: &[String]) -> bool {
    words.iter().any(|word| word == "-c" || word == "-ec")
}

fn without_cache(words: &[String]) -> Vec<String> {
    let mut kept = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.strip_prefix(CACHE_FLAG) {
            Some("") => drop(words.next()),
            Some(rest) if rest.starts_with('=') => {}
            _ => kept.push(word.clone()),
        }
    }
    kept
}

/// Folders of caches: the usual ones, and those that entrypoint or command name.
pub(super) fn caches(config: &ImageConfig) -> BTreeSet<String> {
    let mut named = Vec::new();
    for words in [&config.entrypoint, &config.cmd] {
        // In a shell's command line the flag is one word of many.
        let mut words = words.iter().flat_map(|word| word.split_ascii_whitespace());
        while let Some(word) = words.next() {
            match word.strip_prefix(CACHE_FLAG) {
                Some("") => named.extend(words.next()),
                Some(rest) => named.extend(rest.strip_prefix('=')),
                None => {}
            }
        }
    }
    let named = named.into_iter().filter_map(|path| normal(path).ok()).filter(|path| is_own(path));
    CACHES.map(str::to_owned).into_iter().chain(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(entrypoint: &[&str], cmd: &[&str]) -> ImageConfig {
        let words = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect();
        ImageConfig { entrypoint: words(entrypoint), cmd: words(cmd), ..ImageConfig::default() }
    }

    fn told(entrypoint: &[&str], cmd: &[&str]) -> (Option<String>, String, bool) {
        let command = command(&config(entrypoint, cmd));
        (command.entrypoint.map(|words| words.join(" ")), command.cmd.join(" "), command.opaque)
    }

    #[test]
    fn the_same_program_serves_without_a_cache() {
        let serve = || "serve /configs".to_owned();
        assert_eq!(told(&["/bin/opm"], &["serve", "/configs", "--cache-dir=/tmp/cache"]), (None, serve(), false));
        assert_eq!(told(&["/bin/opm", "--cache-dir=/x"], &[]), (Some("/bin/opm".into()), serve(), false));
        assert_eq!(told(&["/bin/opm", "--cache-dir", "/x", "--debug"], &[]), (Some("/bin/opm --debug".into()), serve(), false));
        assert_eq!(told(&["/bin/opm", "serve", "/cat"], &[]), (Some("/bin/opm".into()), serve(), false));
        assert_eq!(told(&[], &["/bin/opm", "serve", "/cat"]), (None, "/bin/opm serve /configs".into(), false));
        assert!(told(&["/bin/sh", "-c", "/bin/opm serve /configs --cache-dir=/c/d"], &[]).2);
    }

    #[test]
    fn caches_are_where_the_command_says_and_no_common_folder() {
        let found = |entrypoint: &[&str], cmd: &[&str]| caches(&config(entrypoint, cmd)).into_iter().collect::<Vec<_>>().join(" ");
        assert_eq!(found(&[], &[]), "cache tmp/cache");
        assert_eq!(found(&["sh", "-c", "opm --cache-dir /v/c"], &["--cache-dir=/w/./c/"]), "cache tmp/cache v/c w/c");
        assert_eq!(
            found(&["--cache-dir"], &["--cache-dir=/", "--cache-dir=/tmp", "--cache-dir=../x", "--cache-dirt=/y"]),
            "cache tmp/cache"
        );
    }
}
