//! Result codes: the vendor's number where the meaning is equal, boundary-only codes in -900..=-999.
use std::fmt;

/// A result code as it crosses the C boundary: 0 is success, negative is an error, positive a warning.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Code(pub i32);

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $value:literal;)*) => {
        impl Code {
            $($(#[$doc])* pub const $name: Self = Self($value);)*

            /// The constant's name without its `TRTC_ERR_`/`TRTC_WARN_` prefix; `"UNKNOWN"` for a foreign number.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self.0 { $($value => stringify!($name),)* _ => "UNKNOWN" }
            }
        }
    };
}

codes! {
    /// Success.
    OK = 0;
    /// Unspecified failure.
    FAILED = -1;
    /// An argument is out of range; the message names the field and the allowed range.
    INVALID_PARAMETER = -2;
    /// The call is not allowed in the present state or role.
    REFUSED = -3;
    /// Not available in this build or version.
    NOT_SUPPORTED = -4;
    /// The server did not answer in time.
    REQUEST_SERVER_TIMEOUT = -6;
    /// The server answered with an error.
    SERVER_PROCESS_FAILED = -7;
    /// There is no connection to the server.
    DISCONNECTED = -8;
    /// A video encoder failed.
    VIDEO_ENCODE_FAIL = -1303;
    /// An audio encoder failed.
    AUDIO_ENCODE_FAIL = -1304;
    /// The resolution is not supported.
    UNSUPPORTED_RESOLUTION = -1305;
    /// The sample rate is not supported.
    UNSUPPORTED_SAMPLERATE = -1306;
    /// The pixel format is not supported.
    PIXEL_FORMAT_UNSUPPORTED = -1327;
    /// Entering the room failed.
    ENTER_ROOM_FAILED = -3301;
    /// Connecting to the server timed out.
    CONNECT_SERVER_TIMEOUT = -3308;
    /// A required room parameter is missing.
    ROOM_PARAM_NULL = -3316;
    /// The application id is invalid.
    INVALID_SDK_APPID = -3317;
    /// The room id is invalid.
    INVALID_ROOM_ID = -3318;
    /// The user id is invalid.
    INVALID_USER_ID = -3319;
    /// The ticket is missing or malformed.
    INVALID_USER_SIG = -3320;
    /// Already in a room, or entering one.
    ENTER_ROOM_REFUSED = -3340;
    /// The PrivateMapKey is missing, wrong or expired.
    INVALID_PRIVATE_MAPKEY = -100006;
    /// The server refused the ticket.
    USER_SIG_CHECK_FAILED = -100018;
    /// The PrivateMapKey does not allow to create the room.
    NO_RIGHT_TO_CREATE_ROOM = -102010;
    /// The PrivateMapKey does not allow to enter the room.
    NO_RIGHT_TO_ENTER_ROOM = -102011;
    /// The sub stream of the room is taken by another user.
    SCREEN_SHARE_OCCUPIED = -102016;
    /// The handle is NULL, stale or garbage.
    INVALID_HANDLE = -900;
    /// A `struct_size` is smaller than the first version of the struct, or its unknown tail is not zero.
    STRUCT_SIZE = -901;
    /// The caller's buffer is too small; the needed size was written.
    BUFFER_TOO_SMALL = -902;
    /// A panic was caught; the instance is closed.
    INTERNAL = -903;
    /// The host did not take events for too long; the instance is closed.
    EVENT_OVERFLOW = -904;
    /// Nothing new is available.
    NO_FRAME = -905;
    /// A message limit (rate, bytes) was reached.
    RATE_LIMITED = -906;
    /// A queue is full; the item was dropped and counted.
    QUEUE_FULL = -907;
    /// Text is not UTF-8.
    NOT_UTF8 = -908;
    /// A file could not be read or has an unsupported format.
    FILE = -909;
    /// No microphone.
    WARN_MICROPHONE_DEVICE_EMPTY = 1201;
    /// No camera.
    WARN_CAMERA_DEVICE_EMPTY = 1111;
    /// No speaker.
    WARN_SPEAKER_DEVICE_EMPTY = 1202;
    /// The system does not let this process open the camera.
    WARN_CAMERA_NOT_AUTHORIZED = 1112;
    /// Another program uses the camera.
    WARN_CAMERA_IS_OCCUPIED = 1114;
    /// The camera is open and delivers no pictures.
    WARN_CAMERA_DEVICE_ERROR = 1115;
    /// The camera was pulled out.
    WARN_CAMERA_DISCONNECTED = 1116;
    /// The camera could not be started.
    WARN_CAMERA_START_FAILED = 1117;
    /// The microphone does not work, or was pulled out.
    WARN_MICROPHONE_DEVICE_ABNORMAL = 1204;
    /// The speaker does not work, or was pulled out.
    WARN_SPEAKER_DEVICE_ABNORMAL = 1205;
    /// A video frame could not be decoded, or its codec is not supported.
    WARN_VIDEO_FRAME_DECODE_FAIL = 2101;
    /// An audio frame could not be decoded, or its codec is not supported.
    WARN_AUDIO_FRAME_DECODE_FAIL = 2102;
    /// Audience members cannot send.
    WARN_IGNORE_UPSTREAM_FOR_AUDIENCE = 6001;
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.name(), self.0)
    }
}

/// A refused call: the code for programs and a sentence for people (field and allowed range).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} [{code:?}]")]
pub struct Error {
    /// What happened, for programs.
    pub code: Code,
    /// What happened, for people.
    pub message: String,
}

impl Error {
    /// An error with any code.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// `INVALID_PARAMETER`; the message must name the field and the allowed range.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::INVALID_PARAMETER, message)
    }

    /// `NOT_SUPPORTED`.
    pub fn not_supported(message: impl Into<String>) -> Self {
        Self::new(Code::NOT_SUPPORTED, message)
    }
}

/// Result with the project's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
