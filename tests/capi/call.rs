//! Clouds in a call through a server of this process: what the callbacks tell, and destruction in the midst of it.
use crate::host::*;
use crate::server::TestServer;
use parking_lot::Mutex;
use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr::{null, null_mut};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread::{ThreadId, current};
use trtc::capi::trtc_bool;
use trtc::capi::{audio::*, callbacks::*, cloud::*, code::*, message::*, params::*, room::*, source::*, video::*};
use trtc::types::I420;
use trtc_media::pattern::{Pattern, psnr_y, read_time_code};
use trtc_media::tone::tone_hz;
use trtc_proto::ticket::{Privileges, Ticket};

/// A host in a call: notes what it is told, watches everybody, and may end itself in one of its callbacks.
#[derive(Default)]
struct Member {
    cloud: AtomicUsize,
    lines: Mutex<Vec<String>>,
    /// PSNR of each remote picture whose time code was read.
    psnr: Mutex<Vec<f64>>,
    destroy_in: Option<&'static str>,
    /// The thread that has destroyed the cloud: no callback starts on it any more.
    destroyed: Mutex<Option<ThreadId>>,
    released: AtomicUsize,
}

impl Member {
    /// Notes a callback, and is what every callback does.
    ///
    /// # Safety
    /// `data` is a member that lives until its cloud has released it.
    unsafe fn told(data: *mut c_void, callback: &str, detail: &str) {
        let member = unsafe { &*data.cast::<Member>() };
        assert_eq!(member.released.load(SeqCst), 0, "{callback} after the release");
        assert_ne!(*member.destroyed.lock(), Some(current().id()), "{callback} after the destruction");
        member.lines.lock().push(format!("{callback} {detail}"));
        if member.destroy_in == Some(callback) {
            unsafe {
                assert_eq!(trtc_cloud_destroy(member.token()), TRTC_OK);
                assert_eq!(trtc_cloud_destroy(member.token()), TRTC_ERR_INVALID_HANDLE);
            }
            *member.destroyed.lock() = Some(current().id());
        }
    }

    fn token(&self) -> *mut trtc_cloud {
        handle(self.cloud.load(SeqCst))
    }

    fn heard(&self, line: &str) -> bool {
        self.lines.lock().iter().any(|l| l.starts_with(line))
    }

    fn count(&self, line: &str) -> usize {
        self.lines.lock().iter().filter(|l| l.starts_with(line)).count()
    }

    fn wait(&self, line: &str) {
        until(line, || self.heard(line));
    }
}

fn text(c: *const c_char) -> String {
    unsafe { CStr::from_ptr(c) }.to_str().unwrap().to_owned()
}

trait Said {
    fn said(&self) -> String;
}

impl Said for *const c_char {
    fn said(&self) -> String {
        text(*self)
    }
}

impl Said for i32 {
    fn said(&self) -> String {
        self.to_string()
    }
}

impl Said for u32 {
    fn said(&self) -> String {
        self.to_string()
    }
}

macro_rules! telling {
    ($table:ident; $($member:ident($($arg:ident: $type:ty),*);)*) => {
        $(unsafe extern "C" fn $member(data: *mut c_void $(, $arg: $type)*) {
            let said: Vec<String> = vec![$($arg.said()),*];
            unsafe { Member::told(data, stringify!($member), &said.join(" ")) }
        }
        $table.$member = Some($member);)*
    };
}

unsafe extern "C" fn on_user_video_available(data: *mut c_void, user: *const c_char, available: trtc_bool) {
    unsafe {
        let member = &*data.cast::<Member>();
        if available != 0 {
            let format = TRTC_VIDEO_PIXEL_FORMAT_I420;
            trtc_cloud_set_remote_video_render_callback(member.token(), user, 0, format, Some(render), data);
            let result = trtc_cloud_start_remote_view(member.token(), user, 0, null_mut());
            // Another thread may have destroyed the cloud in the meantime.
            assert!([TRTC_OK, TRTC_ERR_INVALID_HANDLE].contains(&result), "{}", message());
        }
        Member::told(data, "on_user_video_available", &format!("{} {available}", text(user)));
    }
}

unsafe extern "C" fn on_recv_custom_cmd_msg(
    data: *mut c_void,
    user: *const c_char,
    id: i32,
    seq: u32,
    bytes: *const u8,
    size: u32,
) {
    unsafe {
        let bytes = std::slice::from_raw_parts(bytes, size as usize);
        let first = bytes.first().copied().unwrap_or(0);
        assert!(bytes.iter().all(|b| *b == first));
        Member::told(data, "on_recv_custom_cmd_msg", &format!("{} {id} {seq} {size} x {first}", text(user)));
    }
}

unsafe extern "C" fn on_user_voice_volume(
    data: *mut c_void,
    users: *const *const trtc_volume_info,
    count: u32,
    total: u32,
) {
    unsafe {
        let users = std::slice::from_raw_parts(users, count as usize);
        let loud = |name: &str| users.iter().any(|u| text((**u).user_id) == name && (1..=100).contains(&(**u).volume));
        assert!(total <= 100);
        Member::told(data, "on_user_voice_volume", &format!("me {} other {}", loud(""), users.len() > 1 && total > 0));
    }
}

unsafe extern "C" fn on_statistics(data: *mut c_void, all: *const trtc_statistics) {
    unsafe {
        let s = &*all;
        let local = std::slice::from_raw_parts(s.local, s.local_count as usize);
        let remote = std::slice::from_raw_parts(s.remote, s.remote_count as usize);
        let sends = local.iter().any(|l| ((**l).width, (**l).height) == (320, 180) && (**l).video_bitrate_kbps > 0);
        let sees = remote.iter().any(|r| ((**r).width, (**r).height) == (320, 180) && (**r).audio_bitrate_kbps > 0);
        let bytes = s.sent_bytes > 0 && s.received_bytes > 0;
        Member::told(data, "on_statistics", &format!("sends {sends} sees {sees} bytes {bytes}"));
    }
}

unsafe extern "C" fn render(data: *mut c_void, user: *const c_char, stream: i32, frame: *const trtc_video_frame) {
    unsafe {
        let frame = &*frame;
        let (width, height) = (frame.width as usize, frame.height as usize);
        assert_eq!((frame.pixel_format, frame.rotation), (TRTC_VIDEO_PIXEL_FORMAT_I420, 0));
        assert!([TRTC_VIDEO_STREAM_TYPE_BIG, TRTC_VIDEO_STREAM_TYPE_SMALL].contains(&stream));
        let mut picture = I420::black(width, height);
        for (plane, (from, stride)) in
            picture.planes_mut().into_iter().zip(frame.planes.into_iter().zip(frame.strides_bytes))
        {
            plane.copy_from_slice(std::slice::from_raw_parts(from, plane.len()));
            assert_eq!(plane.len() % stride as usize, 0, "the planes that we get have no gaps");
        }
        let member = &*data.cast::<Member>();
        if let Some(code) = read_time_code(&picture) {
            let sent = Pattern::new(width, height).frame(code.index.into(), code.time_ms);
            member.psnr.lock().push(psnr_y(&sent, &picture));
        }
        Member::told(data, "render", &format!("{} {stream} {width}", text(user)));
    }
}

unsafe extern "C" fn on_release(data: *mut c_void) {
    unsafe { &*data.cast::<Member>() }.released.fetch_add(1, SeqCst);
}

/// A cloud that sends the pattern at 320x180, told to its member.
fn member(destroy_in: Option<&'static str>) -> Arc<Member> {
    let member = Arc::new(Member { destroy_in, ..Member::default() });
    let mut table = made::<trtc_callbacks>();
    table.user_data = Arc::as_ptr(&member).cast_mut().cast();
    table.user_data_release = Some(on_release);
    telling! { table;
        on_error(code: i32, message: *const c_char);
        on_enter_room(result: i32);
        on_exit_room(reason: i32);
        on_remote_user_enter_room(user: *const c_char);
        on_remote_user_leave_room(user: *const c_char, reason: i32);
        on_user_audio_available(user: *const c_char, available: trtc_bool);
        on_first_video_frame(user: *const c_char, stream: i32, width: u32, height: u32);
        on_first_audio_frame(user: *const c_char);
        on_send_first_local_video_frame(stream: i32);
        on_send_first_local_audio_frame();
        on_user_video_size_changed(user: *const c_char, stream: i32, width: u32, height: u32);
        on_switch_role(code: i32, message: *const c_char);
    }
    table.on_user_video_available = Some(on_user_video_available);
    table.on_recv_custom_cmd_msg = Some(on_recv_custom_cmd_msg);
    table.on_user_voice_volume = Some(on_user_voice_volume);
    table.on_statistics = Some(on_statistics);
    let cloud = create(Some(&table), false);
    member.cloud.store(cloud.addr(), SeqCst);
    let mut param = made::<trtc_video_enc_param>();
    (param.video_resolution, param.video_fps) = (TRTC_VIDEO_RESOLUTION_320_180, 10);
    unsafe {
        assert_eq!(trtc_cloud_set_video_encoder_param(cloud, 0, &raw const param), TRTC_OK);
        assert_eq!(trtc_cloud_start_pattern_source(cloud, 0, null()), TRTC_OK);
        assert_eq!(trtc_cloud_enable_audio_volume_evaluation(cloud, 100), TRTC_OK);
    }
    member
}

fn enter(server: &TestServer, room: &str, user: &str, cloud: *mut trtc_cloud) -> i32 {
    let (url, token) = (CString::new(server.url.as_str()).unwrap(), CString::new(server.token(room, user)).unwrap());
    let mut params = made::<trtc_enter_params>();
    (params.server_url, params.access_token) = (url.as_ptr(), token.as_ptr());
    unsafe { trtc_cloud_enter_room(cloud, &raw const params, TRTC_APP_SCENE_VIDEO_CALL) }
}

fn command(cloud: *mut trtc_cloud, id: i32, data: &[u8]) -> i32 {
    unsafe { trtc_cloud_send_custom_cmd_msg(cloud, id, data.as_ptr(), data.len() as u32, 1, 1) }
}

#[test]
fn two_hosts_see_hear_and_read_each_other() {
    let server = TestServer::start();
    let (alice, bob) = (member(None), member(None));
    assert_eq!(unsafe { trtc_cloud_enable_custom_audio_rendering(bob.token(), 1) }, TRTC_OK);
    for (user, member) in [("alice", &alice), ("bob", &bob)] {
        assert_eq!(enter(&server, "call", user, member.token()), TRTC_OK, "{}", message());
        member.wait("on_enter_room ");
        assert!(!member.heard("on_enter_room -") && !member.heard("on_enter_room 0"));
    }
    for (other, member) in [("bob", &alice), ("alice", &bob)] {
        for line in ["on_remote_user_enter_room {}", "on_user_video_available {} 1", "on_user_audio_available {} 1"] {
            member.wait(&line.replace("{}", other));
        }
        for line in ["on_first_video_frame {} 0 320 180", "on_user_video_size_changed {} 0 320 180", "render {}"] {
            member.wait(&line.replace("{}", other));
        }
        member.wait("on_first_video_frame  0 320 180");
        member.wait("on_send_first_local_video_frame 0");
        member.wait("on_send_first_local_audio_frame");
        until("pictures", || member.psnr.lock().len() >= 20);
        let mut psnr = member.psnr.lock().clone();
        psnr.sort_by(f64::total_cmp);
        assert!(psnr[psnr.len() / 2] > 28.0, "{psnr:?}");
    }
    // Not before entering, and not inside: each has its time.
    unsafe {
        assert_eq!(enter(&server, "call", "bob", bob.token()), TRTC_ERR_ENTER_ROOM_REFUSED);
        assert_eq!(trtc_cloud_set_default_stream_recv_mode(bob.token(), 1, 1), TRTC_ERR_REFUSED);
        assert_eq!(trtc_cloud_enable_custom_audio_rendering(bob.token(), 0), TRTC_ERR_REFUSED);
    }
    assert_eq!(command(alice.token(), 1, &[1]), TRTC_OK);
    assert_eq!(command(alice.token(), 10, &[255; 1000]), TRTC_OK);
    assert_eq!(command(alice.token(), 10, &[]), TRTC_OK);
    for line in ["alice 1 1 1 x 1", "alice 10 1 1000 x 255", "alice 10 2 0 x 0"] {
        bob.wait(&format!("on_recv_custom_cmd_msg {line}"));
    }
    assert!((0..100).any(|_| command(alice.token(), 2, &[0; 1000]) == TRTC_ERR_RATE_LIMITED), "{}", message());
    // Bob pulls what Alice plays: the pattern's tone.
    let (mut sound, mut samples) = (made::<trtc_audio_frame>(), [0i16; 480]);
    (sound.samples, sound.samples_per_channel) = (samples.as_mut_ptr(), 480);
    let mut heard = Vec::new();
    until("the tone", || {
        assert_eq!(unsafe { trtc_cloud_get_custom_audio_rendering_frame(bob.token(), &raw mut sound) }, TRTC_OK);
        heard.extend(unsafe { std::slice::from_raw_parts(sound.samples, 480) });
        let newest = &heard[heard.len().saturating_sub(24_000)..];
        std::thread::sleep(std::time::Duration::from_millis(8));
        heard.len() % 4800 == 0 && tone_hz(newest, 48_000).is_some_and(|hz| (hz - 440.0).abs() < 2.0)
    });
    bob.wait("on_first_audio_frame alice");
    alice.wait("on_user_voice_volume me true other true");
    alice.wait("on_statistics sends true sees true bytes true");
    assert_eq!(unsafe { trtc_cloud_mute_local_video(alice.token(), 0, 1) }, TRTC_OK);
    bob.wait("on_user_video_available alice 0");
    assert_eq!(unsafe { trtc_cloud_exit_room(alice.token()) }, TRTC_OK);
    alice.wait("on_exit_room 0");
    bob.wait("on_remote_user_leave_room alice 0");
    for member in [alice, bob] {
        destroy(member.token());
        assert_eq!(member.released.load(SeqCst), 1);
        assert!(!member.heard("on_error"), "{:?}", member.lines.lock());
    }
}

#[test]
fn a_receiver_takes_the_small_stream_and_the_main_one_again() {
    let server = TestServer::start();
    let (alice, bob) = (member(None), member(None));
    let (mut main, mut small) = (made::<trtc_video_enc_param>(), made::<trtc_video_enc_param>());
    (main.video_resolution, main.video_fps, main.video_bitrate_kbps) = (TRTC_VIDEO_RESOLUTION_640_360, 10, 300);
    (small.video_resolution, small.video_fps, small.video_bitrate_kbps) = (TRTC_VIDEO_RESOLUTION_320_180, 10, 100);
    unsafe {
        assert_eq!(trtc_cloud_set_video_encoder_param(alice.token(), 0, &raw const main), TRTC_OK, "{}", message());
        let result = trtc_cloud_enable_small_video_stream(alice.token(), 1, &raw const small);
        assert_eq!(result, TRTC_OK, "{}", message());
    }
    for (user, member) in [("alice", &alice), ("bob", &bob)] {
        assert_eq!(enter(&server, "layers", user, member.token()), TRTC_OK, "{}", message());
        member.wait("on_enter_room ");
    }
    alice.wait("on_send_first_local_video_frame 1");
    let choose = |stream| {
        let result = unsafe { trtc_cloud_set_remote_video_stream_type(bob.token(), USER, stream) };
        assert_eq!(result, TRTC_OK, "{}", message());
    };
    let (big, small) = ("on_user_video_size_changed alice 0 640 360", "on_user_video_size_changed alice 1 320 180");
    bob.wait(big);
    bob.wait("render alice 0 640");
    assert!(!bob.heard(small), "nobody has asked for it");
    choose(TRTC_VIDEO_STREAM_TYPE_SMALL);
    bob.wait(small);
    until("small pictures", || bob.count("render alice 1 320") >= 10);
    let (sizes, pictures) = (bob.count(big), bob.count("render alice 0 640"));
    choose(TRTC_VIDEO_STREAM_TYPE_BIG);
    until("the main size", || bob.count(big) > sizes);
    until("main pictures", || bob.count("render alice 0 640") >= pictures + 10);
    for member in [alice, bob] {
        destroy(member.token());
        assert!(!member.heard("on_error"), "{:?}", member.lines.lock());
    }
}

/// Enters numeric room 7 with tickets of the development application.
fn enter_with_ticket(server: &TestServer, user: &str, role: i32, age_s: u64, cloud: *mut trtc_cloud) {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let (app, secret) = trtc_server::ServerConfig::dev_application();
    let (holder, issued_at_s) = (trtc::types::UserId::new(user).unwrap(), now - age_s);
    let ticket = Ticket { user: holder, sdk_app_id: app, issued_at_s, expire_s: 60 };
    let key = ticket.sign_private_map_key(secret, trtc::types::RoomId::number(7).unwrap(), Privileges::ALL);
    let [url, user, sig, key] = [server.url.clone(), user.to_owned(), ticket.sign_user_sig(secret), key]
        .map(|text| CString::new(text).unwrap());
    let mut params = made::<trtc_enter_params>();
    (params.server_url, params.user_id, params.user_sig) = (url.as_ptr(), user.as_ptr(), sig.as_ptr());
    (params.sdk_app_id, params.room_id, params.role, params.private_map_key) = (app, 7, role, key.as_ptr());
    assert_eq!(
        unsafe { trtc_cloud_enter_room(cloud, &raw const params, TRTC_APP_SCENE_LIVE) },
        TRTC_OK,
        "{}",
        message()
    );
}

#[test]
fn a_user_sig_enters_and_the_role_is_switched() {
    let server = TestServer::start();
    let (alice, bob) = (member(None), member(None));
    enter_with_ticket(&server, "alice", TRTC_ROLE_ANCHOR, 0, alice.token());
    enter_with_ticket(&server, "bob", TRTC_ROLE_AUDIENCE, 0, bob.token());
    for member in [&alice, &bob] {
        member.wait("on_enter_room ");
        assert!(!member.heard("on_enter_room -"), "{:?}", member.lines.lock());
    }
    bob.wait("on_user_video_available alice 1");
    assert!(!alice.heard("on_remote_user_enter_room"), "the audience comes silently");
    assert_eq!(command(bob.token(), 1, &[1]), TRTC_ERR_REFUSED);
    unsafe {
        assert_eq!(trtc_cloud_switch_role(bob.token(), TRTC_ROLE_ANCHOR, null()), TRTC_OK, "{}", message());
        bob.wait("on_switch_role 0");
        alice.wait("on_remote_user_enter_room bob");
        alice.wait("on_user_video_available bob 1");
        assert_eq!(trtc_cloud_switch_role(bob.token(), TRTC_ROLE_AUDIENCE, c"".as_ptr()), TRTC_OK);
        alice.wait("on_remote_user_leave_room bob 3");
        assert_eq!(trtc_cloud_update_private_map_key(bob.token(), c"no key".as_ptr()), TRTC_OK);
        bob.wait(&format!("on_error {TRTC_ERR_INVALID_PRIVATE_MAPKEY}"));
    }
    // An old ticket is refused by callback, and the way is free afterwards.
    let carl = member(None);
    enter_with_ticket(&server, "carl", TRTC_ROLE_ANCHOR, 100, carl.token());
    carl.wait(&format!("on_enter_room {TRTC_ERR_USER_SIG_CHECK_FAILED}"));
    assert!(carl.heard(&format!("on_error {TRTC_ERR_USER_SIG_CHECK_FAILED} userSig: ticket is expired")));
    enter_with_ticket(&server, "carl", TRTC_ROLE_ANCHOR, 0, carl.token());
    alice.wait("on_remote_user_enter_room carl");
    for member in [alice, bob, carl] {
        destroy(member.token());
        assert_eq!(member.released.load(SeqCst), 1);
    }
}

#[test]
fn a_cloud_may_end_itself_in_any_callback_of_a_call() {
    let server = TestServer::start();
    for callback in [
        "on_enter_room",
        "on_remote_user_enter_room",
        "on_user_video_available",
        "on_user_audio_available",
        "on_first_video_frame",
        "on_first_audio_frame",
        "on_send_first_local_video_frame",
        "on_send_first_local_audio_frame",
        "on_user_video_size_changed",
        "on_statistics",
        "on_recv_custom_cmd_msg",
        "on_user_voice_volume",
        "on_remote_user_leave_room",
        "on_exit_room",
        "render",
    ] {
        let (alice, bob) = (member(None), member(Some(callback)));
        assert_eq!(enter(&server, callback, "alice", alice.token()), TRTC_OK);
        alice.wait("on_enter_room ");
        // Its first callback may be that of a source, before it has entered.
        let entered = enter(&server, callback, "bob", bob.token());
        assert!([TRTC_OK, TRTC_ERR_INVALID_HANDLE].contains(&entered), "{callback}: {}", message());
        match callback {
            "on_recv_custom_cmd_msg" => {
                alice.wait("on_remote_user_enter_room bob");
                bob.wait("on_enter_room ");
                assert_eq!(command(alice.token(), 1, &[3; 3]), TRTC_OK);
            }
            "on_remote_user_leave_room" => {
                bob.wait("on_remote_user_enter_room alice");
                destroy(alice.token());
            }
            "on_exit_room" => {
                bob.wait("on_enter_room ");
                assert_eq!(unsafe { trtc_cloud_exit_room(bob.token()) }, TRTC_OK);
            }
            _ => {}
        }
        until(callback, || bob.released.load(SeqCst) == 1);
        assert_eq!(unsafe { trtc_cloud_destroy(bob.token()) }, TRTC_ERR_INVALID_HANDLE);
        if callback != "on_remote_user_leave_room" {
            destroy(alice.token());
        }
        assert_eq!(alice.released.load(SeqCst), 1);
        until("an empty server", || server.members() == 0);
    }
}

#[test]
fn destroyed_while_joining_nobody_stays_in_the_room() {
    let server = TestServer::start();
    for wait_ms in [0, 1, 2, 5, 10, 20, 40, 80, 160] {
        let member = member(None);
        assert_eq!(enter(&server, "joining", "alice", member.token()), TRTC_OK, "{}", message());
        std::thread::sleep(std::time::Duration::from_millis(wait_ms));
        let token = member.token().addr();
        assert_eq!(ends("destroy", move || unsafe { trtc_cloud_destroy(handle(token)) }), TRTC_OK);
        assert_eq!(member.released.load(SeqCst), 1);
    }
    until("an empty server", || server.members() == 0);
}

#[test]
fn destroyed_by_one_thread_while_another_calls() {
    let server = TestServer::start();
    for round in 0..20 {
        let host = Arc::new(Host::default());
        let token = host.cloud(false).addr();
        let (url, jwt) =
            (CString::new(server.url.as_str()).unwrap(), CString::new(server.token("race", "alice")).unwrap());
        let caller = std::thread::spawn(move || {
            let mut params = made::<trtc_enter_params>();
            (params.server_url, params.access_token) = (url.as_ptr(), jwt.as_ptr());
            for call in 0.. {
                let cloud = handle(token);
                let result = unsafe {
                    match call % 5 {
                        0 => trtc_cloud_enter_room(cloud, &raw const params, 0),
                        1 => trtc_cloud_start_pattern_source(cloud, 2, null()),
                        2 => trtc_cloud_enable_custom_video_capture(cloud, 0, 1),
                        3 => trtc_cloud_start_remote_view(cloud, USER, 0, null_mut()),
                        _ => trtc_cloud_stop_source(cloud, 2),
                    }
                };
                if result == TRTC_ERR_INVALID_HANDLE {
                    break;
                }
                assert!(result == TRTC_OK || result == TRTC_ERR_ENTER_ROOM_REFUSED, "{result}: {}", message());
            }
        });
        std::thread::sleep(std::time::Duration::from_micros(200 * round));
        assert_eq!(ends("destroy", move || unsafe { trtc_cloud_destroy(handle(token)) }), TRTC_OK);
        caller.join().unwrap();
        assert_eq!(host.released(), 1);
    }
    until("an empty server", || server.members() == 0);
}
