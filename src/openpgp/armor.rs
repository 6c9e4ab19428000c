//! Keys as text (RFC 9580, section 6.2), with whatever stands around them.
//!
//! The check sum at the end is not looked at (section 6.1 forbids to refuse for it): a key is believed for its fingerprint.

use super::KeyProblem;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const DASHES: &str = "-----";

/// The packets of all keys in a file, which may be binary.
pub(super) fn keys(file: &[u8]) -> Result<Vec<Vec<u8>>, KeyProblem> {
    // Every packet begins with a byte that no text begins with.
    if file.first().is_some_and(|first| first & 0x80 != 0 && !file.starts_with(b"\xef\xbb\xbf")) {
        return Ok(vec![file.to_vec()]);
    }
    let text = String::from_utf8_lossy(file);
    let mut lines = text.lines().map(str::trim);
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        let Some(title) = line.strip_prefix("-----BEGIN PGP ").and_then(|l| l.strip_suffix(DASHES)) else { continue };
        match title {
            "PUBLIC KEY BLOCK" => found.push(block(&mut lines)?),
            "PRIVATE KEY BLOCK" => return Err(KeyProblem::Private),
            _ => {}
        }
    }
    if found.is_empty() { Err(KeyProblem::NoKey) } else { Ok(found) }
}

/// One block: `Name: value` lines, an empty line, base64, a check sum, the end.
fn block<'t>(lines: &mut impl Iterator<Item = &'t str>) -> Result<Vec<u8>, KeyProblem> {
    let mut data = String::new();
    for line in lines {
        match line {
            "-----END PGP PUBLIC KEY BLOCK-----" => return STANDARD.decode(data).map_err(|_| KeyProblem::Damaged),
            line if line.starts_with(DASHES) => break,
            line if data.is_empty() && line.contains(':') => {}
            line if line.starts_with('=') => {}
            line => data.push_str(line),
        }
    }
    Err(KeyProblem::Damaged)
}
