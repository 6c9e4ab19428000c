//! What became of an upload that broke off: how much of it the registry has, and whether it is there after all.

use super::super::error::Error;
use super::super::headers;
use super::{Failure, Step, Upload};
use crate::blob::BlobSink as _;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, RANGE};
use std::time::{Duration, Instant};

/// Questions over a broken line how much of an upload arrived, before it is begun anew.
const STILL_BROKEN: u32 = 5;
/// Looks at whether a blob arrived although the answer did not.
const LOOKS: u32 = 3;
/// Bytes a registry may need all of its time for: about 5 MB in a second.
const GIANT: u64 = 4 << 30;

impl Upload<'_> {
    /// Asks how much of the broken upload the registry has. A line that is still broken is a failure, and the upload is kept: it is
    /// asked for again after a while.
    pub(super) fn look(&mut self) -> Result<(), Error> {
        (self.stands_at, self.unasked) = (None, false);
        if self.no_resume {
            return Ok(());
        }
        let own = self.session.as_ref().is_some_and(|session| session.own);
        match self.standing() {
            Ok(at) => self.stands_at = at,
            // Nothing can be begun over such a line either, unless it leads elsewhere.
            Err(error @ Error::Unreachable { .. }) if own && self.looks < STILL_BROKEN => {
                (self.unasked, self.looks) = (true, self.looks + 1);
                return Err(error);
            }
            Err(Error::Unreachable { .. }) => self.no_resume = true,
            Err(_) => {}
        }
        self.looks = 0;
        Ok(())
    }

    /// How much of the broken upload the registry has (distribution specification, "Pushing a blob in chunks", status request). `None`
    /// where it has forgotten the upload, or does not say so that it can be believed. The digest at the end judges in any case.
    fn standing(&mut self) -> Result<Option<u64>, Error> {
        let (url, own) = self.here()?;
        let mut call = self.call(Method::GET, url, own);
        call.headers.remove(CONTENT_TYPE);
        let reply = self.admitted(&mut call)?;
        let at = reply.header(RANGE).and_then(headers::upload_range).filter(|_| reply.response.status() == 204);
        self.go_on(reply)?;
        Ok(at.filter(|at| *at <= self.blob.size))
    }

    /// When the answer to the last step was lost the blob may well be there: distribution commits what it has read.
    pub(super) fn arrived(&self, failure: &Failure) -> Result<bool, Error> {
        let lost = matches!(failure.error, Error::Unreachable { .. } | Error::Stalled { .. } | Error::Server { .. });
        if failure.step != Step::Commit || !lost {
            return Ok(false);
        }
        let slow = matches!(&failure.error, Error::Stalled { .. }) || failure.error.answer().is_some_and(|a| a.status == 504);
        let (timing, host) = (&self.core.options.timing, &self.repository.host);
        let (begun, patience) = (Instant::now(), moving(timing.commit, self.blob.size));
        let mut wait = timing.retry_base;
        for look in 1.. {
            if self.repository.has(self.blob)? {
                return Ok(true);
            }
            if !slow || look >= LOOKS && begun.elapsed() >= patience {
                break;
            }
            wait = wait.saturating_mul(2).min(timing.retry_cap);
            if look >= LOOKS {
                let left = patience.saturating_sub(begun.elapsed()).as_secs().max(1);
                self.core.tell(host, false, || format!("{}; looking for up to {left} s whether it arrives", failure.error));
            }
            self.repository.wait(self.core.sleep(wait))?;
        }
        Ok(false)
    }
}

/// How long a registry may go on moving a blob after the answer was lost: for the largest as long as for the answer itself.
fn moving(commit: Duration, size: u64) -> Duration {
    commit.mul_f64((size as f64 / GIANT as f64).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_blobs_are_waited_for_longer() {
        let quarter = Duration::from_secs(15 * 60);
        assert_eq!(moving(quarter, 0), Duration::ZERO);
        assert_eq!(moving(quarter, 1 << 30), quarter / 4);
        assert_eq!((moving(quarter, 4 << 30), moving(quarter, u64::MAX)), (quarter, quarter));
    }
}
