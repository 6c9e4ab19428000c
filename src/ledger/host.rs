//! What a state folder is called where several hosts write into one registry.

use super::LedgerError;
use crate::fs::{Dir, FsError};
use std::io;

const FILE: &str = "host";
const BYTES: u64 = 64;
const DIGITS: usize = 12;

/// The name of the host this state folder belongs to: twelve hexadecimal digits, drawn at the first call. It says nothing about
/// the host; a copied folder has it twice. A file that holds something else is replaced.
///
/// # Errors
/// The folder cannot be read or written, or the system gives no random numbers.
pub fn host_name(dir: &Dir) -> Result<String, LedgerError> {
    let _lock = dir.lock_waiting("host.lock")?;
    let known = dir.read_if_there(FILE, BYTES)?.and_then(|bytes| String::from_utf8(bytes).ok());
    if let Some(name) = known.map(|text| text.trim_end().to_owned()).filter(|name| is_name(name)) {
        return Ok(name);
    }
    let number = getrandom::u64().map_err(|e| FsError::new("draw a name for", dir.join(FILE), io::Error::other(e)))?;
    let name: String = format!("{number:016x}").chars().take(DIGITS).collect();
    dir.publish_mode(FILE, format!("{name}\n").as_bytes(), 0o600)?;
    Ok(name)
}

fn is_name(text: &str) -> bool {
    text.len() == DIGITS && text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_keeps_its_name_and_has_no_other_folders() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (one, two) = (Dir::open(one.path()).unwrap().durable(false), Dir::open(two.path()).unwrap().durable(false));
        let name = host_name(&one).unwrap();
        assert!(is_name(&name) && crate::oci::is_tag(&name), "{name}");
        assert_eq!(host_name(&one).unwrap(), name);
        assert_ne!(host_name(&two).unwrap(), name);
        for broken in ["", "../../etc", "0123456789AB", "0123456789abc"] {
            one.publish(FILE, broken.as_bytes()).unwrap();
            assert!(is_name(&host_name(&one).unwrap()), "{broken}");
        }
    }
}
