//! A moving test picture with a burned-in, machine-readable time code, and the meters that read it.
//!
//! The code is a grid of 15 x 4 black and white cells over the top quarter of the picture: one white and one black sync cell
//! at the start, 32 bits of milliseconds, 16 bits of frame index, 8 bits of CRC, and black and white again at the end. Cells
//! are proportional to the picture, so the code survives scaling; a cell is read at its middle, so it survives H.264.
use trtc_types::I420;

const COLUMNS: usize = 15;
const ROWS: usize = 4;
const CODE_BITS: usize = 56;
/// The grid covers this part (one n-th) of the height.
const GRID_HEIGHT: usize = 4;

const BLACK: u8 = 16;
const WHITE: u8 = 235;
/// Smallest brightness distance of the sync cells at which the code is read.
const CONTRAST_MIN: i32 = 60;

/// What is burned into a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeCode {
    /// Milliseconds since the source's own epoch.
    pub time_ms: u32,
    /// Low 16 bits of the frame index.
    pub index: u16,
}

/// The test picture of one size.
#[derive(Clone, Copy, Debug)]
pub struct Pattern {
    width: usize,
    height: usize,
}

impl Pattern {
    /// A pattern; a side of 0 is taken as 1.
    #[must_use]
    pub fn new(width: usize, height: usize) -> Self {
        Self { width: width.max(1), height: height.max(1) }
    }

    /// A new picture; see [`Pattern::draw`].
    #[must_use]
    pub fn frame(&self, frame_index: u32, time_ms: u32) -> I420 {
        let mut out = I420::black(self.width, self.height);
        self.draw(frame_index, time_ms, &mut out);
        out
    }

    /// Draws frame `frame_index` with its time code; `out` is replaced when it has another size.
    pub fn draw(&self, frame_index: u32, time_ms: u32, out: &mut I420) {
        if (out.width(), out.height()) != (self.width, self.height) {
            *out = I420::black(self.width, self.height);
        }
        self.draw_scene(frame_index as usize, out);
        self.burn(TimeCode { time_ms, index: frame_index as u16 }, out);
    }

    /// Burns a time code into any picture of this size, leaving the rest as it is.
    pub fn burn(&self, code: TimeCode, out: &mut I420) {
        let (width, height) = (out.width(), out.height());
        let grid_end = (height / GRID_HEIGHT).max(ROWS.min(height));
        let cells = cells(code);
        let chroma_width = out.chroma_width();
        let [y, u, v] = out.planes_mut();
        for (row, line) in y.chunks_exact_mut(width).take(grid_end).enumerate() {
            let cells = &cells[row * ROWS / grid_end * COLUMNS..][..COLUMNS];
            for (column, white) in cells.iter().enumerate() {
                // The first pixel x with x * COLUMNS / width == column.
                let edge = |column: usize| (column * width).div_ceil(COLUMNS);
                line[edge(column)..edge(column + 1)].fill(if *white { WHITE } else { BLACK });
            }
        }
        let grey = grid_end.div_ceil(2) * chroma_width;
        u[..grey].fill(128);
        v[..grey].fill(128);
    }

    /// A still gradient, a bar that wanders to the right and a square that bounces.
    fn draw_scene(&self, frame: usize, out: &mut I420) {
        let (width, height, chroma_width) = (self.width, self.height, out.chroma_width());
        let side = (height / 6).max(1);
        let bar = (frame * (width / 90).max(1)) % width;
        let square_x = bounce(frame * (width / 120).max(1), width.saturating_sub(side));
        let square_y = height / 3 + bounce(frame * (height / 100).max(1), (height * 2 / 3).saturating_sub(side));
        let ramp = |length: usize, top: usize| -> Vec<u8> { (0..length).map(|x| (x * top / length) as u8).collect() };
        let (luma_ramp, chroma_ramp) = (ramp(width, 100), ramp(chroma_width, 80));
        let [y, u, v] = out.planes_mut();
        for (row, line) in y.chunks_exact_mut(width).enumerate() {
            let base = (40 + row * 80 / height) as u8;
            for (pixel, ramp) in line.iter_mut().zip(&luma_ramp) {
                *pixel = base + ramp;
            }
            let end = (bar + width / 40 + 1).min(width);
            line[bar..end].fill(200);
            if (square_y..square_y + side).contains(&row) {
                let end = (square_x + side).min(width);
                line[square_x..end].fill(90);
            }
        }
        for (row, (u, v)) in u.chunks_exact_mut(chroma_width).zip(v.chunks_exact_mut(chroma_width)).enumerate() {
            u.iter_mut().zip(&chroma_ramp).for_each(|(u, ramp)| *u = 88 + ramp);
            v.fill((88 + row * 2 * 80 / height) as u8);
            if (square_y..square_y + side).contains(&(row * 2)) {
                let (start, end) = (square_x / 2, ((square_x + side) / 2).min(chroma_width));
                u[start..end].fill(90);
                v[start..end].fill(220);
            }
        }
    }
}

/// Reads the time code; `None` when there is none or its CRC is wrong.
#[must_use]
pub fn read_time_code(picture: &I420) -> Option<TimeCode> {
    let (width, height) = (picture.width(), picture.height());
    let grid_end = (height / GRID_HEIGHT).max(ROWS.min(height));
    let y = picture.planes()[0];
    let mut levels = [0i32; COLUMNS * ROWS];
    for (i, level) in levels.iter_mut().enumerate() {
        let (column, row) = (i % COLUMNS, i / COLUMNS);
        let (x0, x1) = middle(column * width, (column + 1) * width, COLUMNS);
        let (y0, y1) = middle(row * grid_end, (row + 1) * grid_end, ROWS);
        let (mut sum, mut count) = (0i32, 0i32);
        for line in y.chunks_exact(width).take(y1.min(height)).skip(y0) {
            for pixel in &line[x0..x1.min(width)] {
                sum += i32::from(*pixel);
                count += 1;
            }
        }
        *level = sum / count.max(1);
    }
    let [first, second] = [levels[0], levels[1]];
    let [before_last, last] = [levels[COLUMNS * ROWS - 2], levels[COLUMNS * ROWS - 1]];
    if (first - second).min(last - before_last) < CONTRAST_MIN {
        return None;
    }
    let threshold = (first + second + before_last + last) / 4;
    let code = levels[2..2 + CODE_BITS].iter().fold(0u64, |code, level| code << 1 | u64::from(*level > threshold));
    let (body, crc) = (code >> 8, code as u8);
    (crc8(body) == crc).then_some(TimeCode { time_ms: (body >> 16) as u32, index: body as u16 })
}

/// Peak signal-to-noise ratio of the luma planes in dB: infinite when equal, 0 when the sizes differ.
#[must_use]
pub fn psnr_y(a: &I420, b: &I420) -> f64 {
    if (a.width(), a.height()) != (b.width(), b.height()) {
        return 0.0;
    }
    let (a, b) = (a.planes()[0], b.planes()[0]);
    let sum: u64 = a.iter().zip(b).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum();
    10.0 * (255.0 * 255.0 * a.len() as f64 / sum as f64).log10()
}

fn cells(code: TimeCode) -> [bool; COLUMNS * ROWS] {
    let body = u64::from(code.time_ms) << 16 | u64::from(code.index);
    let word = body << 8 | u64::from(crc8(body));
    let mut cells = [false; COLUMNS * ROWS];
    cells[0] = true;
    for (i, cell) in cells[2..2 + CODE_BITS].iter_mut().enumerate() {
        *cell = word >> (CODE_BITS - 1 - i) & 1 == 1;
    }
    cells[COLUMNS * ROWS - 1] = true;
    cells
}

/// The pixels in the middle half of a cell from `start / parts` to `end / parts`; at least one.
fn middle(start: usize, end: usize, parts: usize) -> (usize, usize) {
    let (first, last) = ((3 * start + end) / (4 * parts), (start + 3 * end).div_ceil(4 * parts));
    (first, last.max(first + 1))
}

fn bounce(position: usize, span: usize) -> usize {
    if span == 0 {
        return 0;
    }
    let at = position % (2 * span);
    at.min(2 * span - at)
}

/// CRC-8 (polynomial 0x07) over six bytes, started at 0x5a so that an all-black code is wrong.
fn crc8(body: u64) -> u8 {
    let mut crc = 0x5au8;
    for byte in body.to_be_bytes()[2..].iter() {
        crc ^= byte;
        for _ in 0..8 {
            crc = if crc & 0x80 != 0 { crc << 1 ^ 0x07 } else { crc << 1 };
        }
    }
    crc
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scale::scale;

    #[test]
    fn code_survives_scaling() {
        for (w, h) in [(320, 180), (640, 360), (1280, 720), (640, 480), (176, 144), (1079, 607)] {
            for (index, time_ms) in [(0, 0), (1, 33), (65_535, u32::MAX), (40_000, 123_456_789)] {
                let picture = Pattern::new(w, h).frame(index, time_ms);
                let expected = Some(TimeCode { time_ms, index: index as u16 });
                assert_eq!(read_time_code(&picture), expected);
                for factor in [0.5, 0.61, 0.75, 1.3, 2.0] {
                    let (sw, sh) = ((w as f64 * factor) as usize, (h as f64 * factor) as usize);
                    assert_eq!(read_time_code(&scale(&picture, sw, sh)), expected, "{w}x{h} -> {sw}x{sh}");
                }
                assert_eq!(read_time_code(&scale(&picture, 300, 200)), expected);
            }
        }
    }

    #[test]
    fn other_pictures_have_no_code() {
        assert_eq!(read_time_code(&I420::black(320, 180)), None);
        assert_eq!(read_time_code(&I420::black(1, 1)), None);
        let mut damaged = Pattern::new(320, 180).frame(9, 99);
        damaged.planes_mut()[0][320 * 20..320 * 30].fill(235);
        assert_eq!(read_time_code(&damaged), None);
    }

    #[test]
    fn the_picture_moves() {
        let pattern = Pattern::new(320, 180);
        let (mut a, mut b) = (pattern.frame(0, 0), pattern.frame(30, 0));
        for p in [&mut a, &mut b] {
            pattern.burn(TimeCode { time_ms: 0, index: 0 }, p);
        }
        assert!(psnr_y(&a, &b) < 30.0);
        assert!(psnr_y(&a, &a).is_infinite());
    }
}
