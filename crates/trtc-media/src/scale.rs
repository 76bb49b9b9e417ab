//! Scaling with a triangle filter: bilinear when enlarging, area-weighted when reducing, so that nothing aliases.
use trtc_types::I420;

/// Scales to `width` x `height`; a side of 0 is taken as 1.
#[must_use]
pub fn scale(picture: &I420, width: usize, height: usize) -> I420 {
    let (width, height) = (width.max(1), height.max(1));
    if (picture.width(), picture.height()) == (width, height) {
        return picture.clone();
    }
    let mut out = I420::black(width, height);
    let sizes = |w: usize, h: usize| [(w, h), (w.div_ceil(2), h.div_ceil(2)), (w.div_ceil(2), h.div_ceil(2))];
    let from = sizes(picture.width(), picture.height());
    let to = sizes(width, height);
    for (i, plane) in out.planes_mut().into_iter().enumerate() {
        scale_plane(picture.planes()[i], from[i], plane, to[i]);
    }
    out
}

/// Scales into `width` x `height` keeping the aspect ratio, black bars around it.
#[must_use]
pub fn scale_to_fit(picture: &I420, width: usize, height: usize) -> I420 {
    let (width, height) = (width.max(1), height.max(1));
    let (w, h) = (picture.width(), picture.height());
    let (fit_w, fit_h) =
        if w * height > h * width { (width, (h * width / w).max(1)) } else { ((w * height / h).max(1), height) };
    let inner = scale(picture, even(fit_w, width), even(fit_h, height));
    let (x, y) = ((width - inner.width()) / 4 * 2, (height - inner.height()) / 4 * 2);
    let mut out = I420::black(width, height);
    let (out_cw, in_cw) = (out.chroma_width(), inner.chroma_width());
    for (i, plane) in out.planes_mut().into_iter().enumerate() {
        let (x, y, stride, row) = if i == 0 { (x, y, width, inner.width()) } else { (x / 2, y / 2, out_cw, in_cw) };
        for (line, from) in plane.chunks_exact_mut(stride).skip(y).zip(inner.planes()[i].chunks_exact(row)) {
            line[x..x + row].copy_from_slice(from);
        }
    }
    out
}

fn even(side: usize, limit: usize) -> usize {
    (side.next_multiple_of(2)).min(limit)
}

/// For each destination pixel the first source pixel and `count` weights that add up to 1 << 14.
struct Taps {
    count: usize,
    starts: Vec<usize>,
    weights: Vec<i32>,
}

const UNIT: i32 = 1 << 14;
const HALF: i32 = UNIT / 2;

fn taps(from: usize, to: usize) -> Taps {
    let ratio = from as f64 / to as f64;
    let support = ratio.max(1.0);
    let count = ((2.0 * support).ceil() as usize).clamp(1, from);
    let mut taps = Taps { count, starts: Vec::with_capacity(to), weights: Vec::with_capacity(to * count) };
    for i in 0..to {
        let centre = (i as f64 + 0.5) * ratio - 0.5;
        let first = ((centre - support).floor() + 1.0).max(0.0) as usize;
        let start = first.min(from - count);
        let raw = (start..start + count).map(|s| (1.0 - (s as f64 - centre).abs() / support).max(0.0));
        let sum: f64 = raw.clone().sum();
        let begin = taps.weights.len();
        taps.weights.extend(raw.map(|w| (w / sum * f64::from(UNIT)).round() as i32));
        let error = UNIT - taps.weights[begin..].iter().sum::<i32>();
        taps.weights[begin + count / 2] += error;
        taps.starts.push(start);
    }
    taps
}

fn scale_plane(from: &[u8], (fw, fh): (usize, usize), to: &mut [u8], (tw, th): (usize, usize)) {
    let (columns, rows) = (taps(fw, tw), taps(fh, th));
    let mut wide = vec![0u8; tw * fh];
    for (line, out) in from.chunks_exact(fw).zip(wide.chunks_exact_mut(tw)) {
        match columns.count {
            2 => scale_row::<2>(line, &columns, out),
            4 => scale_row::<4>(line, &columns, out),
            _ => scale_row_any(line, &columns, out),
        }
    }
    let mut sums = vec![0i32; tw];
    let weights = rows.weights.chunks_exact(rows.count);
    for ((start, weights), out) in rows.starts.iter().zip(weights).zip(to.chunks_exact_mut(tw)) {
        sums.fill(HALF);
        for (line, weight) in wide[start * tw..].chunks_exact(tw).zip(weights) {
            for (sum, s) in sums.iter_mut().zip(line) {
                *sum += i32::from(*s) * weight;
            }
        }
        for (out, sum) in out.iter_mut().zip(&sums) {
            *out = (sum >> 14).clamp(0, 255) as u8;
        }
    }
}

/// The usual reductions and every enlargement, unrolled.
fn scale_row<const N: usize>(line: &[u8], taps: &Taps, out: &mut [u8]) {
    let (weights, _) = taps.weights.as_chunks::<N>();
    for ((start, weights), out) in taps.starts.iter().zip(weights).zip(out) {
        let source = &line[*start..*start + N];
        let mut sum = HALF;
        for i in 0..N {
            sum += i32::from(source[i]) * weights[i];
        }
        *out = (sum >> 14).clamp(0, 255) as u8;
    }
}

fn scale_row_any(line: &[u8], taps: &Taps, out: &mut [u8]) {
    for ((start, weights), out) in taps.starts.iter().zip(taps.weights.chunks_exact(taps.count)).zip(out) {
        let sum: i32 = line[*start..].iter().zip(weights).map(|(s, w)| i32::from(*s) * w).sum();
        *out = ((sum + HALF) >> 14).clamp(0, 255) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::{Pattern, psnr_y};

    #[test]
    fn flat_stays_flat_and_sizes_are_exact() {
        for (w, h) in [(1, 1), (7, 5), (640, 2), (31, 99)] {
            let out = scale(&I420::black(64, 48), w, h);
            assert_eq!((out.width(), out.height()), (w, h));
            assert_eq!(out, I420::black(w, h));
        }
    }

    #[test]
    fn up_and_down_again_is_nearly_the_same() {
        let picture = Pattern::new(160, 90).frame(3, 9);
        let back = scale(&scale(&picture, 320, 180), 160, 90);
        assert!(psnr_y(&picture, &back) > 25.0, "{}", psnr_y(&picture, &back));
    }

    #[test]
    fn fitting_adds_bars() {
        let mut white = I420::black(40, 40);
        white.planes_mut()[0].fill(235);
        let out = scale_to_fit(&white, 80, 40);
        let row = &out.planes()[0][80 * 20..80 * 21];
        assert_eq!((row[5], row[40], row[75]), (16, 235, 16));
        let out = scale_to_fit(&white, 33, 77);
        assert_eq!((out.width(), out.height()), (33, 77));
    }
}
