//! Command lines as people type them, for the help and the manual. Each of them is accepted by the parser: a test sees to that.

/// What is done, and the line that does it.
pub type Example = (&'static str, &'static str);

/// By command, without the program's name.
pub const TABLE: &[(&str, &[Example])] = &[
    (
        "key generate",
        &[
            ("A key without passphrase, for a machine", "sealift key generate site"),
            ("A key with a passphrase, asked for at the terminal", "sealift key generate anna --with-passphrase"),
        ],
    ),
    (
        "trust add",
        &[("The line that `key generate` printed, on the other side", "sealift trust add 'stream:*' 'ssh-ed25519 AAAA... site'")],
    ),
    (
        "plan",
        &[
            ("What an ImageSet would carry", "sealift plan imageset.yaml"),
            ("The same, to be packed later just so", "sealift plan imageset.yaml -o plan.json"),
        ],
    ),
    (
        "pack",
        &[
            ("Two images", "sealift pack quay.io/org/app:1.2 docker.io/library/nginx:1.27 --key site OUT"),
            ("An ImageSet, for DVDs", "sealift pack imageset.yaml --key site --volume-size 4GB OUT"),
            ("An image of an OCI layout", "sealift pack oci:./layout:1.2 --key site OUT"),
            ("An OpenShift release", "sealift pack release:4.17.2 --key site OUT"),
        ],
    ),
    ("sign", &[("A second person signs", "sealift sign OUT --key anna")]),
    (
        "verify",
        &[
            ("All volumes of a set", "sealift verify OUT"),
            ("One disc of several, and every blob", "sealift verify /media/disc --this-medium --deep"),
            (
                "An OpenShift release, without network",
                "sealift verify release:sha256:0d...63 --signature signature-1 --release-key key.asc",
            ),
        ],
    ),
    ("inspect", &[("What is on the disc", "sealift inspect /media/disc")]),
    ("preflight", &[("A registry with an authority of its own", "sealift preflight --to mirror.lan:8443/ocp4 --ca-file rootCA.pem")]),
    (
        "unpack",
        &[
            ("The first set of a stream", "sealift unpack /media/disc --to registry.lan:5000/prefix --first"),
            ("The sets that follow", "sealift unpack /media/disc --to registry.lan:5000/prefix"),
            ("Into a folder", "sealift unpack /media/disc --to oci:./layout --first"),
        ],
    ),
    (
        "mirror",
        &[
            ("An ImageSet", "sealift mirror imageset.yaml --to registry.lan:5000/ocp"),
            ("A release", "sealift mirror release:4.17.2 --to registry.lan:5000/ocp"),
        ],
    ),
    ("where", &[("By the name a cluster asks for", "sealift where quay.io/org/app:1.2 --to registry.lan:5000/prefix --set /media/disc")]),
    (
        "check",
        &[
            ("Against the receipts", "sealift check --to registry.lan:5000/prefix"),
            ("Against an ImageSet", "sealift check imageset.yaml --to registry.lan:5000/prefix --blobs"),
        ],
    ),
    (
        "delete",
        &[
            ("First the list, to be looked at", "sealift delete --generate -c delete.yaml -o list.yaml --to registry.lan:5000/ocp"),
            ("Then what is in it", "sealift delete list.yaml --to registry.lan:5000/ocp"),
        ],
    ),
    ("resources", &[("For `oc apply -f cluster`", "sealift resources --to registry.lan:5000/ocp -o cluster")]),
    ("list releases", &[("Of a channel", "sealift list releases --channel stable-4.16")]),
    ("list operators", &[("Of a catalog", "sealift list operators --catalog registry.redhat.io/redhat/redhat-operator-index:v4.16")]),
    ("list tags", &[("Of a repository", "sealift list tags quay.io/org/app")]),
    (
        "serve",
        &[
            ("A registry over a folder", "sealift serve oci:DIR --listen 127.0.0.1:5000 --plain-http --allow-anonymous push"),
            ("Straight from a set of volumes", "sealift serve OUT --listen 127.0.0.1:5001 --plain-http --allow-anonymous pull"),
            ("One with TLS and a user: prepare it once", "sealift serve --init DATA --hostname mirror.lan"),
            ("and run it, at port 8443", "sealift serve DATA"),
            (
                "With a certificate of the house",
                "sealift serve --init DATA --hostname mirror.lan --tls-cert mirror.crt --tls-key mirror.key",
            ),
        ],
    ),
    (
        "explain",
        &[
            ("A code, or an exit number", "sealift explain CONTENT_DAMAGED"),
            ("", "sealift explain 13"),
            ("A page of the manual", "sealift explain oc-mirror"),
            ("The same as man reads it", "sealift explain oc-mirror --man"),
            ("All pages, to be installed", "sealift explain -o /usr/local/share/man"),
        ],
    ),
];

/// Those of a command, which is named without the program: `trust add`.
pub fn of(command: &str) -> &'static [Example] {
    TABLE.iter().find(|(name, _)| *name == command).map_or(&[], |(_, examples)| examples)
}

/// The definition with the examples below the long help of each command.
pub fn shown(command: clap::Command) -> clap::Command {
    below(command, "")
}

fn below(command: clap::Command, path: &str) -> clap::Command {
    command.mut_subcommands(|command| {
        let path = format!("{path} {}", command.get_name()).trim_start().to_owned();
        let examples = of(&path);
        let command = below(command, &path);
        if examples.is_empty() {
            return command;
        }
        let after = command.get_after_help().map(|text| format!("{text}\n\n")).unwrap_or_default();
        let lines = examples.iter().map(|(what, line)| match *what {
            "" => format!("  {line}"),
            what => format!("  {what}:\n    {line}"),
        });
        let text = format!("{after}Examples:\n{}", lines.collect::<Vec<_>>().join("\n"));
        command.after_long_help(text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::Arguments;
    use clap::{CommandFactory, Parser};

    /// Words of a line as a shell takes them, where quotes are single and whole.
    fn words(line: &str) -> Vec<String> {
        let parts = line.split('\'').enumerate();
        parts
            .flat_map(|(i, part)| match i % 2 {
                1 => vec![part.to_owned()],
                _ => part.split_whitespace().map(str::to_owned).collect(),
            })
            .collect()
    }

    #[test]
    fn every_example_is_of_its_command_and_is_accepted() {
        for (name, examples) in TABLE {
            assert!(!examples.is_empty());
            for (_, line) in *examples {
                assert!(line.starts_with(&format!("sealift {name} ")), "{line}");
                assert!(line.len() <= 96, "a line of the help: {line}");
                if let Err(refused) = Arguments::try_parse_from(words(line)) {
                    panic!("{line}: {refused}");
                }
            }
        }
    }

    #[test]
    fn examples_stand_below_the_help_of_commands_that_are_there() {
        for (name, examples) in TABLE {
            let mut at = shown(Arguments::command());
            for word in name.split(' ') {
                at = at.find_subcommand(word).unwrap_or_else(|| panic!("{name}")).clone();
            }
            let help = at.render_long_help().to_string();
            assert!(examples.iter().all(|(_, line)| help.contains(line)), "{help}");
        }
    }
}
