//! Entering, leaving, and the role: what may need the server's word for a ticket goes to a thread of its own.
use super::Cloud;
use crate::events::Event;
use crate::params::EnterParams;
use crate::room::{Door, Phase, RoomSink, State};
use crate::shared::Shared;
use crate::threads;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use trtc_member::{Member, MemberConfig};
use trtc_proto::entry::{ROLE_ATTRIBUTE, RoleRequest, RoleResponse, TokenRequest, role_name};
use trtc_proto::jwt;
use trtc_types::{AppScene, Code, Error, Result, Role, UserId};

impl Cloud {
    /// Enters a room; the outcome comes as [`Event::EnterRoom`]. Without an access token it first exchanges the UserSig for
    /// one, without blocking the caller.
    ///
    /// # Errors
    /// `ENTER_ROOM_REFUSED` when not outside of rooms, `ROOM_PARAM_NULL`, `INVALID_PARAMETER`, and the code of a field that is
    /// malformed or not the token's.
    pub fn enter_room(&self, params: &EnterParams, scene: AppScene) -> Result<()> {
        self.shared.check()?;
        let live = matches!(scene, AppScene::Live | AppScene::VoiceChatRoom);
        let role = if live { params.role } else { Role::Anchor };
        let door = trtc_member::Door::new(&given_url(params)?, params.allow_plain)?;
        let ticket = if params.access_token.is_empty() { Some(ticket(params, role)?) } else { None };
        if ticket.is_none() {
            check_token(params)?;
        }
        let mut state = self.shared.open_state()?;
        if state.phase != Phase::Idle {
            return Err(Error::new(Code::ENTER_ROOM_REFUSED, "already in a room, entering or leaving one"));
        }
        state.generation += 1;
        state.unwanted = Arc::default();
        state.entered_at = Instant::now();
        state.live = live;
        state.local.anchor = role == Role::Anchor;
        state.local.set_privilege(true);
        state.phase = Phase::Entering;
        let config = MemberConfig {
            url: params.server_url.clone(),
            token: params.access_token.clone(),
            auto_subscribe_audio: state.auto_audio,
            auto_subscribe_video: state.auto_video,
            allow_plain: params.allow_plain,
            hide_audience: live,
        };
        let entered = match ticket {
            None => join(&self.shared, &mut state, config).map(Some),
            Some(request) => {
                let asked = self.exchange(&mut state, door.clone(), request, config);
                asked.map(|()| None)
            }
        };
        state.door = Some(Door { door, switching: false });
        if entered.is_err() {
            state.phase = Phase::Idle;
        }
        drop(state);
        self.shared.meter.clear();
        if let Some(sink) = entered? {
            sink.activate();
        }
        Ok(())
    }

    /// Leaves the room; [`Event::ExitRoom`] follows. Outside of rooms it does nothing.
    ///
    /// # Errors
    /// On a closed instance.
    pub fn exit_room(&self) -> Result<()> {
        self.shared.check()?;
        let member = {
            let mut state = self.shared.state.lock();
            if !matches!(state.phase, Phase::In | Phase::Entering) {
                return Ok(());
            }
            state.unwanted.store(true, Ordering::Release);
            if state.member.is_none() {
                // Its ticket is still at the server; a late answer belongs to an earlier attempt.
                state.generation += 1;
                let ended = self.shared.left(&mut state, 0);
                drop(state);
                self.finish(ended);
                return Ok(());
            }
            state.phase = Phase::Exiting;
            state.member.clone()
        };
        if let Some(member) = member {
            member.leave();
        }
        Ok(())
    }

    /// Becomes anchor or audience in a live scene; [`Event::SwitchRole`] tells the outcome. `private_map_key` is for
    /// applications with advanced permission control; empty for the one that is known.
    ///
    /// Entered with tickets, the server decides, and who asks to be anchor with an expired PrivateMapKey is removed. With a
    /// LiveKit token the library itself stops sending, and others are told when the token allows that.
    ///
    /// # Errors
    /// `REFUSED` outside of rooms, in call scenes, and while an earlier call is under way.
    pub fn switch_role(&self, role: Role, private_map_key: &str) -> Result<()> {
        self.shared.check()?;
        check_key(private_map_key)?;
        let mut state = self.shared.open_state()?;
        let member = in_room(&state)?;
        if !state.live {
            return Err(Error::new(Code::REFUSED, "roles exist in live and voice chat scenes only"));
        }
        if state.door.as_ref().is_some_and(|door| door.switching) {
            return Err(Error::new(Code::REFUSED, "another switch_role is under way"));
        }
        let was = state.local.anchor;
        if role == Role::Audience {
            // Before the server ends the tracks: what it ends would look like a failure.
            state.local.anchor = false;
            state.local.unpublish_all(&self.shared.capture, &member);
        }
        if !is_managed(&member) {
            self.switch_alone(&mut state, &member, role, private_map_key);
            return Ok(());
        }
        let request = RoleRequest { role: Some(role), private_map_key: private_map_key.to_owned() };
        let asked = self.ask_role(&mut state, &member, request, move |shared, state, answer| {
            if let Some(door) = &mut state.door {
                door.switching = false;
            }
            let (code, message) = match answer {
                Ok(_) => (Code::OK, String::new()),
                Err(error) => (error.code, error.message),
            };
            if state.phase == Phase::In {
                state.local.anchor = if code == Code::OK { role == Role::Anchor } else { was };
                publish(state);
            }
            shared.emit(Event::SwitchRole { code, message });
        });
        match (&asked, &mut state.door) {
            (Ok(()), Some(door)) => door.switching = true,
            _ => state.local.anchor = was,
        }
        asked
    }

    /// Replaces the PrivateMapKey of a member that entered with tickets; what it no longer allows ends. A refusal comes as
    /// [`Event::Error`].
    ///
    /// # Errors
    /// `REFUSED` outside of rooms, `INVALID_PRIVATE_MAPKEY` when it is empty, `NOT_SUPPORTED` with a LiveKit token.
    pub fn update_private_map_key(&self, private_map_key: &str) -> Result<()> {
        self.shared.check()?;
        if private_map_key.is_empty() {
            return Err(Error::new(Code::INVALID_PRIVATE_MAPKEY, "private_map_key must be 1..=4096 bytes"));
        }
        check_key(private_map_key)?;
        let mut state = self.shared.open_state()?;
        let member = in_room(&state)?;
        if !is_managed(&member) {
            return Err(Error::not_supported("private_map_key is for members that entered with a user_sig"));
        }
        let request = RoleRequest { role: None, private_map_key: private_map_key.to_owned() };
        self.ask_role(&mut state, &member, request, |shared, _, answer| {
            if let Err(error) = answer {
                shared.emit(Event::Error { code: error.code, message: error.message });
            }
        })
    }

    /// What can be done where the server knows no roles.
    fn switch_alone(&self, state: &mut State, member: &Member, role: Role, private_map_key: &str) {
        let privileges = state.privileges;
        if role == Role::Anchor && !privileges.is_none_or(|p| p.can_publish) {
            let message = "the access_token does not allow to publish, and this server knows no roles".to_owned();
            self.shared.emit(Event::SwitchRole { code: Code::REFUSED, message });
            return;
        }
        state.local.anchor = role == Role::Anchor;
        publish(state);
        let mut message = String::new();
        if privileges.is_some_and(|p| p.can_update_metadata) {
            member.set_attributes(BTreeMap::from([(ROLE_ATTRIBUTE.to_owned(), role_name(role).to_owned())]));
        } else {
            message.push_str("others are not told: the access_token has no canUpdateOwnMetadata");
        }
        if !private_map_key.is_empty() {
            message.push_str(if message.is_empty() { "" } else { "; " });
            message.push_str("private_map_key is ignored: entered with an access_token");
        }
        self.shared.emit(Event::SwitchRole { code: Code::OK, message });
    }

    /// Exchanges the ticket and joins, on a thread of its own.
    fn exchange(
        &self,
        state: &mut State,
        door: trtc_member::Door,
        request: TokenRequest,
        config: MemberConfig,
    ) -> Result<()> {
        self.in_background(state, "trtc-ticket", move |unwanted| {
            let answer = door.token(&request, unwanted);
            Box::new(move |shared: &Arc<Shared>, state: &mut State| {
                if state.phase != Phase::Entering {
                    return None;
                }
                let joined = answer.and_then(|answer| {
                    join(shared, state, MemberConfig { url: answer.url, token: answer.token, ..config })
                });
                match joined {
                    Ok(sink) => Some(sink),
                    Err(error) => {
                        shared.enter_failed(state, &error);
                        None
                    }
                }
            })
        })
    }

    fn ask_role(
        &self,
        state: &mut State,
        member: &Member,
        request: RoleRequest,
        then: impl FnOnce(&Shared, &mut State, Result<RoleResponse>) + Send + 'static,
    ) -> Result<()> {
        let token = member.refreshed_token();
        let door = state.door.as_ref().map(|door| door.door.clone());
        let door = door.ok_or_else(|| Error::new(Code::REFUSED, "not in a room"))?;
        self.in_background(state, "trtc-role", move |unwanted| {
            let answer = door.role(&token, &request, unwanted);
            Box::new(move |shared: &Arc<Shared>, state: &mut State| {
                then(shared, state, answer);
                None
            })
        })
    }

    /// Runs what may block, then what follows under the lock, unless the cloud is closed or elsewhere by then.
    fn in_background(
        &self,
        state: &mut State,
        name: &str,
        work: impl FnOnce(&AtomicBool) -> Then + Send + 'static,
    ) -> Result<()> {
        let (weak, generation, unwanted) = (Arc::downgrade(&self.shared), state.generation, state.unwanted.clone());
        let body = move || {
            let then = work(&unwanted);
            let Some(shared) = weak.upgrade() else { return };
            let mut state = shared.state.lock();
            if shared.check().is_err() || state.generation != generation {
                return;
            }
            let sink = then(&shared, &mut state);
            drop(state);
            if let Some(sink) = sink {
                sink.activate();
            }
        };
        let thread = threads::spawn(name, body, || ())
            .map_err(|e| Error::new(Code::FAILED, format!("cannot start a thread: {e}")))?;
        threads::finish(thread, true);
        Ok(())
    }
}

/// What follows a request; the sink of a new member is activated once the lock is free.
type Then = Box<dyn FnOnce(&Arc<Shared>, &mut State) -> Option<Arc<RoomSink>>>;

fn join(shared: &Arc<Shared>, state: &mut State, config: MemberConfig) -> Result<Arc<RoomSink>> {
    let sink = Arc::new(RoomSink::new(Arc::downgrade(shared), state.generation));
    state.member = Some(trtc_member::join(config, sink.clone())?);
    Ok(sink)
}

fn publish(state: &mut State) {
    if let (Some(member), Phase::In) = (state.member.clone(), state.phase) {
        state.local.publish_all(&member);
    }
}

fn in_room(state: &State) -> Result<Member> {
    let member = state.member.clone().filter(|_| state.phase == Phase::In);
    member.ok_or_else(|| Error::new(Code::REFUSED, "not in a room"))
}

/// Entered with tickets, by this library or whoever made the token.
fn is_managed(member: &Member) -> bool {
    jwt::decode_unverified(&member.refreshed_token()).is_ok_and(|claims| claims.trtc.is_some())
}

fn given_url(params: &EnterParams) -> Result<String> {
    if params.server_url.is_empty() {
        let text = "server_url is required: https://, wss://, or http://, ws:// on loopback";
        return Err(Error::new(Code::ROOM_PARAM_NULL, text));
    }
    Ok(params.server_url.clone())
}

fn ticket(params: &EnterParams, role: Role) -> Result<TokenRequest> {
    if params.user_sig.is_empty() {
        return Err(Error::new(Code::ROOM_PARAM_NULL, "user_sig or access_token is required"));
    }
    if params.user_sig.len() > trtc_proto::ticket::TICKET_MAX_BYTES {
        return Err(Error::new(Code::INVALID_USER_SIG, "user_sig must be at most 4096 bytes"));
    }
    check_key(&params.private_map_key)?;
    if params.sdk_app_id == 0 {
        return Err(Error::new(Code::INVALID_SDK_APPID, "sdk_app_id must be 1..=4294967295 with a user_sig"));
    }
    let user = UserId::new(&params.user_id)?;
    let room = params.room.clone().ok_or_else(|| {
        Error::new(
            Code::INVALID_ROOM_ID,
            "room_id must be 1..=4294967294, or str_room_id 1..=64 bytes, with a user_sig",
        )
    })?;
    let (user_sig, private_map_key) = (params.user_sig.clone(), params.private_map_key.clone());
    Ok(TokenRequest { sdk_app_id: params.sdk_app_id, user, user_sig, room, role, private_map_key })
}

fn check_key(private_map_key: &str) -> Result<()> {
    if private_map_key.len() <= trtc_proto::ticket::TICKET_MAX_BYTES {
        return Ok(());
    }
    Err(Error::new(Code::INVALID_PRIVATE_MAPKEY, "private_map_key must be at most 4096 bytes"))
}

fn check_token(params: &EnterParams) -> Result<()> {
    let claims = jwt::decode_unverified(&params.access_token)
        .map_err(|e| Error::new(Code::INVALID_USER_SIG, format!("access_token is not a LiveKit token: {e}")))?;
    if !params.user_id.is_empty() && params.user_id != claims.identity() {
        return Err(Error::new(Code::INVALID_USER_ID, "user_id differs from the access_token's; it may stay empty"));
    }
    let room = claims.video.as_ref().map(|grant| grant.room.as_str());
    if params.room.as_ref().is_some_and(|given| room != Some(&given.wire_name())) {
        return Err(Error::new(
            Code::INVALID_ROOM_ID,
            "str_room_id or room_id differs from the access_token's; both may stay empty",
        ));
    }
    Ok(())
}
