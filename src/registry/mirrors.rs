//! `registries.conf`, version 2: where an image is taken from instead of the place its name says (containers-registries.conf(5)).
//!
//! Rules of prefixes follow containers-registries.conf(5): the longest prefix wins; what follows it must be the end, `/`, `:` or
//! `@`; `*.` at the beginning stands for any part of a host name. A place is `location` and what follows the prefix.

mod file;
mod read;

pub use file::{ConfError, Fault};
pub use read::ConfFiles;

use crate::oci::Reference;

/// Which references a mirror may be asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pull {
    /// Both.
    #[default]
    All,
    /// Only those by digest: nobody at the mirror decides what a tag means.
    DigestOnly,
    /// Only those by tag.
    TagOnly,
}

/// A mirror of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// Takes the place of the prefix.
    pub location: String,
    /// Certificates are not verified there, plain HTTP is spoken where TLS failed.
    pub insecure: bool,
    /// What it may be asked for.
    pub pull: Pull,
}

/// One `[[registry]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Beginning of the references this is about.
    pub prefix: String,
    /// Takes the place of the prefix; empty (only below `*.`): the reference stays as it is.
    pub location: String,
    /// As [`Mirror::insecure`], for the location.
    pub insecure: bool,
    /// The location itself is never asked.
    pub blocked: bool,
    /// Asked first, in this order.
    pub mirrors: Vec<Mirror>,
}

/// All entries that hold, one per prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conf {
    entries: Vec<Entry>,
}

/// One place to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// What to ask for there.
    pub reference: Reference,
    /// False for the place the name itself says (rewritten by `location`).
    pub mirror: bool,
}

/// Why a reference has no place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPlace {
    /// `blocked = true`, and no mirror that may be asked.
    #[error("{name} is blocked by the entry {prefix:?} of registries.conf")]
    Blocked {
        /// Host and repository.
        name: String,
        /// The entry.
        prefix: String,
    },
    /// A location makes no reference of it.
    #[error("registries.conf turns {name} into {into:?}, which is no reference")]
    NoReference {
        /// Host and repository.
        name: String,
        /// What it would be.
        into: String,
    },
}

impl Conf {
    /// The entry of the longest prefix that `text` (a reference, or host and path) begins with.
    pub fn find(&self, text: &str) -> Option<&Entry> {
        let found = self.entries.iter().filter(|entry| matched(text, &entry.prefix).is_some());
        // Of equally long ones the first: there are none but with wildcards of other words.
        found.rev().max_by_key(|entry| entry.prefix.len())
    }

    /// Where `reference` is to be had, in the order to try: mirrors as listed, then the place itself unless it is blocked.
    ///
    /// # Errors
    /// [`NoPlace`] when nothing may be asked, or a location is misshapen.
    pub fn places(&self, reference: &Reference) -> Result<Vec<Place>, NoPlace> {
        // With both a digest and a tag the digest is what counts.
        let asked = Reference { tag: reference.tag.clone().filter(|_| reference.digest.is_none()), ..reference.clone() };
        let text = asked.to_string();
        let Some(entry) = self.find(&text) else { return Ok(vec![Place { reference: asked, mirror: false }]) };
        let mut places = Vec::new();
        for mirror in entry.mirrors.iter().filter(|mirror| mirror.serves(&asked)) {
            let reference = rewritten(&asked, &text, &entry.prefix, &mirror.location)?;
            // Who blocks a host means it, whatever name leads there.
            if !self.find(&reference.to_string()).is_some_and(|own| own.blocked && own.prefix != entry.prefix) {
                places.push(Place { reference, mirror: true });
            }
        }
        if !entry.blocked {
            places.push(Place { reference: rewritten(&asked, &text, &entry.prefix, &entry.location)?, mirror: false });
        }
        match places.is_empty() {
            true => Err(NoPlace::Blocked { name: asked.name(), prefix: entry.prefix.clone() }),
            false => Ok(places),
        }
    }

    /// Hosts that need not prove who they are, as [`super::certs::CertDirs::insecure_hosts`] reads them. The setting is one of a
    /// location, and TLS one of a host: an insecure path makes its host insecure.
    pub fn insecure_hosts(&self) -> Vec<String> {
        let host = |location: &str| location.split('/').next().unwrap_or_default().to_owned();
        let own = self.entries.iter().filter(|e| e.insecure).map(|e| if e.location.is_empty() { &e.prefix } else { &e.location });
        let mirrors = self.entries.iter().flat_map(|e| &e.mirrors).filter(|m| m.insecure).map(|m| &m.location);
        let mut hosts: Vec<String> = own.chain(mirrors).map(|location| host(location)).collect();
        hosts.sort();
        hosts.dedup();
        hosts
    }

    /// The entries.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Takes entries of a later file: each replaces the one of the same prefix as a whole.
    pub fn replace_by(&mut self, later: Conf) {
        for entry in later.entries {
            match self.entries.iter_mut().find(|known| known.prefix == entry.prefix) {
                Some(known) => *known = entry,
                None => self.entries.push(entry),
            }
        }
    }
}

impl Mirror {
    fn serves(&self, reference: &Reference) -> bool {
        match self.pull {
            Pull::All => true,
            Pull::DigestOnly => reference.digest.is_some(),
            Pull::TagOnly => reference.digest.is_none(),
        }
    }
}

/// How many bytes of `text` a prefix covers.
fn matched(text: &str, prefix: &str) -> Option<usize> {
    let end = match prefix.strip_prefix('*') {
        Some(suffix) => {
            let at = text.find(suffix)?;
            // The star stands for a part of a host, never for a path, and for at least one letter of it.
            if at == 0 || text.get(..at)?.contains('/') {
                return None;
            }
            at + suffix.len()
        }
        None => text.starts_with(prefix).then_some(prefix.len())?,
    };
    text.get(end..)?.chars().next().is_none_or(|next| matches!(next, '/' | ':' | '@')).then_some(end)
}

/// The reference at another location.
fn rewritten(asked: &Reference, text: &str, prefix: &str, location: &str) -> Result<Reference, NoPlace> {
    if location.is_empty() {
        return Ok(asked.clone());
    }
    let rest = matched(text, prefix).and_then(|end| text.get(end..)).unwrap_or_default();
    let into = format!("{location}{rest}");
    let reference = Reference::parse(&into).ok().filter(|reference| {
        // A location without a host would silently mean Docker Hub.
        let host = into.split('/').next().unwrap_or_default();
        reference.host == host || matches!(host, "index.docker.io")
    });
    reference.ok_or_else(|| NoPlace::NoReference { name: asked.name(), into })
}

#[cfg(test)]
mod tests;
