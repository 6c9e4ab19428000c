//! From receipts to documents a cluster or a container runtime reads. Pure.
