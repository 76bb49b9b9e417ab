//! Making and destroying clouds: anywhere, at any time, as often as a host likes.
use crate::every_call::every_call;
use crate::host::*;
use std::ffi::{c_char, c_void};
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier};
use trtc::capi::{audio::*, callbacks::*, cloud::*, code::*, params::*, room::*, source::*, video::*};

#[test]
fn tokens_have_the_promised_shape() {
    let clouds: Vec<_> = (0..5).map(|_| create(None, true)).collect();
    for cloud in &clouds {
        assert!(cloud.addr() & 1 == 1 && (4096..1 << 31).contains(&cloud.addr()));
    }
    for cloud in clouds {
        destroy(cloud);
        assert_eq!(unsafe { trtc_cloud_destroy(cloud) }, TRTC_ERR_INVALID_HANDLE, "twice");
    }
}

#[test]
fn a_failed_creation_leaves_user_data_with_the_host() {
    let host = Arc::new(Host::default());
    let cloud = host.cloud(true);
    destroy(cloud);
    assert_eq!(host.released(), 1);
    let mut callbacks = made::<trtc_callbacks>();
    callbacks.struct_size = 4;
    let mut out = cloud;
    unsafe {
        assert_eq!(trtc_cloud_create(&raw const callbacks, null(), &raw mut out), TRTC_ERR_STRUCT_SIZE);
        assert!(out.is_null());
        let mut options = made::<trtc_cloud_options>();
        options.struct_size = 4;
        assert_eq!(trtc_cloud_create(null(), &raw const options, &raw mut out), TRTC_ERR_STRUCT_SIZE);
    }
    assert_eq!(host.released(), 1);
}

/// Destroys its own cloud, twice.
fn destroys_itself() -> Host {
    let body = |host: &Host| unsafe {
        assert_eq!(trtc_cloud_destroy(host.token()), TRTC_OK);
        assert_eq!(trtc_cloud_destroy(host.token()), TRTC_ERR_INVALID_HANDLE);
        for (name, result) in every_call(host.token(), &AtomicUsize::new(0)) {
            assert_eq!(result, TRTC_ERR_INVALID_HANDLE, "{name}");
        }
        assert_eq!(host.released(), 0);
    };
    Host { on_warning: Some(Box::new(body)), ..Host::default() }
}

#[test]
fn destroy_inside_a_callback() {
    for pull in [false, true] {
        let host = Arc::new(destroys_itself());
        let cloud = host.cloud(pull);
        warn(cloud);
        // The second one may come too late.
        let _ = unsafe { trtc_cloud_start_local_preview(cloud, null_mut()) };
        if pull {
            assert_eq!(unsafe { trtc_cloud_dispatch(cloud, null_mut()) }, TRTC_OK);
        }
        until("release", || host.released() == 1);
        assert_eq!((host.warnings.load(SeqCst), host.after_release.load(SeqCst)), (1, 0), "pull {pull}");
    }
}

#[test]
fn two_clouds_destroy_each_other_in_their_callbacks() {
    for (a_pulls, b_pulls) in [(false, false), (true, true), (false, true)] {
        let both_inside = Arc::new(Barrier::new(2));
        let tokens = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
        let host = |other: usize| {
            let (both, tokens) = (both_inside.clone(), tokens.clone());
            let body = move |_: &Host| {
                both.wait();
                assert_eq!(unsafe { trtc_cloud_destroy(handle(tokens[other].load(SeqCst))) }, TRTC_OK);
            };
            Arc::new(Host { on_warning: Some(Box::new(body)), ..Host::default() })
        };
        let hosts = [host(1), host(0)];
        let mut pullers = Vec::new();
        for ((host, token), pull) in hosts.iter().zip(tokens.iter()).zip([a_pulls, b_pulls]) {
            token.store(host.cloud(pull).addr(), SeqCst);
        }
        for (host, pull) in hosts.iter().zip([a_pulls, b_pulls]) {
            warn(host.token());
            let token = host.token().addr();
            if pull {
                pullers.push(std::thread::spawn(move || unsafe { trtc_cloud_dispatch(handle(token), null_mut()) }));
            }
        }
        for host in &hosts {
            until("the mutual end", || host.released() == 1);
            assert_eq!((host.warnings.load(SeqCst), host.after_release.load(SeqCst)), (1, 0));
        }
        for thread in pullers {
            assert_eq!(thread.join().unwrap(), TRTC_OK);
        }
    }
}

#[test]
fn another_cloud_destroyed_in_a_callback_does_not_block_it() {
    let (inside, go_on) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let (entered, wait) = (inside.clone(), go_on.clone());
    let busy = move |_: &Host| {
        entered.wait();
        wait.wait();
    };
    let busy = Arc::new(Host { on_warning: Some(Box::new(busy)), ..Host::default() });
    let token = busy.cloud(false).addr();
    warn(busy.token());
    inside.wait();
    let destroyed = Arc::new(AtomicUsize::new(0));
    let (count, watched) = (destroyed.clone(), busy.clone());
    let body = move |_: &Host| {
        assert_eq!(unsafe { trtc_cloud_destroy(handle(token)) }, TRTC_OK);
        assert_eq!(watched.released(), 0, "its callback is still running");
        count.fetch_add(1, SeqCst);
    };
    let host = Arc::new(Host { on_warning: Some(Box::new(body)), ..Host::default() });
    let cloud = host.cloud(false);
    warn(cloud);
    until("the other's destruction", || destroyed.load(SeqCst) == 1);
    go_on.wait();
    until("the release", || busy.released() == 1);
    assert_eq!(busy.after_release.load(SeqCst), 0);
    destroy(cloud);
}

#[test]
fn destroy_from_another_thread_waits_for_the_callback() {
    let inside = Arc::new(Barrier::new(2));
    let entered = inside.clone();
    let body = move |_: &Host| {
        entered.wait();
        // Long enough for the destroyer to have to wait.
        std::thread::sleep(std::time::Duration::from_millis(100));
    };
    let host = Arc::new(Host { on_warning: Some(Box::new(body)), ..Host::default() });
    let token = host.cloud(false).addr();
    warn(host.token());
    inside.wait();
    assert_eq!(ends("destroy", move || unsafe { trtc_cloud_destroy(handle(token)) }), TRTC_OK);
    assert_eq!((host.warnings.load(SeqCst), host.released(), host.after_release.load(SeqCst)), (1, 1, 0));
}

#[test]
fn destroy_while_another_thread_dispatches() {
    let inside = Arc::new(Barrier::new(2));
    let entered = inside.clone();
    let body = move |_: &Host| {
        entered.wait();
        std::thread::sleep(std::time::Duration::from_millis(50));
    };
    let host = Arc::new(Host { on_warning: Some(Box::new(body)), ..Host::default() });
    let token = host.cloud(true).addr();
    warn(host.token());
    warn(host.token());
    let puller = std::thread::spawn(move || unsafe { trtc_cloud_dispatch(handle(token), null_mut()) });
    inside.wait();
    unsafe {
        assert_eq!(trtc_cloud_dispatch(handle(token), null_mut()), TRTC_ERR_REFUSED, "one at a time");
        assert_eq!(trtc_cloud_destroy(handle(token)), TRTC_OK);
    }
    assert_eq!((host.warnings.load(SeqCst), host.released(), host.after_release.load(SeqCst)), (1, 1, 0));
    assert_eq!(puller.join().unwrap(), TRTC_OK);
}

#[test]
fn two_threads_destroy_and_one_wins() {
    for _ in 0..20 {
        let host = Arc::new(Host::default());
        let token = host.cloud(false).addr();
        let destroy = move || unsafe { trtc_cloud_destroy(handle(token)) };
        let (a, b) = (std::thread::spawn(destroy), std::thread::spawn(destroy));
        let mut results = [a.join().unwrap(), b.join().unwrap()];
        results.sort_unstable();
        assert_eq!(results, [TRTC_ERR_INVALID_HANDLE, TRTC_OK]);
        assert_eq!(host.released(), 1);
    }
}

#[test]
fn the_release_function_may_destroy_and_create() {
    let other = create(None, false).addr();
    let body = move |host: &Host| unsafe {
        assert_eq!(trtc_cloud_destroy(host.token()), TRTC_ERR_INVALID_HANDLE);
        assert_eq!(trtc_cloud_destroy(handle(other)), TRTC_OK);
        destroy(create(None, false));
    };
    let host = Arc::new(Host { on_release: Some(Box::new(body)), ..Host::default() });
    let token = host.cloud(false).addr();
    assert_eq!(ends("destroy", move || unsafe { trtc_cloud_destroy(handle(token)) }), TRTC_OK);
    assert_eq!(host.released(), 1);
    assert_eq!(unsafe { trtc_cloud_destroy(handle(other)) }, TRTC_ERR_INVALID_HANDLE);
}

unsafe extern "C" fn destroying_release(context: *mut c_void) {
    assert_eq!(unsafe { trtc_cloud_destroy(context.cast()) }, TRTC_OK);
}

#[test]
fn a_pushs_release_function_may_destroy_the_cloud() {
    let (host, mut samples) = (Arc::new(Host::default()), [0i16; 480]);
    let cloud = host.cloud(false);
    let mut frame = made::<trtc_audio_frame>();
    (frame.samples, frame.samples_per_channel) = (samples.as_mut_ptr(), 480);
    unsafe {
        assert_eq!(trtc_cloud_enable_custom_audio_capture(cloud, 1), TRTC_OK);
        let result = trtc_cloud_send_custom_audio_data(cloud, &raw const frame, Some(destroying_release), cloud.cast());
        assert_eq!(result, TRTC_OK);
        assert_eq!(trtc_cloud_destroy(cloud), TRTC_ERR_INVALID_HANDLE);
    }
    assert_eq!(host.released(), 1);
}

unsafe extern "C" fn destroying_render(cloud: *mut c_void, _: *const c_char, _: i32, frame: *const trtc_video_frame) {
    unsafe {
        assert_eq!(trtc_cloud_destroy(cloud.cast()), TRTC_OK);
        assert!((*frame).planes[0].read() > 0, "the picture is ours until we return");
    }
}

#[test]
fn destroy_inside_a_render_callback() {
    let host = Arc::new(Host::default());
    let cloud = host.cloud(false);
    unsafe {
        let callback = Some(destroying_render as unsafe extern "C" fn(_, _, _, _));
        assert_eq!(trtc_cloud_set_local_video_render_callback(cloud, 2, 1, callback, cloud.cast()), TRTC_OK);
        assert_eq!(trtc_cloud_start_pattern_source(cloud, 2, null()), TRTC_OK);
    }
    until("release", || host.released() == 1);
    assert_eq!(unsafe { trtc_cloud_destroy(cloud) }, TRTC_ERR_INVALID_HANDLE);
}

#[test]
fn pull_mode_calls_back_only_inside_dispatch() {
    let inside = |host: &Host| unsafe {
        let mut count = 9;
        assert_eq!(trtc_cloud_dispatch(host.token(), &raw mut count), TRTC_ERR_REFUSED);
        assert_eq!(count, 0);
    };
    let host = Arc::new(Host { on_warning: Some(Box::new(inside)), ..Host::default() });
    let cloud = host.cloud(true);
    (0..3).for_each(|_| warn(cloud));
    std::thread::sleep(std::time::Duration::from_millis(30));
    assert_eq!(host.warnings.load(SeqCst), 0);
    let mut count = 0;
    unsafe {
        assert_eq!((trtc_cloud_dispatch(cloud, &raw mut count), count), (TRTC_OK, 3));
        assert_eq!((trtc_cloud_dispatch(cloud, &raw mut count), count), (TRTC_OK, 0));
    }
    assert_eq!(host.warnings.load(SeqCst), 3);
    destroy(cloud);
    assert_eq!(host.released(), 1);
}

#[test]
fn callbacks_never_overlap_and_none_is_lost() {
    struct Seen {
        inside: AtomicUsize,
        codes: parking_lot::Mutex<Vec<i32>>,
    }
    unsafe extern "C" fn on_warning(data: *mut c_void, code: i32, _: *const c_char) {
        let seen = unsafe { &*data.cast::<Seen>() };
        assert_eq!(seen.inside.fetch_add(1, SeqCst), 0, "one at a time");
        seen.codes.lock().push(code);
        std::thread::yield_now();
        seen.inside.fetch_sub(1, SeqCst);
    }
    let seen = Seen { inside: AtomicUsize::new(0), codes: parking_lot::Mutex::default() };
    let mut callbacks = made::<trtc_callbacks>();
    callbacks.user_data = (&raw const seen).cast_mut().cast();
    callbacks.on_warning = Some(on_warning);
    let cloud = create(Some(&callbacks), false);
    for _ in 0..1000 {
        warn(cloud);
    }
    until("all", || seen.codes.lock().len() == 1000);
    destroy(cloud);
    assert!(seen.codes.into_inner().iter().all(|code| *code == TRTC_WARN_CAMERA_DEVICE_EMPTY));
}

/// A server that takes connections and never says anything.
fn silent_server() -> (std::net::TcpListener, std::ffi::CString) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    (listener, std::ffi::CString::new(url).unwrap())
}

#[test]
fn joining_can_be_destroyed_at_any_time() {
    let token = token("r", "alice", "nobody's");
    let (_silent, silent_url) = silent_server();
    for url in [c"ws://127.0.0.1:9", silent_url.as_c_str(), c"wss://localhost:9", c"ws://no-such-host.invalid"] {
        for wait_ms in [0, 1, 5, 30] {
            let host = Arc::new(Host::default());
            let cloud = host.cloud(false);
            let mut enter = made::<trtc_enter_params>();
            (enter.server_url, enter.access_token, enter.allow_plain) = (url.as_ptr(), token.as_ptr(), 1);
            unsafe {
                assert_eq!(trtc_cloud_enter_room(cloud, &raw const enter, 0), TRTC_OK, "{}", message());
                if url == silent_url.as_c_str() {
                    assert_eq!(trtc_cloud_enter_room(cloud, &raw const enter, 0), TRTC_ERR_ENTER_ROOM_REFUSED);
                    assert_eq!(trtc_cloud_set_default_stream_recv_mode(cloud, 0, 0), TRTC_ERR_REFUSED);
                }
            }
            std::thread::sleep(std::time::Duration::from_millis(wait_ms));
            let token = cloud.addr();
            assert_eq!(ends("destroy", move || unsafe { trtc_cloud_destroy(handle(token)) }), TRTC_OK);
            assert_eq!(host.released(), 1);
        }
    }
}
