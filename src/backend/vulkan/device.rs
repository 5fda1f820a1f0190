//! A logical device, ours or the host program's, its queues, and what is under way on them.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ash::vk;

use super::instance::Instance;
use super::memory::Piece;
use super::physical::{Properties, Use};
use super::{refused, Borrowed};
use crate::error::{Error, Result};

/// Entries of the directory: as many as kernels can exist.
const DIRECTORY: usize = crate::table::CAPACITY;
/// How long a dispatch may keep us waiting that ought to end by itself. After that the device is given up.
const PATIENCE: Duration = Duration::from_secs(10);

/// A queue. `vkQueueSubmit` wants it to one thread at a time.
struct Queue {
    raw: vk::Queue,
    lock: Mutex<()>,
    /// Kernels that submit to it.
    kernels: AtomicU32,
}

/// What a kernel has submitted, counted by a timeline semaphore.
pub(super) struct Timeline {
    pub(super) semaphore: vk::Semaphore,
    /// What the semaphore will come to.
    pub(super) submitted: AtomicU64,
}

pub(super) struct Device {
    pub(super) raw: ash::Device,
    pub(super) properties: Properties,
    family: u32,
    queues: Vec<Queue>,
    timelines: Mutex<Vec<Arc<Timeline>>>,
    /// All kernels on the device by the slot of their key: key and address of the descriptor.
    directory: Option<Piece>,
    /// A dispatch did not end. Whatever it may use stays, with the device.
    abandoned: AtomicBool,
    borrowed: Option<Arc<Borrowed>>,
    instance: Arc<Instance>,
}

// SAFETY: the handles may be used by any thread; queues have their lock, and the directory's words are written by whoever
// has the key.
unsafe impl Send for Device {}
// SAFETY: as above.
unsafe impl Sync for Device {}

impl Device {
    pub(super) fn open(
        instance: &Arc<Instance>,
        properties: Properties,
        borrowed: Option<Arc<Borrowed>>,
    ) -> Result<Arc<Self>> {
        if let Some(reason) = properties.unusable() {
            return Err(Error::Unsupported(format!("{}: {reason}", properties.name)));
        }
        let family = properties.family.expect("a usable device has one");
        let (raw, queues) = match &borrowed {
            // SAFETY: the host program says that it is its device, made with the instance.
            Some(theirs) => (unsafe { ash::Device::load(instance.raw.fp_v1_0(), theirs.device) }, vec![theirs.queue]),
            None => create(instance, &properties)?,
        };
        let queues =
            queues.into_iter().map(|raw| Queue { raw, lock: Mutex::default(), kernels: AtomicU32::new(0) }).collect();
        let mut device = Self {
            raw,
            properties,
            family: family.index,
            queues,
            timelines: Mutex::default(),
            directory: None,
            abandoned: AtomicBool::new(false),
            borrowed,
            instance: instance.clone(),
        };
        // The host changes it while kernels run, so rather where they see that.
        let directory = Piece::new(&device, DIRECTORY * 16, Use::Window);
        device.directory = Some(directory.or_else(|_| Piece::new(&device, DIRECTORY * 16, Use::Host))?);
        Ok(Arc::new(device))
    }

    pub(super) fn family(&self) -> u32 {
        self.family
    }

    fn directory(&self) -> &Piece {
        self.directory.as_ref().expect("made with the device")
    }

    pub(super) fn directory_address(&self) -> u64 {
        self.directory().address
    }

    /// Makes a kernel known to all others on the device; unknown again with an address of 0.
    pub(super) fn register(&self, key: u32, address: u64) {
        let key_word = if address == 0 { 0 } else { u64::from(key) };
        let host = self.directory().host.expect("both kinds of it are visible to the host");
        // SAFETY: the slot is within the directory, and only the kernel that has the key writes it. One 16-byte store;
        // shaders read the key before and after the address.
        unsafe {
            let at = host.add(key as usize % DIRECTORY * 16).cast::<std::arch::x86_64::__m128i>();
            let entry = std::arch::x86_64::_mm_set_epi64x(address as i64, key_word as i64);
            std::arch::x86_64::_mm_store_si128(at.as_ptr(), entry);
            std::arch::x86_64::_mm_sfence();
        }
    }

    /// The queue that fewest kernels use, for one more.
    pub(super) fn join_queue(&self) -> usize {
        let (index, queue) = (self.queues.iter().enumerate())
            .min_by_key(|(_, queue)| queue.kernels.load(Ordering::Relaxed))
            .expect("a device has a queue");
        // Relaxed, as above: two that choose at the same time may choose the same, which is only slower.
        queue.kernels.fetch_add(1, Ordering::Relaxed);
        index
    }

    pub(super) fn leave_queue(&self, index: usize) {
        self.queues[index].kernels.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether one kernel has the queue for itself, and may stay on it.
    pub(super) fn is_alone(&self, index: usize) -> bool {
        self.borrowed.is_none() && self.queues[index].kernels.load(Ordering::Relaxed) == 1
    }

    pub(super) fn submit(&self, index: usize, info: &vk::SubmitInfo<'_>) -> Result<()> {
        let queue = &self.queues[index];
        let _ours = queue.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let _theirs = self.borrowed.as_ref().map(|borrowed| borrowed.lock_queue());
        // SAFETY: callers give what is theirs; the queue is ours alone while we hold its locks.
        unsafe { self.raw.queue_submit(queue.raw, std::slice::from_ref(info), vk::Fence::null()) }
            .map_err(refused("submitting work"))
    }

    /// Waits for a semaphore; false if time ran out.
    pub(super) fn wait(&self, semaphore: vk::Semaphore, value: u64, time: Duration) -> Result<bool> {
        let (semaphores, values) = ([semaphore], [value]);
        let info = vk::SemaphoreWaitInfo::default().semaphores(&semaphores).values(&values);
        // SAFETY: the semaphore is a timeline of this device.
        match unsafe { self.raw.wait_semaphores(&info, time.as_nanos() as u64) } {
            Err(vk::Result::TIMEOUT) => Ok(false),
            other => other.map(|()| true).map_err(refused("running the kernel")),
        }
    }

    pub(super) fn watch(&self, timeline: &Arc<Timeline>) {
        self.timelines.lock().unwrap_or_else(PoisonError::into_inner).push(timeline.clone());
    }

    pub(super) fn forget(&self, timeline: &Arc<Timeline>) {
        let mut timelines = self.timelines.lock().unwrap_or_else(PoisonError::into_inner);
        timelines.retain(|other| !Arc::ptr_eq(other, timeline));
    }

    /// Waits until everything has ended that is under way now. False if something did not: then nothing that it may use
    /// can ever be freed. A lost device has ended everything.
    pub(super) fn outlast_dispatches(&self) -> bool {
        // Under the lock, so that no semaphore is destroyed that we wait for.
        let timelines = self.timelines.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = |timeline: &Arc<Timeline>| {
            // SeqCst: who submitted before we took our memory from the directory has counted it.
            let value = timeline.submitted.load(Ordering::SeqCst);
            self.wait(timeline.semaphore, value, PATIENCE).unwrap_or(true)
        };
        let all = !self.is_abandoned() && timelines.iter().all(ended);
        if !all {
            self.abandoned.store(true, Ordering::SeqCst);
        }
        all
    }

    pub(super) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::SeqCst)
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if self.is_abandoned() {
            // The instance has to outlive the device.
            std::mem::forget(self.instance.clone());
            return;
        }
        if let Some(directory) = &self.directory {
            // SAFETY: all kernels that could read it are gone, since they keep the device.
            unsafe { directory.free(self) };
        }
        if self.borrowed.is_none() {
            // SAFETY: made by us, and nothing of it is left.
            unsafe { self.raw.destroy_device(None) };
        }
    }
}

/// A device of our own with all its queues of the family.
fn create(instance: &Instance, properties: &Properties) -> Result<(ash::Device, Vec<vk::Queue>)> {
    let family = properties.family.expect("a usable device has one");
    let priorities = vec![1.0; family.queues as usize];
    let queues = [vk::DeviceQueueCreateInfo::default().queue_family_index(family.index).queue_priorities(&priorities)];
    let mut extensions = Vec::new();
    if properties.portability_subset {
        extensions.push(ash::khr::portability_subset::NAME.as_ptr());
    }
    let raw = properties.features.to_sets().chained(|features| {
        let info = vk::DeviceCreateInfo::default()
            .queue_create_infos(&queues)
            .enabled_extension_names(&extensions)
            .push_next(features);
        // SAFETY: the structs are whole and outlive the call; the device said that it has what is asked for.
        unsafe { instance.raw.create_device(properties.device, &info, None) }
    });
    let raw = raw.map_err(refused("creating a Vulkan device"))?;
    // SAFETY: the device was made with these queues.
    let queues = (0..family.queues).map(|index| unsafe { raw.get_device_queue(family.index, index) }).collect();
    Ok((raw, queues))
}
