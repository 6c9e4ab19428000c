//! A folder on disk as [`Files`].

use crate::fs::{Dir, FsError};
use crate::limits::FOLDER_DEPTH;
use crate::openshift::files::{Files, FilesError, Flow, Visit};
use std::io;

/// The files below a folder, sorted. Links are not followed, and neither they nor devices and pipes count as files.
#[derive(Clone, Debug)]
pub struct Folder(Dir);

impl Folder {
    /// Looks into that folder.
    pub fn new(dir: Dir) -> Folder {
        Folder(dir)
    }
}

impl Files for Folder {
    fn each(&self, wanted: &dyn Fn(&str) -> bool, visit: Visit<'_>) -> Result<(), FilesError> {
        below(&self.0, "", 0, wanted, visit).map(drop)
    }
}

fn below(dir: &Dir, path: &str, depth: usize, wanted: &dyn Fn(&str) -> bool, visit: Visit<'_>) -> Result<Flow, FilesError> {
    if depth > FOLDER_DEPTH {
        let error = io::Error::new(io::ErrorKind::InvalidData, format!("it lies more than {FOLDER_DEPTH} folders deep"));
        return Err(FsError::new("read folder", dir.path(), error).into());
    }
    for entry in dir.list()? {
        let path = if path.is_empty() { entry.name.clone() } else { format!("{path}/{}", entry.name) };
        let flow = match entry.regular {
            true if wanted(&path) => one(dir, &entry.name, &path, visit)?,
            true => Flow::Continue,
            false => match dir.open_sub(&entry.name) {
                Ok(sub) => below(&sub, &path, depth + 1, wanted, visit)?,
                Err(error) if is_no_folder(&error) => Flow::Continue,
                Err(error) => return Err(error.into()),
            },
        };
        if flow == Flow::Stop {
            return Ok(Flow::Stop);
        }
    }
    Ok(Flow::Continue)
}

fn one(dir: &Dir, name: &str, path: &str, visit: Visit<'_>) -> Result<Flow, FilesError> {
    let mut file = dir.open_file(name)?;
    file.read_in_sequence();
    visit(path, &mut file).map_err(|error| FilesError::Visitor { path: path.to_owned(), error })
}

/// A link, a device, a pipe: opening it as a folder says so.
fn is_no_folder(error: &FsError) -> bool {
    error.source.kind() == io::ErrorKind::NotADirectory
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn a_folder_is_read_in_order_and_not_left() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open(temp.path()).unwrap();
        dir.publish("b.yaml", b"b").unwrap();
        let sub = dir.make_sub("a").unwrap();
        sub.publish("c.json", b"c").unwrap();
        sub.publish(".indexignore", b"x").unwrap();
        std::os::unix::fs::symlink("/etc", temp.path().join("link")).unwrap();
        std::os::unix::fs::symlink("b.yaml", temp.path().join("l.yaml")).unwrap();
        let mut seen = Vec::new();
        let folder = Folder::new(dir);
        folder
            .each(&|path| path != "a/c.json", &mut |path, reader| {
                let mut text = String::new();
                reader.read_to_string(&mut text)?;
                seen.push((path.to_owned(), text));
                Ok(Flow::Continue)
            })
            .unwrap();
        assert_eq!(seen, [("a/.indexignore".to_owned(), "x".to_owned()), ("b.yaml".to_owned(), "b".to_owned())]);
        let mut count = 0;
        folder
            .each(&|_| true, &mut |_, _| {
                count += 1;
                Ok(Flow::Stop)
            })
            .unwrap();
        assert_eq!(count, 1);
        let refused = folder.each(&|_| true, &mut |_, _| Err(io::Error::other("no"))).unwrap_err();
        assert!(matches!(refused, FilesError::Visitor { ref path, .. } if path == "a/.indexignore"), "{refused}");
    }

    #[test]
    fn folders_without_end_are_refused() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(temp.path().join("a/".repeat(FOLDER_DEPTH + 2))).unwrap();
        let folder = Folder::new(Dir::open(temp.path()).unwrap());
        assert!(folder.each(&|_| true, &mut |_, _| Ok(Flow::Continue)).unwrap_err().to_string().contains("folders deep"));
    }
}
