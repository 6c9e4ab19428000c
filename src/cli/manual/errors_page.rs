//! `sealift-errors(7)`, from the table of codes.

use super::roff::{Apostrophes, Roff, bold, italic, roman};
use super::{MANUAL, program};
use crate::error::{Code, FAMILIES};

pub(super) fn source() -> String {
    let mut roff = Roff::new(Apostrophes::Bare);
    roff.request("TH", &["SEALIFT-ERRORS", "7", "", &program(), MANUAL]);
    roff.request("SH", &["NAME"]);
    roff.text([roman("sealift-errors - codes and exit numbers of sealift, and what to do")]);
    roff.request("SH", &["DESCRIPTION"]);
    roff.text([roman(
        "Every failure ends with a code and an exit number. Codes are stable: scripts may rely on names and numbers. Several \
         codes may share a number, which then stands for their family; a number that is not listed is a failure as well. With ",
    )]);
    roff.text([bold("--json"), roman(" the final object has code, exit, error, causes, remedy and details. ")]);
    roff.text([bold("sealift explain"), roman(" "), italic("CODE"), roman(" prints these pages from the binary.")]);
    for (exit, title) in FAMILIES {
        roff.request("SH", &[&format!("{exit}: {title}")]);
        Code::of_exit(*exit).into_iter().for_each(|code| section(&mut roff, code));
    }
    roff.request("SH", &["SEE ALSO"]);
    roff.text([bold("sealift"), roman("(1), "), bold("sealift-archive"), roman("(5), "), bold("sealift-security"), roman("(7)")]);
    roff.source()
}

fn section(roff: &mut Roff, code: Code) {
    let page = code.entry();
    roff.request("SS", &[page.name]);
    roff.text([roman(page.means)]);
    for why in page.why {
        roff.request("IP", &[r"\(bu", "2"]);
        roff.text([roman(why)]);
    }
    if !page.steps.is_empty() {
        roff.request("PP", &[]);
        roff.text([italic("What to do:")]);
    }
    for step in page.steps {
        roff.request("PP", &[]);
        match step.strip_prefix("$ ") {
            Some(command) => roff.command(command),
            None => roff.text([roman(step)]),
        };
    }
}
