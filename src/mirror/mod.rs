//! From registry to registry, without an archive between.
