//! When a certificate holds (RFC 5280, 4.1.2.5). Nothing else of it is read here: names and signatures are for the library of TLS.

/// From when and until when a certificate (DER) holds, in seconds since 1970; `None` where that cannot be read.
pub fn validity(der: &[u8]) -> Option<(u64, u64)> {
    let (certificate, _) = value(der, 0x30)?;
    let (mut fields, _) = value(certificate, 0x30)?;
    if let Some((_, rest)) = value(fields, 0xa0) {
        fields = rest;
    }
    // Serial number, algorithm, issuer.
    for tag in [0x02, 0x30, 0x30] {
        fields = value(fields, tag)?.1;
    }
    let (from, rest) = time(value(fields, 0x30)?.0)?;
    Some((from, time(rest)?.0))
}

/// A time, `UTCTime` or `GeneralizedTime`, and what follows it.
fn time(der: &[u8]) -> Option<(u64, &[u8])> {
    match value(der, 0x17) {
        // Two digits: 50 to 99 are of the last century.
        Some((short, rest)) => {
            let century = if short.first()? >= &b'5' { "19" } else { "20" };
            Some((moment(&format!("{century}{}", std::str::from_utf8(short).ok()?))?, rest))
        }
        None => value(der, 0x18).and_then(|(long, rest)| Some((moment(std::str::from_utf8(long).ok()?)?, rest))),
    }
}

/// The content of a DER value of this tag, and what follows it (X.690, 8.1).
fn value(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x83 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length).filter(|_| found == tag)
}

/// `YYYYMMDDHHMMSSZ`.
fn moment(text: &str) -> Option<u64> {
    let digits = text.strip_suffix('Z').filter(|digits| digits.len() == 14 && digits.bytes().all(|b| b.is_ascii_digit()))?;
    let part = |from: usize, to: usize| digits.get(from..to);
    let (date, time) = ((part(0, 4)?, part(4, 6)?, part(6, 8)?), (part(8, 10)?, part(10, 12)?, part(12, 14)?));
    let text = format!("{}-{}-{}T{}:{}:{}Z", date.0, date.1, date.2, time.0, time.1, time.2);
    u64::try_from(text.parse::<jiff::Timestamp>().ok()?.as_second()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_a_certificate_holds_is_read() {
        for (year, seconds) in [(2030, 1_893_456_000), (2049, 2_493_072_000), (2050, 2_524_608_000), (2200, 7_258_118_400)] {
            let mut params = rcgen::CertificateParams::new(vec!["x.lan".to_owned()]).unwrap();
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after = rcgen::date_time_ymd(year, 1, 1);
            let certificate = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
            assert_eq!(validity(certificate.der()), Some((1_577_836_800, seconds)), "{year}");
            for cut in 0..certificate.der().len() {
                let _ = validity(&certificate.der()[..cut]);
            }
        }
        assert_eq!(validity(b"0\x82"), None);
    }
}
