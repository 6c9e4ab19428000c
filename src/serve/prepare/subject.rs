//! The subject of certificates, as it is given on the command line.

use rcgen::{DistinguishedName, DnType};
use std::str::FromStr;

/// Parts of a certificate's subject (`C=..,ST=..,L=..,O=..,OU=..`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject(Vec<(DnType, String)>, String);

impl FromStr for Subject {
    type Err = String;

    fn from_str(text: &str) -> Result<Subject, String> {
        let mut parts = Vec::new();
        for pair in parts_of(text).iter().map(|pair| pair.trim()).filter(|pair| !pair.is_empty()) {
            let (key, value) =
                pair.split_once('=').ok_or("the parts are KEY=VALUE, separated by commas; a comma in a value is written \\,")?;
            let kind = match key.trim().to_ascii_uppercase().as_str() {
                "C" if value.len() == 2 && value.bytes().all(|b| b.is_ascii_alphabetic()) => DnType::CountryName,
                "C" => return Err("C is a country of two letters".into()),
                "ST" => DnType::StateOrProvinceName,
                "L" => DnType::LocalityName,
                "O" => DnType::OrganizationName,
                "OU" => DnType::OrganizationalUnitName,
                _ => return Err("the parts of a subject are C, ST, L, O and OU".into()),
            };
            parts.push((kind, value.trim().to_owned()));
        }
        Ok(Subject(parts, text.to_owned()))
    }
}

/// The text between commas that have no backslash before them (RFC 4514, 2.4).
fn parts_of(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut chars = text.chars();
    while let Some(next) = chars.next() {
        match (next, parts.last_mut()) {
            (',', _) => parts.push(String::new()),
            ('\\', Some(part)) => part.extend(chars.next()),
            (other, Some(part)) => part.push(other),
            (_, None) => {}
        }
    }
    parts
}

impl Subject {
    /// As given.
    pub fn text(&self) -> &str {
        &self.1
    }

    pub(super) fn called(&self, name: &str) -> DistinguishedName {
        let mut all = DistinguishedName::new();
        for (kind, value) in &self.0 {
            all.push(kind.clone(), value.as_str());
        }
        all.push(DnType::CommonName, name);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects() {
        let organisation: Subject = "O=Bank\\, Inc,C=DE".parse().unwrap();
        assert_eq!(organisation.0, [(DnType::OrganizationName, "Bank, Inc".to_owned()), (DnType::CountryName, "DE".to_owned())]);
        assert!("C=DE, ST=x,L=y,O=z,OU=w".parse::<Subject>().is_ok() && "".parse::<Subject>().is_ok());
        for bad in ["C=Germany", "CN=x", "O"] {
            assert!(bad.parse::<Subject>().is_err(), "{bad}");
        }
    }
}
