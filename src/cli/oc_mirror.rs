//! Words of `oc-mirror` and of `oc adm release mirror`, and what to type instead: people come with them in their fingers and in
//! their scripts. `sealift-oc-mirror(7)` explains each of them.

/// The commands of its workflows.
const WORKFLOWS: &str = "registries to media: `sealift pack imageset.yaml --key NAME DIR`; media to a registry: `sealift unpack DIR --to \
                         REGISTRY/PREFIX`; registry to registry: `sealift mirror imageset.yaml --to REGISTRY/PREFIX`";

const CREDENTIALS: &str =
    "put the login into a credentials file: --authfile FILE (with mirror and check also --src-authfile, --dest-authfile)";
const TLS: &str = "--src-tls-verify=false for the sources, --dest-tls-verify=false for the target; better --ca-file FILE";
const PARALLEL: &str = "--parallel N: transfers at a time, whichever image they belong to";
const RETRIES: &str = "leave it out: what may pass is tried again by itself, and a blob goes on in the middle";

/// Options, by what to do instead.
const OPTIONS: &[(&[&str], &str)] = &[
    (&["--v1", "--v2"], WORKFLOWS),
    (
        &["-c", "--config"],
        "the ImageSet is a word of its own, without option: `sealift pack imageset.yaml --key NAME DIR`, `sealift mirror imageset.yaml --to REGISTRY/PREFIX`; inside it is not needed: `sealift unpack DIR --to REGISTRY/PREFIX`",
    ),
    (
        &["--from", "--from-dir"],
        "media to a registry: `sealift unpack DIR --to REGISTRY/PREFIX`; one release: `sealift mirror release:RELEASE --to REGISTRY/PREFIX`",
    ),
    (&["--to-dir"], "`sealift pack release:RELEASE --key NAME DIR`"),
    (&["--to-mirror", "--dry-run-manifest-lists"], "`sealift plan WISH --json` names each image with source, target and digest"),
    (&["--dry-run"], "`sealift plan imageset.yaml`, or --dry-run of mirror and unpack"),
    (&["--workspace"], "leave it out: the receipts of the target say what is there"),
    (&["--cache-dir"], "leave it out: there is no cache (--workspace DIR names the folder that makes runs resumable)"),
    (&["-p", "--port"], "leave it out: nothing listens on any port"),
    (&["--log-level", "--loglevel"], "-v for more, -q for less"),
    (&["--parallel-images", "--parallel-layers", "--max-parallel-downloads", "--parallel-batch-images", "--max-per-registry"], PARALLEL),
    (
        &["--secure-policy", "--registries.d"],
        "--policy FILE of plan, pack, mirror and check enforces a signature policy; --registries-d DIR says where signatures lie",
    ),
    (&["--retry-times", "--retry-delay", "--image-timeout", "--max-retry"], RETRIES),
    (&["--since", "--ignore-history"], "leave it out: every set is whole, and what the target has is not pushed again"),
    (&["--archive-size"], "--volume-size SIZE, for example 4GB; archiveSize in the ImageSet counts as well"),
    (&["--strict-archive"], "leave it out: no volume is ever larger than --volume-size"),
    (&["--remove-signatures"], "--no-referrers"),
    (&["--continue-on-error", "--skip-missing"], "--keep-going: the rest is carried, what is missing is listed, exit number 3"),
    (&["--manifests-only"], "`sealift resources --to REGISTRY/PREFIX -o DIR`"),
    (
        &["--filter-by-archs", "--filter-by-os"],
        "--arch ARCH for releases, --platform OS/ARCH for other images; both may be given several times",
    ),
    (&["--keep-manifest-list"], "leave it out: indexes are always kept"),
    (&["--insecure", "--dest-skip-tls", "--source-skip-tls", "--dest-use-http", "--source-use-http", "--tls-verify"], TLS),
    (&["-a", "--registry-config"], "--authfile FILE"),
    (&["--certificate-authority"], "--ca-file FILE; with mirror and check also --src-ca-file, --dest-ca-file for one side"),
    (
        &["--src-cert-dir", "--dest-cert-dir"],
        "--client-cert FILE, --client-key FILE and --ca-file FILE; with mirror and check with src- or dest- in front",
    ),
    (&["--src-creds", "--src-username", "--src-password", "--src-registry-token", "--src-no-creds"], CREDENTIALS),
    (&["--dest-creds", "--dest-username", "--dest-password", "--dest-registry-token", "--dest-no-creds"], CREDENTIALS),
    (&["--dest-compress", "--dest-decompress", "--dest-compress-format", "--dest-compress-level"], "leave it out: digests never change"),
    (&["--skip-verification"], "--ignore-release-signature"),
    (
        &["--apply-release-image-signature", "--release-image-signature-to-dir"],
        "`sealift resources --to REGISTRY/PREFIX --only signatures`, for `oc apply -f -`",
    ),
    (
        &["--to-image-stream", "--to-release-image", "--skip-release-image"],
        "--to REGISTRY/PREFIX: the names below it are fixed, for updates would not find the images otherwise",
    ),
    (&["--overwrite"], "leave it out: mirror replaces a tag that names something else"),
    (&["--delete-id"], "-o FILE names the list"),
    (&["--force-cache-delete", "--delete-signatures"], "leave it out: there is no cache, and signatures go with their image"),
    (&["--delete-v1-images"], "put the names into a list by hand"),
    (&["--rootless-storage-path", "--force"], "leave it out"),
];

/// Commands.
const COMMANDS: &[(&[&str], &str)] = &[
    (&["version"], "`sealift --version`"),
    (&["init"], "there is an example of an ImageSet in sealift-imageset(5)"),
    (&["describe"], "`sealift inspect DIR`"),
    (&["updates"], "`sealift list releases --channel NAME --from X.Y.Z --to X.Y.Z`"),
    (
        &["adm", "release"],
        "one release: `sealift mirror release:RELEASE --to REGISTRY/PREFIX`, or `sealift pack release:RELEASE --key NAME DIR`",
    ),
    (&["oc-mirror"], WORKFLOWS),
];

/// What to do instead of an option.
pub fn option(word: &str) -> Option<&'static str> {
    find(OPTIONS, word.split(['=', ' ']).next().unwrap_or(word))
}

/// What to type instead of a command.
pub fn command(word: &str) -> Option<&'static str> {
    find(COMMANDS, word)
}

fn find(table: &[(&[&str], &'static str)], word: &str) -> Option<&'static str> {
    table.iter().find(|(words, _)| words.contains(&word)).map(|(_, advice)| *advice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_word_is_there_once() {
        let words: Vec<&str> = OPTIONS.iter().chain(COMMANDS).flat_map(|(words, _)| words.iter().copied()).collect();
        assert_eq!(words.iter().collect::<BTreeSet<_>>().len(), words.len());
        assert_eq!(option("--retry-times=5"), option("--retry-times"));
        assert!(option("--retry-times").is_some() && option("--nonsense").is_none() && command("init").is_some());
    }

    /// An advice must not send people to options that do not exist.
    #[test]
    fn what_is_advised_exists() {
        let definition = crate::cli::definition();
        let mut known = BTreeSet::new();
        let mut pending = vec![&definition];
        while let Some(command) = pending.pop() {
            known.extend(command.get_arguments().filter_map(|a| a.get_long()).map(|long| format!("--{long}")));
            known.insert(command.get_name().to_owned());
            pending.extend(command.get_subcommands());
        }
        known.insert("--version".into());
        for (words, advice) in OPTIONS.iter().chain(COMMANDS) {
            let said = advice.split(|c: char| c.is_whitespace() || "`,;:=()".contains(c)).filter(|word| word.starts_with("--"));
            said.for_each(|word| assert!(known.contains(word), "{words:?}: {word}"));
            for command in
                advice.split("`sealift ").skip(1).filter_map(|rest| rest.split([' ', '`']).next()).filter(|w| !w.starts_with('-'))
            {
                assert!(known.contains(command), "{words:?}: {command}");
            }
        }
    }
}
