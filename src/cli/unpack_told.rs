//! What `sealift unpack` tells: its plan, its progress, and how it ended.

use super::output::bytes;
use super::{Context, Outcome, carried};
use crate::archive::OpenSet;
use crate::error::{Code, Detail, Error};
use crate::format::Role;
use crate::text::{are, counted};
use crate::unpack::{Arrived, MediaTrouble, UnpackPlan, UnpackReport, WaitingImage};

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
            are(here)
        ));
    }
    let counts = &report.counts;
    ctx.output.line(&format!(
        "set {}: {} of {} {} in; {} uploaded in {}, {} mounted, {} already there",
        set.name(),
        report.done.len(),
        counted(report.done.len() + report.waiting.len() + report.failed.len(), "image"),
        are(report.done.len()),
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
        for damage in &report.damaged {
            let code = match damage.trouble {
                MediaTrouble::Damaged => Code::ContentDamaged,
                MediaTrouble::Unreadable => Code::MediumUnreadable,
            };
            let error = format!("{}; it hits {}", damage.why, damage.images.join(", "));
            self.damaged.push(Detail { subject: volume_name(set, damage.volume), code, error });
        }
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
        let (code, what) = if let Some(first) = self.damaged.first() {
            (first.code, "some content could not be read")
        } else if let Some(code) = first_failed {
            (code, "some images could not be pushed")
        } else if !self.awaited.is_empty() {
            (Code::MediaAwaited, "everything here is in; other volumes are still needed")
        } else if !self.kept.is_empty() {
            (Code::TagsKept, "all content is in; tags that a newer set wrote were left alone")
        } else {
            return Ok(outcome);
        };
        let error = Error::new(code, what);
        // The advice for the first refused image fits better than what is generally said of its code.
        let remedy = self.remedy.filter(|_| self.damaged.is_empty()).unwrap_or_else(|| error.remedy.clone());
        let details = [self.damaged, self.failed, self.awaited, self.kept].concat();
        Ok(outcome.but(Some(Error { details, remedy, ..error })))
    }
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
