//! Who may send and receive what, and what follows when that changes: another role or PrivateMapKey, and what publishers let
//! subscribers have.
use super::line::Missed;
use super::member::{Member, Track, UPDATES_DEPTH, source_name};
use super::messages;
use super::state::Room;
use crate::auth::unix_ms;
use crate::media::{MediaCommand, MemberKey};
use crate::tickets::{KeyError, Rights, expired_key, video_grant};
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::oneshot;
use trtc_proto::entry::{ROLE_ATTRIBUTE, RoleResponse, role_name};
use trtc_proto::livekit::leave_request::Action;
use trtc_proto::livekit::signal_response::Message;
use trtc_proto::livekit::{DisconnectReason, SubscriptionPermission, SubscriptionPermissionUpdate};
use trtc_proto::ticket::Privileges;
use trtc_types::{Code, Error, Result, Role};

/// What one subscriber costs in the account of a publisher that changes its permissions, bytes.
const PERMISSION_COST: usize = 64;

/// `POST /trtc/v1/role`, checked as far as it goes without the room.
pub struct RoleChange {
    pub identity: String,
    /// `None` keeps it.
    pub role: Option<Role>,
    /// The key that came with it.
    pub key: Option<Result<Rights, KeyError>>,
    pub reply: oneshot::Sender<Result<RoleResponse>>,
}

/// Whom a publisher lets have its tracks.
#[derive(Debug)]
pub struct Listeners {
    all: bool,
    by_sid: BTreeMap<String, Tracks>,
    by_identity: BTreeMap<String, Tracks>,
}

#[derive(Debug)]
enum Tracks {
    All,
    These(BTreeSet<String>),
}

impl Default for Listeners {
    fn default() -> Self {
        Self { all: true, by_sid: BTreeMap::new(), by_identity: BTreeMap::new() }
    }
}

impl Listeners {
    fn new(permission: SubscriptionPermission) -> Self {
        let mut listeners = Self { all: permission.all_participants, ..Self::default() };
        for one in permission.track_permissions {
            let tracks =
                || if one.all_tracks { Tracks::All } else { Tracks::These(one.track_sids.iter().cloned().collect()) };
            if !one.participant_sid.is_empty() {
                listeners.by_sid.insert(one.participant_sid.clone(), tracks());
            }
            if !one.participant_identity.is_empty() {
                listeners.by_identity.insert(one.participant_identity.clone(), tracks());
            }
        }
        listeners
    }

    fn allow(&self, listener: &Member, track_sid: &str) -> bool {
        let named = [self.by_sid.get(&listener.sid), self.by_identity.get(listener.identity())];
        self.all
            || named.into_iter().flatten().any(|tracks| match tracks {
                Tracks::All => true,
                Tracks::These(sids) => sids.contains(track_sid),
            })
    }
}

/// A started track on its way to a subscriber.
type Flow = (MemberKey, String, String);

impl Room {
    pub(super) fn change_role(&mut self, change: RoleChange) {
        let RoleChange { identity, role, key, reply } = change;
        let member = self.members.iter().find(|(_, m)| m.identity() == identity).map(|(key, _)| *key);
        let result = match member {
            Some(member) => self.take_role(member, role, key),
            None => Err(Error::new(Code::REFUSED, "the user is not in the room")),
        };
        let _ = reply.send(result);
    }

    fn take_role(
        &mut self,
        key: MemberKey,
        role: Option<Role>,
        new: Option<Result<Rights, KeyError>>,
    ) -> Result<RoleResponse> {
        let not_managed = || Error::new(Code::REFUSED, "the user entered without tickets");
        let member = self.members.get(&key).ok_or_else(not_managed)?;
        if member.pass.claims.kind == "ingress" {
            return Err(Error::new(Code::REFUSED, "a WHIP session has no other role"));
        }
        let old = member.pass.claims.trtc.clone().ok_or_else(not_managed)?;
        let known_expired = old.key_expires_at_s.is_some_and(|at| unix_ms() / 1000 > at);
        let rights = match new {
            Some(Err(KeyError::Refused(error))) => return Err(error),
            Some(Err(KeyError::Expired)) => Err(expired_key()),
            Some(Ok(rights)) => Ok(rights),
            None if known_expired && role == Some(Role::Anchor) => Err(expired_key()),
            None => Ok(Rights { privileges: Privileges(old.privileges), key_expires_at_s: old.key_expires_at_s }),
        };
        let rights = match rights {
            Ok(rights) => rights,
            Err(error) => {
                // Who wants to send with an expired key has no business here any more.
                if role == Some(Role::Anchor) {
                    let last = Some((Action::Disconnect, "the PrivateMapKey is expired"));
                    self.remove(key, DisconnectReason::ParticipantRemoved, last);
                }
                return Err(error);
            }
        };
        let role = match role {
            Some(role) => role,
            None => Role::try_from(old.role)?,
        };
        let grant = video_grant(&member.pass.room, role, rights.privileges);
        if role == Role::Anchor && !grant.publishes() && old.role != role as i32 {
            return Err(Error::new(Code::INVALID_PRIVATE_MAPKEY, "privateMapKey does not allow to send anything"));
        }
        if !rights.privileges.allow(Privileges::ENTER_ROOM) {
            return Err(Error::new(Code::NO_RIGHT_TO_ENTER_ROOM, "privateMapKey does not allow to enter the room"));
        }
        self.with_rights(key, |member| {
            let claims = &mut member.pass.claims;
            claims.attributes.insert(ROLE_ATTRIBUTE.to_owned(), role_name(role).to_owned());
            claims.video = Some(grant.clone());
            if let Some(ticket) = &mut claims.trtc {
                ticket.role = role as i32;
                ticket.privileges = rights.privileges.0;
                ticket.key_expires_at_s = rights.key_expires_at_s;
            }
            member.pass.grant = grant;
            member.touch();
        });
        self.rights_changed(key);
        if let Some(member) = self.members.get(&key) {
            let (name, identity) = (&self.name, member.identity());
            log::info!("room {name:?} {identity:?}: is {} with privileges {}", role_name(role), rights.privileges.0);
        }
        Ok(RoleResponse { role: role as i32, privileges: rights.privileges.0 })
    }

    /// What a member may no longer send ends; everybody learns of it, in the order of a LiveKit server.
    fn rights_changed(&mut self, key: MemberKey) {
        let Some(member) = self.members.get_mut(&key) else { return };
        let grant = member.pass.grant.clone();
        let allowed = |track: &Track| grant.publishes_source(source_name(track.info.source()));
        let lost: Vec<String> = member.tracks.iter().filter(|t| !allowed(t)).map(|t| t.info.sid.clone()).collect();
        let starts = grant.subscribes() && !member.receiving;
        member.receiving |= starts;
        lost.iter().for_each(|sid| self.withdraw_track(key, sid));
        self.media(key, MediaCommand::SetPermissions { member: key, can_publish_data: grant.publishes_data() });
        if starts {
            self.media(key, MediaCommand::StartSubscriber { member: key });
        }
        self.tell_all(key);
        self.send_token(key);
    }

    pub(super) fn subscription_permission(&mut self, key: MemberKey, permission: SubscriptionPermission) {
        let (now, others) = (self.now, self.members.len());
        let Some(member) = self.members.get_mut(&key) else { return };
        // In a large room one alone may cost more than the whole budget.
        let cost = (PERMISSION_COST * others * (1 + member.tracks.len())).min(UPDATES_DEPTH as usize);
        if !member.updates.take(now, cost) {
            return self.too_many_updates(key);
        }
        self.with_rights(key, |member| member.listeners = Listeners::new(permission));
    }

    /// Whether a member may have a track that it wants.
    pub(super) fn may_receive(&self, key: MemberKey, publisher: &Member, track: &Track) -> bool {
        let Some(member) = self.members.get(&key) else { return false };
        member.pass.receives(track.info.r#type(), track.info.source())
            && publisher.listeners.allow(member, &track.info.sid)
    }

    /// Changes rights of a member, then starts and stops what is allowed or forbidden by that.
    fn with_rights(&mut self, key: MemberKey, change: impl FnOnce(&mut Member)) {
        let before = self.flows(key);
        let Some(member) = self.members.get_mut(&key) else { return };
        change(member);
        let after = self.flows(key);
        for (subscriber, publisher, sid) in before.difference(&after) {
            self.tell_permission(*subscriber, publisher, sid, false);
            self.set_subscription(*subscriber, publisher, sid, false);
        }
        for (subscriber, publisher, sid) in after.difference(&before) {
            self.subscribe_if_wanted(*subscriber, publisher, sid);
        }
    }

    /// All that a member sends and receives.
    fn flows(&self, key: MemberKey) -> BTreeSet<Flow> {
        let mut flows = BTreeSet::new();
        let own = self.members.get_key_value(&key);
        for (publisher, from) in self.members.iter().filter(|(_, m)| !m.pass.grant.hidden) {
            // Of the others' tracks only those that come to this member.
            let to: Vec<_> = if *publisher == key { self.members.iter().collect() } else { own.into_iter().collect() };
            for track in from.tracks.iter().filter(|t| t.started) {
                let sid = &track.info.sid;
                for (subscriber, to) in to.iter().filter(|(subscriber, _)| *subscriber != publisher) {
                    if to.wants(sid) && self.may_receive(**subscriber, from, track) {
                        flows.insert((**subscriber, from.sid.clone(), sid.clone()));
                    }
                }
            }
        }
        flows
    }

    pub(super) fn tell_permission(&mut self, key: MemberKey, publisher_sid: &str, sid: &str, allowed: bool) {
        let (participant_sid, track_sid) = (publisher_sid.to_owned(), sid.to_owned());
        let update = SubscriptionPermissionUpdate { participant_sid, track_sid, allowed };
        self.send(key, messages::encode(Message::SubscriptionPermissionUpdate(update)), Missed::Keep);
    }
}
