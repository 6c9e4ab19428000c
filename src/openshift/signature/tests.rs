use super::*;

const NOW: u64 = 1_763_700_000;

fn data(name: &str) -> Option<Vec<u8>> {
    let named = std::env::var_os("SEALIFT_TEST_DATA").map(std::path::PathBuf::from);
    let folder = named.unwrap_or_else(|| std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"));
    std::fs::read(folder.join("openshift").join(name)).ok()
}

#[test]
fn probe() {
    let key = data("redhat-release-key.asc").unwrap();
    let keyring = Keyring::parse(&[("k".into(), key.clone())]).unwrap();
    println!("{keyring:?}");
    for n in [
        "signature-4.15.0-x86_64",
        "signature-e3f12513a4b22a2d7c0e7c9207f52128113758d9d68c7d06b11a0ac7672966f7",
        "signature-edd9824f0404f1a139688017e7001370e2f3fbc088b94da84506653b473fe140",
    ] {
        let m = data(n).unwrap();
        let parts = message::open(&m).unwrap();
        println!("{}", String::from_utf8_lossy(&parts.literal));
        let d = format!("sha256:{}", n.trim_start_matches("signature-")).parse().unwrap_or(Digest::sha256(b""));
        println!("{:?}", verify(&m, &d, &keyring, NOW));
    }
}
