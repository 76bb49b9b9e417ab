//! Every camera in some of its formats: one JSON line each with what came. For `cargo xtask camera-vm` and for people.
use std::error::Error;
use std::time::{Duration, Instant};
use trtc_device::SystemCameras;
use trtc_types::{Camera, Cameras, I420};

/// Sizes and rates that are asked for, and pictures of each.
const WISHES: &[(u32, u32, u32)] = &[(640, 360, 30), (320, 180, 15), (1280, 720, 12)];
const PICTURES: usize = 8;

fn main() -> Result<(), Box<dyn Error>> {
    for camera in SystemCameras.cameras()? {
        println!(
            r#"{{"event": "camera", "id": {:?}, "name": {:?}, "formats": {}}}"#,
            camera.id,
            camera.name,
            camera.formats.len()
        );
        for format in &camera.formats {
            println!(
                r#"{{"event": "format", "width": {}, "height": {}, "fps": [{}, {}], "pixel": "{:?}"}}"#,
                format.width, format.height, format.fps.0, format.fps.1, format.pixel
            );
        }
        for (width, height, fps) in WISHES {
            let mut open = SystemCameras.open_camera(&camera.id, *width, *height, *fps)?;
            println!("{}", watched(open.as_mut())?);
        }
    }
    println!(r#"{{"event": "end"}}"#);
    Ok(())
}

/// Some pictures: how fast they came, and the colours along the middle of the last one.
fn watched(camera: &mut dyn Camera) -> Result<String, Box<dyn Error>> {
    let format = camera.format();
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
    Ok(format!(
        r#"{{"event": "watched", "width": {}, "height": {}, "fps": [{}, {}], "pixel": "{:?}", "pictures": {pictures}, "rate": {rate:.1}, "colours": [{colours}]}}"#,
        format.width, format.height, format.fps.0, format.fps.1, format.pixel
    ))
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
