//! Descriptions as values.
use crate::ice::Credentials;
use crate::types::CodecSpec;
use std::net::SocketAddr;
use trtc_types::MediaKind;

/// What an m-line carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Audio,
    Video,
    Application,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Audio => "audio",
            Self::Video => "video",
            Self::Application => "application",
        }
    }

    pub fn media(self) -> Option<MediaKind> {
        match self {
            Self::Audio => Some(MediaKind::Audio),
            Self::Video => Some(MediaKind::Video),
            Self::Application => None,
        }
    }
}

impl From<MediaKind> for Kind {
    fn from(kind: MediaKind) -> Self {
        match kind {
            MediaKind::Audio => Self::Audio,
            MediaKind::Video => Self::Video,
        }
    }
}

/// Direction of a section as its author sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Direction {
    pub sends: bool,
    pub receives: bool,
}

impl Direction {
    pub const INACTIVE: Self = Self { sends: false, receives: false };
    pub const SENDRECV: Self = Self { sends: true, receives: true };

    pub fn name(self) -> &'static str {
        match (self.sends, self.receives) {
            (true, true) => "sendrecv",
            (true, false) => "sendonly",
            (false, true) => "recvonly",
            (false, false) => "inactive",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        let (sends, receives) = match name {
            "sendrecv" => (true, true),
            "sendonly" => (true, false),
            "recvonly" => (false, true),
            "inactive" => (false, false),
            _ => return None,
        };
        Some(Self { sends, receives })
    }
}

/// One m-line with its attributes.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    pub kind: Kind,
    pub mid: String,
    /// Port 0.
    pub rejected: bool,
    pub direction: Direction,
    /// Without the retransmission formats, which hang on their codec.
    pub codecs: Vec<CodecSpec>,
    pub extensions: Vec<(u8, String)>,
    pub msid: Option<(String, String)>,
    pub ssrcs: Vec<u32>,
    pub fid: Vec<(u32, u32)>,
    pub rids: Vec<String>,
    /// First format of the m-line, for answers that refuse it.
    pub first_format: String,
}

impl Section {
    pub fn new(kind: Kind, mid: String) -> Self {
        Self {
            kind,
            mid,
            rejected: false,
            direction: Direction::INACTIVE,
            codecs: Vec::new(),
            extensions: Vec::new(),
            msid: None,
            ssrcs: Vec::new(),
            fid: Vec::new(),
            rids: Vec::new(),
            first_format: "0".to_owned(),
        }
    }

    pub fn extension(&self, uri: &str) -> Option<u8> {
        self.extensions.iter().find(|(_, known)| known == uri).map(|(id, _)| *id)
    }
}

/// A whole description.
#[derive(Clone, Debug)]
pub(crate) struct Description {
    pub credentials: Credentials,
    /// SHA-256, upper case with colons.
    pub fingerprint: String,
    pub setup: String,
    pub ice_lite: bool,
    pub candidates: Vec<SocketAddr>,
    pub max_message_size: Option<u32>,
    pub sections: Vec<Section>,
}
