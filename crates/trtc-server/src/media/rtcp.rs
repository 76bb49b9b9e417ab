//! RTCP: what subscribers ask for, and what publishers are told.
use super::api::MediaCounters;
use super::link::StreamRole;
use super::state::State;
use std::time::{Duration, Instant};
use trtc_net::batch::UdpSender;
use trtc_rtp::rtcp::{self, ReportBlock, Rtcp, SenderInfo};
use trtc_sfu::Subscription;

/// Receiver Reports to a publisher.
pub(super) const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// Lost packets that are looked at in one RTCP packet.
const LOST_MAX: usize = 256;
/// Transport-wide feedbacks that are looked at in one datagram; receivers send one.
const FEEDBACKS_MAX: usize = 4;

impl State {
    /// A decrypted RTCP packet of a connection.
    pub(super) fn rtcp(&mut self, now: Instant, sender: &mut UdpSender, index: usize, bytes: &[u8]) {
        let mut feedbacks = 0;
        for part in rtcp::parse(bytes) {
            match part {
                Rtcp::TransportFeedback(feedback) if feedbacks < FEEDBACKS_MAX => {
                    feedbacks += 1;
                    MediaCounters::add(&self.counters.path_feedbacks, 1);
                    self.path_feedback(now, index, &feedback);
                }
                Rtcp::Remb { bitrate_bps, .. } => self.remb(now, index, bitrate_bps),
                Rtcp::SenderReport { ssrc, ntp, rtp_time, .. } => {
                    self.sender_report(now, sender, index, ssrc, ntp, rtp_time);
                }
                Rtcp::Nack { media_ssrc, lost } => {
                    if let Some(track) = self.outgoing_track(index, media_ssrc) {
                        let mut list = std::mem::take(&mut self.lost);
                        list.clear();
                        list.extend(lost.take(LOST_MAX));
                        self.resend(now, sender, index, track, media_ssrc, &list);
                        self.lost = list;
                    }
                }
                Rtcp::ReceiverReport { reports, .. } => {
                    self.receiver_reports(now, index, reports);
                    let worst = reports.map(|block| block.fraction_lost).max();
                    worst.into_iter().for_each(|fraction| self.loss_reported(now, index, fraction));
                }
                Rtcp::Pli { media_ssrc } => self.key_frame_wanted(now, index, media_ssrc),
                Rtcp::Fir { entries } => {
                    entries.take(16).for_each(|(ssrc, _)| self.key_frame_wanted(now, index, ssrc));
                }
                _ => {}
            }
        }
    }

    /// Tells a publisher what is missing: key frames, lost packets, arrival times, reports.
    pub(super) fn feed_back(&mut self, now: Instant, sender: &mut UdpSender, index: usize) {
        let Self { links, members, tracks, counters, packet, lost, .. } = self;
        let Some(link) = links.get_mut(index).and_then(Option::as_deref_mut) else { return };
        if !link.connected {
            return;
        }
        let own = link.rtcp_ssrc;
        let mut send = |link: &mut super::link::Link, packet: &mut Vec<u8>| {
            if let Some(to) = link.peer.seal_rtcp(packet) {
                sender.push(to, |buffer| std::mem::swap(buffer, packet));
            }
            packet.clear();
        };
        packet.clear();
        for &track in members.get(&link.member).map_or(&[][..], |m| &m.tracks) {
            let Some(flowing) = tracks.get_mut(track).and_then(|t| t.as_mut()?.flowing.as_mut()) else { continue };
            while let Some(ssrc) = flowing.track.poll_key_request(now) {
                rtcp::pli(packet, own, ssrc);
                send(link, packet);
                MediaCounters::add(&counters.plis_sent, 1);
            }
            while let Some(ssrc) = flowing.track.poll_nack(now, lost) {
                rtcp::nack(packet, own, ssrc, lost);
                send(link, packet);
                MediaCounters::add(&counters.nacks_sent, 1);
            }
        }
        if let Some(feedback) = &mut link.receiving.feedback
            && feedback.recorder.timeout().is_some_and(|at| at <= now)
            && feedback.recorder.poll(now, packet, own, feedback.media_ssrc)
        {
            send(link, packet);
        }
        if link.receiving.report_due.is_some_and(|due| due <= now) {
            link.receiving.report_due = None;
            let mut blocks = [ReportBlock::default(); 31];
            let mut used = 0;
            for stream in &mut link.receiving.streams {
                if let StreamRole::Media { stats, .. } = &mut stream.role
                    && used < blocks.len()
                    && let Some(block) = stats.report_block(now)
                {
                    blocks[used] = block;
                    used += 1;
                }
            }
            if used > 0 {
                packet.clear();
                rtcp::receiver_report(packet, own, &blocks[..used]);
                send(link, packet);
                let worst = blocks[..used].iter().map(|block| block.fraction_lost).max();
                worst.into_iter().for_each(|fraction| self.loss_reported(now, index, fraction));
            }
        }
    }

    /// Translated for each receiver, because lip sync hangs on it.
    fn sender_report(
        &mut self,
        now: Instant,
        sender: &mut UdpSender,
        index: usize,
        ssrc: u32,
        ntp: u64,
        rtp_time: u32,
    ) {
        let Self { links, tracks, packet, .. } = self;
        let Some(link) = links.get_mut(index).and_then(Option::as_deref_mut) else { return };
        let Some(stream) = link.receiving.streams.iter_mut().find(|s| s.ssrc == ssrc) else { return };
        let track = stream.track;
        let StreamRole::Media { layer, stats, .. } = &mut stream.role else { return };
        stats.sender_report(now, ntp);
        let layer = *layer;
        let Some(flowing) = tracks.get_mut(track).and_then(|t| t.as_mut()?.flowing.as_mut()) else { return };
        flowing.track.sender_report(layer, ntp, rtp_time, &mut |to: &Subscription, rtp_time, packets, octets| {
            let Some(link) = links.get_mut(to.config.target as usize).and_then(Option::as_deref_mut) else { return };
            link.limits.report_sent(now, ntp);
            packet.clear();
            rtcp::sender_report(packet, &SenderInfo { ssrc: to.config.ssrc, ntp, rtp_time, packets, octets }, &[]);
            if let Some(address) = link.peer.seal_rtcp(packet) {
                sender.push(address, |buffer| std::mem::swap(buffer, packet));
            }
        });
    }

    fn key_frame_wanted(&mut self, now: Instant, index: usize, ssrc: u32) {
        let Some(track) = self.outgoing_track(index, ssrc) else { return };
        MediaCounters::add(&self.counters.plis, 1);
        let Some(slot) = self.tracks.get_mut(track).and_then(Option::as_mut) else { return };
        let Some(flowing) = &mut slot.flowing else { return };
        flowing.track.key_frame_wanted(now, ssrc);
        let publisher = self.members.get(&slot.member).and_then(|m| m.publisher);
        publisher.into_iter().for_each(|index| self.mark(index));
    }

    fn outgoing_track(&self, index: usize, ssrc: u32) -> Option<usize> {
        let link = self.links.get(index)?.as_deref()?;
        link.offering.outgoing.iter().find(|(own, _)| *own == ssrc).map(|(_, track)| *track)
    }
}
