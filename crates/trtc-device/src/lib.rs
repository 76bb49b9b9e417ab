//! Microphones, speakers and cameras of the system, behind the device traits of `trtc-types`.
mod audio;
pub mod camera;
mod pin;

pub use audio::SystemAudio;
pub use camera::SystemCameras;
