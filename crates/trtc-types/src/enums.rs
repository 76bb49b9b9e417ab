//! TRTC enums with the vendor's numbers.

macro_rules! numbered {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $value:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(i32)]
        pub enum $name { $($(#[$vdoc])* $variant = $value,)* }

        impl TryFrom<i32> for $name {
            type Error = crate::Error;
            fn try_from(value: i32) -> crate::Result<Self> {
                match value {
                    $($value => Ok(Self::$variant),)*
                    _ => Err(crate::Error::invalid(format!(
                        concat!(stringify!($name), " must be one of", $(" ", $value,)* ", got {}"), value
                    ))),
                }
            }
        }
    };
}

numbered! {
    /// Kind of a device (the vendor's `TXMediaDeviceType`).
    DeviceKind {
        /// Microphone.
        Microphone = 0,
        /// Speaker.
        Speaker = 1,
        /// Camera.
        Camera = 2,
    }
}
numbered! {
    /// What happened to a device (the vendor's `TXMediaDeviceState`).
    DeviceState {
        /// It was plugged in.
        Add = 0,
        /// It was pulled out.
        Remove = 1,
        /// It is in use now.
        Active = 2,
        /// It is the system's default now.
        DefaultDeviceChanged = 3,
    }
}
numbered! {
    /// Role in a room. Only anchors send.
    Role {
        /// May send and receive.
        Anchor = 20,
        /// May only receive.
        Audience = 21,
    }
}
numbered! {
    /// Scene of a room; all members use the same one.
    AppScene {
        /// Video call.
        VideoCall = 0,
        /// Interactive live streaming; roles apply.
        Live = 1,
        /// Audio call.
        AudioCall = 2,
        /// Voice chat room; roles apply.
        VoiceChatRoom = 3,
    }
}
numbered! {
    /// Video stream of a user.
    StreamType {
        /// Main stream, high quality.
        Big = 0,
        /// Main stream, low quality.
        Small = 1,
        /// Sub stream (screen share).
        Sub = 2,
    }
}
numbered! {
    /// How good a network is.
    NetworkQuality {
        /// Nothing is known yet.
        Unknown = 0,
        /// Nothing is noticed.
        Excellent = 1,
        /// Users are satisfied.
        Good = 2,
        /// Some users are dissatisfied.
        Poor = 3,
        /// Many are.
        Bad = 4,
        /// Nearly all are.
        Vbad = 5,
        /// No connection.
        Down = 6,
    }
}
numbered! {
    /// Audio quality preset.
    AudioQuality {
        /// 18 kbit/s mono.
        Speech = 1,
        /// 50 kbit/s mono.
        Default = 2,
        /// 128 kbit/s stereo.
        Music = 3,
    }
}
numbered! {
    /// Why a remote user left.
    LeaveReason {
        /// Left by itself.
        Left = 0,
        /// Timed out.
        Timeout = 1,
        /// Removed.
        Kicked = 2,
        /// Became audience.
        BecameAudience = 3,
    }
}
numbered! {
    /// Network quality.
    Quality {
        /// Not measured.
        Unknown = 0,
        /// Excellent.
        Excellent = 1,
        /// Good.
        Good = 2,
        /// Poor.
        Poor = 3,
        /// Bad.
        Bad = 4,
        /// Very bad.
        VeryBad = 5,
        /// No connection.
        Down = 6,
    }
}
numbered! {
    /// Source of a track, with LiveKit's `TrackSource` numbers.
    TrackSource {
        /// Not said.
        Unknown = 0,
        /// Main video stream.
        Camera = 1,
        /// Main audio stream.
        Microphone = 2,
        /// Sub video stream.
        ScreenShare = 3,
        /// Audio of the sub stream.
        ScreenShareAudio = 4,
    }
}
