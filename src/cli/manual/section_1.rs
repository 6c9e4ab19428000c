//! Section 1, from the definition of the command line.

use super::roff::{Apostrophes, Piece, Roff, bold, italic, roman};
use super::{MANUAL, Page, program};
use crate::cli::environment::VARIABLES;
use crate::cli::examples;
use crate::error::FAMILIES;
use clap::{Arg, Command};
use std::collections::BTreeSet;

/// Pages every page of a command leads to.
const SEE_ALSO: [(&str, u8); 5] =
    [("sealift-archive", 5), ("sealift-hosts", 5), ("sealift-imageset", 5), ("sealift-errors", 7), ("sealift-security", 7)];

/// The page of the program and of each of its commands.
pub(super) fn pages() -> Vec<Page> {
    let mut command = without_help(crate::cli::definition());
    command.build();
    let mut pages = Vec::new();
    add(&command, "sealift", &mut pages);
    pages
}

/// `sealift help` explains itself.
fn without_help(command: Command) -> Command {
    command.disable_help_subcommand(true).mut_subcommands(without_help)
}

fn add(command: &Command, name: &str, pages: &mut Vec<Page>) {
    pages.push(Page { name: name.to_owned(), section: 1, source: source(command, name) });
    for below in command.get_subcommands() {
        add(below, &format!("{name}-{}", below.get_name()), pages);
    }
}

fn source(command: &Command, name: &str) -> String {
    let mut roff = Roff::new(Apostrophes::Straight);
    roff.request("TH", &[&name.to_uppercase(), "1", "", &program(), MANUAL]);
    roff.request("SH", &["NAME"]);
    roff.text([roman(format!("{name} - {}", command.get_about().map(ToString::to_string).unwrap_or_default()))]);
    synopsis(&mut roff, command);
    description(&mut roff, command);
    options(&mut roff, command);
    commands(&mut roff, command, name);
    if let Some(more) = command.get_after_help() {
        roff.request("SH", &["EXTRA"]);
        more.to_string().lines().for_each(|line| {
            roff.text([roman(line)]);
        });
    }
    if name == "sealift" {
        roff.request("SH", &["VERSION"]).text([roman(format!("v{}", env!("CARGO_PKG_VERSION")))]);
        roff.request("SH", &["ENVIRONMENT"]);
        VARIABLES.iter().for_each(|(variable, text)| {
            roff.entry(variable, text);
        });
        roff.request("SH", &["EXIT STATUS"]);
        FAMILIES.iter().for_each(|(exit, title)| {
            roff.entry(&exit.to_string(), title);
        });
    }
    typed(&mut roff, name);
    see_also(&mut roff, command, name);
    roff.source()
}

fn synopsis(roff: &mut Roff, command: &Command) {
    roff.request("SH", &["SYNOPSIS"]);
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    if let Some(usage) = command.get_overridden_usage().map(ToString::to_string) {
        let rest = usage.strip_prefix(name).unwrap_or(&usage);
        roff.text([bold(name), roman(rest)]);
        return;
    }
    let choices = choices(command);
    let chosen = |argument: &&Arg| choices.iter().flatten().any(|one| one.get_id() == argument.get_id());
    let mut line = vec![bold(name), roman(" ")];
    let alone = named(command.get_arguments().filter(|argument| !chosen(argument)));
    let (required, optional): (Vec<&Arg>, Vec<&Arg>) = alone.into_iter().partition(|argument| argument.is_required_set());
    for argument in optional.into_iter().chain(required) {
        let (open, close) = if argument.is_required_set() { ("", "") } else { ("[", "]") };
        line.push(roman(open));
        line.extend(names(argument, "|"));
        line.extend(plain_value(argument));
        line.extend([roman(close), roman(" ")]);
    }
    for choice in &choices {
        line.push(roman("<"));
        for (i, argument) in choice.iter().enumerate() {
            line.extend((i > 0).then(|| roman("|")));
            match argument.get_long() {
                Some(long) => {
                    line.push(bold(format!("--{long}")));
                    line.extend(plain_value(argument));
                }
                None => line.push(italic(value_name(argument))),
            }
        }
        line.push(roman("> "));
    }
    for argument in command.get_positionals().filter(|argument| !argument.is_hide_set() && !chosen(argument)) {
        line.extend(position(argument));
        line.push(roman(" "));
    }
    if command.has_subcommands() {
        let (open, close) = brackets(command.is_subcommand_required_set());
        line.extend([roman(open), italic("subcommands"), roman(close)]);
    }
    roff.text(line);
}

/// Of each of these one must be given.
fn choices(command: &Command) -> Vec<Vec<&Arg>> {
    let required = command.get_groups().filter(|group| group.is_required_set());
    let of = |id| command.get_arguments().find(|argument| argument.get_id() == id);
    required.map(|group| group.get_args().filter_map(of).collect::<Vec<&Arg>>()).filter(|choice| !choice.is_empty()).collect()
}

fn description(roff: &mut Roff, command: &Command) {
    roff.request("SH", &["DESCRIPTION"]);
    let about = command.get_long_about().or_else(|| command.get_about()).map(ToString::to_string).unwrap_or_default();
    for line in about.lines() {
        match line.trim().is_empty() {
            true => roff.request("PP", &[]),
            false => roff.text([roman(line)]),
        };
    }
}

/// What has no heading first, then heading by heading in their order.
fn options(roff: &mut Roff, command: &Command) {
    let shown: Vec<&Arg> = command.get_arguments().filter(|argument| !argument.is_hide_set()).collect();
    let mut seen = BTreeSet::new();
    let headings = shown.iter().filter_map(|argument| argument.get_help_heading()).filter(|heading| seen.insert(*heading));
    for heading in std::iter::once(None).chain(headings.map(Some)) {
        let below: Vec<&Arg> = shown.iter().copied().filter(|argument| argument.get_help_heading() == heading).collect();
        if below.is_empty() {
            continue;
        }
        roff.request("SH", &[&heading.unwrap_or("OPTIONS").to_uppercase()]);
        for argument in named(below.iter().copied()) {
            let mut head: Vec<Piece> = names(argument, ", ").collect();
            head.extend(value(argument));
            option(roff, argument, head);
        }
        for argument in below.iter().filter(|argument| argument.is_positional()) {
            option(roff, argument, position(argument).into());
        }
    }
}

/// One option or argument: its head, what it does, and the words it takes.
fn option(roff: &mut Roff, argument: &Arg, mut head: Vec<Piece>) {
    let defaults = argument.get_default_values();
    if takes_values(argument) && !argument.is_hide_default_value_set() && !defaults.is_empty() {
        let defaults: Vec<String> = defaults.iter().map(|value| value.to_string_lossy().into_owned()).collect();
        head.push(roman(format!(" [default: {}]", defaults.join(","))));
    }
    let help = argument.get_long_help().or_else(|| argument.get_help()).map(ToString::to_string);
    roff.request("TP", &[]).text(head).text(help.map(roman));
    let words = argument.get_possible_values();
    if argument.is_hide_possible_values_set() || words.is_empty() {
        return;
    }
    roff.request("br", &[]).text([]).request("br", &[]).text([italic("Possible values:")]).request("RS", &["14"]);
    for word in words.iter().filter(|word| !word.is_hide_set()) {
        let text = word.get_help().map_or(word.get_name().to_owned(), |help| format!("{}: {help}", word.get_name()));
        roff.request("IP", &[r"\(bu", "2"]).text([roman(text)]);
    }
    roff.request("RE", &[]);
}

/// What follows an option in its entry: `<VALUE>`, `[=<VALUE>]`.
fn value(argument: &Arg) -> Vec<Piece> {
    value_as(argument, |name| format!("<{name}>"))
}

/// The same in the synopsis, where brackets say that a thing may be left out: `VALUE`, `[=VALUE]`.
fn plain_value(argument: &Arg) -> Vec<Piece> {
    value_as(argument, |name| name.to_owned())
}

fn value_as(argument: &Arg, written: impl Fn(&str) -> String) -> Vec<Piece> {
    let (Some(range), Some(names)) = (argument.get_num_args(), argument.get_value_names()) else { return Vec::new() };
    if !range.takes_values() {
        return Vec::new();
    }
    let (open, close) = match (range.min_values() > 0, argument.is_require_equals_set()) {
        (true, false) => (" ", ""),
        (false, false) => (" [", "]"),
        (false, true) => ("[=", "]"),
        (true, true) => ("=", ""),
    };
    let more = if range.max_values() > names.len() { "..." } else { "" };
    let names: Vec<String> = names.iter().map(|name| written(name.as_str())).collect();
    vec![roman(open), italic(format!("{}{more}", names.join(" "))), roman(close)]
}

fn takes_values(argument: &Arg) -> bool {
    argument.get_num_args().is_some_and(|range| range.takes_values())
}

/// `-o, --output`.
fn names(argument: &Arg, between: &'static str) -> impl Iterator<Item = Piece> {
    let short = argument.get_short().map(|short| bold(format!("-{short}")));
    let long = argument.get_long().map(|long| bold(format!("--{long}")));
    let between = (short.is_some() && long.is_some()).then(|| roman(between));
    short.into_iter().chain(between).chain(long)
}

fn position(argument: &Arg) -> [Piece; 3] {
    let (open, close) = brackets(argument.is_required_set());
    [roman(open), italic(value_name(argument)), roman(close)]
}

fn value_name(argument: &Arg) -> String {
    argument.get_value_names().map_or(argument.get_id().to_string(), |names| names.join(" "))
}

fn brackets(required: bool) -> (&'static str, &'static str) {
    if required { ("<", ">") } else { ("[", "]") }
}

/// Those that are named, in the order the help has them.
fn named<'a>(arguments: impl Iterator<Item = &'a Arg>) -> Vec<&'a Arg> {
    let mut found: Vec<&Arg> = arguments.filter(|argument| !argument.is_hide_set() && !argument.is_positional()).collect();
    found.sort_by_key(|argument| {
        let by_letter =
            argument.get_short().map(|short| format!("{}{}", short.to_ascii_lowercase(), u8::from(!short.is_ascii_lowercase())));
        (argument.get_display_order(), by_letter.or_else(|| argument.get_long().map(str::to_owned)))
    });
    found
}

fn commands(roff: &mut Roff, command: &Command, name: &str) {
    if !command.has_subcommands() {
        return;
    }
    roff.request("SH", &["SUBCOMMANDS"]);
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        roff.request("TP", &[]).text([roman(format!("{name}-{}(1)", below.get_name()))]);
        roff.text(below.get_about().map(|about| roman(about.to_string())));
    }
}

fn typed(roff: &mut Roff, name: &str) {
    let command = name.trim_start_matches("sealift").trim_start_matches('-').replacen('-', " ", 1);
    let examples = examples::of(&command);
    if !examples.is_empty() {
        roff.request("SH", &["EXAMPLES"]);
    }
    for (what, line) in examples {
        if !what.is_empty() {
            roff.request("PP", &[]).text([roman(format!("{what}:"))]);
        }
        roff.command(line);
    }
}

fn see_also(roff: &mut Roff, command: &Command, name: &str) {
    // `sealift-trust-min-signatures` has a dash of its own.
    let above = name.rsplit_once('-').filter(|_| name != "sealift").map(|(above, _)| above.strip_suffix("-min").unwrap_or(above));
    let below = command.get_subcommands().map(|below| (format!("{name}-{}", below.get_name()), 1));
    let others = SEE_ALSO.map(|(page, section)| (page.to_owned(), section));
    let pages = above.map(|above| (above.to_owned(), 1)).into_iter().chain(below).chain(others);
    roff.request("SH", &["SEE ALSO"]);
    let mut line = Vec::new();
    for (i, (page, section)) in pages.enumerate() {
        line.extend((i > 0).then(|| roman(", ")));
        line.extend([bold(page), roman(format!("({section})"))]);
    }
    roff.text(line);
}
