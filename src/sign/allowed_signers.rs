//! The trust file: OpenSSH's `allowed_signers`, read strictly.
//!
//! `PRINCIPALS [OPTIONS] KIND BASE64 [OWNER]`, one line per key; `#` begins a comment line. Differences from
//! `ssh-keygen`, all towards refusing:
//!
//! - a line without `namespaces="..."` would bless signatures made for any purpose: the file is refused. The names are
//!   literal; patterns among them would do the same by stealth;
//! - `cert-authority`, unknown options, unknown kinds of keys: the *file* is refused, nothing is skipped;
//! - quoted principals are refused;
//! - one key on several lines must have the same owner on all of them: otherwise one key could count as two people;
//! - a time without `Z` is local time, and which zone is meant cannot be known here: the line is valid only when it is
//!   valid in every zone of the earth (up to 14 hours less at its end, 12 at its beginning).

use super::patterns::PatternList;
use super::public_key::{PublicKey, word};
use super::trust::{LineProblem, TrustFileError, lines};
use crate::text::shown;
use std::collections::BTreeMap;
use std::fmt;

/// The zone farthest east is UTC+14: there a day ends first.
const EAST: i64 = 14 * 3600;
/// The zone farthest west is UTC-12: there a day begins last.
const WEST: i64 = 12 * 3600;

/// A point in time as a trust line writes it: `YYYYMMDD[HHMM[SS]][Z]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    text: String,
    seconds: i64,
    utc: bool,
}

impl Moment {
    /// Reads one; `None` when it is not a time.
    pub fn parse(text: &str) -> Option<Moment> {
        let digits = text.strip_suffix('Z').unwrap_or(text);
        if !matches!(digits.len(), 8 | 12 | 14) || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let part = |from: usize, to: usize| digits.get(from..to).map_or(Some(0), |d| d.parse::<i8>().ok());
        let year = digits.get(..4)?.parse::<i16>().ok()?;
        let civil = jiff::civil::DateTime::new(year, part(4, 6)?, part(6, 8)?, part(8, 10)?, part(10, 12)?, part(12, 14)?, 0).ok()?;
        let seconds = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second();
        Some(Moment { text: text.to_owned(), seconds, utc: text.ends_with('Z') })
    }

    /// Seconds since 1970 from which on it has passed in every zone that may be meant.
    fn surely_past(&self) -> i64 {
        if self.utc { self.seconds } else { self.seconds.saturating_add(WEST) }
    }

    /// Seconds since 1970 before which it has passed in no zone that may be meant.
    fn surely_ahead(&self) -> i64 {
        if self.utc { self.seconds } else { self.seconds.saturating_sub(EAST) }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// One line of the trust file: this key may sign for these principals in these namespaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustLine {
    /// Line number in the file, from 1.
    pub number: usize,
    /// Which principals (`stream:NAME`) it may sign for.
    pub principals: PatternList,
    /// Namespaces it is good for, literal.
    pub namespaces: Vec<String>,
    /// Not valid before.
    pub valid_after: Option<Moment>,
    /// Not valid from then on.
    pub valid_before: Option<Moment>,
    /// The key.
    pub key: PublicKey,
    /// The comment at the end: whose key it is. May be empty.
    pub owner: String,
}

/// Whether a line is valid at a given time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Validity {
    Valid,
    NotYet(Moment),
    Over(Moment),
}

impl TrustLine {
    /// `now` in seconds since 1970.
    pub(super) fn validity(&self, now: u64) -> Validity {
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        match (&self.valid_after, &self.valid_before) {
            (Some(after), _) if now < after.surely_past() => Validity::NotYet(after.clone()),
            (_, Some(before)) if now >= before.surely_ahead() => Validity::Over(before.clone()),
            _ => Validity::Valid,
        }
    }

    fn parse(number: usize, line: &str) -> Result<TrustLine, LineProblem> {
        let (principals, rest) = word(line);
        let principals = PatternList::parse(principals).map_err(LineProblem::Principals)?;
        let (second, after) = word(rest);
        // A kind of key has no `=` and no quote; whatever else stands there is taken for options, as ssh-keygen does,
        // except when it looks like a kind: then the refusal names it.
        let is_options = second.contains(['=', '"', ',']) || matches!(second, "cert-authority");
        let (options, rest) = if is_options { (Options::parse(second)?, after) } else { (Options::default(), rest) };
        let (kind, rest) = word(rest);
        let (base64, owner) = word(rest);
        if kind.is_empty() || base64.is_empty() {
            return Err(LineProblem::Incomplete);
        }
        let key = PublicKey::from_words(kind, base64)?;
        key.check()?;
        let namespaces = options.namespaces.ok_or(LineProblem::NoNamespaces)?;
        if let (Some(after), Some(before)) = (&options.valid_after, &options.valid_before)
            && before.seconds <= after.seconds
        {
            return Err(LineProblem::NeverValid);
        }
        let (valid_after, valid_before) = (options.valid_after, options.valid_before);
        Ok(TrustLine { number, principals, namespaces, valid_after, valid_before, key, owner: owner.trim().to_owned() })
    }
}

/// The options of one line.
#[derive(Default)]
struct Options {
    namespaces: Option<Vec<String>>,
    valid_after: Option<Moment>,
    valid_before: Option<Moment>,
}

impl Options {
    fn parse(text: &str) -> Result<Options, LineProblem> {
        let mut options = Options::default();
        let mut rest = text;
        while !rest.is_empty() {
            let Some((name, value)) = rest.split_once("=\"").filter(|(name, _)| !name.contains(',')) else {
                return Err(unknown_option(rest.split(',').next().unwrap_or(rest)));
            };
            let (value, after) = value.split_once('"').ok_or(LineProblem::Options)?;
            options.set(name, value)?;
            rest = match after.strip_prefix(',') {
                Some("") => return Err(LineProblem::Options),
                Some(more) => more,
                None if after.is_empty() => "",
                None => return Err(LineProblem::Options),
            };
        }
        Ok(options)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), LineProblem> {
        let time = || Moment::parse(value).ok_or_else(|| LineProblem::Time(shown(value).to_string()));
        match name {
            "namespaces" => once(&mut self.namespaces, "namespaces", namespaces(value)?),
            "valid-after" => once(&mut self.valid_after, "valid-after", time()?),
            "valid-before" => once(&mut self.valid_before, "valid-before", time()?),
            other => Err(unknown_option(other)),
        }
    }
}

fn once<T>(slot: &mut Option<T>, name: &'static str, value: T) -> Result<(), LineProblem> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(LineProblem::Twice(name)),
    }
}

fn unknown_option(name: &str) -> LineProblem {
    match name {
        "cert-authority" => LineProblem::CertAuthority,
        other => LineProblem::UnknownOption(shown(other).to_string()),
    }
}

fn namespaces(value: &str) -> Result<Vec<String>, LineProblem> {
    let literal = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'*' | b'?' | b'!' | b'\\'));
    if !value.split(',').all(literal) {
        return Err(LineProblem::NamespacePattern);
    }
    Ok(value.split(',').map(str::to_owned).collect())
}

/// The whole trust file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedSigners {
    lines: Vec<TrustLine>,
}

impl AllowedSigners {
    /// Reads the file, or refuses all of it.
    pub fn parse(file: &[u8]) -> Result<AllowedSigners, TrustFileError> {
        let mut all: Vec<TrustLine> = Vec::new();
        let mut owners: BTreeMap<PublicKey, (String, usize)> = BTreeMap::new();
        for (number, line) in lines(file)? {
            let line = TrustLine::parse(number, line).map_err(|why| TrustFileError { line: number, why })?;
            let (owner, first) = owners.entry(line.key.clone()).or_insert_with(|| (line.owner.clone(), number));
            if *owner != line.owner {
                return Err(TrustFileError { line: number, why: LineProblem::TwoOwners { first: *first } });
            }
            all.push(line);
        }
        Ok(AllowedSigners { lines: all })
    }

    /// Its lines, in order.
    pub fn lines(&self) -> &[TrustLine] {
        &self.lines
    }
}
