//! Messages.
use super::check::within;
use super::cloud::trtc_cloud;
use super::guard::on_cloud;
use super::{trtc_bool, trtc_result};
use trtc_types::Error;

/// Sends a command message to everybody in the room.
///
/// `cmd_id` 1..10; `data`, which is copied, at most 1,000 bytes (NULL only with 0 bytes); at most 30 messages and 8,000
/// bytes in any 1,000 ms; `reliable` and `ordered` must be equal: nonzero arrives in order, zero may get lost. While the
/// connection is broken reliable messages wait for it, at most 256 of them. Errors: `TRTC_ERR_REFUSED` (not in a room, or
/// audience: warning 6001 too), `TRTC_ERR_INVALID_PARAMETER`, `TRTC_ERR_RATE_LIMITED`, `TRTC_ERR_DISCONNECTED` (the
/// connection is broken and the message not reliable), `TRTC_ERR_QUEUE_FULL` (too much waits). Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_cloud_send_custom_cmd_msg(
    cloud: *mut trtc_cloud,
    cmd_id: i32,
    data: *const u8,
    size_bytes: u32,
    reliable: trtc_bool,
    ordered: trtc_bool,
) -> trtc_result {
    on_cloud(cloud, |entry| {
        if !(1..=10).contains(&cmd_id) {
            return Err(Error::invalid(format!("cmd_id must be 1..=10, got {cmd_id}")));
        }
        within("size_bytes", size_bytes, 0..=1000)?;
        if (reliable != 0) != (ordered != 0) {
            return Err(Error::invalid("reliable and ordered must be equal"));
        }
        if data.is_null() && size_bytes > 0 {
            return Err(Error::invalid("data must not be NULL"));
        }
        let data = if size_bytes == 0 {
            &[][..]
        } else {
            // SAFETY: not NULL; the host promises `size_bytes` readable bytes.
            unsafe { std::slice::from_raw_parts(data, size_bytes as usize) }
        };
        entry.cloud.send_custom_cmd_msg(cmd_id, data, reliable != 0, ordered != 0)
    })
}
