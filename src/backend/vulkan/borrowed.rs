//! The host program's own Vulkan objects, which we use and never destroy.

use std::ffi::c_void;

use ash::vk;

use super::features::Features;
use super::physical::{Family, Properties};

/// Takes the queue for one thread, or gives it back.
pub(crate) type LockFn = unsafe extern "C" fn(user: *mut c_void);

/// vkGetInstanceProcAddr, if the host program gives it.
pub(crate) type LoaderFn = Option<vk::PFN_vkGetInstanceProcAddr>;

/// What `rk_vulkan_context` says, checked.
pub(crate) struct Borrowed {
    pub(crate) get_instance_proc_addr: LoaderFn,
    /// Handles, here and below.
    pub(crate) instance: u64,
    pub(crate) physical_device: u64,
    pub(crate) device: u64,
    pub(crate) queue: u64,
    pub(crate) family: u32,
    /// What the device was made with.
    pub(crate) features: Features,
    pub(crate) lock: Option<(LockFn, LockFn)>,
    pub(crate) user: *mut c_void,
}

// SAFETY: the host program promises that the handles may be used, and its functions called, from any thread.
unsafe impl Send for Borrowed {}
// SAFETY: as above.
unsafe impl Sync for Borrowed {}

impl Borrowed {
    /// What the physical device is when only what the device was made with is there.
    pub(super) fn restrict(&self, mut properties: Properties) -> Properties {
        properties.features = self.features;
        properties.family = Some(Family { index: self.family, queues: 1 });
        // Extensions that it was made with are not told.
        properties.host_import = None;
        properties
    }

    /// The queue is ours alone while the result lives.
    pub(super) fn lock_queue(&self) -> Locked<'_> {
        if let Some((lock, _)) = self.lock {
            // SAFETY: as the host program said, from any thread.
            unsafe { lock(self.user) };
        }
        Locked(self)
    }
}

pub(super) struct Locked<'a>(&'a Borrowed);

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        if let Some((_, unlock)) = self.0.lock {
            // SAFETY: as above; locked before.
            unsafe { unlock(self.0.user) };
        }
    }
}
