//! Names and other short texts from users, documents and registries.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealift::cli::values;
use sealift::digest::Digest;
use sealift::helm::ImagePath;
use sealift::image_set::{self, Blocked, Destination, Source, find_collision, max_nested_paths};
use sealift::oci::{Reference, is_repository, is_tag};
use sealift::openshift::fbc::Range;
use sealift::registry::hosts::HostTable;
use sealift::{text, unpack, x509};
use sealift_fuzz::Input;

fuzz_target!(init: sealift_fuzz::seeds::write("texts"), |data: &[u8]| {
    let mut input = Input(data);
    if input.byte() % 8 == 0 {
        x509::validity(input.0);
        return;
    }
    let number = usize::from(input.byte());
    let (word, other, third) = (input.word(), input.word(), input.word());
    if let Ok(reference) = Reference::parse(&word) {
        let again = Reference::parse(&reference.to_string()).map(|again| again.to_string());
        assert_eq!(again, Ok(reference.to_string()), "a reference is read as it is written");
        let _ = (reference.scopes(), reference.name());
    }
    let _ = (is_repository(&word), is_tag(&word), word.parse::<Digest>());
    if let Ok(source) = Source::parse(&word) {
        if let Ok(place) = Destination::of(&source, Some(&other), Some(&other), Some(&third)) {
            let _ = find_collision([("a", &place, Digest::sha256(b"a")), ("b", &place, Digest::sha256(b"b"))]);
        }
    }
    let _ = (Source::parse_recorded(&word), image_set::parse_size(&word), image_set::parse_bytes(&word));
    let _ = max_nested_paths(&word, number % 8);
    let _ = unpack::place(&word, number % 8, &other);
    if let Ok(blocked) = Blocked::new(vec![word.clone()]) {
        blocked.matches(&other, &third);
    }
    let _ = (Range::parse(&word), ImagePath::parse(&word), HostTable::default().set(&word));
    let _ = (values::size(&word), values::volume_size(&word), values::stream(&word), values::key_name(&word), values::label(&word));
    let _ =
        (values::host_setting(&word), values::lookaside(&word), values::key(&word), values::hostname(&word), values::destination(&word));
    let _ = (text::without_userinfo(&word), text::unescaped(&word), text::bare_address(&word), text::shell_word(&word));
    let _ = (text::shown(&word).to_string(), text::sentence(&word).to_string(), text::whole(&word).to_string());
    text::matches(&word, &other);
    text::nearest(&word, [other.as_str(), third.as_str()]);
});
