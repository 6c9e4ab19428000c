//! What this program made in a workspace itself, noted: a plan that says so of an image proves nothing.

use super::{Error, Layout};
use crate::digest::Digest;
use crate::fs::Trouble;

/// One empty file for each image, beside the blobs (OCI image specification, "Image Layout": other content may be there).
const FOLDER: &str = "made";

impl Layout {
    /// Notes that the image with this root was made here, of this base.
    ///
    /// # Errors
    /// As files fail.
    pub fn note_made(&self, root: &Digest, base: Option<&str>) -> Result<(), Error> {
        if !self.was_made(root, base)? {
            self.root.make_sub(FOLDER)?.publish(&note(root, base), b"")?;
        }
        Ok(())
    }

    /// Whether [`Layout::note_made`] was told of it.
    ///
    /// # Errors
    /// As files fail.
    pub fn was_made(&self, root: &Digest, base: Option<&str>) -> Result<bool, Error> {
        match self.root.open_sub(FOLDER) {
            Ok(folder) => Ok(folder.size_of(&note(root, base))?.is_some()),
            Err(e) if e.trouble() == Trouble::Absent => Ok(false),
            Err(e) => Err(e.into()),
        }
    }
}

/// A name for the pair: one image may be made of two bases.
fn note(root: &Digest, base: Option<&str>) -> String {
    Digest::sha256(format!("{root}\n{}", base.unwrap_or_default()).as_bytes()).hex()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_is_known_with_its_base() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("workspace");
        let (layout, root) = (Layout::create(&path).unwrap(), Digest::sha256(b"root"));
        assert!(!layout.was_made(&root, None).unwrap());
        for _ in 0..2 {
            layout.note_made(&root, Some("quay.io/base@x")).unwrap();
        }
        let again = Layout::create(&path).unwrap();
        assert!(again.was_made(&root, Some("quay.io/base@x")).unwrap());
        assert!(!again.was_made(&root, None).unwrap() && !again.was_made(&root, Some("quay.io/other@x")).unwrap());
        assert!(!again.was_made(&Digest::sha256(b"other"), Some("quay.io/base@x")).unwrap());
    }
}
