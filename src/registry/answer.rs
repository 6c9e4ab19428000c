//! What a server's refusal means.

use super::error::{Answer, Error, Missing, Target};
use super::headers;
use crate::digest::Digest;
use crate::text::shown;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde_json::Value;
use std::sync::Arc;
use std::time::SystemTime;

/// What was being done when the answer came: the same status means different things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Ping {
        plain: bool,
    },
    /// A document by address, of no registry.
    Document,
    Token,
    Manifest,
    Blob,
    Tags,
    Upload,
    PutManifest {
        index: bool,
    },
    Delete,
    /// The product's own interface.
    Projects,
}

/// Characters of a server's words that are kept.
const WORDS: usize = 300;

/// Reads an error answer: the registries' JSON, other JSON, HTML or plain words.
pub(super) fn read(status: u16, headers: &HeaderMap, body: &[u8], from: Option<String>) -> Answer {
    let text = String::from_utf8_lossy(body);
    let (code, words) = match serde_json::from_slice::<Value>(body) {
        Ok(value) => from_json(&value),
        Err(_) => (None, plain(&text)),
    };
    let retry_after = headers.get(RETRY_AFTER).and_then(|v| v.to_str().ok()).and_then(|v| headers::retry_after(v, SystemTime::now()));
    let message = shown(&words.chars().take(WORDS).collect::<String>()).to_string();
    let code = code.map(|c| shown(&c.chars().take(64).collect::<String>()).to_string());
    Answer { status, code, message, from, digest: digest_in(&text), retry_after, pulls: headers::pull_limit(headers) }
}

/// `{"errors":[{code,message,detail}]}`, `{"details":"..."}`, `{"error":"..."}`, `{"message":"..."}`; update services: `{"kind","value"}`.
fn from_json(value: &Value) -> (Option<String>, String) {
    let Some(errors) = value.get("errors").and_then(Value::as_array) else {
        let words =
            ["message", "error_description", "details", "error", "detail", "value"].iter().filter_map(|k| value.get(k)).find_map(words_of);
        return (None, words.unwrap_or_default());
    };
    // A pull-through cache (distribution 2.8) wraps what its remote said: UNKNOWN, with the errors of the other in the detail.
    let wrapped = errors.iter().filter_map(|e| e.get("detail")?.get("errors")?.as_array()).flatten();
    let codes: Vec<&str> = errors.iter().chain(wrapped.take(8)).filter_map(|e| e.get("code")?.as_str()).collect();
    // distribution puts UNKNOWN first where it knows better further down.
    let code = codes.iter().find(|c| !c.eq_ignore_ascii_case("UNKNOWN")).or(codes.first());
    let mut words: Vec<String> = Vec::new();
    for error in errors.iter().take(8) {
        // Beside a refused login distribution lists what was asked for, as a document: the person knows that.
        let refused = error.get("code").and_then(Value::as_str).is_some_and(|code| matches!(code, "UNAUTHORIZED" | "DENIED"));
        for member in ["message", "detail"] {
            if refused && error.get(member).is_some_and(|value| value.is_array() || value.is_object()) {
                continue;
            }
            if let Some(text) = error.get(member).and_then(words_of)
                && !words.contains(&text)
            {
                words.push(text);
            }
        }
    }
    (code.map(|c| (*c).to_owned()), words.join("; "))
}

fn words_of(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(plain(text)).filter(|t| !t.is_empty()),
        Value::Object(map) if map.is_empty() => None,
        other => Some(other.to_string()),
    }
}

/// Text without HTML tags, white space joined.
fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for c in text.chars() {
        match c {
            '<' => inside = true,
            '>' if inside => {
                inside = false;
                out.push(' ');
            }
            c if !inside => out.push(c),
            _ => {}
        }
    }
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The first digest anywhere in the answer.
fn digest_in(text: &str) -> Option<Digest> {
    let start = text.find("sha256:")?;
    text.get(start..start + 71)?.parse().ok()
}

/// Makes an error of a refusal.
pub(super) fn classify(asked: Asked, target: &Arc<Target>, credentials_sent: bool, answer: Answer) -> Error {
    let target = target.clone();
    let code = answer.code.clone().unwrap_or_default();
    let status = answer.status;
    let answer = Box::new(answer);
    let pushing = matches!(asked, Asked::Upload | Asked::PutManifest { .. } | Asked::Delete | Asked::Projects);
    match status {
        429 => Error::RateLimited { target, answer },
        401 => Error::LoginRefused { target, credentials_sent, answer },
        // Who has shown a login and is known by it lacks the right, or the place has a policy or a quota: another login of the same
        // account changes nothing, whatever code the registry puts beside the status.
        403 if credentials_sent && asked != Asked::Token || pushing && code == "DENIED" => Error::Denied { target, answer },
        403 => Error::LoginRefused { target, credentials_sent, answer },
        400 if asked == Asked::Token => Error::LoginRefused { target, credentials_sent, answer },
        200..=407 | 409..=428 if matches!(asked, Asked::Ping { .. }) => {
            Error::NotARegistry { host: target.host.clone(), plain: asked == Asked::Ping { plain: true }, answer }
        }
        405 => Error::Unsupported { target, answer },
        413 => Error::TooLarge { target, answer },
        500 if matches!(asked, Asked::Manifest | Asked::Blob | Asked::Tags) && is_unknown(&code) => {
            Error::NotFound { what: missing(asked, &code), target, answer }
        }
        408 | 499 | 500..=599 => Error::Server { target, answer },
        _ if matches!(asked, Asked::PutManifest { .. }) => put_manifest(asked, target, &code, answer),
        404 => Error::NotFound { what: missing(asked, &code), target, answer },
        _ => Error::Refused { target, answer },
    }
}

/// Codes of what is not there. A pull-through cache says 500 for what its remote does not have.
fn is_unknown(code: &str) -> bool {
    matches!(code, "MANIFEST_UNKNOWN" | "BLOB_UNKNOWN" | "NAME_UNKNOWN")
}

fn missing(asked: Asked, code: &str) -> Missing {
    match asked {
        _ if code == "NAME_UNKNOWN" => Missing::Repository,
        Asked::Manifest | Asked::Delete => Missing::Manifest,
        Asked::Blob => Missing::Blob,
        _ => Missing::Repository,
    }
}

/// Refusals of a manifest. Quay and zot say MANIFEST_INVALID where others have a code of its own.
fn put_manifest(asked: Asked, target: Arc<Target>, code: &str, answer: Box<Answer>) -> Error {
    let index = asked == Asked::PutManifest { index: true };
    let words = answer.message.to_ascii_lowercase();
    let blob = matches!(code, "MANIFEST_BLOB_UNKNOWN" | "BLOB_UNKNOWN") || words.contains("unknown blob");
    let child = code == "MANIFEST_UNKNOWN" || words.contains("child manifest");
    match answer.status {
        _ if child || (blob && index) => Error::ChildMissing { target, answer },
        _ if blob => Error::BlobUnknown { target, answer },
        409 | 412 => Error::ImmutableTag { target, answer },
        400 if matches!(code, "TAG_IMMUTABLE" | "ImageTagAlreadyExistsException") => Error::ImmutableTag { target, answer },
        // Nexus with a redeploy policy has no code for it.
        400 if words.contains("does not allow updating assets") => Error::ImmutableTag { target, answer },
        400 if words.contains("request body too large") => Error::TooLarge { target, answer },
        404 => Error::NotFound { target, what: Missing::Repository, answer },
        _ => Error::Refused { target, answer },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        read(status, &HeaderMap::new(), body.as_bytes(), None)
    }

    fn meaning(asked: Asked, status: u16, body: &str) -> Error {
        let target = Arc::new(Target { host: "r.test".into(), repository: "a".into(), reference: "t".into() });
        classify(asked, &target, true, answer(status, body))
    }

    #[test]
    fn all_kinds_of_words_are_read() {
        let spec = answer(404, r#"{"errors":[{"code":"UNKNOWN"},{"code":"NAME_UNKNOWN","message":"no","detail":{"name":"a"}}]}"#);
        assert_eq!((spec.code.as_deref(), spec.message.as_str()), (Some("NAME_UNKNOWN"), r#"no; {"name":"a"}"#));
        let login =
            answer(401, r#"{"errors":[{"code":"UNAUTHORIZED","message":"login","detail":[{"Type":"repository","Action":"pull"}]}]}"#);
        assert_eq!(login.message, "login", "what was asked for is known");
        let told = answer(403, r#"{"errors":[{"code":"DENIED","message":"no","detail":"quota"}]}"#);
        assert_eq!(told.message, "no; quota");
        assert_eq!(answer(429, "<html><body><h1>429 Too\nMany</h1><hr>nginx</body></html>").message, "429 Too Many nginx");
        assert_eq!(answer(400, r#"{"error":"invalid_grant"}"#).message, "invalid_grant");
        assert_eq!(answer(400, r#"{"details":"why"}"#).message, "why");
        assert!(answer(500, &"x".repeat(100_000)).message.chars().count() <= 300);
        assert_eq!(answer(500, "\u{1b}[2J").message, "\\u{1b}[2J");
        let digest = Digest::sha256(b"x");
        assert_eq!(answer(400, &format!("Unknown blob `{digest}`")).digest, Some(digest));
        assert_eq!(answer(400, "sha256:12").digest, None);
        assert_eq!(answer(400, "sha256:ü").digest, None);
    }

    #[test]
    fn the_same_status_means_different_things() {
        let code = |c: &str| format!(r#"{{"errors":[{{"code":"{c}"}}]}}"#);
        let put = Asked::PutManifest { index: false };
        let index = Asked::PutManifest { index: true };
        assert!(matches!(meaning(put, 400, &code("MANIFEST_BLOB_UNKNOWN")), Error::BlobUnknown { .. }));
        assert!(matches!(meaning(index, 400, &code("MANIFEST_BLOB_UNKNOWN")), Error::ChildMissing { .. }));
        assert!(matches!(meaning(index, 404, &code("MANIFEST_UNKNOWN")), Error::ChildMissing { .. }));
        assert!(matches!(meaning(put, 409, &code("TAG_IMMUTABLE")), Error::ImmutableTag { .. }));
        assert!(matches!(meaning(put, 412, &code("PRECONDITION")), Error::ImmutableTag { .. }));
        assert!(matches!(meaning(Asked::Upload, 403, &code("DENIED")), Error::Denied { .. }));
        for body in [code("DENIED"), code("UNAUTHORIZED"), String::new()] {
            for asked in [Asked::Blob, Asked::Upload, put, Asked::Tags] {
                assert!(matches!(meaning(asked, 403, &body), Error::Denied { .. }), "{asked:?} {body}");
            }
            assert!(matches!(meaning(Asked::Token, 403, &body), Error::LoginRefused { .. }));
        }
        assert!(matches!(meaning(put, 400, "Repository does not allow updating assets: docker-hosted"), Error::ImmutableTag { .. }));
        assert!(matches!(meaning(Asked::Manifest, 404, &code("NAME_UNKNOWN")), Error::NotFound { what: Missing::Repository, .. }));
        assert!(matches!(meaning(Asked::Manifest, 404, ""), Error::NotFound { what: Missing::Manifest, .. }));
        assert!(matches!(meaning(Asked::Ping { plain: true }, 404, ""), Error::NotARegistry { plain: true, .. }));
        assert!(meaning(Asked::Blob, 503, "").is_transient());
        // What a pull-through cache says of what its remote does not have: nothing that asking again would change.
        let wrapped = r#"{"errors":[{"code":"UNKNOWN","message":"unknown error","detail":{"errors":[{"code":"MANIFEST_UNKNOWN"}]}}]}"#;
        assert!(matches!(meaning(Asked::Manifest, 500, wrapped), Error::NotFound { what: Missing::Manifest, .. }));
        assert!(matches!(meaning(put, 500, wrapped), Error::Server { .. }));
        assert!(meaning(Asked::Manifest, 500, &code("UNKNOWN")).is_transient());
        let foreign = r#"{"errors":[{"code":"UNKNOWN"},{"code":"UNKNOWN"},{"code":"MANIFEST_BLOB_UNKNOWN"}]}"#;
        assert!(!meaning(put, 500, foreign).is_transient());
    }
}
