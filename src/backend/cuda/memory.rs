//! Memory of a kernel: the device's, the host's that the device maps, and for what the host sends the device's own through
//! the card's window where that works. What a kernel had is kept for the next: taking memory from the driver and giving it
//! back waits for kernels that run, the host program's too.

use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::super::gpu::{Block, Memories, Place};
use super::bar::BarMemory;
use super::driver::{Context, DeviceMemory, Mapped, Stream};
use crate::error::{Error, Result};
use crate::selftest::Inbound;

/// Sizes are multiples of this, so that blocks fit again.
const GRAIN: usize = 1 << 16;

/// Memory of the driver.
enum Taken {
    Device(DeviceMemory),
    Mapped(Mapped),
    Bar(BarMemory),
}

impl Taken {
    fn host(&self) -> Option<NonNull<u8>> {
        match self {
            Self::Device(_) => None,
            Self::Mapped(memory) => Some(memory.host()),
            Self::Bar(memory) => Some(memory.host()),
        }
    }

    fn device(&self) -> u64 {
        match self {
            Self::Device(memory) => memory.address(),
            Self::Mapped(memory) => memory.device(),
            Self::Bar(memory) => memory.device(),
        }
    }

    fn is_kind_of(&self, kind: Kind) -> bool {
        matches!(
            (self, kind),
            (Self::Device(_), Kind::Device) | (Self::Mapped(_), Kind::Mapped) | (Self::Bar(_), Kind::Bar)
        )
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Device,
    Mapped,
    Bar,
}

/// Memory that no kernel uses now, of one context.
#[derive(Default)]
pub(super) struct Pool(Mutex<Vec<(usize, Taken)>>);

impl Pool {
    fn lock(&self) -> MutexGuard<'_, Vec<(usize, Taken)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The smallest that is large enough, unless it is far too large.
    fn find(&self, kind: Kind, size: usize) -> Option<(usize, Taken)> {
        let mut pool = self.lock();
        let fits = |(at, (has, taken)): (usize, &(usize, Taken))| {
            (taken.is_kind_of(kind) && (size..=2 * size).contains(has)).then_some((*has, at))
        };
        let (_, at) = pool.iter().enumerate().filter_map(fits).min()?;
        Some(pool.swap_remove(at))
    }

    /// Gives all to the driver.
    pub(super) fn clear(&self) {
        // Freed outside the lock, for it may take a quantum.
        let all = std::mem::take(&mut *self.lock());
        drop(all);
    }
}

/// A block that goes back to the pool.
struct Lent {
    taken: Option<(usize, Taken)>,
    context: Arc<Context>,
}

impl Drop for Lent {
    fn drop(&mut self) {
        // A handler that does not return may still use it, and freeing it would wait for that.
        if self.context.is_occupied() {
            std::mem::forget(self.taken.take());
        }
        // After the last runtime nobody would give the pool's memory back.
        if let Some(taken) = self.taken.take().filter(|_| !self.context.is_lost() && self.context.is_in_use()) {
            self.context.pool.lock().push(taken);
        }
    }
}

/// Gives a kernel its memory.
pub(super) struct KernelMemory {
    context: Arc<Context>,
    /// For clearing and uploads, which no running kernel holds up.
    stream: Stream,
    bar: bool,
}

impl KernelMemory {
    /// What rings from the host lie in: as wished, or as the self-test found best.
    pub(super) fn new(context: &Arc<Context>, wish: Inbound) -> Result<Self> {
        let bar = match wish {
            Inbound::Host => false,
            Inbound::Auto => context.trial().chosen == Inbound::Device,
            Inbound::Device => {
                let refused = |reason: &String| {
                    Error::Unsupported(format!("rings from the host cannot be in device memory: {reason}"))
                };
                context.trial().device.as_ref().map_err(refused)?;
                true
            }
        };
        Self::of(context, bar)
    }

    pub(super) fn of(context: &Arc<Context>, bar: bool) -> Result<Self> {
        Ok(Self { context: context.clone(), stream: Stream::new(context.clone())?, bar })
    }

    fn take(&self, kind: Kind, size: usize) -> Result<Taken> {
        Ok(match kind {
            Kind::Device => Taken::Device(DeviceMemory::new(self.context.clone(), size)?),
            Kind::Mapped => Taken::Mapped(Mapped::new(self.context.clone(), size, true)?),
            Kind::Bar => {
                let window = self
                    .context
                    .window()
                    .map_err(|reason| Error::Unsupported(format!("device memory that the host can write: {reason}")))?;
                Taken::Bar(BarMemory::new(window, &self.context, size)?)
            }
        })
    }
}

impl Memories for KernelMemory {
    fn allocate(&self, place: Place, size: usize) -> Result<Block> {
        let kind = match place {
            Place::Device => Kind::Device,
            Place::Inbound if self.bar => Kind::Bar,
            Place::Inbound | Place::Host => Kind::Mapped,
        };
        let size = size.next_multiple_of(GRAIN);
        let (size, taken) = match self.context.pool.find(kind, size) {
            Some(found) => found,
            None => (size, self.take(kind, size)?),
        };
        let (host, device) = (taken.host(), taken.device());
        let owner = Arc::new(Lent { taken: Some((size, taken)), context: self.context.clone() });
        Ok(Block { host, device, owner })
    }

    fn zero(&self, block: &Block, at: usize, size: usize) -> Result<()> {
        self.stream.zero(block.device + at as u64, size)
    }

    fn upload(&self, block: &Block, at: usize, bytes: &[u8]) -> Result<()> {
        self.stream.upload(block.device + at as u64, bytes)
    }

    fn download(&self, block: &Block, at: usize, bytes: &mut [u8]) -> Result<()> {
        self.stream.download(block.device + at as u64, bytes)
    }

    fn copy(&self, block: &Block, from: usize, to: usize, size: usize) -> Result<()> {
        self.stream.copy(block.device + from as u64, block.device + to as u64, size)
    }

    fn finish(&self) -> Result<()> {
        self.stream.synchronize()
    }

    fn combines(&self) -> bool {
        self.bar
    }

    fn directory(&self) -> u64 {
        self.context.directory_address()
    }

    fn register(&self, key: u32, address: u64) {
        self.context.register(key, address);
    }

    fn retire(&self, key: u32, address: u64) {
        self.context.retire(key, address);
    }

    fn unregister(&self, key: u32, address: u64) {
        self.context.unregister(key, address);
    }

    fn outlast_others(&self) -> bool {
        self.context.await_boundaries()
    }
}
