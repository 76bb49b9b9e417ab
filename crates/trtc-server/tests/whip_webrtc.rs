//! A foreign stack as WHIP client and as WHEP player: webrtc-rs, which trickles nothing and knows nobody's conventions.
#![allow(clippy::unwrap_used, reason = "a test may stop")]
mod common;

use common::answer::Answer;
use common::{PATIENCE, TestServer};
use rtc::media_stream::MediaStreamTrack;
use rtc::rtp_transceiver::rtp_sender::{RTCRtpCodec, RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind};
use rtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCSessionDescription, Registry,
    register_default_interceptors,
};

/// A whole key frame in one packet, SPS and IDR in a STAP-A; its number follows.
const KEY_FRAME: [u8; 10] = [0x78, 0, 3, 0x67, 0x42, 0xe0, 0, 6, 0x65, 0x88];
const FRAME_INTERVAL: Duration = Duration::from_millis(33);
const SSRC: u32 = 4711;
/// In a row, as the player must see them.
const WANTED: usize = 60;

struct Handler(mpsc::Sender<Vec<u8>>);

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        let told = self.0.clone();
        tokio::spawn(async move {
            while let Some(event) = track.poll().await {
                if let TrackRemoteEvent::OnRtpPacket(packet) = event {
                    let _ = told.send(packet.payload.to_vec());
                }
            }
        });
    }
}

async fn connection() -> (Arc<dyn PeerConnection>, mpsc::Receiver<Vec<u8>>) {
    let (teller, told) = mpsc::channel();
    let mut media = MediaEngine::default();
    media.register_default_codecs().unwrap();
    let interceptors = register_default_interceptors(Registry::new(), &mut media).unwrap();
    let builder = PeerConnectionBuilder::new()
        .with_media_engine(media)
        .with_interceptor_registry(interceptors)
        .with_handler(Arc::new(Handler(teller)))
        .with_udp_addrs(vec!["127.0.0.1:0"]);
    (Arc::new(builder.build().await.unwrap()), told)
}

/// Offers by POST and takes the answer.
async fn open(server: &TestServer, connection: &Arc<dyn PeerConnection>, path: &str, identity: &str) -> Answer {
    let offer = connection.create_offer(None).await.unwrap();
    connection.set_local_description(offer.clone()).await.unwrap();
    let token = server.token(&server.claims("r", identity));
    let answer = server.post_sdp(path, &token, &offer.sdp);
    assert_eq!(answer.status, 201, "{}", answer.body);
    let description = RTCSessionDescription::answer(answer.body.clone()).unwrap();
    connection.set_remote_description(description).await.unwrap();
    answer
}

fn h264_track() -> Arc<TrackLocalStaticRTP> {
    let fmtp = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f";
    let codec = RTCRtpCodec {
        mime_type: "video/H264".to_owned(),
        clock_rate: 90_000,
        channels: 0,
        sdp_fmtp_line: fmtp.to_owned(),
        rtcp_feedback: Vec::new(),
    };
    let coding = RTCRtpCodingParameters { ssrc: Some(SSRC), ..Default::default() };
    let encoding = RTCRtpEncodingParameters { rtp_coding_parameters: coding, codec, ..Default::default() };
    let (stream, track, label) = ("foreign".into(), "camera".into(), "label".into());
    Arc::new(TrackLocalStaticRTP::new(MediaStreamTrack::new(stream, track, label, RtpCodecKind::Video, vec![encoding])))
}

/// Of H.264, as the answer has it.
fn payload_type(answer: &Answer) -> u8 {
    let h264 = answer.body.lines().find_map(|line| line.strip_prefix("a=rtpmap:")?.strip_suffix(" H264/90000"));
    h264.unwrap_or_else(|| panic!("no H.264 in {}", answer.body)).parse().unwrap()
}

fn frame(payload_type: u8, number: u32) -> rtc::rtp::Packet {
    let mut packet = rtc::rtp::Packet::default();
    packet.header.version = 2;
    packet.header.payload_type = payload_type;
    packet.header.marker = true;
    packet.header.sequence_number = number as u16;
    packet.header.timestamp = number * 3_000;
    packet.header.ssrc = SSRC;
    packet.payload = [&KEY_FRAME[..], &number.to_be_bytes()].concat().into();
    packet
}

fn number(payload: &[u8]) -> u32 {
    u32::from_be_bytes(payload[payload.len() - 4..].try_into().unwrap())
}

#[test]
fn webrtc_rs_publishes_and_plays() {
    let server = TestServer::start();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let (publisher, _) = connection().await;
        let track = h264_track();
        publisher.add_track(track.clone() as Arc<dyn TrackLocal>).await.unwrap();
        let published = open(&server, &publisher, "/whip/r", "camera").await;

        let payload_type = payload_type(&published);

        let (player, received) = connection().await;
        let direction = RTCRtpTransceiverDirection::Recvonly;
        let init = RTCRtpTransceiverInit { direction, ..Default::default() };
        player.add_transceiver_from_kind(RtpCodecKind::Video, Some(init)).await.unwrap();
        let played = open(&server, &player, "/whep/r", "viewer").await;

        let deadline = Instant::now() + PATIENCE;
        let (mut seen, mut next) = (Vec::new(), 0);
        while seen.len() < WANTED {
            assert!(Instant::now() < deadline, "only {seen:?} of {next} frames came");
            track.write_rtp(frame(payload_type, next)).await.unwrap();
            next += 1;
            tokio::time::sleep(FRAME_INTERVAL).await;
            seen.extend(received.try_iter().map(|payload| number(&payload)));
        }
        assert!(seen.windows(2).all(|pair| pair[1] == pair[0] + 1), "{seen:?}");

        for (session, identity) in [(published, "camera"), (played, "viewer")] {
            let address = session.header("location");
            let token = server.token(&server.claims("r", identity));
            assert!(server.http("DELETE", address, Some(&token)).starts_with("HTTP/1.1 200"));
        }
        publisher.close().await.unwrap();
        player.close().await.unwrap();
    });
}
