//! Cameras that come and go, of the test's own.
use crate::guest::{Guest, until};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;
use trtc_sdk::types::{
    Camera, CameraFormat, CameraPixel, Cameras, Code, DeviceInfo, DeviceKind, DeviceState, Error, I420, Result,
    StreamType, VideoFrame,
};
use trtc_sdk::{Event, set_cameras};

const FORMAT: CameraFormat = CameraFormat { width: 64, height: 48, fps: (30, 1), pixel: CameraPixel::Yuyv };

/// The ids of the cameras that are there; one that ends in `!` may not be opened, in `?` delivers nothing.
#[derive(Default)]
struct Rig(Mutex<Vec<&'static str>>);

struct Fake(Arc<Rig>);

struct Open {
    rig: Arc<Rig>,
    id: String,
}

impl Rig {
    fn has(&self, id: &str) -> bool {
        self.0.lock().contains(&id)
    }
}

/// Every camera has a brightness of its own: its last digit.
fn brightness(id: &str) -> u8 {
    id.bytes().rfind(u8::is_ascii_digit).unwrap() * 2
}

impl Cameras for Fake {
    fn cameras(&self) -> Result<Vec<DeviceInfo>> {
        let info = |id: &&str| DeviceInfo {
            id: (*id).into(),
            name: "a camera".into(),
            is_default: false,
            formats: vec![FORMAT],
        };
        Ok(self.0.0.lock().iter().map(info).collect())
    }

    fn trace(&self) -> Vec<String> {
        self.0.0.lock().iter().map(|id| (*id).into()).collect()
    }

    fn open_camera(&self, id: &str, _: u32, _: u32, _: u32) -> Result<Box<dyn Camera>> {
        match id {
            _ if !self.0.has(id) => Err(Error::new(Code::FAILED, "no such file")),
            _ if id.ends_with('!') => Err(Error::new(Code::WARN_CAMERA_IS_OCCUPIED, "busy")),
            _ => Ok(Box::new(Open { rig: self.0.clone(), id: id.into() })),
        }
    }
}

impl Camera for Open {
    fn format(&self) -> CameraFormat {
        FORMAT
    }

    fn picture(&mut self) -> Result<Option<VideoFrame>> {
        std::thread::sleep(Duration::from_millis(20));
        if !self.rig.has(&self.id) {
            return Err(Error::new(Code::FAILED, "no such device"));
        }
        let mut picture = I420::black(64, 48);
        picture.planes_mut()[0].fill(brightness(&self.id));
        Ok((!self.id.ends_with('?')).then(|| VideoFrame { picture: Arc::new(picture), time: Duration::ZERO }))
    }
}

/// One test, since the cameras belong to the process.
#[test]
fn cameras_come_and_go_in_a_call() {
    let rig = Arc::new(Rig::default());
    set_cameras(Arc::new(Fake(rig.clone())));
    let host = Guest::new();
    let seen = Arc::new(AtomicU8::new(0));
    let shown = seen.clone();
    let look = Arc::new(move |frame: &trtc_sdk::RenderFrame| {
        shown.store(frame.frame.picture.planes()[0][0], Ordering::Release)
    });
    host.cloud.set_local_video_callback(StreamType::Big, Some(look)).unwrap();
    let sees = |id: &str| until(&format!("pictures of {id}"), || seen.load(Ordering::Acquire) == brightness(id));
    let there = |ids: &[&'static str]| *rig.0.lock() = ids.to_vec();
    let is = |id: &'static str, to: DeviceState| move |e: &Event| matches!(e, Event::DeviceChange { id: i, kind: DeviceKind::Camera, state } if i == id && *state == to);
    let warned = |code: Code| move |e: &Event| matches!(e, Event::Warning { code: c, .. } if *c == code);
    let warns = |code: Code, times: usize| until(&format!("{code:?}"), || host.count(warned(code)) == times);
    let ready = || host.count(|e| matches!(e, Event::CameraDidReady));

    // Without one: told, and so is the one that is plugged in; the host takes it.
    host.cloud.start_local_preview().unwrap();
    warns(Code::WARN_CAMERA_DEVICE_EMPTY, 1);
    there(&["cam-1"]);
    host.wait("a new camera", is("cam-1", DeviceState::Add));
    host.cloud.start_local_preview().unwrap();
    host.wait("its use", is("cam-1", DeviceState::Active));
    sees("cam-1");

    // Another one is chosen while the first is in use.
    there(&["cam-1", "cam-2"]);
    host.wait("a second camera", is("cam-2", DeviceState::Add));
    host.cloud.set_current_device(DeviceKind::Camera, "cam-2").unwrap();
    sees("cam-2");
    assert_eq!(host.cloud.current_device(DeviceKind::Camera).unwrap().unwrap().id, "cam-2");
    assert_eq!(host.cloud.set_current_device(DeviceKind::Camera, "gone").unwrap_err().code, Code::INVALID_PARAMETER);

    // Pulled out, twice: each time it is told, it is taken again when it is back, and no other camera is switched on.
    for time in 1..=2 {
        let before = ready();
        there(&["cam-1"]);
        warns(Code::WARN_CAMERA_DISCONNECTED, time);
        until("its loss", || host.count(is("cam-2", DeviceState::Remove)) == time);
        there(&["cam-1", "cam-2"]);
        until("it is back", || ready() > before && host.count(is("cam-2", DeviceState::Add)) == time + 1);
        assert_eq!(host.count(is("cam-1", DeviceState::Active)), 1);
    }
    sees("cam-2");
    assert_eq!(host.count(warned(Code::WARN_CAMERA_START_FAILED)), 0, "a camera that is gone needs no second warning");

    // One that another program has, and one that delivers nothing.
    there(&["cam-1", "cam-3!", "cam-4?"]);
    warns(Code::WARN_CAMERA_DISCONNECTED, 3);
    host.cloud.set_current_device(DeviceKind::Camera, "cam-3!").unwrap();
    warns(Code::WARN_CAMERA_IS_OCCUPIED, 1);
    host.cloud.set_current_device(DeviceKind::Camera, "cam-4?").unwrap();
    warns(Code::WARN_CAMERA_DEVICE_ERROR, 1);
    host.cloud.set_current_device(DeviceKind::Camera, "cam-1").unwrap();
    sees("cam-1");
    host.cloud.stop_local_preview().unwrap();
    assert_eq!(host.errors(), []);
}
