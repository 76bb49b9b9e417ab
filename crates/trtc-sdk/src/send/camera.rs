//! The camera as the source of a local video stream, on its `trtc-venc` thread.
use super::video::{VideoSender, Work};
use crate::devices::{cameras, selected_camera};
use crate::events::Event;
use crate::shared::media_now;
use std::time::{Duration, Instant};
use trtc_types::{Camera, Code, DeviceKind, DeviceState, Result, VideoFrame};

/// Between two attempts to open a camera that is gone.
const RETRY: Duration = Duration::from_secs(1);
/// An open camera that delivers nothing for so long does not work.
const SILENT: Duration = Duration::from_secs(5);

/// How the pictures of an open camera ended.
enum Ended {
    Stream,
    /// The host chose this camera.
    Choice(String),
    /// With the system's words.
    Camera(String),
}

impl VideoSender {
    /// Takes pictures until the stream ends. A camera that is pulled out is told, and taken again when it is back; another one is
    /// taken when the host chooses it (`choices` counts that).
    pub(super) fn run_camera(&self, mut id: String, mut choices: u64, work: &mut Work) -> Result<()> {
        let mut told = None;
        while self.sleep_until(Instant::now()) {
            if let Some(chosen) = other_choice(&id, &mut choices) {
                (id, told) = (chosen, None);
            }
            let param = self.param();
            let (code, why) = match cameras().open_camera(&id, param.width, param.height, param.fps) {
                Ok(camera) => {
                    log::info!("camera {id} is open: {:?}", camera.format());
                    let state = DeviceState::Active;
                    self.tell(Event::DeviceChange { id: id.clone(), kind: DeviceKind::Camera, state });
                    let mut ready = false;
                    let ended = self.take_pictures(camera, &id, &mut choices, &mut ready, work)?;
                    // It worked: whatever comes is news.
                    told = told.filter(|_| !ready);
                    match ended {
                        Ended::Stream => return Ok(()),
                        Ended::Choice(chosen) => {
                            (id, told) = (chosen, None);
                            continue;
                        }
                        Ended::Camera(why) => (Code::WARN_CAMERA_DISCONNECTED, why),
                    }
                }
                Err(error) if error.code.0 > 0 => (error.code, error.message),
                Err(error) => (Code::WARN_CAMERA_START_FAILED, error.message),
            };
            // What follows a pulled plug is no news, but who has the camera is.
            if told.is_none() || told != Some(code) && code != Code::WARN_CAMERA_START_FAILED {
                self.warn(code, &why);
                told = Some(code);
            }
            if !self.sleep_until(Instant::now() + RETRY) {
                break;
            }
        }
        Ok(())
    }

    fn take_pictures(
        &self,
        mut camera: Box<dyn Camera>,
        id: &str,
        choices: &mut u64,
        ready: &mut bool,
        work: &mut Work,
    ) -> Result<Ended> {
        let mut next = Duration::ZERO;
        let mut silent_since = Some(Instant::now());
        while self.sleep_until(Instant::now()) {
            if let Some(chosen) = other_choice(id, choices) {
                return Ok(Ended::Choice(chosen));
            }
            let frame = match camera.picture() {
                Ok(Some(frame)) => frame,
                Ok(None) => {
                    if silent_since.take_if(|since| since.elapsed() > SILENT).is_some() {
                        self.warn(
                            Code::WARN_CAMERA_DEVICE_ERROR,
                            "the camera delivers no pictures that are understood",
                        );
                    }
                    continue;
                }
                Err(error) => return Ok(Ended::Camera(error.message)),
            };
            silent_since = Some(Instant::now());
            if !std::mem::replace(ready, true) {
                self.tell(Event::CameraDidReady);
            }
            // The encoder's rate wins over the camera's: early pictures are left out.
            let (now, interval) = (media_now(), Duration::from_secs(1) / self.param().fps);
            if now + interval / 4 < next {
                continue;
            }
            next = (next + interval).max(now.saturating_sub(interval));
            self.process(VideoFrame { time: now, ..frame }, work)?;
        }
        Ok(Ended::Stream)
    }
}

/// Another camera than this one, when the host has chosen since.
fn other_choice(id: &str, choices: &mut u64) -> Option<String> {
    let (count, chosen) = selected_camera();
    let new = std::mem::replace(choices, count) != count;
    chosen.filter(|chosen| new && chosen != id)
}
