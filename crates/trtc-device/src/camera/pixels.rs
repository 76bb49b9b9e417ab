//! What cameras deliver, as I420.
use trtc_types::{CameraPixel, Code, Error, I420, Result};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// A picture of `width` x `height` (even) from a camera's buffer, which may be longer than the picture. An MJPEG picture has
/// the size that is written in it.
///
/// # Errors
/// `PIXEL_FORMAT_UNSUPPORTED` for a buffer that is too short or no JPEG picture.
pub fn to_i420(pixel: CameraPixel, width: usize, height: usize, data: &[u8]) -> Result<I420> {
    if pixel == CameraPixel::Mjpeg {
        return mjpeg(data);
    }
    let need = width * height * if pixel == CameraPixel::Yuyv { 4 } else { 3 } / 2;
    let Some(data) = data.get(..need).filter(|_| width.is_multiple_of(2) && height.is_multiple_of(2) && need > 0)
    else {
        return Err(unusable(format!("{} bytes for {width}x{height} {pixel:?}, which takes {need}", data.len())));
    };
    let mut picture = I420::black(width, height);
    let (luma, chroma) = data.split_at(width * height);
    let [y, u, v] = picture.planes_mut();
    match pixel {
        CameraPixel::Yuyv => yuyv(data, width, y, u, v),
        CameraPixel::Nv12 => {
            y.copy_from_slice(luma);
            chroma
                .as_chunks::<2>()
                .0
                .iter()
                .zip(u.iter_mut().zip(v))
                .for_each(|([cb, cr], (u, v))| (*u, *v) = (*cb, *cr));
        }
        _ => {
            y.copy_from_slice(luma);
            let half = chroma.len() / 2;
            u.copy_from_slice(&chroma[..half]);
            v.copy_from_slice(&chroma[half..]);
        }
    }
    Ok(picture)
}

/// Two rows at a time; their colours are averaged.
fn yuyv(data: &[u8], width: usize, y: &mut [u8], u: &mut [u8], v: &mut [u8]) {
    let colours = u.chunks_exact_mut(width / 2).zip(v.chunks_exact_mut(width / 2));
    for ((rows, y), (u, v)) in data.chunks_exact(4 * width).zip(y.chunks_exact_mut(2 * width)).zip(colours) {
        let (upper, lower) = rows.split_at(2 * width);
        for (at, (a, b)) in upper.as_chunks::<4>().0.iter().zip(lower.as_chunks::<4>().0).enumerate() {
            (y[2 * at], y[2 * at + 1]) = (a[0], a[2]);
            (y[width + 2 * at], y[width + 2 * at + 1]) = (b[0], b[2]);
            (u[at], v[at]) = (mean(&[a[1], b[1]]), mean(&[a[3], b[3]]));
        }
    }
}

/// The Huffman tables of ISO/IEC 10918-1, Annex K.3.3, as DHT segments: those of a picture that brings none.
const USUAL_TABLES: &[u8] = include_bytes!("huffman.dht");

/// Webcams leave the tables out; they go behind the start marker, where a picture's own ones would replace them.
fn with_tables(data: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    let scan = data.windows(2).position(|m| m == [0xff, 0xda]).unwrap_or(0);
    match data.split_at_checked(2) {
        Some((start, rest)) if !data[..scan].windows(2).any(|m| m == [0xff, 0xc4]) => {
            [start, USUAL_TABLES, rest].concat().into()
        }
        _ => data.into(),
    }
}

fn mjpeg(data: &[u8]) -> Result<I420> {
    let data = with_tables(data);
    let options = DecoderOptions::default().set_max_width(3840).set_max_height(2160);
    let options = options.jpeg_set_out_colorspace(ColorSpace::YCbCr);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(&data[..]), options);
    let samples = decoder.decode().map_err(|e| unusable(format!("no JPEG picture: {e}")))?;
    let (width, height) = decoder.dimensions().ok_or_else(|| unusable("a JPEG picture without a size".to_owned()))?;
    let (width, height) = (width & !1, height & !1);
    let row = 3 * decoder.dimensions().map_or(0, |d| d.0);
    if width == 0 || height == 0 || samples.len() < row * height {
        return Err(unusable("an empty JPEG picture".to_owned()));
    }
    let mut picture = I420::black(width, height);
    let [y, u, v] = picture.planes_mut();
    for (at, rows) in samples.chunks_exact(2 * row).take(height / 2).enumerate() {
        let (upper, lower) = rows.split_at(row);
        for (pair, (a, b)) in upper.as_chunks::<6>().0.iter().zip(lower.as_chunks::<6>().0).take(width / 2).enumerate()
        {
            let (top, left) = (2 * at * width, 2 * pair);
            // JPEG has the full range of 0..=255, video 16..=235 and 16..=240.
            (y[top + left], y[top + left + 1]) = (luma(a[0]), luma(a[3]));
            (y[top + width + left], y[top + width + left + 1]) = (luma(b[0]), luma(b[3]));
            u[at * width / 2 + pair] = chroma(mean(&[a[1], a[4], b[1], b[4]]));
            v[at * width / 2 + pair] = chroma(mean(&[a[2], a[5], b[2], b[5]]));
        }
    }
    Ok(picture)
}

fn mean(values: &[u8]) -> u8 {
    let count = values.len() as u32;
    ((values.iter().map(|v| u32::from(*v)).sum::<u32>() + count / 2) / count) as u8
}

fn luma(full: u8) -> u8 {
    ((u32::from(full) * 219 + 127) / 255 + 16) as u8
}

fn chroma(full: u8) -> u8 {
    ((u32::from(full) * 224 + 127) / 255 + 16) as u8
}

fn unusable(message: String) -> Error {
    Error::new(Code::PIXEL_FORMAT_UNSUPPORTED, format!("the camera delivered {message}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yuyv_and_nv12_and_i420_are_the_same_picture() {
        let (width, height) = (8, 4);
        let mut wanted = I420::black(width, height);
        let [y, u, v] = wanted.planes_mut();
        y.iter_mut().enumerate().for_each(|(i, y)| *y = i as u8 + 20);
        u.iter_mut().enumerate().for_each(|(i, u)| *u = i as u8 + 100);
        v.iter_mut().enumerate().for_each(|(i, v)| *v = i as u8 + 150);
        let [y, u, v] = wanted.planes();
        let mut packed = Vec::new();
        for row in 0..height {
            for pair in 0..width / 2 {
                let colour = row / 2 * width / 2 + pair;
                packed.extend([y[row * width + 2 * pair], u[colour], y[row * width + 2 * pair + 1], v[colour]]);
            }
        }
        let mut nv12 = y.to_vec();
        u.iter().zip(v).for_each(|(u, v)| nv12.extend([*u, *v]));
        // A camera's buffer is longer than its picture.
        for data in [&mut packed, &mut nv12] {
            data.extend([9; 5]);
        }
        assert_eq!(to_i420(CameraPixel::Yuyv, width, height, &packed).unwrap(), wanted);
        assert_eq!(to_i420(CameraPixel::Nv12, width, height, &nv12).unwrap(), wanted);
        assert_eq!(to_i420(CameraPixel::I420, width, height, wanted.data()).unwrap(), wanted);
        for (pixel, short) in [(CameraPixel::Yuyv, 63), (CameraPixel::Nv12, 47), (CameraPixel::I420, 0)] {
            assert!(to_i420(pixel, width, height, &packed[..short]).is_err());
        }
    }

    #[test]
    fn what_is_no_jpeg_is_refused() {
        for data in [&b""[..], b"\xff\xd8", b"no picture", &include_bytes!("../../tests/camera-320x240.jpg")[..100]] {
            assert!(to_i420(CameraPixel::Mjpeg, 320, 240, data).is_err());
        }
    }

    const BARS: &[u8] = include_bytes!("../../tests/camera-320x240.jpg");
    const WEBCAM: &[u8] = include_bytes!("../../tests/webcam-640x480.jpg");

    /// Eight bars, 4:2:2, without Huffman tables, as webcams send them. The first is Pillow's with its tables cut out; the second
    /// is FFmpeg's and as UVC webcams make them: the AVI1 marker, a restart marker after each row of blocks, zeros at the end.
    /// No webcam recorded either.
    #[test]
    fn mjpeg_frames_without_tables_have_their_colours() {
        for (data, width, height) in [(BARS, 320, 240), (WEBCAM, 640, 480)] {
            assert!(!data.windows(2).any(|m| m == [0xff, 0xc4]), "no table in the file");
            let picture = to_i420(CameraPixel::Mjpeg, width, height, data).unwrap();
            assert_eq!((picture.width(), picture.height()), (width, height));
            assert_bars(&picture);
        }
        assert_eq!(WEBCAM.windows(2).filter(|m| m[0] == 0xff && (0xd0..=0xd7).contains(&m[1])).count(), 29);
    }

    fn assert_bars(picture: &I420) {
        let (width, height) = (picture.width(), picture.height());
        let [y, u, v] = picture.planes();
        // BT.601 video range of white, yellow, cyan, green, magenta, red, blue, black.
        let bars = [
            (235, 128, 128),
            (210, 16, 146),
            (170, 166, 16),
            (145, 54, 34),
            (106, 202, 222),
            (81, 90, 240),
            (41, 240, 110),
            (16, 128, 128),
        ];
        for (bar, (wanted_y, wanted_u, wanted_v)) in bars.into_iter().enumerate() {
            for row in [height / 4, height - 2] {
                let x = bar * width / 8 + width / 16;
                let at = row / 2 * width / 2 + x / 2;
                let seen = (y[row * width + x], u[at], v[at]);
                let near = |a: u8, b: i32| (i32::from(a) - b).abs() <= 4;
                assert!(near(seen.0, wanted_y) && near(seen.1, wanted_u) && near(seen.2, wanted_v), "{bar}: {seen:?}");
            }
        }
    }

    #[test]
    fn broken_and_hostile_jpegs_are_survived() {
        // Cut anywhere: refused, or a picture of the size that was promised.
        let sound = |data: &[u8]| match to_i420(CameraPixel::Mjpeg, 640, 480, data) {
            Ok(picture) => {
                assert!(picture.width() <= 3840 && picture.height() <= 2160);
                true
            }
            Err(error) => {
                assert_eq!(error.code, Code::PIXEL_FORMAT_UNSUPPORTED);
                false
            }
        };
        for end in (0..WEBCAM.len() - 64).step_by(61) {
            sound(&WEBCAM[..end]);
        }
        let mut dice = 1u32;
        let mut refused = 0;
        for _ in 0..300 {
            let mut data = BARS.to_vec();
            for _ in 0..4 {
                dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let at = dice as usize % data.len();
                data[at] = (dice >> 24) as u8;
            }
            refused += u32::from(!sound(&data));
        }
        assert!(refused > 0, "the header is among what was changed");
        let mut huge = WEBCAM.to_vec();
        let frame = huge.windows(2).position(|m| m == [0xff, 0xc0]).unwrap();
        huge[frame + 5..frame + 9].fill(0xff);
        assert!(!sound(&huge), "65535x65535 is refused before memory is taken");
    }
}
