//! Where a passphrase comes from: a file, the environment, or the terminal. Never an argument: those are seen by every user.

use super::Context;
use super::environment::Secret;
use crate::error::{Code, Error};
use crate::{fs, limits};
use std::io::{self, Read};
use std::path::Path;
use zeroize::Zeroizing;

/// Asks the person at the terminal; what is typed is not shown.
pub type Ask = Box<dyn Fn(&str) -> io::Result<String> + Send + Sync>;

/// The passphrase of a key: from `file` when one is given, else SEALIFT_PASSPHRASE, else the terminal.
///
/// # Errors
/// `USAGE` when there is none of the three; what reading the file or the terminal fails with.
pub fn passphrase(ctx: &Context, file: Option<&Path>, of: &str) -> Result<Secret, Error> {
    if let Some(secret) = given(ctx, file)? {
        return Ok(secret);
    }
    ask(ctx, &format!("Passphrase of {of}: "))
}

/// A passphrase for a key that is being made; asked for twice on the terminal, and not empty.
///
/// # Errors
/// As [`passphrase`]; `USAGE` when it is empty or the two differ.
pub fn new_passphrase(ctx: &Context, file: Option<&Path>, of: &str) -> Result<Secret, Error> {
    let secret = match given(ctx, file)? {
        Some(secret) => secret,
        None => {
            let first = ask(ctx, &format!("New passphrase of {of}: "))?;
            if ask(ctx, "Once more: ")?.expose() != first.expose() {
                return Err(Error::new(Code::Usage, "the two passphrases differ").remedy("run the command again"));
            }
            first
        }
    };
    match secret.expose().is_empty() {
        true => Err(Error::new(Code::Usage, "the passphrase is empty").remedy("leave out --with-passphrase for a key without one")),
        false => Ok(secret),
    }
}

fn given(ctx: &Context, file: Option<&Path>) -> Result<Option<Secret>, Error> {
    match file {
        Some(file) => first_line(file).map(Some),
        None => Ok(ctx.environment.passphrase.clone()),
    }
}

fn ask(ctx: &Context, question: &str) -> Result<Secret, Error> {
    let Some(ask) = &ctx.ask else {
        return Err(Error::new(Code::Usage, "the key needs a passphrase and there is no terminal to ask for it")
            .remedy("give --passphrase-file FILE or set SEALIFT_PASSPHRASE"));
    };
    ask(&crate::text::sentence(question).to_string())
        .map(Secret::new)
        .map_err(|e| Error::new(Code::Usage, "the passphrase could not be read from the terminal").because(e))
}

/// The first line without its end. The file is read as bytes are needed and the buffer wiped.
fn first_line(path: &Path) -> Result<Secret, Error> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(limits::KEY_BYTES as usize));
    let file = fs::File::open_path(path)?;
    file.take(limits::KEY_BYTES).read_to_end(&mut bytes).map_err(|e| fs::FsError::from_io(e, "read", path))?;
    let line = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match std::str::from_utf8(line) {
        Ok(text) => Ok(Secret::new(text.to_owned())),
        Err(_) => Err(Error::new(Code::Usage, format!("{} does not begin with a line of text", path.display()))
            .remedy("put the passphrase on the first line of the file, in UTF-8")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::context;

    #[test]
    fn the_file_wins_over_the_environment_over_the_terminal() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("p");
        std::fs::write(&file, "from file\r\nsecond").unwrap();
        let mut ctx = context();
        ctx.ask = Some(Box::new(|_| Ok("typed".into())));
        assert_eq!(passphrase(&ctx, None, "site").unwrap().expose(), "typed");
        ctx.environment.passphrase = Some(Secret::new("set".into()));
        assert_eq!(passphrase(&ctx, None, "site").unwrap().expose(), "set");
        assert_eq!(passphrase(&ctx, Some(&file), "site").unwrap().expose(), "from file");
        assert!(passphrase(&ctx, Some(&temp.path().join("absent")), "site").is_err());
    }

    #[test]
    fn without_terminal_it_says_how() {
        let error = passphrase(&context(), None, "site").unwrap_err();
        assert_eq!(error.code, Code::Usage);
        assert!(error.remedy.contains("--passphrase-file"));
    }

    #[test]
    fn a_new_one_is_typed_twice() {
        let mut ctx = context();
        ctx.ask = Some(Box::new(|question| Ok(question.to_owned())));
        assert_eq!(new_passphrase(&ctx, None, "site").unwrap_err().code, Code::Usage);
        ctx.ask = Some(Box::new(|_| Ok(String::new())));
        assert!(new_passphrase(&ctx, None, "site").unwrap_err().what.contains("empty"));
        ctx.ask = Some(Box::new(|_| Ok("same".into())));
        assert_eq!(new_passphrase(&ctx, None, "site").unwrap().expose(), "same");
    }
}
