//! Parsers of raw video files: YUV4MPEG2 (`.y4m`, 4:2:0 only) and headerless I420.
use crate::convert::SIDE_MAX;
use trtc_types::{Code, Error, I420, Result};

const HEADER_MAX: usize = 4_096;

/// The stream header of a `.y4m` file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Y4mHeader {
    /// Picture width.
    pub width: usize,
    /// Picture height.
    pub height: usize,
    /// Frames per second: numerator and denominator. 30/1 when the file says nothing.
    pub fps: (u32, u32),
    /// Bytes of the header: the first frame begins there.
    pub length: usize,
}

impl Y4mHeader {
    /// Parses the beginning of a file.
    ///
    /// # Errors
    /// `FILE` for anything that is not a 4:2:0 8-bit `.y4m` of 1..=8192 pixels a side.
    pub fn parse(data: &[u8]) -> Result<Self> {
        let (line, length) = line(data).ok_or_else(|| bad("header line is missing or too long"))?;
        let mut words = line.split(' ');
        if words.next() != Some("YUV4MPEG2") {
            return Err(bad("it does not begin with YUV4MPEG2"));
        }
        let mut header = Self { width: 0, height: 0, fps: (30, 1), length };
        for word in words.filter(|w| !w.is_empty()) {
            let (tag, value) = word.split_at_checked(1).ok_or_else(|| bad("parameter"))?;
            match tag {
                "W" => header.width = side(value)?,
                "H" => header.height = side(value)?,
                "F" => header.fps = ratio(value).ok_or_else(|| bad("frame rate"))?,
                "C" if !matches!(value, "420" | "420jpeg" | "420mpeg2" | "420paldv") => {
                    return Err(bad("only 8-bit 4:2:0 is supported"));
                }
                _ => {}
            }
        }
        if header.width == 0 || header.height == 0 {
            return Err(bad("width or height is missing"));
        }
        Ok(header)
    }

    /// Parses the frame at the beginning of `data`: the picture and the bytes used. `None` at the end of the file or when the
    /// last frame is cut off.
    ///
    /// # Errors
    /// `FILE` when there is no `FRAME` line.
    pub fn frame(&self, data: &[u8]) -> Result<Option<(I420, usize)>> {
        if data.is_empty() {
            return Ok(None);
        }
        let (line, header) = line(data).ok_or_else(|| bad("frame line is missing or too long"))?;
        if line != "FRAME" && !line.starts_with("FRAME ") {
            return Err(bad("frame line"));
        }
        let end = header + i420_bytes(self.width, self.height);
        let picture = data.get(header..end).and_then(|d| I420::from_packed(self.width, self.height, d.to_vec()));
        Ok(picture.map(|p| (p, end)))
    }

    /// Bytes of a frame whose line has no parameters, to read a file piece by piece.
    #[must_use]
    pub fn frame_bytes(&self) -> usize {
        "FRAME\n".len() + i420_bytes(self.width, self.height)
    }
}

/// Bytes of one packed I420 picture.
#[must_use]
pub fn i420_bytes(width: usize, height: usize) -> usize {
    width * height + 2 * width.div_ceil(2) * height.div_ceil(2)
}

/// The pictures of a headerless I420 file; a cut-off last one is left out.
pub fn i420_frames(data: &[u8], width: usize, height: usize) -> impl Iterator<Item = I420> + '_ {
    data.chunks_exact(i420_bytes(width, height).max(1))
        .filter_map(move |d| I420::from_packed(width, height, d.to_vec()))
}

fn line(data: &[u8]) -> Option<(&str, usize)> {
    let end = data.iter().take(HEADER_MAX).position(|b| *b == b'\n')?;
    Some((std::str::from_utf8(&data[..end]).ok()?, end + 1))
}

fn side(value: &str) -> Result<usize> {
    value.parse().ok().filter(|n| (1..=SIDE_MAX).contains(n)).ok_or_else(|| bad("width and height must be in 1..=8192"))
}

fn ratio(value: &str) -> Option<(u32, u32)> {
    let (n, d) = value.split_once(':')?;
    let (n, d) = (n.parse().ok()?, d.parse().ok()?);
    (n > 0 && d > 0).then_some((n, d))
}

fn bad(why: &str) -> Error {
    Error::new(Code::FILE, format!("y4m file: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::Pattern;

    #[test]
    fn frames_come_back() {
        let pictures: Vec<I420> = (0..3).map(|i| Pattern::new(17, 9).frame(i, 0)).collect();
        let mut file = b"YUV4MPEG2 W17 H9 F30000:1001 Ip A1:1 C420jpeg\n".to_vec();
        for p in &pictures {
            file.extend_from_slice(b"FRAME\n");
            file.extend_from_slice(p.data());
        }
        let header = Y4mHeader::parse(&file).unwrap();
        assert_eq!((header.width, header.height, header.fps), (17, 9, (30_000, 1_001)));
        let mut rest = &file[header.length..];
        for p in &pictures {
            let (picture, used) = header.frame(rest).unwrap().unwrap();
            assert_eq!((&picture, used), (p, header.frame_bytes()));
            rest = &rest[used..];
        }
        assert_eq!(header.frame(rest), Ok(None));
        assert_eq!(header.frame(&file[header.length..header.length + 50]), Ok(None));
        assert!(header.frame(b"xx\n").is_err());
        let raw: Vec<u8> = pictures.iter().flat_map(|p| p.data().to_vec()).collect();
        assert_eq!(i420_frames(&raw, 17, 9).collect::<Vec<_>>(), pictures);
    }

    #[test]
    fn other_files_are_refused() {
        for bad in [
            &b""[..],
            b"RIFF\n",
            b"YUV4MPEG2 W0 H9\n",
            b"YUV4MPEG2 W9\n",
            b"YUV4MPEG2 W9 H9 C444\n",
            b"YUV4MPEG2 W9 H9 F0:1\n",
        ] {
            assert!(Y4mHeader::parse(bad).is_err());
        }
    }
}
