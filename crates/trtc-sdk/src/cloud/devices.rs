//! Which microphone, speaker and camera. They belong to the process: the latest call of any cloud wins.
use super::Cloud;
use crate::devices::{self, User};
use std::sync::Arc;
use trtc_types::{Code, DeviceInfo, DeviceKind, Error, Result};

impl Cloud {
    /// The devices of a kind that are there now. Waits for the system's answer. From now on the cloud hears of changes by
    /// [`crate::Event::DeviceChange`].
    ///
    /// # Errors
    /// `NOT_SUPPORTED` for cameras on systems without camera support; `FAILED` when the system lets this process open none.
    pub fn devices(&self, kind: DeviceKind) -> Result<Vec<DeviceInfo>> {
        self.shared.check()?;
        let user: Arc<dyn User> = self.shared.clone();
        if kind == DeviceKind::Camera {
            let found = devices::cameras().cameras();
            if !matches!(&found, Err(error) if error.code == Code::NOT_SUPPORTED) {
                let _open = self.shared.open_state()?;
                devices::CAMERAS.add(user, found.as_deref().unwrap_or_default())?;
            }
            // A warning's number is no result of a call.
            return found.map_err(|e| if e.code.0 > 0 { Error::new(Code::FAILED, e.message) } else { e });
        }
        let line = devices::line(kind)?;
        {
            // Under the lock, so that a `close` of another thread sees it.
            let _open = self.shared.open_state()?;
            line.add(user, false)?;
        }
        Ok(line.list())
    }

    /// Uses a device from now on, also while one is in use; the system's default is no longer followed. A microphone or speaker
    /// that is pulled out is replaced by the default until it is back; no other camera is switched on by itself.
    ///
    /// # Errors
    /// `INVALID_PARAMETER` when there is no such device now.
    pub fn set_current_device(&self, kind: DeviceKind, id: &str) -> Result<()> {
        if !self.devices(kind)?.iter().any(|d| d.id == id) {
            return Err(Error::invalid(format!("device_id must be of a device in the list, got {id:?}")));
        }
        match kind {
            DeviceKind::Camera => devices::select_camera(id.to_owned()),
            _ => devices::line(kind)?.select(Some(id.to_owned())),
        }
        Ok(())
    }

    /// The device in use, or else the one that would be used; `None` without any.
    ///
    /// # Errors
    /// As [`Cloud::devices`].
    pub fn current_device(&self, kind: DeviceKind) -> Result<Option<DeviceInfo>> {
        self.shared.check()?;
        match kind {
            DeviceKind::Camera => Ok(devices::current_camera(&self.devices(kind)?).cloned()),
            _ => Ok(devices::line(kind)?.current()),
        }
    }

    /// Volume and mute of a device in the system are not available yet.
    ///
    /// # Errors
    /// `NOT_SUPPORTED`.
    pub fn system_volume(&self, kind: DeviceKind) -> Result<()> {
        self.shared.check()?;
        Err(Error::not_supported(format!("the system's volume of a device ({kind:?}) is not available yet")))
    }

    /// Follows the system's default microphone or speaker (as in the beginning), or stays with the device of now.
    ///
    /// # Errors
    /// `NOT_SUPPORTED` for cameras.
    pub fn follow_default_audio_device(&self, kind: DeviceKind, follow: bool) -> Result<()> {
        self.shared.check()?;
        let line = devices::line(kind)?;
        let stay = if follow { None } else { line.current().map(|d| d.id) };
        line.select(stay);
        Ok(())
    }
}
