//! Headers whose values have a grammar of their own.

use super::error::PullLimit;
use reqwest::header::{HeaderMap, LINK};
use std::time::{Duration, SystemTime};

/// `Retry-After`: seconds or an HTTP date (RFC 9110, section 10.2.3). A date in the past means now.
pub(super) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u32>() {
        return Some(Duration::from_secs(u64::from(seconds)));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or(Duration::ZERO))
}

/// The next page, by whichever `Link` header of an answer names it: proxies and stores add some of their own.
pub(super) fn next_page(headers: &HeaderMap) -> Option<String> {
    headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok()).find_map(next_link)
}

/// The target of `rel=next` in a `Link` header (RFC 8288), quoted or bare.
fn next_link(value: &str) -> Option<String> {
    let mut rest = value;
    while let Some((_, behind)) = rest.split_once('<') {
        let (target, behind) = behind.split_once('>')?;
        let (params, next) = behind.split_once(",").map_or((behind, ""), |(p, n)| (p, n));
        let is_next = params.split(';').any(|param| {
            let Some((name, value)) = param.split_once('=') else { return false };
            name.trim().eq_ignore_ascii_case("rel")
                && value.trim().trim_matches('"').split_whitespace().any(|word| word.eq_ignore_ascii_case("next"))
        });
        if is_next {
            return Some(target.trim().to_owned());
        }
        rest = next;
    }
    None
}

/// `Content-Range: bytes FIRST-LAST/TOTAL` (RFC 9110, section 14.4); TOTAL may be `*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ContentRange {
    pub first: u64,
    pub last: u64,
    pub total: Option<u64>,
}

impl ContentRange {
    pub fn parse(value: &str) -> Option<ContentRange> {
        let (unit, rest) = value.trim().split_once(' ')?;
        let (range, total) = rest.trim().split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let total = match total.trim() {
            "*" => None,
            number => Some(number.parse().ok()?),
        };
        let range = ContentRange { first: first.trim().parse().ok()?, last: last.trim().parse().ok()?, total };
        (unit.eq_ignore_ascii_case("bytes") && range.first <= range.last).then_some(range)
    }

    /// True when this is the rest of a blob of `size` bytes from `offset` on.
    pub fn continues(&self, offset: u64, size: u64) -> bool {
        self.first == offset && self.last < size && self.total.is_none_or(|t| t == size)
    }
}

/// How many bytes an upload has, of `Range: 0-LAST` in the answer to its status request. Quay writes `bytes=0-COUNT`. `0-0` may mean
/// one byte or none and says nothing.
pub(super) fn upload_range(value: &str) -> Option<u64> {
    let value = value.trim();
    let (counts, range) = value.strip_prefix("bytes=").map_or((false, value), |range| (true, range));
    let last: u64 = range.strip_prefix("0-")?.parse().ok().filter(|last| *last > 0)?;
    if counts { Some(last) } else { last.checked_add(1) }
}

/// `ratelimit-limit: 100;w=21600` and `ratelimit-remaining: 76;w=21600` (Docker Hub, "Usage and limits"): a count, and the seconds
/// it is counted in. Both, or nothing is limited.
pub(super) fn pull_limit(headers: &HeaderMap) -> Option<PullLimit> {
    let read = |name: &str| -> Option<(u64, Option<u64>)> {
        let mut parts = headers.get(name)?.to_str().ok()?.split(';').map(str::trim);
        let count = parts.next()?.parse().ok()?;
        Some((count, parts.find_map(|part| part.strip_prefix("w=")).and_then(|seconds| seconds.parse().ok())))
    };
    let ((limit, window), (remaining, other)) = (read("ratelimit-limit")?, read("ratelimit-remaining")?);
    Some(PullLimit { limit, remaining, window: Duration::from_secs(window.or(other)?) })
}

/// The text of `Warning: 299 - "text"` (distribution specification, "Warnings").
pub(super) fn warning(value: &str) -> Option<String> {
    let text = value.trim().strip_prefix("299")?.trim_start();
    let (_, text) = text.split_once(' ')?;
    let text = text.trim();
    let text = text.strip_prefix('"').map_or(text, |t| t.strip_suffix('"').unwrap_or(t)).replace("\\\"", "\"");
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_seconds_or_dates() {
        let now = httpdate::parse_http_date("Sat, 21 Nov 2026 08:00:00 GMT").unwrap();
        assert_eq!(retry_after(" 7 ", now), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("Sat, 21 Nov 2026 08:01:00 GMT", now), Some(Duration::from_secs(60)));
        assert_eq!(retry_after("Sat, 21 Nov 2026 07:01:00 GMT", now), Some(Duration::ZERO));
        for bad in ["", "soon", "-1", "1.5", "99999999999999999999"] {
            assert_eq!(retry_after(bad, now), None, "{bad}");
        }
    }

    #[test]
    fn only_what_an_upload_says_clearly_is_believed() {
        assert_eq!((upload_range("0-1048575"), upload_range("bytes=0-1048576")), (Some(1 << 20), Some(1 << 20)));
        for unclear in ["0-0", "bytes=0-0", "bytes=0--1", "", "0", "5-9", "0-x", "0-18446744073709551615", "bytes 0-5/9"] {
            assert_eq!(upload_range(unclear), None, "{unclear}");
        }
    }

    #[test]
    fn pulls_are_counted_where_both_headers_say_so() {
        let read = |limit: &str, remaining: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("ratelimit-limit", limit.parse().unwrap());
            headers.insert("RateLimit-Remaining", remaining.parse().unwrap());
            pull_limit(&headers)
        };
        let found = read("100;w=21600", "76;w=21600").unwrap();
        assert_eq!((found.limit, found.remaining, found.window.as_secs()), (100, 76, 21600));
        assert_eq!(found.to_string(), "76 of 100 pulls in 6 h are left");
        assert_eq!(read("100;w=90", " 0 ").unwrap().to_string(), "0 of 100 pulls in 2 min are left");
        for (limit, remaining) in [("100", "76"), ("x;w=1", "1;w=1"), ("-1;w=1", "1"), ("", "1;w=1"), ("100;w=x", "1")] {
            assert_eq!(read(limit, remaining), None, "{limit} {remaining}");
        }
        assert_eq!(pull_limit(&HeaderMap::new()), None);
    }

    #[test]
    fn links_are_quoted_or_bare() {
        let next = Some("/v2/a/tags/list?n=2&last=b".to_owned());
        assert_eq!(next_link("</v2/a/tags/list?n=2&last=b>; rel=\"next\""), next);
        assert_eq!(next_link("</v2/a/tags/list?n=2&last=b>;rel=next"), next);
        assert_eq!(next_link("<x>; rel=prev, </v2/a/tags/list?n=2&last=b>; title=t; REL=\"last next\""), next);
        for bad in ["", "<x", "<x>; rel=previous", "<x>", "rel=next", "<<<", "<>;rel"] {
            assert_eq!(next_link(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_next_page_may_be_in_any_link() {
        let mut headers = HeaderMap::new();
        headers.append("link", "</style.css>; rel=preload".parse().unwrap());
        assert_eq!(next_page(&headers), None);
        headers.append("link", "</v2/a/tags/list?last=b>; rel=next".parse().unwrap());
        assert_eq!(next_page(&headers).as_deref(), Some("/v2/a/tags/list?last=b"));
    }

    #[test]
    fn only_the_right_range_continues() {
        let range = ContentRange::parse("bytes 5-9/10").unwrap();
        assert!(range.continues(5, 10) && !range.continues(4, 10) && !range.continues(5, 11) && !range.continues(5, 9));
        assert!(ContentRange::parse("Bytes 5-9/*").unwrap().continues(5, 10));
        for bad in ["", "bytes */10", "bytes 9-5/10", "bytes 5-9", "lines 5-9/10", "bytes 5-9/x", "bytes=5-9/10"] {
            assert_eq!(ContentRange::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn warnings_have_a_text() {
        assert_eq!(warning("299 - \"say \\\"no\\\"\""), Some("say \"no\"".to_owned()));
        assert_eq!(warning("199 - \"old\""), None);
        assert_eq!(warning("299"), None);
    }
}
