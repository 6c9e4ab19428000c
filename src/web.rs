//! Small documents by address: update graphs, release signatures, chart indexes. Registries are spoken to elsewhere.
//!
//! Only the face is here; [`crate::registry::Client`] implements it with the proxies, certificates and retries it has anyway.

/// A request for one document.
#[derive(Clone, Debug)]
pub struct Get<'a> {
    /// `http://` or `https://` address.
    pub url: &'a str,
    /// `Accept`; empty: anything.
    pub accept: &'a str,
    /// The most bytes that are taken.
    pub limit: u64,
    /// True where the login of the host in the credentials file may be sent along (chart repositories, stores of signatures), never to another host.
    pub login: bool,
}

/// What came instead of the document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebError {
    /// The text is no address of this kind.
    #[error("{0:?} is not an http or https address")]
    Url(String),
    /// 404 or 410.
    #[error("{0} does not exist")]
    NotFound(String),
    /// 401 or 403.
    #[error("{url} refuses: {status}{words}")]
    Refused {
        /// Without query and login.
        url: String,
        /// Status code.
        status: u16,
        /// What the server said, shortened; begins with `: ` when not empty.
        words: String,
    },
    /// Any other status, after retries.
    #[error("{url} answers {status}{words}")]
    Status {
        /// Without query and login.
        url: String,
        /// Status code.
        status: u16,
        /// What the server said, shortened; begins with `: ` when not empty.
        words: String,
    },
    /// No answer, after retries.
    #[error("{url} cannot be reached: {why}")]
    Unreachable {
        /// Without query and login.
        url: String,
        /// The causes, joined.
        why: String,
    },
    /// Longer than the request allows.
    #[error("{url} is longer than {limit} bytes")]
    TooLong {
        /// Without query and login.
        url: String,
        /// The most bytes.
        limit: u64,
    },
    /// The person asked to stop.
    #[error("interrupted")]
    Cancelled,
}

/// Gets documents.
pub trait Web: Sync {
    /// The whole document: status 200, at most [`Get::limit`] bytes.
    ///
    /// # Errors
    /// [`WebError`]; transient failures have been retried.
    fn get(&self, request: &Get<'_>) -> Result<Vec<u8>, WebError>;
}
