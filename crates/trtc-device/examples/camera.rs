//! Every camera in some of its formats: one JSON line each with what came. For `cargo xtask camera-vm` and for people.
use std::error::Error;

#[cfg(target_os = "linux")]
mod linux {
    use std::error::Error;
    use std::time::{Duration, Instant};
    use trtc_device::{SystemCameras, camera};
    use trtc_types::{Camera, CameraFormat, CameraPixel, Cameras, I420};

    /// Sizes and rates that are asked for, in each pixel format, and pictures of each.
    const WISHES: &[(u32, u32, (u32, u32))] = &[(640, 360, (30, 1)), (1280, 720, (25, 2))];
    const PICTURES: usize = 8;

    pub fn all() -> Result<(), Box<dyn Error>> {
        println!();
        for device in SystemCameras.cameras()? {
            let formats = device.formats.len();
            println!(
                r#"{{"event": "camera", "id": {:?}, "name": {:?}, "formats": {formats}}}"#,
                device.id, device.name
            );
            for format in device.formats.iter().filter(|f| WISHES.contains(&(f.width, f.height, f.fps))) {
                let (mut open, library) = camera::open(&device.id, *format)?;
                println!(r#"{{"event": "watched", "library": "{library}", {}}}"#, watched(open.as_mut())?);
            }
            let nearest = SystemCameras.open_camera(&device.id, 640, 360, 30)?.format();
            println!(r#"{{"event": "nearest", {}}}"#, said(nearest));
        }
        stalled()?;
        println!(r#"{{"event": "end"}}"#);
        Ok(())
    }

    /// vivid's camera that keeps all pictures for itself: nobody waits for ever, neither for a picture nor to close it.
    fn stalled() -> Result<(), Box<dyn Error>> {
        use v4l::control::{Control, Value};
        let Some(device) = SystemCameras.cameras()?.into_iter().find(|d| d.name.contains("vivid")) else {
            return Ok(());
        };
        let controls = v4l::Device::with_path(&device.id)?;
        let drop_all = controls.query_controls()?.into_iter().find(|c| c.name == "Percentage of Dropped Buffers");
        let id = drop_all.ok_or("no such control")?.id;
        let set = |percent| controls.set_control(Control { id, value: Value::Integer(percent) });
        for (pixel, by) in [(CameraPixel::Yuyv, "nokhwa"), (CameraPixel::I420, "v4l")] {
            let format = CameraFormat { width: 320, height: 180, fps: (15, 1), pixel };
            let fits = |f: &&CameraFormat| (f.width, f.pixel, f.fps.1) == (320, pixel, 1);
            let format = device.formats.iter().find(fits).copied().unwrap_or(format);
            // The last one may still be closing.
            let again = |_| {
                camera::open(&device.id, format).inspect_err(|_| std::thread::sleep(Duration::from_millis(200))).ok()
            };
            let (mut open, library) = (0..50).find_map(again).ok_or("the camera stays busy")?;
            let before = (0..50).any(|_| matches!(open.picture(), Ok(Some(_))));
            set(100)?;
            // What was on its way still comes.
            let silent = (0..20).any(|_| matches!(open.picture(), Ok(None)));
            drop(open);
            set(0)?;
            let after = (0..50).any(|_| {
                std::thread::sleep(Duration::from_millis(100));
                camera::open(&device.id, format).is_ok_and(|(mut open, _)| matches!(open.picture(), Ok(Some(_))))
            });
            let good = before && silent && after && library == by;
            println!(r#"{{"event": "stalled", "library": "{library}", "good": {good}}}"#);
        }
        Ok(())
    }

    fn said(format: CameraFormat) -> String {
        let CameraFormat { width, height, fps, pixel } = format;
        format!(r#""width": {width}, "height": {height}, "fps": [{}, {}], "pixel": "{pixel:?}""#, fps.0, fps.1)
    }

    /// Some pictures: how fast they came, and the colours along the middle of the last one.
    fn watched(camera: &mut dyn Camera) -> Result<String, Box<dyn Error>> {
        let (mut pictures, mut last, mut start) = (0, None, Instant::now());
        let end = Instant::now() + Duration::from_secs(20);
        while pictures < PICTURES && Instant::now() < end {
            if let Some(frame) = camera.picture()? {
                pictures += 1;
                if pictures == 1 {
                    start = Instant::now();
                }
                last = Some(frame.picture);
            }
        }
        let rate = (pictures.max(1) - 1) as f64 / start.elapsed().as_secs_f64();
        let colours = last.as_ref().map_or_else(String::new, |picture| colours(picture));
        let format = said(camera.format());
        Ok(format!(r#"{format}, "pictures": {pictures}, "rate": {rate:.1}, "colours": [{colours}]"#))
    }

    /// Y, U and V at eight places, three quarters down.
    fn colours(picture: &I420) -> String {
        let [y, u, v] = picture.planes();
        let (width, row) = (picture.width(), picture.height() * 3 / 4);
        let places = (0..8).map(|i| (2 * i + 1) * width / 16);
        let at: Vec<String> = places
            .map(|x| {
                let chroma = row / 2 * picture.chroma_width() + x / 2;
                format!("[{}, {}, {}]", y[row * width + x], u[chroma], v[chroma])
            })
            .collect();
        at.join(", ")
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    #[cfg(target_os = "linux")]
    linux::all()?;
    Ok(())
}
