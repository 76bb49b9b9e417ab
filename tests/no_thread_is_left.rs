//! After the last destroy, outside of callbacks, no thread of the library is left: alone in its process, so that it can count.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::undocumented_unsafe_blocks, missing_docs, reason = "tests")]

#[path = "capi/host.rs"]
mod host;

use host::*;
use std::net::TcpListener;
use std::ptr::{null, null_mut};
use std::sync::Arc;
use std::time::{Duration, Instant};
use trtc::capi::{code::*, params::*, room::*, source::*, video::*};

fn our_threads() -> Vec<String> {
    let name = |task: std::io::Result<std::fs::DirEntry>| std::fs::read_to_string(task.ok()?.path().join("comm")).ok();
    let all = std::fs::read_dir("/proc/self/task").unwrap().filter_map(name);
    all.map(|n| n.trim().to_owned()).filter(|n| n.starts_with("trtc-")).collect()
}

/// A joined thread is listed until the kernel has reaped it, a moment later.
fn assert_no_thread(when: &str) {
    let end = Instant::now() + Duration::from_secs(60);
    while !our_threads().is_empty() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(our_threads(), Vec::<String>::new(), "{when}");
}

#[test]
fn no_thread_is_left() {
    assert_no_thread("before the first");
    destroyed_inside_and_outside();
    destroyed_while_another_thread_calls();
}

fn destroyed_inside_and_outside() {
    for round in 0..20 {
        let inside = |host: &Host| destroy(host.token());
        let first = Arc::new(Host { on_warning: Some(Box::new(inside)), ..Host::default() });
        let (ended, last) = (first.cloud(false), create(None, false));
        unsafe {
            assert_eq!(trtc_cloud_start_pattern_source(ended, 0, null()), TRTC_OK);
            assert_eq!(trtc_cloud_start_pattern_source(last, 2, null()), TRTC_OK);
        }
        warn(ended);
        if round % 2 == 0 {
            until("the release", || first.released() == 1);
        }
        // Whether or not the callback of the other still runs.
        until("the callback", || first.warnings.load(std::sync::atomic::Ordering::SeqCst) == 1);
        until("the inner end", || unsafe { trtc_cloud_exit_room(ended) } == TRTC_ERR_INVALID_HANDLE);
        destroy(last);
        until("the release", || first.released() == 1);
        assert_no_thread("after the last destroy");
    }
}

/// What a call has started late, the destroyer must have seen.
fn destroyed_while_another_thread_calls() {
    // It answers nobody, so that members who were forgotten stay.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = std::ffi::CString::new(format!("ws://{}", silent.local_addr().unwrap())).unwrap();
    // With another cloud there a destroyer has no thread to wait for, and is quick.
    let keeper = create(None, true);
    // A long token keeps a call busy before it changes anything.
    let long = "r".repeat(40_000);
    let token = token(&long, "alice", "nobody's");
    for round in 0..400 {
        let cloud = create(None, round % 2 == 0).addr();
        let (url, token) = (url.clone(), token.clone());
        let caller = std::thread::spawn(move || {
            let mut params = made::<trtc_enter_params>();
            (params.server_url, params.access_token) = (url.as_ptr(), token.as_ptr());
            let results = unsafe {
                [
                    trtc_cloud_enter_room(handle(cloud), &raw const params, 0),
                    trtc_cloud_enable_custom_video_capture(handle(cloud), 0, 1),
                    trtc_cloud_start_remote_view(handle(cloud), USER, 0, null_mut()),
                ]
            };
            assert!(
                results.iter().all(|r| [TRTC_OK, TRTC_ERR_INVALID_HANDLE].contains(r)),
                "{results:?}: {}",
                message()
            );
        });
        std::thread::sleep(Duration::from_micros(round * 2));
        destroy(handle(cloud));
        caller.join().unwrap();
    }
    destroy(keeper);
    assert_no_thread("after calls that came too late");
}
