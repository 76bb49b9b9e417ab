//! A camera opened by nokhwa, on a thread of its own: nokhwa waits for a picture as long as it takes, and a camera that has stalled
//! must not stop those who close it.
use super::linux::{PATIENCE, failed, picture};
use crate::pin;
use nokhwa::pixel_format::RgbFormat;
use nokhwa::utils::{CameraIndex, FrameFormat, RequestedFormat, RequestedFormatType};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use trtc_types::{Camera, CameraFormat, CameraPixel, Result, VideoFrame};

/// Pictures that wait for who takes them: the one being taken, and one more.
const WAITING: usize = 1;

type Picture = Result<Option<VideoFrame>>;

pub(super) struct Nokhwa {
    id: String,
    format: CameraFormat,
    pictures: Option<Receiver<Picture>>,
    thread: Option<JoinHandle<()>>,
}

impl Nokhwa {
    pub(super) fn open(id: &str, format: CameraFormat) -> Result<Self> {
        let (tell, opened) = sync_channel(1);
        let (sender, pictures) = sync_channel(WAITING);
        let name = id.to_owned();
        // The camera stays on the thread that opened it.
        let body = move || match open(&name, format) {
            Ok(camera) => {
                let _ = tell.send(Ok(()));
                read(&name, format, camera, &sender);
            }
            Err(error) => drop(tell.send(Err(error))),
        };
        let thread = std::thread::Builder::new().name("trtc-camera".to_owned()).spawn(body);
        let thread = thread.map_err(|e| failed(id, &e))?;
        opened.recv().unwrap_or_else(|_| Err(failed(id, &"nokhwa panicked")))?;
        Ok(Self { id: id.to_owned(), format, pictures: Some(pictures), thread: Some(thread) })
    }
}

impl Camera for Nokhwa {
    fn format(&self) -> CameraFormat {
        self.format
    }

    fn picture(&mut self) -> Picture {
        let Some(pictures) = &self.pictures else { return Ok(None) };
        match pictures.recv_timeout(PATIENCE) {
            Ok(picture) => picture,
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(failed(&self.id, &"its thread has ended")),
        }
    }
}

impl Drop for Nokhwa {
    fn drop(&mut self) {
        self.pictures = None;
        let Some(thread) = self.thread.take() else { return };
        let end = Instant::now() + PATIENCE;
        while !thread.is_finished() {
            if Instant::now() > end {
                // It ends with the camera's next picture, and must find its code then.
                log::warn!("camera {} has stalled; it is left alone", self.id);
                pin::keep_loaded();
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        if thread.join().is_err() {
            log::error!("the thread of camera {} panicked", self.id);
        }
    }
}

fn open(id: &str, format: CameraFormat) -> Result<nokhwa::Camera> {
    let index: u32 =
        id.trim_start_matches("/dev/video").parse().map_err(|_| failed(id, &"its path is not /dev/video<number>"))?;
    let pixels = match format.pixel {
        CameraPixel::Nv12 => FrameFormat::NV12,
        CameraPixel::Yuyv => FrameFormat::YUYV,
        _ => FrameFormat::MJPEG,
    };
    let exact = nokhwa::utils::CameraFormat::new_from(format.width, format.height, pixels, format.fps.0);
    let wanted = RequestedFormat::new::<RgbFormat>(RequestedFormatType::Exact(exact));
    let mut camera = nokhwa::Camera::new(CameraIndex::Index(index), wanted).map_err(|e| failed(id, &e))?;
    if camera.camera_format() != exact {
        return Err(failed(id, &format!("nokhwa set {} for {exact}", camera.camera_format())));
    }
    camera.open_stream().map_err(|e| failed(id, &e))?;
    Ok(camera)
}

/// Until nobody takes pictures any more, or the camera is gone. A picture that nobody is ready for is left out.
fn read(id: &str, format: CameraFormat, mut camera: nokhwa::Camera, pictures: &SyncSender<Picture>) {
    use std::sync::mpsc::TrySendError::Disconnected;
    loop {
        match camera.frame_raw() {
            Ok(data) => {
                if let Err(Disconnected(_)) = pictures.try_send(Ok(picture(format, &data))) {
                    return;
                }
            }
            Err(error) => {
                let _ = pictures.send(Err(failed(id, &error)));
                return;
            }
        }
    }
}
