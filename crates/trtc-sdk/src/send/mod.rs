//! From the host's pictures and sound to encoded frames on the wire.
pub(crate) mod audio;
mod camera;
pub(crate) mod files;
pub(crate) mod layer;
pub(crate) mod video;
