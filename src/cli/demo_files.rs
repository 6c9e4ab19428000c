//! The demonstration's images, compiled in so that the carried binary has them anywhere.
//!
//! `fixtures/demo/make.py` makes them.

/// Every file of the layout in `fixtures/demo/layout`: its path below the layout, and its bytes.
pub const FILES: &[(&str, &[u8])] = &[
    (
        "blobs/sha256/524721c7d275ee840709fb933bddd80f7a9a7c7ee988db4850bc4a293bb0b454",
        include_bytes!("../../fixtures/demo/layout/blobs/sha256/524721c7d275ee840709fb933bddd80f7a9a7c7ee988db4850bc4a293bb0b454"),
    ),
    (
        "blobs/sha256/6e8308eb714aace08e8fe8379562c6bffc274a598470fcec15b9d700c1cf8af3",
        include_bytes!("../../fixtures/demo/layout/blobs/sha256/6e8308eb714aace08e8fe8379562c6bffc274a598470fcec15b9d700c1cf8af3"),
    ),
    (
        "blobs/sha256/9d65f2dd86c11468bc8dfcb4824f3a0898cf3b815a51637e678d38c00b5d09fb",
        include_bytes!("../../fixtures/demo/layout/blobs/sha256/9d65f2dd86c11468bc8dfcb4824f3a0898cf3b815a51637e678d38c00b5d09fb"),
    ),
    (
        "blobs/sha256/a3eba6b272957ee5d581fffac31f6d21e7519d9fa11890283c0048fed426d201",
        include_bytes!("../../fixtures/demo/layout/blobs/sha256/a3eba6b272957ee5d581fffac31f6d21e7519d9fa11890283c0048fed426d201"),
    ),
    (
        "blobs/sha256/a455c46b0ff1b931e88a5cfc331d072caba7e5d53a13b4d676eecace960fde2a",
        include_bytes!("../../fixtures/demo/layout/blobs/sha256/a455c46b0ff1b931e88a5cfc331d072caba7e5d53a13b4d676eecace960fde2a"),
    ),
    (
        "blobs/sha256/abc7cb5fe03ce2f98a4af2cd9206828095ec23db0fb7de5380015e60adddd5e6",
        include_bytes!("../../fixtures/demo/layout/blobs/sha256/abc7cb5fe03ce2f98a4af2cd9206828095ec23db0fb7de5380015e60adddd5e6"),
    ),
    (
        "blobs/sha256/ad4e4c9de4531732dc376ebb0754a0e2a5015587cd0b248c9d9333112378dcf7",
        include_bytes!("../../fixtures/demo/layout/blobs/sha256/ad4e4c9de4531732dc376ebb0754a0e2a5015587cd0b248c9d9333112378dcf7"),
    ),
    (
        "blobs/sha256/b793b0fd2ca318d0d16506fcf153043bed5f46b3f755ec3c42470be0ac3cd866",
        include_bytes!("../../fixtures/demo/layout/blobs/sha256/b793b0fd2ca318d0d16506fcf153043bed5f46b3f755ec3c42470be0ac3cd866"),
    ),
    (
        "blobs/sha256/b8d36c93fc601dc28c599c39f4a56fd34903f38e96f4a372e01842289b85c842",
        include_bytes!("../../fixtures/demo/layout/blobs/sha256/b8d36c93fc601dc28c599c39f4a56fd34903f38e96f4a372e01842289b85c842"),
    ),
    (
        "blobs/sha256/b91d8fc2a18d9d2945c7c537aaeb646a48ae5dee22f673ffb104f6e822b80bdb",
        include_bytes!("../../fixtures/demo/layout/blobs/sha256/b91d8fc2a18d9d2945c7c537aaeb646a48ae5dee22f673ffb104f6e822b80bdb"),
    ),
    (
        "blobs/sha256/bfb3194ac357fe592c018dd06433b0e5ea3948ae4324a658dbad6c9a69977817",
        include_bytes!("../../fixtures/demo/layout/blobs/sha256/bfb3194ac357fe592c018dd06433b0e5ea3948ae4324a658dbad6c9a69977817"),
    ),
    (
        "blobs/sha256/d4c42b22e0c165d24e2d7e50d0f194d7ecd484047b09909eb82f4640b2d93115",
        include_bytes!("../../fixtures/demo/layout/blobs/sha256/d4c42b22e0c165d24e2d7e50d0f194d7ecd484047b09909eb82f4640b2d93115"),
    ),
    (
        "blobs/sha256/dc562adf5ff007f88ebb7f0650a0606e7601a9c75d608219d22cfad160247136",
        include_bytes!("../../fixtures/demo/layout/blobs/sha256/dc562adf5ff007f88ebb7f0650a0606e7601a9c75d608219d22cfad160247136"),
    ),
    (
        "blobs/sha256/e35681936e70fbf52902f6fc26bbd75dcd435cca63b3f857967aabe5b93d1cf4",
        include_bytes!("../../fixtures/demo/layout/blobs/sha256/e35681936e70fbf52902f6fc26bbd75dcd435cca63b3f857967aabe5b93d1cf4"),
    ),
    ("index.json", include_bytes!("../../fixtures/demo/layout/index.json")),
    ("oci-layout", include_bytes!("../../fixtures/demo/layout/oci-layout")),
];
