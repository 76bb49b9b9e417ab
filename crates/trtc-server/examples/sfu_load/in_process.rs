//! A media thread of this process, spoken to directly: signalling costs nothing here.
use crate::signalling::{KINDS, Server, Signalling, Told};
use crate::source::{cid, sid};
use std::io;
use tokio::sync::mpsc;
use trtc_server::media::{Media, MediaCommand, MediaEvent, MemberKey};

const PUBLISHER: MemberKey = 0;

/// A room on a media thread.
pub(crate) struct InProcess {
    media: Media,
    next: MemberKey,
}

/// One member's commands and events.
struct Member {
    media: Media,
    key: MemberKey,
    events: mpsc::Receiver<MediaEvent>,
}

impl InProcess {
    /// The room is made by its first member.
    pub(crate) fn new(media: &Media) -> Self {
        Self { media: media.clone(), next: PUBLISHER }
    }

    fn enter(&mut self) -> io::Result<Member> {
        let key = self.next;
        self.next += 1;
        let (events, receiver) = mpsc::channel(1024);
        let (identity, sid) = (format!("member{key}"), format!("PA_{key}"));
        let media = self.media.clone();
        send(&media, MediaCommand::AddMember { room: 1, member: key, identity, sid, can_publish_data: true, events })?;
        Ok(Member { media, key, events: receiver })
    }
}

impl Server for InProcess {
    fn publisher(&mut self) -> io::Result<Option<Box<dyn Signalling>>> {
        let member = self.enter()?;
        for kind in KINDS {
            let (cid, sid) = (cid(kind).to_owned(), sid(kind).to_owned());
            let expected = MediaCommand::ExpectTrack { member: member.key, cid, sid, kind, muted: false, codec: None };
            send(&self.media, expected)?;
        }
        Ok(Some(Box::new(member)))
    }

    fn subscriber(&mut self) -> io::Result<Box<dyn Signalling>> {
        let entered = self.enter()?;
        let member = entered.key;
        for kind in KINDS {
            let (sid, stream_id) = (sid(kind).to_owned(), format!("PA_{PUBLISHER}|camera"));
            send(&self.media, MediaCommand::Subscribe { member, sid, stream_id, on: true })?;
        }
        send(&self.media, MediaCommand::StartSubscriber { member })?;
        Ok(Box::new(entered))
    }
}

impl Signalling for Member {
    fn poll(&mut self) -> io::Result<Option<Told>> {
        while let Ok(event) = self.events.try_recv() {
            match event {
                MediaEvent::Offer { sdp, id, .. } => return Ok(Some(Told::Offer { sdp, id })),
                MediaEvent::Answer { sdp, .. } => return Ok(Some(Told::Answer { sdp })),
                MediaEvent::Failed { reason, .. } | MediaEvent::BadSdp { reason, .. } => {
                    return Err(io::Error::other(format!("member {}: {reason}", self.key)));
                }
                _ => {}
            }
        }
        Ok(None)
    }

    fn offer(&mut self, sdp: String) -> io::Result<()> {
        send(&self.media, MediaCommand::Offer { member: self.key, sdp, id: 1 })
    }

    fn answer(&mut self, sdp: String, id: u32) -> io::Result<()> {
        send(&self.media, MediaCommand::Answer { member: self.key, sdp, id })
    }
}

fn send(media: &Media, command: MediaCommand) -> io::Result<()> {
    media.send(command).map_err(io::Error::other)
}
