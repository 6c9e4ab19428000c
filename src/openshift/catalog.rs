//! Operator catalogs as images: read, filtered, built again.
