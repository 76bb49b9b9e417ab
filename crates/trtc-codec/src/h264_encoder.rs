//! H.264 constrained baseline by openh264: real-time camera mode, one layer, bitrate rate control.
use bytes::Bytes;
use openh264_sys2::{self as sys, source::APILoader};
use std::ffi::{c_int, c_void};
use std::ptr;
use std::time::Duration;
use trtc_types::{Code, EncodedVideo, EncoderTarget, Error, Result, VideoEncoder, VideoFrame};

/// The H.264 encoder. No periodic key frames: a receiver asks when it needs one.
pub struct H264Encoder {
    codec: Instance,
    target: EncoderTarget,
    // Kept until an IDR really came out, because the rate control may skip the frame that was asked to be one.
    key_wanted: bool,
}

impl H264Encoder {
    /// Opens an encoder.
    ///
    /// # Errors
    /// `INVALID_PARAMETER` for a target outside its ranges, `VIDEO_ENCODE_FAIL` when openh264 refuses it.
    pub fn new(target: EncoderTarget) -> Result<Self> {
        validate(target)?;
        Ok(Self { codec: Instance::open(target)?, target, key_wanted: true })
    }

    /// The target in force.
    #[must_use]
    pub fn target(&self) -> EncoderTarget {
        self.target
    }
}

impl VideoEncoder for H264Encoder {
    fn set_target(&mut self, target: EncoderTarget) -> Result<()> {
        validate(target)?;
        if (target.width, target.height) != (self.target.width, self.target.height) {
            self.codec = Instance::open(target)?;
            self.key_wanted = true;
        } else {
            if target.fps != self.target.fps {
                self.codec.set_fps(target.fps)?;
            }
            if target.bitrate_bps != self.target.bitrate_bps {
                self.codec.set_bitrate(target.bitrate_bps)?;
            }
        }
        self.target = target;
        Ok(())
    }

    fn encode(&mut self, frame: &VideoFrame, force_key: bool) -> Result<Option<EncodedVideo>> {
        let (width, height) = (frame.picture.width(), frame.picture.height());
        if (width, height) != (self.target.width, self.target.height) {
            return Err(Error::invalid(format!(
                "frame must be {}x{}, the encoder's size, got {width}x{height}",
                self.target.width, self.target.height
            )));
        }
        self.key_wanted |= force_key;
        if self.key_wanted {
            self.codec.force_key()?;
        }
        let Some((data, key)) = self.codec.encode(frame)? else { return Ok(None) };
        self.key_wanted &= !key;
        Ok(Some(EncodedVideo { data, key, time: frame.time }))
    }
}

fn validate(target: EncoderTarget) -> Result<()> {
    let EncoderTarget { width, height, bitrate_bps, fps } = target;
    if !(16..=3840).contains(&width) || width % 2 != 0 {
        return Err(Error::invalid(format!("width must be even and in 16..=3840, got {width}")));
    }
    if !(16..=2160).contains(&height) || height % 2 != 0 {
        return Err(Error::invalid(format!("height must be even and in 16..=2160, got {height}")));
    }
    if !(10_000..=100_000_000).contains(&bitrate_bps) {
        return Err(Error::invalid(format!("bitrate_bps must be in 10000..=100000000, got {bitrate_bps}")));
    }
    if !(1..=60).contains(&fps) {
        return Err(Error::invalid(format!("fps must be in 1..=60, got {fps}")));
    }
    Ok(())
}

/// An initialised openh264 encoder: never null, destroyed on drop.
struct Instance {
    raw: *mut sys::ISVCEncoder,
}

// SAFETY: openh264 has no thread affinity, and `&mut self` on every call keeps it to one thread at a time.
unsafe impl Send for Instance {}

/// What the C++ object really has at that place of its table: the C header leaves the layer argument out, and the callee
/// would read a stale register.
type ForceIntraFrame = unsafe extern "C" fn(*mut sys::ISVCEncoder, bool, c_int) -> c_int;

impl Instance {
    fn open(target: EncoderTarget) -> Result<Self> {
        let mut raw = ptr::null_mut();
        // SAFETY: an out-pointer to a live local.
        let code = unsafe { APILoader::WelsCreateSVCEncoder(&raw mut raw) };
        if code != 0 || raw.is_null() {
            return Err(failed("WelsCreateSVCEncoder", code));
        }
        let mut codec = Self { raw };
        codec.set_option(sys::ENCODER_OPTION_TRACE_LEVEL, &mut (sys::WELS_LOG_QUIET as c_int), "trace level")?;
        let params = codec.params(target)?;
        let initialize = codec.table().InitializeExt.ok_or_else(|| failed("InitializeExt", -1))?;
        // SAFETY: `raw` is the live object that the table belongs to; the parameters are copied by the callee.
        let code = unsafe { initialize(codec.raw, &raw const params) };
        if code != 0 {
            return Err(failed("InitializeExt", code));
        }
        let mut format: c_int = sys::videoFormatI420 as c_int;
        codec.set_option(sys::ENCODER_OPTION_DATAFORMAT, &mut format, "data format")?;
        Ok(codec)
    }

    fn params(&mut self, target: EncoderTarget) -> Result<sys::SEncParamExt> {
        let mut p = sys::SEncParamExt::default();
        let defaults = self.table().GetDefaultParams.ok_or_else(|| failed("GetDefaultParams", -1))?;
        // SAFETY: `raw` is live, and the callee fills the live local.
        let code = unsafe { defaults(self.raw, &raw mut p) };
        if code != 0 {
            return Err(failed("GetDefaultParams", code));
        }
        let (width, height) = (target.width as c_int, target.height as c_int);
        p.iUsageType = sys::CAMERA_VIDEO_REAL_TIME;
        p.iPicWidth = width;
        p.iPicHeight = height;
        p.iTargetBitrate = target.bitrate_bps as c_int;
        p.iMaxBitrate = 0; // unspecified
        p.iRCMode = sys::RC_BITRATE_MODE;
        p.fMaxFrameRate = target.fps as f32;
        p.iTemporalLayerNum = 1;
        p.iSpatialLayerNum = 1;
        p.iComplexityMode = sys::LOW_COMPLEXITY;
        p.uiIntraPeriod = 0;
        p.iNumRefFrame = 1;
        p.eSpsPpsIdStrategy = sys::CONSTANT_ID;
        p.bEnableFrameSkip = true;
        p.iMultipleThreadIdc = 1;
        p.iEntropyCodingModeFlag = 0;
        p.bEnableSceneChangeDetect = false; // an unasked intra picture is a burst that nobody needs
        p.bEnableDenoise = false;
        let layer = &mut p.sSpatialLayers[0];
        layer.iVideoWidth = width;
        layer.iVideoHeight = height;
        layer.fFrameRate = target.fps as f32;
        layer.iSpatialBitrate = target.bitrate_bps as c_int;
        layer.iMaxSpatialBitrate = 0;
        layer.uiProfileIdc = sys::PRO_BASELINE;
        layer.uiLevelIdc = sys::LEVEL_UNKNOWN; // chosen from size, rate and bitrate
        layer.sSliceArgument.uiSliceMode = sys::SM_SINGLE_SLICE;
        Ok(p)
    }

    fn set_bitrate(&mut self, bitrate_bps: u32) -> Result<()> {
        let mut info = sys::SBitrateInfo { iLayer: sys::SPATIAL_LAYER_ALL, iBitrate: bitrate_bps as c_int };
        self.set_option(sys::ENCODER_OPTION_BITRATE, &mut info, "bitrate")
    }

    fn set_fps(&mut self, fps: u32) -> Result<()> {
        self.set_option(sys::ENCODER_OPTION_FRAME_RATE, &mut (fps as f32), "frame rate")
    }

    /// `T` must be the type that `option` wants; private, and every caller is in this file.
    fn set_option<T>(&mut self, option: sys::ENCODER_OPTION, value: &mut T, name: &str) -> Result<()> {
        let set = self.table().SetOption.ok_or_else(|| failed(name, -1))?;
        // SAFETY: `raw` is live; `value` is a live object of the option's type, read during the call only.
        let code = unsafe { set(self.raw, option, ptr::from_mut(value).cast::<c_void>()) };
        if code == 0 { Ok(()) } else { Err(failed(name, code)) }
    }

    fn force_key(&mut self) -> Result<()> {
        let force = self.table().ForceIntraFrame.ok_or_else(|| failed("ForceIntraFrame", -1))?;
        // SAFETY: the entry is the C++ method `ForceIntraFrame(bool, int = -1)`; see `ForceIntraFrame`.
        let force = unsafe {
            std::mem::transmute::<unsafe extern "C" fn(*mut sys::ISVCEncoder, bool) -> c_int, ForceIntraFrame>(force)
        };
        // SAFETY: `raw` is live.
        let code = unsafe { force(self.raw, true, -1) };
        if code == 0 { Ok(()) } else { Err(failed("ForceIntraFrame", code)) }
    }

    fn encode(&mut self, frame: &VideoFrame) -> Result<Option<(Bytes, bool)>> {
        let picture = &frame.picture;
        let planes = picture.planes();
        let (width, chroma) = (picture.width() as c_int, picture.chroma_width() as c_int);
        let mut source = sys::SSourcePicture {
            iColorFormat: sys::videoFormatI420 as c_int,
            iStride: [width, chroma, chroma, 0],
            // The encoder only reads; the binding lost the const.
            pData: [
                planes[0].as_ptr().cast_mut(),
                planes[1].as_ptr().cast_mut(),
                planes[2].as_ptr().cast_mut(),
                ptr::null_mut(),
            ],
            iPicWidth: width,
            iPicHeight: picture.height() as c_int,
            uiTimeStamp: milliseconds(frame.time),
            ..Default::default()
        };
        let mut info = sys::SFrameBSInfo::default();
        let encode = self.table().EncodeFrame.ok_or_else(|| failed("EncodeFrame", -1))?;
        // SAFETY: `raw` is live; the planes hold width x height as checked by `I420`, and outlive the call.
        let code = unsafe { encode(self.raw, &raw mut source, &raw mut info) };
        if code != 0 {
            return Err(failed("EncodeFrame", code));
        }
        if info.eFrameType == sys::videoFrameTypeSkip || info.eFrameType == sys::videoFrameTypeInvalid {
            return Ok(None);
        }
        // SAFETY: `info` was just filled by the encoder and its buffers live until the next call.
        let data = unsafe { collect(&info) };
        if data.is_empty() {
            return Ok(None);
        }
        Ok(Some((Bytes::from(data), info.eFrameType == sys::videoFrameTypeIDR)))
    }

    fn table(&self) -> &sys::ISVCEncoderVtbl {
        // SAFETY: `raw` is a live object; it begins with the pointer to its table, which is static.
        unsafe { &**self.raw }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Some(uninitialize) = self.table().Uninitialize {
            // SAFETY: `raw` is live; uninitialising twice or before initialising is allowed.
            unsafe { uninitialize(self.raw) };
        }
        // SAFETY: created by WelsCreateSVCEncoder and destroyed only here.
        unsafe { APILoader::WelsDestroySVCEncoder(self.raw) };
    }
}

/// Joins the NAL units of all layers, in their order.
///
/// # Safety
/// `info` must come from a successful `EncodeFrame` with no later call on that encoder.
unsafe fn collect(info: &sys::SFrameBSInfo) -> Vec<u8> {
    let mut data = Vec::with_capacity(usize::try_from(info.iFrameSizeInBytes).unwrap_or(0));
    let layers = usize::try_from(info.iLayerNum).unwrap_or(0);
    for layer in info.sLayerInfo.iter().take(layers) {
        let count = usize::try_from(layer.iNalCount).unwrap_or(0);
        if count == 0 || layer.pNalLengthInByte.is_null() || layer.pBsBuf.is_null() {
            continue;
        }
        // SAFETY: the encoder says that `count` lengths are there.
        let lengths = unsafe { std::slice::from_raw_parts(layer.pNalLengthInByte, count) };
        let total: usize = lengths.iter().map(|n| usize::try_from(*n).unwrap_or(0)).sum();
        // SAFETY: the NAL units of a layer lie one after another from `pBsBuf`.
        data.extend_from_slice(unsafe { std::slice::from_raw_parts(layer.pBsBuf, total) });
    }
    data
}

fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

fn failed(what: &str, code: c_int) -> Error {
    Error::new(Code::VIDEO_ENCODE_FAIL, format!("openh264 encoder: {what} gave {code}"))
}
