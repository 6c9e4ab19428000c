//! Images made from images: layers and configuration changed, digests the same on every run.
