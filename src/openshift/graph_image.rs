//! The image that carries the update graph data to the update service.
