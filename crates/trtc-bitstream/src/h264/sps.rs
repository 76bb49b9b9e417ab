//! The sequence parameter set (7.3.2.1.1) with the parts of its VUI (annex E) that a player needs.
use super::{NalType, without_emulation};
use crate::bits::BitReader;

/// What a sequence parameter set says about the pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sps {
    /// Picture width in pixels, cropping applied.
    pub width: u32,
    /// Picture height in pixels, cropping applied.
    pub height: u32,
    /// `profile_idc`: 66 baseline, 77 main, 100 high.
    pub profile: u8,
    /// The constraint flags byte.
    pub constraints: u8,
    /// `level_idc`: 31 is level 3.1.
    pub level: u8,
    /// Number of reference frames.
    pub reference_frames: u32,
    /// Frames per second as (numerator, denominator), when the VUI has timing.
    pub frame_rate: Option<(u32, u32)>,
    /// How many pictures may be reordered, when the VUI says so. 0 promises that there are no B frames to wait for.
    pub reorder_frames: Option<u32>,
}

/// Parses a sequence parameter set NAL unit (header byte first). `None` for anything else and for impossible values.
#[must_use]
pub fn parse_sps(nal: &[u8]) -> Option<Sps> {
    if NalType::of(nal)? != NalType::Sps {
        return None;
    }
    // A real one has tens of bytes; the bound keeps hostile ones cheap.
    let rbsp = without_emulation(&nal[1..nal.len().min(1024)]);
    let mut r = BitReader::new(&rbsp);
    let (profile, constraints, level) = (r.bits(8)? as u8, r.bits(8)? as u8, r.bits(8)? as u8);
    r.ue()?; // seq_parameter_set_id
    let chroma =
        if has_chroma_format(profile) { chroma_format(&mut r)? } else { Chroma { format: 1, separate: false } };
    skip_order_count(&mut r)?;
    let reference_frames = r.ue()?;
    r.flag()?; // gaps_in_frame_num_value_allowed_flag
    let (width_mbs, height_units) = (r.ue()?.checked_add(1)?, r.ue()?.checked_add(1)?);
    let frame_mbs_only = r.flag()?;
    if !frame_mbs_only {
        r.flag()?; // mb_adaptive_frame_field_flag
    }
    r.flag()?; // direct_8x8_inference_flag
    let field_factor = if frame_mbs_only { 1 } else { 2 };
    let crop = if r.flag()? { [r.ue()?, r.ue()?, r.ue()?, r.ue()?] } else { [0; 4] };
    let (unit_x, unit_y) = chroma.crop_units(field_factor);
    let width = cropped(width_mbs.checked_mul(16)?, crop[0], crop[1], unit_x)?;
    let height = cropped(height_units.checked_mul(16 * field_factor)?, crop[2], crop[3], unit_y)?;
    if width > 16_384 || height > 16_384 {
        return None;
    }
    // A truncated VUI does not make the size wrong.
    let (frame_rate, reorder_frames) = if r.flag().unwrap_or(false) { vui(&mut r) } else { (None, None) };
    Some(Sps { width, height, profile, constraints, level, reference_frames, frame_rate, reorder_frames })
}

struct Chroma {
    format: u32,
    separate: bool,
}

impl Chroma {
    fn crop_units(&self, field_factor: u32) -> (u32, u32) {
        match if self.separate { 0 } else { self.format } {
            1 => (2, 2 * field_factor),
            2 => (2, field_factor),
            _ => (1, field_factor),
        }
    }
}

fn has_chroma_format(profile: u8) -> bool {
    matches!(profile, 100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135)
}

fn chroma_format(r: &mut BitReader<'_>) -> Option<Chroma> {
    let format = r.ue()?;
    if format > 3 {
        return None;
    }
    let separate = format == 3 && r.flag()?;
    r.ue()?; // bit_depth_luma_minus8
    r.ue()?; // bit_depth_chroma_minus8
    r.flag()?; // qpprime_y_zero_transform_bypass_flag
    if r.flag()? {
        for list in 0..if format == 3 { 12 } else { 8 } {
            if r.flag()? {
                skip_scaling_list(r, if list < 6 { 16 } else { 64 })?;
            }
        }
    }
    Some(Chroma { format, separate })
}

fn skip_scaling_list(r: &mut BitReader<'_>, size: usize) -> Option<()> {
    let (mut last, mut next) = (8i32, 8i32);
    for _ in 0..size {
        if next != 0 {
            next = last.wrapping_add(r.se()?).rem_euclid(256);
        }
        last = if next == 0 { last } else { next };
    }
    Some(())
}

fn skip_order_count(r: &mut BitReader<'_>) -> Option<()> {
    r.ue()?; // log2_max_frame_num_minus4
    match r.ue()? {
        0 => {
            r.ue()?;
        }
        1 => {
            r.flag()?;
            r.se()?;
            r.se()?;
            let cycle = r.ue()?;
            if cycle > 255 {
                return None;
            }
            for _ in 0..cycle {
                r.se()?;
            }
        }
        2 => {}
        _ => return None,
    }
    Some(())
}

fn cropped(size: u32, before: u32, after: u32, unit: u32) -> Option<u32> {
    let cut = before.checked_add(after)?.checked_mul(unit)?;
    size.checked_sub(cut).filter(|&left| left > 0)
}

/// Frame rate and reordering depth; whatever was read before the data ended.
fn vui(r: &mut BitReader<'_>) -> (Option<(u32, u32)>, Option<u32>) {
    let mut rate = None;
    let reorder = vui_inner(r, &mut rate);
    (rate, reorder)
}

fn vui_inner(r: &mut BitReader<'_>, rate: &mut Option<(u32, u32)>) -> Option<u32> {
    if r.flag()? && r.bits(8)? == 255 {
        r.bits(32)?; // extended sample aspect ratio
    }
    if r.flag()? {
        r.flag()?; // overscan
    }
    if r.flag()? {
        r.bits(4)?; // video_format, full range
        if r.flag()? {
            r.bits(24)?; // colour description
        }
    }
    if r.flag()? {
        r.ue()?;
        r.ue()?; // chroma sample locations
    }
    if r.flag()? {
        let (tick, scale) = (r.bits(32)?, r.bits(32)?);
        r.flag()?; // fixed_frame_rate_flag
        // Two ticks (fields) make a frame.
        *rate = tick.checked_mul(2).filter(|&t| t > 0 && scale > 0).map(|t| (scale, t));
    }
    let nal_hrd = r.flag()?;
    if nal_hrd {
        skip_hrd(r)?;
    }
    let vcl_hrd = r.flag()?;
    if vcl_hrd {
        skip_hrd(r)?;
    }
    if nal_hrd || vcl_hrd {
        r.flag()?; // low_delay_hrd_flag
    }
    r.flag()?; // pic_struct_present_flag
    if !r.flag()? {
        return None;
    }
    r.flag()?; // motion_vectors_over_pic_boundaries_flag
    for _ in 0..4 {
        r.ue()?;
    }
    r.ue() // max_num_reorder_frames
}

fn skip_hrd(r: &mut BitReader<'_>) -> Option<()> {
    let count = r.ue()?;
    if count > 31 {
        return None;
    }
    r.bits(8)?;
    for _ in 0..=count {
        r.ue()?;
        r.ue()?;
        r.flag()?;
    }
    r.bits(20)?;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_real_parameter_sets() {
        // x264, high profile, 1280x720 at 25 frames per second.
        let x264 = [
            0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9, 0x40, 0x50, 0x05, 0xbb, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00,
            0x00, 0x03, 0x03, 0x20, 0xf1, 0x83, 0x19, 0x60,
        ];
        let sps = parse_sps(&x264).unwrap();
        assert_eq!((sps.width, sps.height, sps.profile, sps.level), (1280, 720, 100, 31));
        assert_eq!(sps.frame_rate, Some((50, 2)));
        // Constrained baseline 640x480 without VUI timing, as openh264 writes it.
        let openh264 = [0x67, 0x42, 0xc0, 0x1e, 0x8c, 0x8d, 0x40, 0x50, 0x1e, 0x90, 0x0f, 0x08, 0x84, 0x6a];
        let sps = parse_sps(&openh264).unwrap();
        assert_eq!((sps.width, sps.height, sps.profile, sps.constraints), (640, 480, 66, 0xc0));
        // 1920x1080 needs cropping from 1088 lines.
        let full_hd = [
            0x67, 0x64, 0x00, 0x28, 0xac, 0xd9, 0x40, 0x78, 0x02, 0x27, 0xe5, 0xc0, 0x44, 0x00, 0x00, 0x03, 0x00, 0x04,
            0x00, 0x00, 0x03, 0x00, 0xf0, 0x3c, 0x60, 0xc6, 0x58,
        ];
        assert_eq!(parse_sps(&full_hd).map(|s| (s.width, s.height)), Some((1920, 1080)));
    }

    #[test]
    fn refuses_other_and_truncated_units() {
        assert_eq!(parse_sps(&[]), None);
        assert_eq!(parse_sps(&[0x68, 1, 2, 3]), None);
        assert_eq!(parse_sps(&[0x67, 0x42, 0xc0]), None);
        assert_eq!(parse_sps(&[0x67, 0x42, 0xc0, 0x1e, 0, 0, 0, 0, 0, 0, 0, 0]), None);
    }
}
