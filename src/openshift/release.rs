//! Release images: what they consist of.
