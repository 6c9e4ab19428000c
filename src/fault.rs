//! Places where tests may make the world fail.
//!
//! Every operation on files and every HTTP request passes [`point`] first. In a release build that is nothing
//! at all; in a debug build a test can count the operations, end the process after the n-th, or make one fail
//! as a full disk, a dying drive or an unplugged medium would.

use std::io;
use std::path::Path;

/// What a fault plan decides for one operation.
#[cfg(debug_assertions)]
pub type Hook = Box<dyn Fn(&str, &str) -> io::Result<()> + Send + Sync>;

#[cfg(debug_assertions)]
static HOOK: std::sync::RwLock<Option<Hook>> = std::sync::RwLock::new(None);

/// Installs a fault plan for the whole process (debug builds only); `None` removes it.
/// The plan is given the name of the operation (`fs.rename`, `http`) and its subject (a path, a URL).
#[cfg(debug_assertions)]
pub fn install(hook: Option<Hook>) {
    if let Ok(mut slot) = HOOK.write() {
        *slot = hook;
    }
}

/// Announces an operation; an error is what the operation shall seem to have answered.
#[inline]
pub fn point(operation: &str, subject: &str) -> io::Result<()> {
    #[cfg(debug_assertions)]
    if let Ok(slot) = HOOK.read()
        && let Some(hook) = slot.as_ref()
    {
        return hook(operation, subject);
    }
    let _ = (operation, subject);
    Ok(())
}

/// [`point`] for an operation on a file.
#[inline]
pub fn at(operation: &str, path: &Path) -> io::Result<()> {
    #[cfg(debug_assertions)]
    return point(operation, &path.to_string_lossy());
    #[cfg(not(debug_assertions))]
    {
        let _ = (operation, path);
        Ok(())
    }
}
