//! Sizes of volumes as people write them.

use crate::limits::{VOLUME_BYTES_MAX, VOLUME_BYTES_MIN};
use crate::text::shown;

/// A text that is no usable size of a volume.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// Neither bytes nor a number with a unit.
    #[error("{:?} is not a size: write bytes, or a number with kB, MB, GB (decimal) or KiB, MiB, GiB (binary)", shown(.0).to_string())]
    Malformed(String),
    /// Below [`VOLUME_BYTES_MIN`].
    #[error("{bytes} bytes are less than the {VOLUME_BYTES_MIN} bytes (256 KiB) a volume needs; the most is {VOLUME_BYTES_MAX}")]
    TooSmall {
        /// What was asked for.
        bytes: u128,
    },
    /// Above [`VOLUME_BYTES_MAX`].
    #[error("{bytes} bytes are more than the {VOLUME_BYTES_MAX} bytes (4GiB less one) every medium takes; the least is {VOLUME_BYTES_MIN}")]
    TooLarge {
        /// What was asked for.
        bytes: u128,
    },
}

/// Reads a size of volumes in bytes, between [`VOLUME_BYTES_MIN`] and [`VOLUME_BYTES_MAX`].
///
/// `k M G` and `kB MB GB` are decimal, `Ki Mi Gi` and `KiB MiB GiB` binary, in any letter case (nothing is ambiguous:
/// there are no bits and no fractions of bytes here); a fraction as in `4.3GB` is rounded down. In binary units exactly
/// 2 GiB and 4 GiB mean one byte less: they are the first sizes some file systems do *not* take.
pub fn parse_size(text: &str) -> Result<u64, SizeError> {
    let bytes = parse_bytes(text)?;
    match u64::try_from(bytes) {
        Ok(size) if size < VOLUME_BYTES_MIN => Err(SizeError::TooSmall { bytes }),
        Ok(size) if size <= VOLUME_BYTES_MAX => Ok(size),
        _ => Err(SizeError::TooLarge { bytes }),
    }
}

/// Reads any size in bytes, in the same words.
pub fn parse_bytes(text: &str) -> Result<u128, SizeError> {
    let malformed = || SizeError::Malformed(text.to_owned());
    let text_trimmed = text.trim();
    let digits = text_trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text_trimmed.len());
    let (number, unit) = text_trimmed.split_at_checked(digits).ok_or_else(malformed)?;
    let (factor, binary) = unit_of(unit.trim_start()).ok_or_else(malformed)?;
    let bytes = scaled(number, factor).ok_or_else(malformed)?;
    let bytes = if binary && (bytes == 1 << 31 || bytes == 1 << 32) { bytes - 1 } else { bytes };
    Ok(bytes)
}

fn unit_of(unit: &str) -> Option<(u128, bool)> {
    Some(match unit.to_ascii_lowercase().as_str() {
        "" | "b" => (1, false),
        "k" | "kb" => (1000, false),
        "m" | "mb" => (1_000_000, false),
        "g" | "gb" => (1_000_000_000, false),
        "t" | "tb" => (1_000_000_000_000, false),
        "ki" | "kib" => (1 << 10, true),
        "mi" | "mib" => (1 << 20, true),
        "gi" | "gib" => (1 << 30, true),
        "ti" | "tib" => (1 << 40, true),
        _ => return None,
    })
}

/// `number * factor`, rounded down; `None` for what is no number or longer than any size.
fn scaled(number: &str, factor: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let short = |part: &str| (1..=18).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    if !short(whole) || !short(fraction) || (factor == 1 && number.contains('.')) {
        return None;
    }
    let ten = 10u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let parts = whole.parse::<u128>().ok()?.checked_mul(ten)?.checked_add(fraction.parse().ok()?)?;
    Some(parts.checked_mul(factor)? / ten)
}

/// Brings an `archiveSize`, in bytes, to what a volume may be: `true` when it had to be cut. As in [`parse_size`],
/// exactly 2 GiB mean one byte less.
pub fn volume_size(bytes: u64) -> (u64, bool) {
    match bytes {
        0x8000_0000 => (bytes - 1, false),
        _ if bytes > VOLUME_BYTES_MAX => (VOLUME_BYTES_MAX, true),
        _ => (bytes.max(VOLUME_BYTES_MIN), false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("4MB", 4_000_000),
            ("4MiB", 4 << 20),
            ("700M", 700_000_000),
            ("700 mb", 700_000_000),
            ("700Mi", 700 << 20),
            ("262144", 262_144),
            ("256KiB", 262_144),
            ("2GiB", 2_147_483_647),
            ("2048MiB", 2_147_483_647),
            ("4gib", 4_294_967_295),
            ("2147483648", 2_147_483_648),
            ("4294967295", 4_294_967_295),
            ("4.2GB", 4_200_000_000),
            ("1.5MiB", 1_572_864),
            ("0.3333MB", 333_300),
            ("3GiB", 3 << 30),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn out_of_bounds_names_the_bounds() {
        for text in ["0", "256k", "262143", "0.1MB"] {
            let error = parse_size(text).unwrap_err();
            assert!(matches!(error, SizeError::TooSmall { .. }), "{text}");
            assert!(error.to_string().contains("262144") && error.to_string().contains("4294967295"));
        }
        for text in ["4294967296", "4.3GB", "5GiB", "1T", "999999999999999999TiB"] {
            let error = parse_size(text).unwrap_err();
            assert!(matches!(error, SizeError::TooLarge { .. }), "{text}");
            assert!(error.to_string().contains("4294967295"));
        }
    }

    #[test]
    fn what_is_no_size() {
        for text in [
            "",
            "MB",
            "-4MB",
            "4 M B",
            "4Mbit",
            "1e9",
            "1,5GB",
            "4.MB",
            ".5GB",
            "1.2.3M",
            "0x10M",
            "4,000",
            "1.5",
            "9999999999999999999",
            "4МB",
        ] {
            assert!(matches!(parse_size(text), Err(SizeError::Malformed(_))), "{text}");
        }
    }

    #[test]
    fn archive_sizes_are_cut() {
        assert_eq!(volume_size(1 << 30), (1 << 30, false));
        assert_eq!(volume_size(2 << 30), ((2 << 30) - 1, false));
        assert_eq!(volume_size(4 << 30), (VOLUME_BYTES_MAX, true));
        assert_eq!(volume_size(u64::MAX), (VOLUME_BYTES_MAX, true));
    }

    proptest! {
        #[test]
        fn any_text_is_a_size_within_bounds_or_an_error(text in "\\PC{0,20}|[0-9]{1,12}\\.?[0-9]{0,3} ?[kKmMgG]?i?[bB]?") {
            if let Ok(size) = parse_size(&text) {
                prop_assert!((VOLUME_BYTES_MIN..=VOLUME_BYTES_MAX).contains(&size));
            }
        }
    }
}
