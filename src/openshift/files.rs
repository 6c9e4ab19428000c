//! Files inside of images, read from their layers without unpacking them.
