//! File-based catalogs: read, filtered, written.
