//! What a target holds, by its receipts: where an image is from, what may be deleted, what is missing.
