//! Pixel formats to I420 and back: BT.601, limited range, as cameras and H.264 in calls use it.
use trtc_types::{Code, Error, I420, Result};

/// Longest side of a picture that is accepted, in pixels.
pub const SIDE_MAX: usize = 8192;

/// A layout of raw pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PixelFormat {
    /// Three planes: Y, U, V; chroma halved both ways.
    I420,
    /// Two planes: Y, then U and V interleaved.
    Nv12,
    /// One plane of B, G, R, A bytes.
    Bgra,
    /// One plane of R, G, B, A bytes.
    Rgba,
}

impl PixelFormat {
    /// Bytes per row and rows of each plane of a packed picture.
    #[must_use]
    pub fn planes(self, width: usize, height: usize) -> Vec<(usize, usize)> {
        let (cw, ch) = (width.div_ceil(2), height.div_ceil(2));
        match self {
            Self::I420 => vec![(width, height), (cw, ch), (cw, ch)],
            Self::Nv12 => vec![(width, height), (2 * cw, ch)],
            Self::Bgra | Self::Rgba => vec![(4 * width, height)],
        }
    }

    /// Bytes of a packed picture.
    #[must_use]
    pub fn packed_bytes(self, width: usize, height: usize) -> usize {
        self.planes(width, height).iter().map(|(row, rows)| row * rows).sum()
    }
}

/// Makes an I420 picture from the planes of another format; each plane is its bytes and its stride in bytes.
///
/// # Errors
/// `INVALID_PARAMETER` naming the field: a side outside 1..=8192, a wrong number of planes, a stride shorter than a row, a
/// plane shorter than its rows.
pub fn i420_from(format: PixelFormat, width: usize, height: usize, planes: &[(&[u8], usize)]) -> Result<I420> {
    check_side("width", width)?;
    check_side("height", height)?;
    let layout = format.planes(width, height);
    if planes.len() != layout.len() {
        return Err(Error::invalid(format!("planes must be {} for {format:?}, got {}", layout.len(), planes.len())));
    }
    for (i, ((bytes, stride), (row, rows))) in planes.iter().zip(&layout).enumerate() {
        check_plane(i, bytes.len(), *stride, *row, *rows)?;
    }
    let mut out = Vec::with_capacity(PixelFormat::I420.packed_bytes(width, height));
    match format {
        PixelFormat::I420 => {
            for ((bytes, stride), (row, rows)) in planes.iter().zip(&layout) {
                copy_rows(bytes, *stride, *row, *rows, &mut out);
            }
        }
        PixelFormat::Nv12 => {
            copy_rows(planes[0].0, planes[0].1, layout[0].0, layout[0].1, &mut out);
            let (bytes, stride) = planes[1];
            for offset in 0..2 {
                for line in bytes.chunks(stride).take(layout[1].1) {
                    out.extend(line[..layout[1].0].chunks_exact(2).map(|uv| uv[offset]));
                }
            }
        }
        PixelFormat::Bgra => rgb_to_i420::<2, 0>(planes[0].0, planes[0].1, width, height, &mut out),
        PixelFormat::Rgba => rgb_to_i420::<0, 2>(planes[0].0, planes[0].1, width, height, &mut out),
    }
    I420::from_packed(width, height, out).ok_or_else(|| Error::new(Code::INTERNAL, "picture size"))
}

/// [`i420_from`] for one packed buffer without row padding.
///
/// # Errors
/// As [`i420_from`]; `data` must have exactly the packed size.
pub fn i420_from_packed(format: PixelFormat, width: usize, height: usize, data: &[u8]) -> Result<I420> {
    check_side("width", width)?;
    check_side("height", height)?;
    let need = format.packed_bytes(width, height);
    if data.len() != need {
        return Err(Error::invalid(format!(
            "data must be {need} bytes for {width}x{height} {format:?}, got {}",
            data.len()
        )));
    }
    let mut rest = data;
    let mut planes = Vec::with_capacity(3);
    for (row, rows) in format.planes(width, height) {
        let (plane, after) = rest.split_at(row * rows);
        planes.push((plane, row));
        rest = after;
    }
    i420_from(format, width, height, &planes)
}

/// Packs a picture into one buffer of `format`, rows without padding, planes one after another.
#[must_use]
pub fn pack(picture: &I420, format: PixelFormat) -> Vec<u8> {
    match format {
        PixelFormat::I420 => picture.data().to_vec(),
        PixelFormat::Nv12 => to_nv12(picture),
        PixelFormat::Bgra => to_bgra(picture),
        PixelFormat::Rgba => to_rgba(picture),
    }
}

/// B, G, R, A bytes; alpha is 255.
#[must_use]
pub fn to_bgra(picture: &I420) -> Vec<u8> {
    i420_to_rgb::<2, 0>(picture)
}

/// R, G, B, A bytes; alpha is 255.
#[must_use]
pub fn to_rgba(picture: &I420) -> Vec<u8> {
    i420_to_rgb::<0, 2>(picture)
}

/// The Y plane, then U and V interleaved.
#[must_use]
pub fn to_nv12(picture: &I420) -> Vec<u8> {
    let [y, u, v] = picture.planes();
    let mut out = Vec::with_capacity(y.len() + u.len() + v.len());
    out.extend_from_slice(y);
    out.extend(u.iter().zip(v).flat_map(|(u, v)| [*u, *v]));
    out
}

fn check_side(name: &str, value: usize) -> Result<()> {
    if (1..=SIDE_MAX).contains(&value) {
        return Ok(());
    }
    Err(Error::invalid(format!("{name} must be in 1..={SIDE_MAX}, got {value}")))
}

fn check_plane(index: usize, length: usize, stride: usize, row: usize, rows: usize) -> Result<()> {
    if stride < row {
        return Err(Error::invalid(format!("planes[{index}].stride must be at least {row}, got {stride}")));
    }
    // The last row needs no padding behind it.
    let need = stride.checked_mul(rows - 1).and_then(|n| n.checked_add(row));
    match need {
        Some(need) if length >= need => Ok(()),
        Some(need) => Err(Error::invalid(format!("planes[{index}] must have at least {need} bytes, got {length}"))),
        None => Err(Error::invalid(format!("planes[{index}].stride is too large: {stride}"))),
    }
}

fn copy_rows(bytes: &[u8], stride: usize, row: usize, rows: usize, out: &mut Vec<u8>) {
    for line in bytes.chunks(stride).take(rows) {
        out.extend_from_slice(&line[..row]);
    }
}

fn luma(r: i32, g: i32, b: i32) -> u8 {
    (((66 * r + 129 * g + 25 * b + 128) >> 8) + 16) as u8
}

fn rgb_to_i420<const R: usize, const B: usize>(
    bytes: &[u8],
    stride: usize,
    width: usize,
    height: usize,
    out: &mut Vec<u8>,
) {
    for line in bytes.chunks(stride).take(height) {
        out.extend(line[..4 * width].chunks_exact(4).map(|p| luma(p[R].into(), p[1].into(), p[B].into())));
    }
    let (cw, ch) = (width.div_ceil(2), height.div_ceil(2));
    let mut v_plane = Vec::with_capacity(cw * ch);
    for cy in 0..ch {
        let row = |y: usize| &bytes[y * stride..y * stride + 4 * width];
        // An odd edge repeats its last row or column.
        let (top, bottom) = (row(2 * cy), row((2 * cy + 1).min(height - 1)));
        for cx in 0..cw {
            let (left, right) = (8 * cx, 4 * (2 * cx + 1).min(width - 1));
            let sum = |c: usize| {
                i32::from(top[left + c])
                    + i32::from(top[right + c])
                    + i32::from(bottom[left + c])
                    + i32::from(bottom[right + c])
            };
            let (r, g, b) = (sum(R), sum(1), sum(B));
            out.push((((-38 * r - 74 * g + 112 * b + 512) >> 10) + 128) as u8);
            v_plane.push((((112 * r - 94 * g - 18 * b + 512) >> 10) + 128) as u8);
        }
    }
    out.extend_from_slice(&v_plane);
}

fn i420_to_rgb<const R: usize, const B: usize>(picture: &I420) -> Vec<u8> {
    let [y, u, v] = picture.planes();
    let (width, cw) = (picture.width(), picture.chroma_width());
    let mut out = vec![255; 4 * width * picture.height()];
    // What chroma adds to red, green and blue, once per pair of rows and doubled to full width.
    let mut tint = vec![[0i32; 3]; 2 * cw];
    for (row, (line, out)) in y.chunks_exact(width).zip(out.chunks_exact_mut(4 * width)).enumerate() {
        if row % 2 == 0 {
            let chroma = row / 2 * cw..(row / 2 + 1) * cw;
            let (pairs, _) = tint.as_chunks_mut::<2>();
            for (pair, (u, v)) in pairs.iter_mut().zip(u[chroma.clone()].iter().zip(&v[chroma])) {
                let (u, v) = (i32::from(*u) - 128, i32::from(*v) - 128);
                *pair = [[409 * v + 128, -100 * u - 208 * v + 128, 516 * u + 128]; 2];
            }
        }
        let (pixels, _) = out.as_chunks_mut::<4>();
        for ((y, [red, green, blue]), p) in line.iter().zip(&tint).zip(pixels) {
            let y = 298 * (i32::from(*y) - 16);
            p[R] = ((y + red) >> 8).clamp(0, 255) as u8;
            p[1] = ((y + green) >> 8).clamp(0, 255) as u8;
            p[B] = ((y + blue) >> 8).clamp(0, 255) as u8;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::{Pattern, psnr_y};

    #[test]
    fn every_format_survives_a_round_trip() {
        for (w, h) in [(64, 48), (33, 17), (1, 1), (2, 3)] {
            let picture = Pattern::new(w, h).frame(7, 123);
            for format in [PixelFormat::I420, PixelFormat::Nv12, PixelFormat::Bgra, PixelFormat::Rgba] {
                let packed = pack(&picture, format);
                assert_eq!(packed.len(), format.packed_bytes(w, h));
                let back = i420_from_packed(format, w, h, &packed).unwrap();
                if matches!(format, PixelFormat::I420 | PixelFormat::Nv12) {
                    assert_eq!(back, picture);
                } else {
                    assert!(psnr_y(&picture, &back) > 30.0, "{format:?} {w}x{h} {}", psnr_y(&picture, &back));
                }
            }
        }
    }

    #[test]
    fn known_colours() {
        for (rgba, yuv) in
            [([255, 255, 255, 255], [235, 128, 128]), ([0, 0, 0, 0], [16, 128, 128]), ([255, 0, 0, 9], [82, 90, 240])]
        {
            let picture = i420_from_packed(PixelFormat::Rgba, 2, 2, &rgba.repeat(4)).unwrap();
            assert_eq!(picture.planes().map(|p| p[0]), yuv);
        }
    }

    #[test]
    fn strides_are_honoured() {
        let picture = Pattern::new(10, 6).frame(1, 1);
        let packed = to_bgra(&picture);
        let padded: Vec<u8> = packed.chunks(40).flat_map(|row| row.iter().copied().chain([1; 24])).collect();
        let a = i420_from(PixelFormat::Bgra, 10, 6, &[(&packed, 40)]).unwrap();
        let b = i420_from(PixelFormat::Bgra, 10, 6, &[(&padded[..padded.len() - 24], 64)]).unwrap();
        assert_eq!(a, b);
    }

    #[test]
    fn refusals_name_the_field() {
        let message = |r: Result<I420>| r.unwrap_err().message;
        assert!(message(i420_from(PixelFormat::I420, 0, 2, &[])).contains("width must be in 1..=8192"));
        assert!(message(i420_from(PixelFormat::I420, 2, 9000, &[])).contains("height"));
        assert!(message(i420_from(PixelFormat::Nv12, 2, 2, &[(&[0; 4], 2)])).contains("planes must be 2"));
        assert!(
            message(i420_from(PixelFormat::Rgba, 2, 2, &[(&[0; 16], 4)]))
                .contains("planes[0].stride must be at least 8")
        );
        assert!(message(i420_from(PixelFormat::Rgba, 2, 2, &[(&[0; 15], 8)])).contains("at least 16 bytes"));
        assert!(i420_from(PixelFormat::Rgba, 2, 2, &[(&[0; 16], usize::MAX)]).is_err());
    }
}
