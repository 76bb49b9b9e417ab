//! Counters of the signalling side, and the Prometheus page.
use crate::media::MediaCounters;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! metrics {
    ($($(#[doc = $doc:literal])* $name:ident,)*) => {
        /// What signalling counted since its start.
        #[derive(Debug, Default)]
        pub struct Metrics { $($(#[doc = $doc])* pub $name: AtomicU64,)* }

        impl Metrics {
            fn render_counters(&self, out: &mut String) {
                $(
                    let help = concat!($($doc),*).trim();
                    let _ = write!(out, "# HELP trtc_{0}_total {help}\n# TYPE trtc_{0}_total counter\ntrtc_{0}_total {1}\n",
                        stringify!($name), self.$name.load(Ordering::Relaxed));
                )*
            }
        }
    };
}

metrics! {
    /// TCP connections to the HTTP port accepted.
    connections,
    /// TCP connections to the HTTP port closed at once: too many, in all or of one address.
    connections_refused,
    /// TLS handshakes that failed or took too long.
    tls_failures,
    /// Certificates taken into use while running.
    certificate_reloads,
    /// Certificates that could not be used; the one before stayed.
    certificate_failures,
    /// WebSocket upgrades on /rtc.
    sockets_opened,
    /// Members that entered a room.
    joins,
    /// Joins refused before the upgrade (token, room, capacity).
    joins_refused,
    /// Requests for a token or a role refused.
    tickets_refused,
    /// Members whose WebSocket was lost.
    signals_lost,
    /// Members that came back on a new WebSocket.
    resumes,
    /// Members that did not come back in time.
    resumes_expired,
    /// Resumes answered with leave and reconnect.
    resumes_declined,
    /// Members removed because the same identity joined again.
    duplicate_identities,
    /// Joiners removed because no connection came up in time.
    join_timeouts,
    /// Members removed because they did not answer an offer in time.
    answer_timeouts,
    /// Members told to resume or removed because a transport failed.
    transport_failures,
    /// Members that left, for any reason.
    leaves,
    /// Signal messages received.
    signal_in,
    /// Signal messages queued for clients.
    signal_out,
    /// Connections closed because no whole HTTP request came in time.
    http_timeouts,
    /// HTTP requests that could not be parsed.
    bad_requests,
    /// Frames that are not a SignalRequest.
    bad_frames,
    /// Text frames (JSON signalling is not supported).
    text_frames,
    /// Frames or messages above the size limit.
    oversize_frames,
    /// Signal messages of an unknown kind.
    unknown_messages,
    /// Sockets closed because the client sent too many messages.
    signal_floods,
    /// Descriptions above the size limit.
    oversize_sdp,
    /// Descriptions that could not be used.
    bad_sdp,
    /// Requests refused with a request_response.
    requests_refused,
    /// Members removed because they changed what others see of them too often.
    update_floods,
    /// Members removed because they did not read their messages.
    slow_readers,
    /// Sockets closed because nothing was heard from the client.
    silent_sockets,
    /// Media commands that the media thread did not take.
    media_queue_full,
    /// Data packets refused, as told to their senders.
    data_rejected,
    /// WHIP sessions opened.
    whip_opened,
    /// WHEP sessions opened.
    whep_opened,
    /// WHIP and WHEP sessions ended, for any reason.
    whip_closed,
    /// WHIP and WHEP requests refused.
    whip_refused,
    /// WHIP and WHEP sessions that never came up.
    whip_timeouts,
    /// ICE restarts by PATCH.
    whip_restarts,
    /// Tracks announced.
    tracks_announced,
    /// Tracks that others were told of: media arrived, or they are muted.
    tracks_started,
}

impl Metrics {
    pub(crate) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// The page for `GET /metrics`; a gauge is a name, what it shows and its value.
    pub(crate) fn render(&self, gauges: &[(&str, &str, u64)], media: &MediaCounters) -> String {
        let mut out = String::with_capacity(16 * 1024);
        for (name, help, value) in gauges {
            let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n");
        }
        self.render_counters(&mut out);
        for (name, help, value) in media.snapshot() {
            let name = format!("trtc_media_{name}_total");
            let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} counter\n{name} {value}\n");
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_is_prometheus_text() {
        let metrics = Metrics::default();
        Metrics::add(&metrics.bad_frames);
        let page = metrics.render(&[("trtc_rooms", "Rooms.", 2)], &MediaCounters::default());
        assert!(page.contains("# HELP trtc_rooms Rooms.\n# TYPE trtc_rooms gauge\ntrtc_rooms 2\n"));
        assert!(page.contains("# TYPE trtc_bad_frames_total counter\ntrtc_bad_frames_total 1\n"));
        assert!(page.contains("trtc_media_datagrams_in_total 0\n"));
        let of = |kind: &str| page.lines().filter(|l| l.starts_with(kind)).count();
        assert_eq!((of("# HELP "), of("# TYPE ")), (of("trtc_"), of("trtc_")), "every name is explained");
        assert!(page.lines().all(|l| l.starts_with('#') || l.split(' ').count() == 2));
    }
}
