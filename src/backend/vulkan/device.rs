//! A logical device, ours or the host program's, its queues, and what is under way on them.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ash::vk::{self, Handle};

use super::clock::Clock;
use super::instance::Instance;
use super::memory::Piece;
use super::physical::{Properties, Use};
use super::{refused, Borrowed};
use crate::backend::gpu::Directory;
use crate::error::{Error, Result};

/// How long a dispatch may keep us waiting that ought to end by itself. After that the device is given up. Long, for what
/// is before it on its queue may have to be compiled first: Mesa's llvmpipe does that at the first dispatch, 6 s for a pump.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

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

impl Timeline {
    /// Watched from now on, until it is forgotten.
    pub(super) fn new(device: &Device) -> Result<Arc<Self>> {
        let mut kind = vk::SemaphoreTypeCreateInfo::default().semaphore_type(vk::SemaphoreType::TIMELINE);
        let info = vk::SemaphoreCreateInfo::default().push_next(&mut kind);
        // SAFETY: the structs are whole.
        let semaphore = unsafe { device.raw.create_semaphore(&info, None) }.map_err(refused("a timeline semaphore"))?;
        let timeline = Arc::new(Self { semaphore, submitted: AtomicU64::new(0) });
        device.timelines().push(timeline.clone());
        Ok(timeline)
    }
}

pub(super) struct Device {
    pub(super) raw: ash::Device,
    pub(super) properties: Properties,
    family: u32,
    queues: Vec<Queue>,
    timelines: Mutex<Vec<Arc<Timeline>>>,
    /// What is known of the clock that shaders read.
    pub(super) clock: Clock,
    /// All kernels on the device.
    directory: Directory,
    /// The directory's memory.
    table: Option<Piece>,
    /// A dispatch did not end. Whatever it may use stays, with the device.
    abandoned: AtomicBool,
    /// Nothing new is to be started here.
    lost: AtomicBool,
    borrowed: Option<Arc<Borrowed>>,
    instance: Arc<Instance>,
}

// SAFETY: the handles may be used by any thread; queues and the directory have their locks.
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
            Some(theirs) => {
                let device = vk::Device::from_raw(theirs.device);
                // SAFETY: the host program says that it is its device, made with the instance.
                (unsafe { ash::Device::load(instance.raw.fp_v1_0(), device) }, vec![vk::Queue::from_raw(theirs.queue)])
            }
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
            clock: Clock::default(),
            directory: Directory::default(),
            table: None,
            abandoned: AtomicBool::new(false),
            lost: AtomicBool::new(false),
            borrowed,
            instance: instance.clone(),
        };
        // The host changes it while kernels run, so rather where they see that.
        let table = Piece::new(&device, Directory::SIZE, Use::Window);
        device.table = Some(table.or_else(|_| Piece::new(&device, Directory::SIZE, Use::Host))?);
        Ok(Arc::new(device))
    }

    /// For devices that can import memory of the host program's.
    pub(super) fn importer(&self) -> ash::ext::external_memory_host::Device {
        ash::ext::external_memory_host::Device::new(&self.instance.raw, &self.raw)
    }

    pub(super) fn family(&self) -> u32 {
        self.family
    }

    pub(super) fn directory_address(&self) -> u64 {
        self.table.as_ref().expect("made with the device").address
    }

    fn table(&self) -> NonNull<u8> {
        self.table.as_ref().expect("made with the device").host.expect("both kinds of it are visible to the host")
    }

    /// See [`Directory::register`].
    pub(super) fn register(&self, key: u32, address: u64) {
        // SAFETY: the table has the directory's size and alignment, and nobody else writes it.
        unsafe { self.directory.register(self.table(), key, address) };
    }

    /// See [`Directory::retire`].
    pub(super) fn retire(&self, key: u32, address: u64) {
        // SAFETY: as above.
        unsafe { self.directory.retire(self.table(), key, address) };
    }

    /// See [`Directory::unregister`].
    pub(super) fn unregister(&self, key: u32, address: u64) {
        // SAFETY: as above.
        unsafe { self.directory.unregister(self.table(), key, address) };
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

    /// Submits a command buffer. Gives what the timeline comes to when it has ended. One thread at a time for a timeline.
    pub(super) fn submit(&self, index: usize, commands: vk::CommandBuffer, timeline: &Timeline) -> Result<u64> {
        let value = timeline.submitted.load(Ordering::Relaxed) + 1;
        let (semaphores, commands, values) = ([timeline.semaphore], [commands], [value]);
        let mut counts = vk::TimelineSemaphoreSubmitInfo::default().signal_semaphore_values(&values);
        let info = [vk::SubmitInfo::default()
            .command_buffers(&commands)
            .signal_semaphores(&semaphores)
            .push_next(&mut counts)];
        let queue = &self.queues[index];
        let _ours = queue.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let _theirs = self.borrowed.as_ref().map(|borrowed| borrowed.lock_queue());
        // SeqCst, and before the dispatch can look into the directory: whoever takes its memory from there either does so
        // before that look, or waits for us. Partner: the load in `outlast_dispatches`.
        timeline.submitted.store(value, Ordering::SeqCst);
        // SAFETY: callers give what is theirs; the queue is ours alone while we hold its locks.
        let submitted = unsafe { self.raw.queue_submit(queue.raw, &info, vk::Fence::null()) };
        if let Err(error) = submitted {
            // It will not come to that.
            timeline.submitted.store(value - 1, Ordering::SeqCst);
            return Err(refused("submitting work")(error));
        }
        Ok(value)
    }

    /// Whether all that the timeline counts has ended.
    pub(super) fn has_ended(&self, timeline: &Timeline) -> Result<bool> {
        // SAFETY: the semaphore is a timeline of this device.
        let value = unsafe { self.raw.get_semaphore_counter_value(timeline.semaphore) };
        let value = value.map_err(refused("running the kernel"))?;
        Ok(value >= timeline.submitted.load(Ordering::Relaxed))
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

    fn timelines(&self) -> MutexGuard<'_, Vec<Arc<Timeline>>> {
        self.timelines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn forget(&self, timeline: &Arc<Timeline>) {
        self.timelines().retain(|other| !Arc::ptr_eq(other, timeline));
    }

    /// Whether there is memory of the device's own that the host writes.
    pub(super) fn has_window(&self) -> bool {
        self.properties.memory_type(u32::MAX, Use::Window).is_some()
    }

    /// Waits until everything has ended that is under way now. False if something did not: then nothing that it may use
    /// can ever be freed. A lost device has ended everything.
    pub(super) fn outlast_dispatches(&self) -> bool {
        // Under the lock, so that no semaphore is destroyed that we wait for.
        let timelines = self.timelines();
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

    /// A dispatch does not end: nothing waits for what is under way any more, and nothing that it may use is ever freed.
    pub(super) fn abandon(&self) {
        // SeqCst: before `lost`, so that who opens the device anew because of that finds that this one is not to be freed.
        self.abandoned.store(true, Ordering::SeqCst);
        self.lose();
    }

    pub(super) fn lose(&self) {
        self.lost.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::SeqCst)
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
        if let Some(table) = &self.table {
            // SAFETY: all kernels that could read it are gone, since they keep the device.
            unsafe { table.free(self) };
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
    if properties.host_import.is_some() {
        extensions.push(ash::ext::external_memory_host::NAME.as_ptr());
    }
    let clocks = properties.features.missing_clocks().is_empty();
    if clocks {
        extensions.push(ash::khr::shader_clock::NAME.as_ptr());
    }
    let raw = properties.features.to_sets().chained(clocks, |features| {
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
