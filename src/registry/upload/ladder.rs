//! Which way a blob is sent, and which comes next when one is refused or breaks.

use super::super::error::Error;
use super::{Failure, Step, Upload};

/// First size of pieces after a 413; halves with each further one.
pub(super) const PIECE: u64 = 4 << 20;
/// Smallest piece tried.
const PIECE_MIN: u64 = 16 << 10;
/// So many pieces pass where a proxy has no mind to refuse them; fewer may have come through another proxy than the one that does.
const PASSED: u32 = 16;
/// How often a body may break off before it goes in pieces.
const BREAKS: u32 = 2;

/// How a blob is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// POST, PATCH(body), PUT.
    Patch,
    /// POST, PUT(body).
    Put,
    /// POST, PATCH(piece) ..., PUT; pieces of this size.
    Pieces(u64),
}

impl Upload<'_> {
    /// Chooses another way of sending where this one was refused; false where there is none.
    pub(super) fn other_way(&mut self, failure: &Failure) -> bool {
        let sending = failure.step != Step::Start;
        let refused = matches!(failure.error, Error::NotFound { .. } | Error::Unsupported { .. } | Error::Refused { .. });
        // The upload was forgotten since, or is not where the registry said. This tells nothing about ways of sending.
        if self.resumed && sending && refused && !self.no_resume {
            self.no_resume = true;
            return true;
        }
        let next = match (&failure.error, self.way) {
            // Bodies of this size pass: the blob itself is too large, and would be in smaller pieces.
            (Error::TooLarge { .. }, Way::Pieces(_)) if self.passed >= PASSED => None,
            (Error::TooLarge { .. }, Way::Pieces(size)) if sending => Some(size / 2),
            (Error::TooLarge { .. }, _) if sending => Some(PIECE.min(self.blob.size.next_power_of_two() / 2)),
            (_, Way::Patch) if refused && failure.step == Step::Send => {
                self.way = Way::Put;
                return true;
            }
            // Pieces were only an attempt to get through; this registry takes whole bodies or nothing.
            (_, Way::Pieces(_)) if refused && sending && self.breaks > 0 => {
                (self.way, self.stands_at) = (Way::Patch, None);
                return !std::mem::replace(&mut self.no_pieces, true);
            }
            _ => None,
        };
        let Some(size) = next.filter(|size| *size >= PIECE_MIN) else { return false };
        self.way = Way::Pieces(size);
        true
    }

    /// Waits for another try of the whole upload, or gives the failure back.
    pub(super) fn again(&mut self, failure: Failure, further: bool) -> Result<(), Error> {
        // Also where the upload is kept: some registries keep whole pieces only.
        if self.breaks >= BREAKS && !further && !self.unasked && !self.no_pieces && failure.step == Step::Send {
            let half = match self.way {
                Way::Pieces(size) => size / 2,
                _ => PIECE.min(self.blob.size.next_power_of_two() / 2),
            };
            self.way = if half >= PIECE_MIN { Way::Pieces(half) } else { self.way };
        }
        // The request that opens an upload has had all of its own tries: the square of them would be minutes of silence.
        if failure.step == Step::Start {
            return Err(failure.error);
        }
        let tries = self.core.options.timing.tries;
        let code = failure.error.answer().and_then(|a| a.code.as_deref()).unwrap_or_default();
        // Sessions are lost by restarts and by replicas that do not share them; bytes are damaged on the way.
        let session_lost = matches!(code, "BLOB_UPLOAD_INVALID" | "BLOB_UPLOAD_UNKNOWN" | "DIGEST_INVALID");
        if session_lost && self.failed < tries.min(3) {
            return self.repository.wait(self.core.sleep(self.core.options.timing.retry_base));
        }
        self.repository.wait(self.core.after(&self.repository.host, failure.error, self.failed, tries))
    }
}
