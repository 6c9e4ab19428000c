//! `SEALIFT_FAULT`: how a test makes the world fail (debug builds only).
//!
//! Plans, several joined by `;`, look at operations written as `NAME SUBJECT`, for example `fs.rename /a/b` or `http PUT ...`:
//!
//! - `count:FILE` appends one line per operation to FILE
//! - `kill:PREFIX:N` ends the process, as by a power cut, at the N-th operation that begins with PREFIX
//! - `panic:PREFIX:N` panics there, `stop:PREFIX:N` sends SIGTERM to the process there, as Ctrl-C would
//! - `hurry` makes the waits between tries of a request a hundredth of what they are: as many tries, in less time
//! - `fail:PREFIX:N:ERRNO` makes the N-th fail with ENOSPC, EIO, EROFS, ENODEV or EACCES; `N+` means that one and all later ones

use crate::error::{Code, Error};
use crate::fault::{self, Hook};
use crate::registry::Timing;
use rustix::io::Errno;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};

enum Plan {
    Count(std::fs::File),
    Kill(Trigger),
    Panic(Trigger),
    Stop(Trigger),
    Fail(Trigger, Errno),
    Hurry,
}

/// The waits of registries' clients under the plans in `text`.
pub fn timing(text: Option<&str>) -> Timing {
    let usual = Timing::default();
    match text.is_some_and(|text| text.split(';').any(|plan| plan == HURRY)) {
        true => Timing { retry_base: usual.retry_base / 100, retry_cap: usual.retry_cap / 100, outage: usual.outage / 100, ..usual },
        false => usual,
    }
}

const HURRY: &str = "hurry";

/// When a plan strikes.
struct Trigger {
    prefix: String,
    from: u64,
    to: u64,
    seen: AtomicU64,
}

/// Installs the plans in `text` for the whole process.
///
/// # Errors
/// `USAGE` when it is not written as above, or the file of `count` cannot be opened.
pub fn install(text: &str) -> Result<(), Error> {
    fault::install(Some(hook(text)?));
    Ok(())
}

fn hook(text: &str) -> Result<Hook, Error> {
    let plans = text.split(';').map(parse).collect::<Result<Vec<Plan>, Error>>()?;
    Ok(Box::new(move |operation, subject| {
        let line = format!("{operation} {subject}");
        plans.iter().try_for_each(|plan| plan.meet(&line))
    }))
}

fn parse(text: &str) -> Result<Plan, Error> {
    let bad = || {
        Error::new(Code::Usage, format!("SEALIFT_FAULT is not understood: {text}"))
            .remedy("count:FILE, kill:PREFIX:N, panic:PREFIX:N, stop:PREFIX:N, fail:PREFIX:N:ERRNO or hurry")
    };
    if text == HURRY {
        return Ok(Plan::Hurry);
    }
    match text.split_once(':').ok_or_else(bad)? {
        ("count", path) => {
            let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
            file.map(Plan::Count).map_err(|e| bad().because(e))
        }
        ("kill", rest) => Trigger::parse(rest).map(Plan::Kill).ok_or_else(bad),
        ("panic", rest) => Trigger::parse(rest).map(Plan::Panic).ok_or_else(bad),
        ("stop", rest) => Trigger::parse(rest).map(Plan::Stop).ok_or_else(bad),
        ("fail", rest) => {
            let (trigger, errno) = rest.rsplit_once(':').ok_or_else(bad)?;
            Ok(Plan::Fail(Trigger::parse(trigger).ok_or_else(bad)?, named(errno).ok_or_else(bad)?))
        }
        _ => Err(bad()),
    }
}

fn named(errno: &str) -> Option<Errno> {
    Some(match errno {
        "ENOSPC" => Errno::NOSPC,
        "EIO" => Errno::IO,
        "EROFS" => Errno::ROFS,
        "ENODEV" => Errno::NODEV,
        "EACCES" => Errno::ACCESS,
        _ => return None,
    })
}

impl Trigger {
    /// `PREFIX:N` or `PREFIX:N+`.
    fn parse(text: &str) -> Option<Trigger> {
        let (prefix, number) = text.rsplit_once(':')?;
        let (number, later) = number.strip_suffix('+').map_or((number, false), |number| (number, true));
        let from = number.parse().ok()?;
        let to = if later { u64::MAX } else { from };
        (from > 0).then(|| Trigger { prefix: prefix.to_owned(), from, to, seen: AtomicU64::new(0) })
    }

    fn strikes(&self, line: &str) -> bool {
        line.starts_with(&self.prefix) && (self.from..=self.to).contains(&(self.seen.fetch_add(1, Ordering::SeqCst) + 1))
    }
}

/// The only panic written down in this program: what a defect looks like must be seen in a test.
#[allow(clippy::panic)]
fn fall(line: &str) -> ! {
    panic!("as SEALIFT_FAULT wants, at {line}")
}

impl Plan {
    fn meet(&self, line: &str) -> io::Result<()> {
        match self {
            Plan::Count(file) => (&*file).write_all(format!("{}\n", crate::text::sentence(line)).as_bytes()),
            Plan::Kill(trigger) if trigger.strikes(line) => {
                let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
                std::process::abort()
            }
            Plan::Panic(trigger) if trigger.strikes(line) => fall(line),
            Plan::Stop(trigger) if trigger.strikes(line) => signal_hook::low_level::raise(signal_hook::consts::SIGTERM),
            Plan::Fail(trigger, errno) if trigger.strikes(line) => Err((*errno).into()),
            Plan::Kill(_) | Plan::Panic(_) | Plan::Stop(_) | Plan::Fail(..) | Plan::Hurry => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nth_operation_fails_and_only_that() {
        let hook = hook("fail:fs.rename:2:ENOSPC;fail:http PUT:1+:EIO").unwrap();
        assert!(hook("fs.rename", "a").is_ok());
        assert!(hook("fs.create", "a").is_ok());
        assert_eq!(hook("fs.rename", "b").unwrap_err().raw_os_error(), Some(Errno::NOSPC.raw_os_error()));
        assert!(hook("fs.rename", "c").is_ok());
        assert!(hook("http", "GET x").is_ok());
        assert!(hook("http", "PUT x").is_err() && hook("http", "PUT y").is_err());
    }

    #[test]
    fn in_a_hurry_there_are_as_many_tries() {
        let (usual, hurried) = (timing(Some("count:hurry")), timing(Some("count:/f;hurry")));
        assert!(hook("hurry").unwrap()("http", "GET x").is_ok());
        assert_eq!((usual.tries, usual.stall), (hurried.tries, hurried.stall));
        assert_eq!(
            (usual.retry_base, usual.retry_cap, usual.outage),
            (hurried.retry_base * 100, hurried.retry_cap * 100, hurried.outage * 100)
        );
    }

    #[test]
    fn counting_writes_one_line_each() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("count");
        let hook = hook(&format!("count:{}", file.display())).unwrap();
        hook("fs.open", "/a\nb").unwrap();
        hook("http", "GET x").unwrap();
        assert_eq!(std::fs::read_to_string(file).unwrap(), "fs.open /a\\u{a}b\nhttp GET x\n");
    }

    #[test]
    fn what_is_not_a_plan_is_refused() {
        for bad in ["", "kill", "kill:fs", "kill:fs:0", "kill:fs:x", "fail:fs:1", "fail:fs:1:EWHAT", "count:/no/such/folder/x"] {
            assert!(hook(bad).is_err(), "{bad}");
        }
    }
}
