//! Public keys of cosign: PEM of a SubjectPublicKeyInfo (RFC 5280, section 4.1; RFC 7468, section 13).
//!
//! The kinds and hashes are those podman takes: ECDSA on P-256, P-384 and P-521 and RSA (PKCS #1 v1.5), all over SHA-256 whatever the
//! size of the key, and Ed25519 over the payload itself.

use aws_lc_rs::signature::{
    ECDSA_P384_SHA256_ASN1, ECDSA_P521_SHA256_ASN1, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::Verifier as _;
use p256::ecdsa::{DerSignature, VerifyingKey};
use std::fmt;

/// `id-ecPublicKey` with the curve P-256, up to the uncompressed point of 65 bytes (RFC 5480).
const P256: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01,
    0x07, 0x03, 0x42, 0x00,
];
/// `id-Ed25519`, up to the key of 32 bytes (RFC 8410).
const ED25519: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// `id-ecPublicKey` with the curve P-384, up to the uncompressed point of 97 bytes.
const P384: [u8; 23] = [
    0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22, 0x03, 0x62,
    0x00,
];
/// `id-ecPublicKey` with the curve P-521, up to the uncompressed point of 133 bytes.
const P521: [u8; 25] = [
    0x30, 0x81, 0x9b, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23, 0x03,
    0x81, 0x86, 0x00,
];
/// `rsaEncryption` (RFC 8017, appendix A.1), behind the four bytes of the outer length of every key of 2048 bits or more.
const RSA: [u8; 15] = [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];

/// A key images are signed with.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Kind);

#[derive(Clone, PartialEq, Eq)]
enum Kind {
    P256(VerifyingKey),
    Ed25519(ed25519_dalek::VerifyingKey),
    /// With the point, or the whole SubjectPublicKeyInfo.
    Other(Scheme, Vec<u8>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    P384,
    P521,
    Rsa,
}

impl Scheme {
    fn algorithm(self) -> &'static dyn VerificationAlgorithm {
        match self {
            Scheme::P384 => &ECDSA_P384_SHA256_ASN1,
            Scheme::P521 => &ECDSA_P521_SHA256_ASN1,
            Scheme::Rsa => &RSA_PKCS1_2048_8192_SHA256,
        }
    }
}

/// A key that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Its file.
    #[error("the key cannot be read: {0}")]
    Unreadable(String),
    /// Not PEM with one public key.
    #[error("there is no PEM public key (BEGIN PUBLIC KEY)")]
    NoKey,
    /// Of another kind, or too short.
    #[error("it is neither an ECDSA key on P-256, P-384 or P-521, nor an Ed25519 key, nor an RSA key of 2048 bits or more")]
    Kind,
    /// Not a point of its curve, or no RSA key.
    #[error("the key is no point of its curve, or no RSA key")]
    Point,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::P256(_) => "Key(P-256)",
            Kind::Ed25519(_) => "Key(Ed25519)",
            Kind::Other(Scheme::P384, _) => "Key(P-384)",
            Kind::Other(Scheme::P521, _) => "Key(P-521)",
            Kind::Other(Scheme::Rsa, _) => "Key(RSA)",
        })
    }
}

impl Key {
    /// Reads the only public key of a PEM text.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_pem(bytes: &[u8]) -> Result<Key, KeyError> {
        let text = std::str::from_utf8(bytes).map_err(|_| KeyError::NoKey)?;
        let (_, rest) = text.split_once("-----BEGIN PUBLIC KEY-----").ok_or(KeyError::NoKey)?;
        let (body, rest) = rest.split_once("-----END PUBLIC KEY-----").ok_or(KeyError::NoKey)?;
        if rest.contains("-----BEGIN") {
            return Err(KeyError::NoKey);
        }
        let body: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        Key::from_der(&BASE64.decode(body).map_err(|_| KeyError::NoKey)?)
    }

    fn from_der(der: &[u8]) -> Result<Key, KeyError> {
        if let Some(point) = der.strip_prefix(&P256) {
            return Ok(Key(Kind::P256(VerifyingKey::from_sec1_bytes(point).map_err(|_| KeyError::Point)?)));
        }
        if let Some(point) = der.strip_prefix(&ED25519) {
            let point = point.try_into().map_err(|_| KeyError::Point)?;
            let key = ed25519_dalek::VerifyingKey::from_bytes(point).map_err(|_| KeyError::Point)?;
            return if key.is_weak() { Err(KeyError::Point) } else { Ok(Key(Kind::Ed25519(key))) };
        }
        let (scheme, key) = match (der.strip_prefix(&P384), der.strip_prefix(&P521)) {
            (Some(point), _) => (Scheme::P384, point),
            (_, Some(point)) => (Scheme::P521, point),
            _ if der.starts_with(&[0x30, 0x82]) && der.get(4..).is_some_and(|rest| rest.starts_with(&RSA)) => (Scheme::Rsa, der),
            _ => return Err(KeyError::Kind),
        };
        match UnparsedPublicKey::new(scheme.algorithm(), key).parse() {
            Ok(_) => Ok(Key(Kind::Other(scheme, key.to_vec()))),
            Err(_) => Err(KeyError::Point),
        }
    }

    /// Whether this key made `signature` (ASN.1 for ECDSA) over `message`.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.0 {
            Kind::P256(key) => DerSignature::from_bytes(signature).is_ok_and(|signature| key.verify(message, &signature).is_ok()),
            Kind::Ed25519(key) => {
                ed25519_dalek::Signature::from_slice(signature).is_ok_and(|signature| key.verify_strict(message, &signature).is_ok())
            }
            Kind::Other(scheme, key) => UnparsedPublicKey::new(scheme.algorithm(), key).verify(message, signature).is_ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    //! Keys and signatures made by openssl, over the text `sealift`.

    use super::*;

    /// Name, SubjectPublicKeyInfo, a signature over SHA-256, and one of another form.
    const MADE: [(&str, &str, &str, &str); 3] = [
        (
            "Key(P-384)",
            "MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAETqdFTLLdUwEWhXx19yGH3v6l3WC0zUbQtl/piCjHYRbeq465gjJLK6s4NVy3sO4NRh3uFsxYYV1PqA2MOjvV2bwiBUww5Zk2gCzCOB1TO6G6hzwHoXC9dzFDvFYSqRNP",
            "MGUCMAjtQ6g/nZvL4esyvLBGRcXtvCoL3BPV2YG+un5tnEScUsdn2vk3rQW7wEMzNCcY/wIxAMvMytufZxVOSLTaecqmnUL20P3OEIWtUssTGNosU5GrLgGDAs/sTYcTx2eZhPu8Bg==",
            "MGQCMBvWWSBmV0uD14i5QqVpG0TPI/cgoM7NqjS1vyz+iCA/mIMlbsNfvoz4CkzDIsgRvQIwExAneMWrS/0xC/kyPU8x8O5kba1kDnusARG91rRGEegeUXmS/2MMR8LN2+5g0oAo",
        ),
        (
            "Key(P-521)",
            "MIGbMBAGByqGSM49AgEGBSuBBAAjA4GGAAQB/TLmk4II/r3oIzGcgKkxOfM1cm2Pt9U4ARQ8fXYV+L2M3PVq5yM6TcvDkLXY+k/mTuuFwfN/rAFqaCpiyUbWWZwBEuZZVCz9orHT4wgoTR5bx23RR/wJuooCVKdhDvJaz3vK60fRXX16M+JwxmYBrY2/pmANRyCz9eclDqHQTnW9Ziw=",
            "MIGHAkE9ETi8mMwkBmM0rZBOzKVWngyNnGjAm39o/iSo/DQnpmNUnQioXuRegp/T4uv+xifaa0OC4mxFjv7L10WSR1SyEgJCATlWaZmGM0aH19V+CAJpUTimCmfxLeXrXK/PL6jKdc1q7BMKVbwWAOW6maKAsoezXWTHcZKyj4MDcNn2cF46rwVb",
            "MIGIAkIBxuvcs8JDJyuyFnT5ZfJNOTL7LDZ7jM2Hoc8SzPFzl95OHZ+R2Sdq9BAf4kaw/zsJPfsttN+VoIudJoCuMy/FZy4CQgFrppsZxzGk6yyqJExPzhzOcIXrfurXPR6kDOe7/1jjuRG9npPZD9Yeciiot1gzFfVtcrcmbf62zSmx4wcffddrHw==",
        ),
        (
            "Key(RSA)",
            "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA4BkPKAujRkkGrlcvMRo+NYfmmG2rhsTFi1xIDfpQBS03tPgP5o1QJOtQPJww17lPcKxldBhEx8pnA04Lo67cbe9+FMeLz4SEy7YfpI9xypjJ2ebf1S7y7lLGkqLjSfrxnHKcMmRz4IqrL1RmrFeFfjOhsUzgaWbHarwPqNbGF+OAnQifDo1ritR1q42qRzjytdjIfiB0hYhTMOWhbAbDzj3DuTnmeIj1LH8/PLB5zC1cT0FLQ2ftSa4/BL6ANklkbzmOQJfLmz7hDsJgviazmgwGEA1DbMYwXOo3Z5yUYtFTYa+4AGERRQYlnXEE+eVVUHsqPm5bWlAyv/l1JLrBdwIDAQAB",
            "ZHHAcIxhRCIimiNnUdR8EnIB+lGCRvcLColcOOb1UjM6POWHjEBI/jz44qHd/3SI2wPgWyE2JsUujAHwyHrtjb/bWJ5+FE7A3n8HKWQCxeRbWs6GHQvrSG+Ka2Xbehp3BcWvgkmY1ajWPmMqwkZRfQ+LOEkfPNh0/K7yM1tQU6gJMoLCEVEgHCm4iGHTfGDtERUk8r5GpcDddk+PiyPRTNFhCdp31t/XAUEIN+hJaOVDdgQPpVqlUZ3pWooDqs2SvPQpPK8j2KFb2dyqMrQJYv9y76Mt9E2On4xGzalCyhPOlMGASR4hpRNTvmfH9JjzZOSeVt6Y0fGc4wyX1LjK7g==",
            "xfGun8hYDHfmzj6qsZI3z762t0vXoXGziyiTJqxAW81RKsUF+qMoakChaK6480/TLZY+L4Qg0Ud7mx77iaoar+DOzF/a4/wlR349g4b3IphfrVMHRDUTqzSDQb1je58xE2GCljooDTRECAcu72jbl2rwShNgrKz5xNpUm/1wcR7BILIG1YyMv1LjBFPbz0UXxEQj18cD73POwgzCFmnFfQLPigD3if0xBNeb1MIIjyCHqdvFtqYwq2UlGio5+n7EsZDLazvYRjpeynerzkoB2aNY5SlQQ0aWnMkcKw/rWMj2oJxwy/CV7LeSz4JOt2zMpEMkPSU8tgeUorKG7zfbTQ==",
        ),
    ];
    const SHORT_RSA: &str = "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQC/M3Fl9gtfTnFDLXjHUhnD7uUrGRf5QxljG9goYG/SOWPOts27UP+WjZSh7BnkRCmUC3ywRiA32NVGaayL3o+eltdng3ZSC1098NJMyqba2RtfI4Y2U5d7Sg6eJvZZ80dnpniV0K3H5D8U/oZkXgUlQHzKyaM7DWyrM8dUNvlH+wIDAQAB";
    const SECP256K1: &str =
        "MFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAENm70RDAoH9GH26TfK8tTxsVzYb7DZ6R7apupqh7EUy/WZ0CU+Oc3TtHeJOGzmjLKMtntTUyFcKHDJZ68tZ437w==";

    fn key(der: &[u8]) -> Result<Key, KeyError> {
        Key::from_pem(format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", BASE64.encode(der)).as_bytes())
    }

    fn decoded(text: &str) -> Vec<u8> {
        BASE64.decode(text).unwrap()
    }

    #[test]
    fn keys_of_every_kind_verify_what_they_signed_and_nothing_else() {
        for (name, public, good, other) in MADE {
            let (der, good) = (decoded(public), decoded(good));
            let made = key(&der).unwrap();
            assert_eq!(format!("{made:?}"), name);
            assert!(made.verifies(b"sealift", &good) && !made.verifies(b"sealif", &good) && !made.verifies(b"sealift", b""), "{name}");
            assert!(!made.verifies(b"sealift", &decoded(other)), "{name}: podman takes SHA-256 and PKCS #1 v1.5 alone");
            for bit in 0..good.len() * 8 {
                let mut changed = good.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                assert!(!made.verifies(b"sealift", &changed), "{name}: bit {bit} of the signature");
            }
            for bit in (0..der.len() * 8).step_by(5) {
                let mut changed = der.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                assert!(!key(&changed).is_ok_and(|key| key.verifies(b"sealift", &good)), "{name}: bit {bit} of the key");
            }
            for length in 0..der.len() {
                assert!(key(&der[..length]).is_err(), "{name}: {length}");
            }
        }
    }

    #[test]
    fn short_and_foreign_keys_are_refused_by_kind() {
        for other in [SHORT_RSA, SECP256K1] {
            assert_eq!(key(&decoded(other)), Err(KeyError::Kind));
        }
        let mut outside = P384.to_vec();
        outside.extend([&[4][..], &[7; 96]].concat());
        assert_eq!(key(&outside), Err(KeyError::Point));
    }
}
