//! H.264 by openh264, without error concealment: an error means a frozen picture and a request for a key frame.
use crate::annexb;
use openh264_sys2::{self as sys, source::APILoader};
use std::ffi::{c_int, c_long, c_void};
use std::ptr;
use std::sync::Arc;
use std::time::Duration;
use trtc_types::{Code, EncodedVideo, Error, I420, Result, VideoDecoder, VideoFrame};

/// The H.264 decoder, baseline to high profile, B-frames included (their pictures come out in display order).
pub struct H264Decoder {
    codec: Instance,
}

impl H264Decoder {
    /// Opens a decoder.
    ///
    /// # Errors
    /// `FAILED` when openh264 cannot start.
    pub fn new() -> Result<Self> {
        Ok(Self { codec: Instance::open()? })
    }
}

impl VideoDecoder for H264Decoder {
    fn decode(&mut self, frame: &EncodedVideo) -> Result<Option<VideoFrame>> {
        annexb::check(&frame.data)?;
        self.codec.decode(&frame.data, frame.time)
    }
}

/// An initialised openh264 decoder: never null, destroyed on drop.
struct Instance {
    raw: *mut sys::ISVCDecoder,
}

// SAFETY: openh264 has no thread affinity, and `&mut self` on every call keeps it to one thread at a time.
unsafe impl Send for Instance {}

impl Instance {
    fn open() -> Result<Self> {
        let mut raw = ptr::null_mut();
        // SAFETY: an out-pointer to a live local.
        let code = unsafe { APILoader::WelsCreateDecoder(&raw mut raw) };
        if code != 0 || raw.is_null() {
            return Err(failed("WelsCreateDecoder", code));
        }
        let codec = Self { raw };
        let mut quiet = sys::WELS_LOG_QUIET as c_int;
        let set = codec.table().SetOption.ok_or_else(|| failed("SetOption", -1))?;
        // SAFETY: `raw` is live; the option wants an int, read during the call.
        unsafe { set(codec.raw, sys::DECODER_OPTION_TRACE_LEVEL, (&raw mut quiet).cast::<c_void>()) };
        let params = sys::SDecodingParam {
            uiTargetDqLayer: u8::MAX,
            eEcActiveIdc: sys::ERROR_CON_DISABLE,
            sVideoProperty: sys::SVideoProperty {
                size: size_of::<sys::SVideoProperty>() as u32,
                eVideoBsType: sys::VIDEO_BITSTREAM_AVC,
            },
            ..Default::default()
        };
        let initialize = codec.table().Initialize.ok_or_else(|| failed("Initialize", -1))?;
        // SAFETY: `raw` is live; the parameters are copied by the callee.
        let code = unsafe { initialize(codec.raw, &raw const params) };
        if code == 0 { Ok(codec) } else { Err(failed("Initialize", code)) }
    }

    fn decode(&mut self, data: &[u8], time: Duration) -> Result<Option<VideoFrame>> {
        let length = c_int::try_from(data.len()).map_err(|_| failed("length", -1))?;
        let mut planes: [*mut u8; 3] = [ptr::null_mut(); 3];
        // The input's time travels with its picture through the reordering of B-frames.
        let mut info = sys::SBufferInfo {
            uiInBsTimeStamp: u64::try_from(time.as_micros()).unwrap_or(u64::MAX),
            ..Default::default()
        };
        // "No delay" ends the access unit at once; the separate FlushFrame, which would break B-frames, is never called.
        let decode = self.table().DecodeFrameNoDelay.ok_or_else(|| failed("DecodeFrameNoDelay", -1))?;
        // SAFETY: `raw` is live; `data` outlives the call; `planes` has the three entries that the callee writes.
        let state = unsafe { decode(self.raw, data.as_ptr(), length, planes.as_mut_ptr(), &raw mut info) };
        if state != sys::dsErrorFree && state != sys::dsFramePending {
            return Err(Error::new(Code::FAILED, format!("H.264 not decodable, key frame needed (state {state:#x})")));
        }
        if info.iBufferStatus != 1 {
            return Ok(None);
        }
        // SAFETY: status 1 means that the union's only member and the planes describe a picture, valid until the next call.
        let picture = unsafe { copy_out(&info.UsrData.sSystemBuffer, planes)? };
        Ok(Some(VideoFrame { picture: Arc::new(picture), time: Duration::from_micros(info.uiOutYuvTimeStamp) }))
    }

    fn table(&self) -> &sys::ISVCDecoderVtbl {
        // SAFETY: `raw` is a live object; it begins with the pointer to its table, which is static.
        unsafe { &**self.raw }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Some(uninitialize) = self.table().Uninitialize {
            // SAFETY: `raw` is live; uninitialising before initialising is allowed.
            unsafe { uninitialize(self.raw) };
        }
        // SAFETY: created by WelsCreateDecoder and destroyed only here.
        unsafe { APILoader::WelsDestroyDecoder(self.raw) };
    }
}

/// Copies a picture into packed planes.
///
/// # Safety
/// `layout` and `planes` must describe a picture that the decoder has just put out.
unsafe fn copy_out(layout: &sys::SSysMEMBuffer, planes: [*mut u8; 3]) -> Result<I420> {
    let size = |n: c_int| usize::try_from(n).unwrap_or(0);
    let (width, height) = (size(layout.iWidth), size(layout.iHeight));
    let strides = [size(layout.iStride[0]), size(layout.iStride[1]), size(layout.iStride[1])];
    let (chroma_width, chroma_height) = (width.div_ceil(2), height.div_ceil(2));
    if width == 0
        || height == 0
        || strides[0] < width
        || strides[1] < chroma_width
        || planes.iter().any(|p| p.is_null())
    {
        return Err(failed("picture layout", layout.iFormat.into()));
    }
    let mut data = Vec::with_capacity(width * height + 2 * chroma_width * chroma_height);
    let sizes = [(width, height), (chroma_width, chroma_height), (chroma_width, chroma_height)];
    for ((plane, stride), (row_bytes, rows)) in planes.into_iter().zip(strides).zip(sizes) {
        for row in 0..rows {
            // SAFETY: the plane has `rows` rows of `stride` bytes, and a row is not longer than its stride.
            data.extend_from_slice(unsafe { std::slice::from_raw_parts(plane.add(row * stride), row_bytes) });
        }
    }
    I420::from_packed(width, height, data).ok_or_else(|| failed("picture size", -1))
}

fn failed(what: &str, code: c_long) -> Error {
    Error::new(Code::FAILED, format!("openh264 decoder: {what} gave {code}"))
}
