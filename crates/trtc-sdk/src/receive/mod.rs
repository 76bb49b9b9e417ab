//! From received packets to pictures and sound.
pub(crate) mod audio;
pub(crate) mod cell;
pub(crate) mod video;
