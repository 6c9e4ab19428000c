//! A look at the target before a long push: everything that would fail in the night is tried in small.
//!
//! Uploads, manifests of each kind and deletion are tried in a repository of their own under a tag nobody uses; what cannot be
//! removed afterwards is named. Nothing here decides what a failure means to a person.

mod content;
mod full;

pub use full::full;

use crate::registry::{Error, Repository, Software};

/// Seconds two clocks may differ: tokens and certificates are judged by the clock, token services allow about a minute.
const CLOCK: i64 = 60;

/// What was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trial {
    /// Name, connection, TLS, `/v2/`.
    Reach,
    /// The two clocks.
    Clock,
    /// Making the project or organisation.
    Project,
    /// Opening an upload: login, right to push, the project.
    Push,
    /// Where uploads are sent.
    Location,
    /// A small blob, there and back.
    SmallBlob,
    /// A blob larger than what proxies let pass unless told.
    LargeBlob,
    /// An OCI image.
    OciImage,
    /// A Docker image, as OpenShift's are.
    DockerImage,
    /// An index of both.
    Index,
    /// An index whose members are not all there.
    SparseIndex,
    /// What the tag names afterwards.
    Tag,
    /// The referrers API.
    Referrers,
    /// Removing what was made.
    Delete,
}

impl Trial {
    /// A word for tables and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Trial::Reach => "reach",
            Trial::Clock => "clock",
            Trial::Project => "project",
            Trial::Push => "push",
            Trial::Location => "location",
            Trial::SmallBlob => "small-blob",
            Trial::LargeBlob => "large-blob",
            Trial::OciImage => "oci-image",
            Trial::DockerImage => "docker-image",
            Trial::Index => "index",
            Trial::SparseIndex => "sparse-index",
            Trial::Tag => "tag",
            Trial::Referrers => "referrers",
            Trial::Delete => "delete",
        }
    }
}

/// How a trial came out.
#[derive(Debug)]
pub enum Verdict {
    /// As it should be; with what there is to say.
    Fine(String),
    /// It works, or does without; what might be changed.
    Note(String),
    /// It failed.
    Failed(Error),
}

/// One trial and its outcome.
#[derive(Debug)]
pub struct Finding {
    /// What was tried.
    pub trial: Trial,
    /// How it came out.
    pub verdict: Verdict,
}

/// All that was found.
#[derive(Debug, Default)]
pub struct Findings {
    /// What the registry seems to be.
    pub software: Software,
    /// In the order of trying.
    pub list: Vec<Finding>,
    /// What was made and could not be removed.
    pub left: Vec<String>,
}

impl Findings {
    /// What failed.
    pub fn failures(&self) -> impl Iterator<Item = (Trial, &Error)> {
        self.list.iter().filter_map(|finding| match &finding.verdict {
            Verdict::Failed(error) => Some((finding.trial, error)),
            _ => None,
        })
    }

    fn add(&mut self, trial: Trial, verdict: Verdict) {
        self.list.push(Finding { trial, verdict });
    }

    fn fine(&mut self, trial: Trial, told: impl Into<String>) {
        self.add(trial, Verdict::Fine(told.into()));
    }

    fn note(&mut self, trial: Trial, told: impl Into<String>) {
        self.add(trial, Verdict::Note(told.into()));
    }
}

/// What costs a few small requests and leaves nothing: the way there, the clocks, and for repositories of each project whether an upload
/// can be opened and where it is sent. After the first that cannot be pushed to, the rest of its project is not asked for.
pub fn short(projects: &[Vec<Repository>]) -> Findings {
    let mut findings = Findings::default();
    let Some(first) = projects.iter().flatten().next() else { return findings };
    if !greet(first, &mut findings) {
        return findings;
    }
    for project in projects {
        project.iter().all(|repository| push(repository, &mut findings));
    }
    findings
}

/// The way there; false where there is none.
fn greet(repository: &Repository, findings: &mut Findings) -> bool {
    let greeting = match repository.greeting() {
        Ok(greeting) => greeting,
        Err(error) => {
            findings.add(Trial::Reach, Verdict::Failed(error));
            return false;
        }
    };
    findings.software = greeting.software;
    let how = match (greeting.tls, greeting.verified) {
        (true, true) => "TLS, certificate verified",
        (true, false) => "TLS, certificate NOT verified",
        (false, _) => "plain HTTP",
    };
    let login = greeting.login.unwrap_or_else(|| "none".to_owned());
    findings.fine(Trial::Reach, format!("{} answers ({}, {how}, login: {login})", repository.host(), greeting.software));
    match greeting.ahead {
        Some(ahead) if ahead.abs() > CLOCK => {
            let word = if ahead > 0 { "ahead of" } else { "behind" };
            findings.note(Trial::Clock, format!("the registry's clock is {} {word} this host's", span(ahead.unsigned_abs())));
        }
        Some(_) => findings.fine(Trial::Clock, "the clocks agree"),
        None => findings.fine(Trial::Clock, "the registry does not tell the time"),
    }
    true
}

/// A span of time in the unit a person would take.
fn span(seconds: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(365 * 86_400, "years"), (86_400, "days"), (3600, "hours"), (60, "minutes")];
    let unit = UNITS.into_iter().find(|(unit, _)| seconds >= 2 * unit);
    unit.map_or_else(|| format!("{seconds} s"), |(unit, name)| format!("{} {name}", seconds / unit))
}

/// Whether an upload can be opened, and where it leads; false where it cannot.
fn push(repository: &Repository, findings: &mut Findings) -> bool {
    let place = match repository.upload_place() {
        Ok(place) => place,
        Err(error) => {
            findings.add(Trial::Push, Verdict::Failed(error));
            return false;
        }
    };
    findings.fine(Trial::Push, format!("{} can be pushed to", repository.name()));
    match (place.own, place.mended) {
        (true, false) => {}
        (true, true) => findings.note(Trial::Location, "the registry names itself with another scheme or port than it was reached by"),
        (false, _) => findings.note(Trial::Location, format!("uploads are sent to {}, which is another host", place.host)),
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_told_in_units_of_people() {
        let told = [61, 119, 120, 3 * 3600, 86_400, 3 * 86_400, 816_980_709].map(span);
        assert_eq!(told, ["61 s", "119 s", "2 minutes", "3 hours", "24 hours", "3 days", "25 years"]);
    }
}
