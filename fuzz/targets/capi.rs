//! Every C entry: sequences of calls with any numbers, and any bytes in structs. Pointers are NULL or lead to valid memory,
//! as the header asks of a host; nothing else is promised.
use super::bytes::Bytes;
use std::cell::Cell;
use std::ffi::{CString, c_char, c_void};
use std::mem::offset_of;
use std::ptr::{null, null_mut, without_provenance_mut};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use trtc::capi::{
    audio::*, callbacks::*, cloud::*, code::*, device::*, error::*, log::*, message::*, params::*, room::*, source::*,
    video::*,
};

/// What planes and samples point to.
const POOL_BYTES: usize = 4 << 20;
/// The longest struct that a host may claim.
const STRUCT_BYTES: usize = 65_536;

thread_local! {
    /// Pushes whose release function must run.
    static PUSHED: Cell<usize> = const { Cell::new(0) };
}
static RELEASED: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn released(_: *mut c_void) {
    RELEASED.fetch_add(1, SeqCst);
}

unsafe extern "C" fn told(_: *mut c_void, _: i32, message: *const c_char) {
    assert!(!message.is_null());
}

unsafe extern "C" fn logged(_: *mut c_void, _: i32, module: *const c_char, message: *const c_char) {
    assert!(!module.is_null() && !message.is_null());
}

fn pool() -> *mut u8 {
    static POOL: OnceLock<usize> = OnceLock::new();
    without_provenance_mut(
        *POOL.get_or_init(|| Box::leak(vec![0u64; POOL_BYTES / 8].into_boxed_slice()).as_mut_ptr().expose_provenance()),
    )
}

/// Memory of a host: what it made for one run.
struct Memory<'a> {
    bytes: Bytes<'a>,
    texts: Vec<CString>,
    structs: Vec<Vec<u64>>,
}

impl Memory<'_> {
    /// NULL or a text.
    fn text(&mut self) -> *const c_char {
        let text = match self.bytes.u8() % 4 {
            0 => return null(),
            1 => b"alice".to_vec(),
            _ => self.bytes.chunk(80).iter().copied().filter(|b| *b != 0).collect(),
        };
        self.keep(text)
    }

    fn keep(&mut self, text: Vec<u8>) -> *const c_char {
        self.texts.push(CString::new(text).unwrap_or_default());
        self.texts.last().map_or(null(), |text| text.as_ptr())
    }

    /// NULL, a struct with its defaults and some fields changed, or one of any bytes.
    fn sized<T>(&mut self, init: unsafe extern "C" fn(*mut T, u32), fix: impl FnOnce(&mut Self, &mut T)) -> *mut T {
        let kind = self.bytes.u8();
        if kind == 0 {
            return null_mut();
        }
        self.structs.push(vec![0; STRUCT_BYTES / 8]);
        let index = self.structs.len() - 1;
        let memory: *mut u8 = self.structs[index].as_mut_ptr().cast();
        let size = size_of::<T>();
        // SAFETY: `memory` has STRUCT_BYTES bytes, more than any struct, and is aligned for u64 and pointers.
        unsafe {
            init(memory.cast(), size as u32);
            for _ in 0..kind % 8 {
                let (at, value) = (usize::from(self.bytes.u8()) * 4, self.bytes.u32());
                let value = if kind & 16 == 0 { value & 0xfff } else { value };
                if at + 4 <= size + 16 {
                    memory.add(at).cast::<u32>().write_unaligned(value);
                }
            }
            if kind & 8 != 0 {
                let any = self.bytes.chunk(size + 16);
                std::ptr::copy_nonoverlapping(any.as_ptr(), memory, any.len());
            }
        }
        let value: *mut T = memory.cast();
        // SAFETY: initialised above; every bit pattern of these structs is valid once `fix` has written the pointers, and
        // the only ones that are not integers or raw pointers are options of functions, which `zeroed` keeps from Rust.
        fix(self, unsafe { &mut *value });
        value
    }

    fn picture(&mut self) -> *mut trtc_video_frame {
        self.sized(trtc_video_frame_init, |memory, frame| {
            // The host's promise: the planes hold what size and strides say.
            let row = frame.strides_bytes.iter().map(|s| u64::from(*s)).max().unwrap_or(0);
            let row = row.max(u64::from(frame.width) * 4);
            let fits = row.saturating_mul(u64::from(frame.height) + 1) < POOL_BYTES as u64;
            let choice = memory.bytes.u8();
            for (n, plane) in frame.planes.iter_mut().enumerate() {
                *plane = if fits && choice >> n & 1 == 0 { pool() } else { null() };
            }
        })
    }

    fn sound(&mut self) -> *mut trtc_audio_frame {
        self.sized(trtc_audio_frame_init, |memory, frame| {
            let need = u64::from(frame.channels).saturating_mul(u64::from(frame.samples_per_channel)).saturating_mul(2);
            let fits = need < POOL_BYTES as u64 && !memory.bytes.one_in(8);
            frame.samples = if fits { pool().cast() } else { null_mut() };
        })
    }

    fn enter(&mut self) -> *const trtc_enter_params {
        self.sized(trtc_enter_params_init, |memory, params| {
            // Names are not looked up: only addresses of this machine, and what is no address.
            params.server_url = match memory.bytes.u8() % 4 {
                0 => null(),
                1 => memory.keep(b"ws://127.0.0.1:9".to_vec()),
                2 => {
                    let tail = memory.bytes.chunk(20).iter().map(|b| b & 0x7f | 1);
                    let url = b"http://[::1]:9/".iter().copied().chain(tail).collect();
                    memory.keep(url)
                }
                _ => {
                    let text = memory.bytes.chunk(20).iter().map(|b| if *b == b':' { b'.' } else { b | 1 }).collect();
                    memory.keep(text)
                }
            };
            params.access_token = memory.text();
            params.user_id = memory.text();
            params.user_sig = memory.text();
            params.private_map_key = memory.text();
            params.str_room_id = memory.text();
        })
    }

    fn file(&mut self) -> *const trtc_file_source {
        self.sized(trtc_file_source_init, |memory, source| {
            let name = match memory.bytes.u8() % 8 {
                0 => {
                    source.path = null();
                    return;
                }
                1 => "missing.y4m",
                2 | 3 => "in.y4m",
                4 => "in.wav",
                5 => "in.yuv",
                6 => "in.h264",
                _ => "in.nothing",
            };
            let path = std::env::temp_dir().join(format!("trtc-fuzz-{}-{name}", std::process::id()));
            if name != "missing.y4m" {
                let _ = std::fs::write(&path, memory.bytes.chunk(3_000));
            }
            source.path = memory.keep(path.into_os_string().into_encoded_bytes());
        })
    }
}

/// Calls until the bytes end; then everything is destroyed and released.
pub fn run(data: &[u8]) {
    let before = (RELEASED.load(SeqCst), PUSHED.replace(0));
    let mut memory = Memory { bytes: Bytes(data), texts: Vec::new(), structs: Vec::new() };
    let mut clouds = vec![null_mut(); 2];
    let mut video = null_mut();
    for _ in 0..64 {
        if memory.bytes.is_empty() {
            break;
        }
        let which = memory.bytes.u8();
        let slot = usize::from(which & 1);
        let cloud = match which >> 4 {
            0 => without_provenance_mut(memory.bytes.u32() as usize),
            _ => clouds[slot],
        };
        // SAFETY: handles may be anything; pointers are as the header asks.
        let result = unsafe { call(&mut memory, cloud, &mut clouds[slot], &mut video) };
        assert_ne!(result, TRTC_ERR_INTERNAL, "a panic was caught");
        memory.texts.clear();
        memory.structs.clear();
    }
    for cloud in clouds {
        // SAFETY: a handle or NULL.
        let _ = unsafe { (trtc_video_release(video), trtc_cloud_destroy(cloud)) };
    }
    // SAFETY: no callback is one.
    unsafe { trtc_set_log_callback(None, null_mut()) };
    assert_eq!(RELEASED.load(SeqCst) - before.0, PUSHED.get(), "each push is released once");
}

fn pushed() -> trtc_release_fn {
    PUSHED.set(PUSHED.get() + 1);
    Some(released)
}

/// One call.
///
/// # Safety
/// `memory` lives until it has returned.
unsafe fn call(m: &mut Memory<'_>, c: *mut trtc_cloud, own: &mut *mut trtc_cloud, video: &mut *mut trtc_video) -> i32 {
    let (mut number, mut long) = (0u32, 0u64);
    let mut text = [0 as c_char; 64];
    let act = m.bytes.u8();
    let stream = i32::from(m.bytes.u8() % 5) - 1;
    let flag = i32::from(m.bytes.u8() % 2);
    let out = if flag == 0 || !m.bytes.one_in(8) { &raw mut number } else { null_mut() };
    // SAFETY: as the function says.
    unsafe {
        match act % 64 {
            0..=4 => create(m, own),
            5 => trtc_cloud_dispatch(c, out),
            6 => trtc_cloud_last_error(c, text.as_mut_ptr(), u32::from(m.bytes.u8()) % 65, out),
            7 => trtc_cloud_enter_room(c, m.enter(), i32::from(m.bytes.u8()) - 1),
            8 => trtc_cloud_exit_room(c),
            9 => trtc_cloud_set_default_stream_recv_mode(c, flag, stream),
            10 => trtc_cloud_start_local_preview(c, without_provenance_mut(usize::from(m.bytes.u8() / 128))),
            11 => trtc_cloud_stop_local_preview(c),
            12 => trtc_cloud_set_video_encoder_param(c, stream, m.sized(trtc_video_enc_param_init, |_, _| {})),
            13 => trtc_cloud_mute_local_video(c, stream, flag),
            14 => trtc_cloud_enable_custom_video_capture(c, stream, flag),
            15..=17 => trtc_cloud_send_custom_video_data(c, stream, m.picture(), pushed(), null_mut()),
            18 => trtc_cloud_set_local_video_render_callback(c, stream, i32::from(m.bytes.u8()), None, null_mut()),
            19 => trtc_cloud_set_remote_video_render_callback(c, m.text(), stream, flag, None, null_mut()),
            20 => trtc_cloud_start_remote_view(c, m.text(), stream, null_mut()),
            21 => trtc_cloud_stop_remote_view(c, m.text(), stream),
            22 => trtc_cloud_stop_all_remote_view(c),
            23 => trtc_cloud_mute_remote_video_stream(c, m.text(), stream, flag),
            24 => trtc_cloud_mute_all_remote_video_streams(c, flag),
            25 => {
                trtc_video_release(*video);
                trtc_video_acquire(c, m.text(), stream, i32::from(m.bytes.u8() % 8), video, m.picture())
            }
            26 => trtc_video_release(without_provenance_mut(m.bytes.u32() as usize)),
            27 => trtc_cloud_start_local_audio(c, i32::from(m.bytes.u8() % 6) - 1),
            28 => trtc_cloud_stop_local_audio(c),
            29 => trtc_cloud_mute_local_audio(c, flag),
            30 => trtc_cloud_enable_custom_audio_capture(c, flag),
            31 | 32 => trtc_cloud_send_custom_audio_data(c, m.sound(), pushed(), null_mut()),
            33 => trtc_cloud_set_audio_capture_volume(c, m.bytes.u32() & 0xff),
            34 => trtc_cloud_get_audio_capture_volume(c, out) | trtc_cloud_get_audio_playout_volume(c, out),
            35 => trtc_cloud_set_audio_playout_volume(c, m.bytes.u32()),
            36 => trtc_cloud_set_remote_audio_volume(c, m.text(), m.bytes.u32() & 0xff),
            37 => trtc_cloud_mute_remote_audio(c, m.text(), flag) | trtc_cloud_mute_all_remote_audio(c, flag),
            38 => trtc_cloud_enable_audio_volume_evaluation(c, u32::from(m.bytes.u16())),
            39 => trtc_cloud_enable_custom_audio_rendering(c, flag),
            40 => trtc_cloud_get_custom_audio_rendering_frame(c, m.sound()),
            41 => {
                let data = m.bytes.chunk(1_100);
                let pointer = if data.is_empty() { null() } else { data.as_ptr() };
                let id = i32::from(m.bytes.u8() % 13) - 1;
                trtc_cloud_send_custom_cmd_msg(c, id, pointer, data.len() as u32, flag, i32::from(m.bytes.u8() % 2))
            }
            42 => trtc_cloud_start_file_source(c, stream, m.file()),
            43 => trtc_cloud_start_pattern_source(c, stream, m.sized(trtc_pattern_source_init, |_, _| {})),
            44 => trtc_cloud_stop_source(c, stream),
            45 => {
                trtc_set_log_callback(Some(logged), null_mut());
                trtc_set_log_level(i32::from(m.bytes.u8() % 9) - 1)
            }
            46 => {
                let file = std::env::temp_dir().join(format!("trtc-fuzz-{}.log", std::process::id()));
                let path = m.keep(file.into_os_string().into_encoded_bytes());
                trtc_set_log_file(path) | trtc_set_log_file(null())
            }
            48 => trtc_cloud_switch_role(c, 19 + i32::from(m.bytes.u8() % 4), m.text()),
            49 => trtc_cloud_update_private_map_key(c, m.text()),
            50 => trtc_cloud_enable_small_video_stream(c, flag, m.sized(trtc_video_enc_param_init, |_, _| {})),
            51 => trtc_cloud_set_remote_video_stream_type(c, m.text(), stream),
            52 => trtc_cloud_set_prior_remote_video_stream_type(c, stream),
            53 | 54 => devices(m, c, stream, act.is_multiple_of(2)),
            55 => trtc_device_enable_following_default_audio_device(c, stream, flag),
            56 => trtc_device_set_current_device(c, stream, m.text()),
            57 => {
                let mut muted = 0;
                let set = trtc_device_set_current_device_volume(c, stream, m.bytes.u32())
                    | trtc_device_set_current_device_mute(c, stream, flag);
                set | trtc_device_get_current_device_volume(c, stream, out)
                    | trtc_device_get_current_device_mute(c, stream, &raw mut muted)
            }
            58 => {
                let list = without_provenance_mut(m.bytes.u32() as usize);
                trtc_device_list_get_count(list, out) | trtc_device_list_release(list)
            }
            _ => {
                assert!(!trtc_last_error_message().is_null() && !trtc_version_string().is_null() && trtc_version() > 0);
                if c == *own {
                    *own = null_mut();
                }
                trtc_generate_custom_pts(if flag == 0 { null_mut() } else { &raw mut long }) | trtc_cloud_destroy(c)
            }
        }
    }
}

/// A list of devices, asked for everything, also for what is beyond its end.
///
/// # Safety
/// As for [`call`].
unsafe fn devices(m: &mut Memory<'_>, c: *mut trtc_cloud, kind: i32, current: bool) -> i32 {
    let (mut list, mut count, mut need, mut text) = (null_mut(), 0, 0, [0 as c_char; 64]);
    let size = u32::from(m.bytes.u8()) % 65;
    let index = u32::from(m.bytes.u8() % 4);
    // SAFETY: `size` is at most that of `text`; the rest are a handle and live variables.
    unsafe {
        let made = if current {
            trtc_device_get_current_device(c, kind, &raw mut list)
        } else {
            trtc_device_get_devices_list(c, kind, &raw mut list)
        };
        let read = [trtc_device_list_get_device_name, trtc_device_list_get_device_pid]
            .map(|get| get(list, index, text.as_mut_ptr(), size, &raw mut need));
        let more = trtc_device_list_get_device_properties(list, index, null_mut(), 0, &raw mut need);
        let counted = trtc_device_list_get_count(list, &raw mut count);
        assert_eq!(made == TRTC_OK, counted == TRTC_OK);
        let ended = trtc_device_list_release(list) | trtc_device_list_release(list);
        made | read[0] | read[1] | more | ended
    }
}

/// A cloud in a slot; the one that was there is destroyed.
///
/// # Safety
/// As for [`call`].
unsafe fn create(m: &mut Memory<'_>, own: &mut *mut trtc_cloud) -> i32 {
    // SAFETY: a handle or NULL.
    let _ = unsafe { trtc_cloud_destroy(std::mem::replace(own, null_mut())) };
    let table = m.sized(trtc_callbacks_init, |_, table| {
        // Functions are the host's promise too: all are NULL or real ones.
        let size = table.struct_size;
        // SAFETY: zeros are NULL pointers and no functions.
        *table = unsafe { std::mem::zeroed() };
        table.struct_size = size;
        table.on_warning = Some(told);
        table.on_error = Some(told);
    });
    let options = m.sized(trtc_cloud_options_init, |_, _| {});
    debug_assert_eq!(offset_of!(trtc_callbacks, struct_size), 0);
    // SAFETY: as the header asks.
    unsafe { trtc_cloud_create(table, options, own) }
}
