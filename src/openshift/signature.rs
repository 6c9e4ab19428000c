//! Release signatures: found, and verified in full.
