//! Which part of a blob is wanted (RFC 9110, section 14), and where a piece of an upload begins.

/// What a `Range` header asks of `size` bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Everything: no range, or one that may be ignored (another unit, several ranges).
    All,
    /// First byte and number of bytes, which is not zero.
    Part(u64, u64),
    /// Nothing that is there.
    Outside,
}

/// Reads a `Range` header.
pub(super) fn wanted(header: Option<&str>, size: u64) -> Wanted {
    let Some(set) = header.and_then(|text| text.trim().strip_prefix("bytes=")) else { return Wanted::All };
    // Several ranges would need a multipart answer, which clients of registries do not read.
    let (Some((first, last)), false) = (set.split_once('-'), set.contains(',')) else { return Wanted::All };
    let (first, last) = (first.trim(), last.trim());
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().unwrap_or(u64::MAX));
    match (first.is_empty(), number(first), last.is_empty(), number(last)) {
        (true, _, false, Some(n)) if n > 0 && size > 0 => {
            let n = n.min(size);
            Wanted::Part(size - n, n)
        }
        (true, _, false, Some(_)) => Wanted::Outside,
        (false, Some(first), true, _) if first < size => Wanted::Part(first, size - first),
        (false, Some(first), false, Some(last)) if first < size && first <= last => Wanted::Part(first, last.min(size - 1) - first + 1),
        (false, Some(_), _, Some(_)) => Wanted::Outside,
        _ => Wanted::All,
    }
}

/// First and last byte of a piece (`Content-Range: FIRST-LAST`, distribution specification, "Pushing a blob in chunks"); a prefix
/// `bytes` and a total, which RFC 9110 wants, are admitted. `None` for anything else.
pub(super) fn piece(header: &str) -> Option<(u64, u64)> {
    let text = header.trim();
    let text = text.strip_prefix("bytes").map_or(text, |rest| rest.trim_start_matches(['=', ' ']));
    let text = text.split('/').next()?;
    let (first, last) = text.split_once('-')?;
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (header, size, found) in [
            ("bytes=500-1499", 2000, Wanted::Part(500, 1000)),
            ("bytes=500-", 2000, Wanted::Part(500, 1500)),
            ("bytes=-500", 2000, Wanted::Part(1500, 500)),
            ("bytes=-5000", 2000, Wanted::Part(0, 2000)),
            ("bytes=0-0", 2000, Wanted::Part(0, 1)),
            ("bytes=1999-99999999999999999999999", 2000, Wanted::Part(1999, 1)),
            ("bytes=500-0", 2000, Wanted::Outside),
            ("bytes=5000-10000", 2000, Wanted::Outside),
            ("bytes=2000-", 2000, Wanted::Outside),
            ("bytes=-0", 2000, Wanted::Outside),
            ("bytes=0-", 0, Wanted::Outside),
            ("bytes=0-1,5-6", 2000, Wanted::All),
            ("bytes=a-b", 2000, Wanted::All),
            ("lines=1-2", 2000, Wanted::All),
        ] {
            assert_eq!(wanted(Some(header), size), found, "{header}");
        }
        assert_eq!(wanted(None, 5), Wanted::All);
    }

    #[test]
    fn pieces() {
        for (header, found) in
            [("0-99", Some((0, 99))), ("bytes 5-9/10", Some((5, 9))), ("bytes=5-9", Some((5, 9))), ("9-5", None), ("-5", None), ("", None)]
        {
            assert_eq!(piece(header), found, "{header}");
        }
    }
}
