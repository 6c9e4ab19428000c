//! What `sealift unpack` tells: its plan, its progress, and how it ended.

use super::output::bytes;
use super::{Context, Outcome, carried, sets};
use crate::archive::OpenSet;
use crate::error::{Code, Detail, Error};
use crate::format::Role;
use crate::text::{are_of, counted};
use crate::unpack::{Arrived, MediaTrouble, UnpackPlan, UnpackReport, WaitingImage};
use std::collections::{BTreeMap, BTreeSet};

fn volume_name(set: &OpenSet, number: u32) -> String {
    let volume = (number as usize).checked_sub(1).and_then(|i| set.index().volumes.get(i));
    volume.map_or_else(|| number.to_string(), |v| v.name.clone())
}

pub(super) fn show_plan(plan: &UnpackPlan, set: &OpenSet, ctx: &Context) {
    let todo = plan.images.iter().filter(|image| image.present.is_none());
    ctx.output.line(&format!(
        "set {} to {}: {}, {} to push, {} to upload",
        set.name(),
        plan.target,
        counted(plan.images.len(), "image"),
        todo.count(),
        bytes(plan.upload_bytes)
    ));
    let of = |at: usize| set.contents().images.get(at).is_some_and(|image| image.role == Role::Referrer);
    match plan.images.iter().filter(|image| of(image.image)).count() {
        0 => {}
        n => ctx.output.line(&format!("referrers (signatures, attestations, SBOMs) among them: {n}")),
    }
    for volume in &plan.volumes {
        let here = if volume.here { "here" } else { "NOT here" };
        ctx.output.line(&format!("{}: {here}, {} to read", volume.name, bytes(volume.bytes)));
    }
    for tag in &plan.skipped_tags {
        ctx.output.line(&format!("tag stays: {}:{}", tag.repository, tag.tag));
    }
}

pub(super) fn told(report: &UnpackReport, set: &OpenSet, ctx: &Context) {
    // Warnings were told when they came up.
    carried::tell_done(&report.done, &report.receipt, ctx);
    if report.referrers.of > 0 {
        let Arrived { here, of } = report.referrers;
        ctx.output.line(&format!(
            "{here} of {} (signatures, attestations, SBOMs) {} in and found from what they are about",
            counted(of, "referrer"),
            are_of(here, of)
        ));
    }
    let counts = &report.counts;
    let all = report.done.len() + report.waiting.len() + report.failed.len();
    ctx.output.line(&format!(
        "set {}: {} of {} {} in; {} uploaded in {}, {} mounted, {} already there",
        set.name(),
        report.done.len(),
        counted(all, "image"),
        are_of(report.done.len(), all),
        bytes(counts.bytes),
        counted(counts.pushed, "blob"),
        counts.mounted,
        counts.present
    ));
    if !report.volumes_needed.is_empty() {
        let names: Vec<String> = report.volumes_needed.iter().map(|n| volume_name(set, *n)).collect();
        ctx.output.line(&format!("bring next: {}", names.join(", ")));
    }
}

/// All sets together.
#[derive(Default)]
pub(super) struct Tally {
    reports: Vec<serde_json::Value>,
    pub(super) plans: Vec<serde_json::Value>,
    failed: Vec<Detail>,
    /// What helps the first of them.
    remedy: Option<String>,
    damaged: Vec<Detail>,
    awaited: Vec<Detail>,
    kept: Vec<Detail>,
    /// Where cluster resources were written.
    pub(super) resources: Option<std::path::PathBuf>,
}

impl Tally {
    pub(super) fn add(&mut self, report: &UnpackReport, set: &OpenSet) {
        for image in &report.failed {
            let error = Error::from(&image.error);
            self.failed.push(Detail::of(format!("{}:{}", image.repository, image.tag), &error));
            self.remedy.get_or_insert(error.remedy);
        }
        self.damaged.extend(damaged(report, set));
        for number in &report.volumes_needed {
            let waiting = report.waiting.iter().filter(|w| w.volumes.contains(number)).map(|w| format!("{}:{}", w.repository, w.tag));
            let error = format!("not here; it is needed for {}", waiting.collect::<Vec<_>>().join(", "));
            self.awaited.push(Detail { subject: volume_name(set, *number), code: Code::VolumeMissing, error });
        }
        for image in report.waiting.iter().filter(|w| !w.no_room.is_empty()) {
            let error = "the spool has no room for its blobs".to_owned();
            self.failed.push(Detail { subject: format!("{}:{}", image.repository, image.tag), code: Code::NoSpace, error });
        }
        let told = |image: &&WaitingImage| image.for_others || !image.volumes.is_empty() || !image.no_room.is_empty();
        let lost = |image: &&WaitingImage| !report.damaged.iter().any(|d| image.damaged.contains(&d.digest));
        // Who stops early, or is told of damage, knows why these wait. For the rest the target keeps losing what it was given.
        for image in report.waiting.iter().filter(|w| !told(w) && !w.damaged.is_empty() && lost(w)) {
            let error = "the target lost its blobs again and again".to_owned();
            self.failed.push(Detail { subject: format!("{}:{}", image.repository, image.tag), code: Code::PushRefused, error });
        }
        for tag in &report.skipped_tags {
            let error = "a newer set wrote this tag; the image is in under its keep tag".to_owned();
            self.kept.push(Detail { subject: format!("{}:{}", tag.repository, tag.tag), code: Code::TagsKept, error });
        }
        self.reports.push(in_json(report, set));
    }

    /// The run ended early: what was done before is reported all the same.
    pub(super) fn cut_short(self, error: Error) -> Result<Outcome, Error> {
        if self.reports.is_empty() && self.plans.is_empty() {
            return Err(error);
        }
        let outcome = self.outcome()?;
        let details = [error.details, self.damaged, self.failed, self.kept].concat();
        Ok(outcome.but(Some(Error { details, ..error })))
    }

    fn outcome(&self) -> Result<Outcome, Error> {
        match self.plans.is_empty() {
            true => match &self.resources {
                Some(folder) => Outcome::done().with("sets", &self.reports)?.with("resources", folder),
                None => Outcome::done().with("sets", &self.reports),
            },
            false => Outcome::done().with("plans", &self.plans),
        }
    }

    /// The worst decides the code: damage, then refusals, then what still has to be brought, then tags that stayed.
    pub(super) fn finish(self) -> Result<Outcome, Error> {
        let outcome = self.outcome()?;
        let first_failed = self.failed.first().map(|d| d.code);
        let error = if let Some(error) = sets::about_media(&self.damaged) {
            error
        } else if let Some(code) = first_failed {
            Error::new(code, "some images could not be pushed")
        } else if !self.awaited.is_empty() {
            Error::new(Code::MediaAwaited, "everything here is in; other volumes are still needed")
        } else if !self.kept.is_empty() {
            Error::new(Code::TagsKept, "all content is in; tags that a newer set wrote were left alone")
        } else {
            return Ok(outcome);
        };
        // The advice for the first refused image fits better than what is generally said of its code.
        let remedy = self.remedy.filter(|_| self.damaged.is_empty()).unwrap_or_else(|| error.remedy.clone());
        let details = [self.damaged, self.failed, self.awaited, self.kept].concat();
        Ok(outcome.but(Some(Error { details, remedy, ..error })))
    }
}

/// Places that are told of one volume; of a medium that died in the middle there may be thousands, and `verify` tells them all.
const PLACES: usize = 3;

/// What is wrong with a place of a volume, and the images it hits.
type Spot<'a> = (&'a str, BTreeSet<&'a str>);

/// One line for each place of a medium, with all images that any blob there is for; of many places the first few, and how many more.
fn damaged(report: &UnpackReport, set: &OpenSet) -> Vec<Detail> {
    let mut places: BTreeMap<(u32, bool), Vec<Spot<'_>>> = BTreeMap::new();
    for damage in &report.damaged {
        let of_volume = places.entry((damage.volume, damage.trouble == MediaTrouble::Unreadable)).or_default();
        let images = damage.images.iter().map(String::as_str);
        match of_volume.iter_mut().find(|(why, _)| *why == damage.why) {
            Some((_, known)) => known.extend(images),
            None => of_volume.push((&damage.why, images.collect())),
        }
    }
    places.into_iter().flat_map(|((volume, unreadable), places)| in_few_words(volume_name(set, volume), unreadable, places)).collect()
}

fn in_few_words(subject: String, unreadable: bool, mut places: Vec<Spot<'_>>) -> Vec<Detail> {
    let code = if unreadable { Code::MediumUnreadable } else { Code::ContentDamaged };
    let line = |(why, images): Spot<'_>| {
        let error = format!("{why}; it hits {}", images.into_iter().collect::<Vec<_>>().join(", "));
        Detail { subject: subject.clone(), code, error }
    };
    let more = if places.len() > PLACES + 1 { places.split_off(PLACES) } else { Vec::new() };
    let mut told: Vec<Detail> = places.into_iter().map(line).collect();
    if !more.is_empty() {
        let rest = format!("and {} more places in it", more.len());
        told.push(line((&rest, more.into_iter().flat_map(|(_, images)| images).collect())));
    }
    told
}

fn in_json(report: &UnpackReport, set: &OpenSet) -> serde_json::Value {
    let name = |repository: &str, tag: &str| format!("{repository}:{tag}");
    serde_json::json!({
        "set": set.name().to_string(), "identity": set.identity(), "target": report.receipt.target,
        "done": report.done.iter().map(|i| serde_json::json!({
            "name": name(&i.repository, &i.tag), "digest": i.digest, "wasThere": i.was_there, "completeness": i.completeness,
            "referrers": i.referrers.here, "referrersOf": i.referrers.of,
        })).collect::<Vec<_>>(),
        "waiting": report.waiting.iter().map(|w| serde_json::json!({
            "name": name(&w.repository, &w.tag), "volumes": w.volumes.iter().map(|n| volume_name(set, *n)).collect::<Vec<_>>(),
            "damaged": w.damaged, "noRoom": w.no_room, "forOthers": w.for_others,
        })).collect::<Vec<_>>(),
        "damaged": report.damaged.iter().map(|d| serde_json::json!({
            "volume": volume_name(set, d.volume), "digest": d.digest, "images": d.images,
        })).collect::<Vec<_>>(),
        "failed": report.failed.iter().map(|f| name(&f.repository, &f.tag)).collect::<Vec<_>>(),
        "bringNext": report.volumes_needed.iter().map(|n| volume_name(set, *n)).collect::<Vec<_>>(),
        "skippedTags": report.skipped_tags.iter().map(|t| name(&t.repository, &t.tag)).collect::<Vec<_>>(),
        "referrers": {"in": report.referrers.here, "of": report.referrers.of}, "holds": report.holds, "uploadedBytes": report.counts.bytes, "uploaded": report.counts.pushed,
        "mounted": report.counts.mounted, "present": report.counts.present, "direct": report.direct,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_places_the_first_are_told_and_the_rest_counted() {
        let whys: Vec<String> = (0..9).map(|n| format!("v: bytes {n} to {n}")).collect();
        let places = |n: usize| whys.iter().take(n).map(|why| (why.as_str(), BTreeSet::from(["a:1"]))).collect::<Vec<_>>();
        let told = |n: usize| in_few_words("v".into(), true, places(n)).into_iter().map(|d| d.error).collect::<Vec<_>>();
        assert_eq!(told(1), ["v: bytes 0 to 0; it hits a:1"]);
        assert_eq!(told(4).len(), 4);
        assert_eq!(told(9).last().map(String::as_str), Some("and 6 more places in it; it hits a:1"));
        assert_eq!(told(9).len(), 4);
    }
}
