//! The camera as the source of a local video stream, on its `trtc-venc` thread.
use super::video::{VideoSender, Work};
use crate::devices::cameras;
use crate::events::Event;
use crate::shared::media_now;
use std::time::{Duration, Instant};
use trtc_types::{Camera, Code, Result, VideoFrame};

/// Between two attempts to open a camera that is gone.
const RETRY: Duration = Duration::from_secs(1);

impl VideoSender {
    /// Takes pictures until the stream ends. A camera that is pulled out is told, and taken again when it is back.
    pub(super) fn run_camera(&self, id: &str, work: &mut Work) -> Result<()> {
        let (mut told, mut ready) = (false, false);
        while self.sleep_until(Instant::now()) {
            let param = self.param();
            let (code, why) = match cameras().open_camera(id, param.width, param.height, param.fps) {
                Ok(camera) => {
                    log::info!("camera {id} is open: {:?}", camera.format());
                    let was_ready = ready;
                    let Some(message) = self.take_pictures(camera, &mut ready, work)? else { return Ok(()) };
                    told &= ready == was_ready;
                    (Code::WARN_CAMERA_DISCONNECTED, message)
                }
                Err(error) => (Code::WARN_CAMERA_START_FAILED, error.message),
            };
            if !std::mem::replace(&mut told, true) {
                self.warn(code, &why);
            }
            if !self.sleep_until(Instant::now() + RETRY) {
                break;
            }
        }
        Ok(())
    }

    /// Until the stream ends (`None`) or the camera does (why).
    fn take_pictures(&self, mut camera: Box<dyn Camera>, ready: &mut bool, work: &mut Work) -> Result<Option<String>> {
        let mut next = Duration::ZERO;
        while self.sleep_until(Instant::now()) {
            let frame = match camera.picture() {
                Ok(Some(frame)) => frame,
                Ok(None) => continue,
                Err(error) => return Ok(Some(error.message)),
            };
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
        Ok(None)
    }
}
