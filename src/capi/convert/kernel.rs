//! Options and statistics of a kernel.

use std::sync::Arc;
use std::time::Duration;

use super::{backend, bytes, in_range, optional_string, quantum, QUANTUM_MAX, QUANTUM_MIN};
use crate::address::MAX_ACTORS;
use crate::backend::{Backend, Kind};
use crate::capi::types::{
    rk_kernel_options, rk_kernel_statistics, rk_queue, RK_NONE, RK_ON_FAILURE_ESCALATE, RK_ON_FAILURE_FROM_SNAPSHOT,
    RK_ON_FAILURE_RESTART,
};
use crate::error::{Error, Result};
use crate::kernel::{Placement, Plan, State, Statistics, Supervision};
use crate::module::Module;
use crate::queue::Queue;
use crate::runtime::Home;
use crate::selftest::Inbound;
use crate::snapshot::Image;

const CAPACITY_MIN: u32 = 4;
const CAPACITY_MAX: u32 = 1 << 20;
const OUTBOX_DEFAULT: u32 = 1 << 16;
const OUTBOX_MAX: u32 = 1 << 28;
/// Bytes of bodies that a ring gets by default, rather than fewer slots.
const BODIES_DEFAULT: u32 = 1 << 20;
const CAPACITY_DEFAULT: u32 = 1024;
const NAME_MAX: usize = 63;
const RESTARTS_DEFAULT: u32 = 3;
const WINDOW_DEFAULT_MS: u32 = 5000;
const WATCHDOG_DEFAULT: Duration = Duration::from_secs(60);

/// Options of a kernel, copied.
pub(in crate::capi) struct KernelSpec {
    pub(in crate::capi) backend: Option<Kind>,
    pub(in crate::capi) queues: Vec<rk_queue>,
    options: rk_kernel_options,
    initial_state: Option<Vec<u8>>,
    name: Option<String>,
}

fn inbound(number: u32) -> Result<Inbound> {
    Inbound::from_number(number).ok_or_else(|| {
        Error::invalid(format!("inbound_memory is {number}, it can be RK_INBOUND_AUTO, _HOST or _DEVICE"))
    })
}

fn supervision(options: &rk_kernel_options) -> Result<Supervision> {
    let all = RK_ON_FAILURE_RESTART | RK_ON_FAILURE_ESCALATE | RK_ON_FAILURE_FROM_SNAPSHOT;
    if options.on_failure & !all != 0 {
        return Err(Error::invalid(format!("on_failure is {:#x}, bits can be RK_ON_FAILURE_...", options.on_failure)));
    }
    let or = |value: u32, default: u32| if value == 0 { default } else { value };
    let restarts = match options.on_failure & RK_ON_FAILURE_RESTART {
        0 => 0,
        _ => or(options.max_restarts, RESTARTS_DEFAULT),
    };
    let escalates = options.on_failure & RK_ON_FAILURE_ESCALATE != 0;
    let keeps = options.on_failure & RK_ON_FAILURE_FROM_SNAPSHOT != 0;
    if keeps && restarts == 0 {
        return Err(Error::invalid("on_failure is RK_ON_FAILURE_FROM_SNAPSHOT without RK_ON_FAILURE_RESTART"));
    }
    Ok(Supervision::new(restarts, or(options.restart_window_ms, WINDOW_DEFAULT_MS), escalates, keeps))
}

fn watchdog(ms: u32) -> Option<Duration> {
    match ms {
        0 => Some(WATCHDOG_DEFAULT),
        RK_NONE => None,
        ms => Some(Duration::from_millis(ms.into())),
    }
}

/// Whether every number is one that some kernel could have; zeros are defaults.
pub(in crate::capi) fn check_kernel(options: &rk_kernel_options) -> Result<()> {
    backend(options.backend)?;
    let bounds = [
        ("actors", options.actors, 1, MAX_ACTORS),
        ("lanes", options.lanes, 1, 1024),
        ("quantum_us", options.quantum_us, QUANTUM_MIN, QUANTUM_MAX),
        ("inbound_capacity", options.inbound_capacity, CAPACITY_MIN, CAPACITY_MAX),
        ("actor_capacity", options.actor_capacity, CAPACITY_MIN, CAPACITY_MAX),
        ("outbound_capacity", options.outbound_capacity, CAPACITY_MIN, CAPACITY_MAX),
        ("outbox_bytes", options.outbox_bytes, 1, OUTBOX_MAX),
        ("latency_every", options.latency_every, 1, 1_000_000),
        ("max_restarts", options.max_restarts, 1, 1_000_000),
        ("restart_window_ms", options.restart_window_ms, 1, 86_400_000),
        ("watchdog_ms", if options.watchdog_ms == RK_NONE { 0 } else { options.watchdog_ms }, 1, 86_400_000),
    ];
    for (what, value, low, high) in bounds.into_iter().filter(|(_, value, ..)| *value != 0) {
        in_range(what, value, low, high)?;
        if low == CAPACITY_MIN && !value.is_power_of_two() {
            return Err(Error::invalid(format!("{what} is {value}, which is not a power of two")));
        }
    }
    if options.reserved != 0 {
        return Err(Error::invalid("reserved is not zero"));
    }
    inbound(options.inbound_memory)?;
    supervision(options)?;
    if options.name_length as usize > NAME_MAX {
        return Err(Error::invalid(format!("name has more than {NAME_MAX} bytes")));
    }
    Ok(())
}

/// # Safety
/// The pointers in `options` are NULL or point to as much as the sizes beside them say.
pub(in crate::capi) unsafe fn kernel_spec(options: &rk_kernel_options, state_size: u32) -> Result<KernelSpec> {
    check_kernel(options)?;
    // SAFETY: the caller's promise, for all three.
    let name = unsafe { optional_string(options.name, options.name_length as usize, "name") }?;
    let initial_state = match (options.initial_state.is_null(), options.initial_state_size) {
        (true, 0) => None,
        (_, size) if size != state_size => {
            return Err(Error::invalid(format!(
                "initial_state_size is {size}, the actor's state has {state_size} bytes"
            )));
        }
        // SAFETY: as above.
        (_, size) => Some(unsafe { bytes(options.initial_state.cast(), size as usize, "initial_state") }?.to_vec()),
    };
    let queues = match (options.queues.is_null(), options.queue_count) {
        (true, 0) => Vec::new(),
        // SAFETY: as above.
        (false, count @ 1..) if options.queues.is_aligned() => unsafe {
            std::slice::from_raw_parts(options.queues, in_range("queue_count", count, 1, 1 << 16)? as usize).to_vec()
        },
        _ => return Err(Error::invalid("queues and queue_count contradict each other")),
    };
    Ok(KernelSpec {
        backend: backend(options.backend)?,
        queues,
        options: *options,
        initial_state,
        name: name.map(str::to_owned),
    })
}

impl KernelSpec {
    pub(in crate::capi) fn device(&self) -> u32 {
        self.options.device
    }

    pub(in crate::capi) fn lanes(&self) -> u32 {
        self.options.lanes.max(1)
    }

    /// Fills in what was left open.
    pub(in crate::capi) fn plan(
        self,
        home: &Home,
        backend: &dyn Backend,
        module: Arc<Module>,
        actor: usize,
        queues: Vec<Arc<Queue>>,
    ) -> Result<Plan> {
        let options = &self.options;
        let kind = &module.actors()[actor];
        let actors = options.actors.max(1);
        let workers = match options.workers {
            0 => backend.default_workers(options.device)?.min(actors),
            count => {
                backend.default_workers(options.device)?;
                in_range("workers", count, 1, actors)?
            }
        };
        let capacity = |asked: u32, largest: u32| match asked {
            0 => (BODIES_DEFAULT / largest.next_multiple_of(64).max(64))
                .clamp(CAPACITY_MIN, CAPACITY_DEFAULT)
                .next_power_of_two(),
            count => count,
        };
        let handled = kind.handlers.iter().map(|handler| handler.size).max().unwrap_or(0);
        let message = module.largest_message();
        let outbox = match options.outbox_bytes {
            0 => OUTBOX_DEFAULT.max(4 * (message.next_multiple_of(16) + 48)),
            bytes => in_range("outbox_bytes", bytes, 48 + message.next_multiple_of(16), OUTBOX_MAX)?,
        };
        Ok(Plan {
            name: self.name.clone().unwrap_or_else(|| kind.name.clone()),
            actor,
            actors,
            workers,
            lanes: self.lanes(),
            device: self.device(),
            quantum: if options.quantum_us == 0 { home.quantum } else { quantum(options.quantum_us)? },
            watchdog: watchdog(options.watchdog_ms),
            inbound_capacity: capacity(options.inbound_capacity, handled),
            actor_capacity: capacity(options.actor_capacity, handled),
            outbound_capacity: capacity(options.outbound_capacity, message),
            outbox_bytes: outbox,
            latency_every: options.latency_every,
            inbound: inbound(options.inbound_memory)?,
            supervision: supervision(options)?,
            dormant: match options.dormant {
                0 => 0,
                count => in_range("dormant", count, 1, actors)?,
            },
            initial_state: self.initial_state,
            image: None,
            queues,
            module,
        })
    }
}

/// Fills in what a snapshot says, with whose kernel the options must agree.
pub(in crate::capi) fn fit(options: rk_kernel_options, image: &Image) -> Result<rk_kernel_options> {
    if options.actors != 0 && options.actors != image.actors() {
        return Err(Error::invalid(format!("actors is {}, the snapshot has {}", options.actors, image.actors())));
    }
    if options.dormant != 0 {
        return Err(Error::invalid("dormant is set; the snapshot says which actors are"));
    }
    Ok(options)
}

/// Makes a plan one for a kernel that begins as `image`.
pub(in crate::capi) fn make_room(plan: &mut Plan, image: &Image) -> Result<()> {
    let kind = &plan.module.actors()[plan.actor];
    let largest = kind.handlers.iter().map(|handler| handler.size).max().unwrap_or(0);
    image.check(largest, plan.module.largest_message())?;
    let (placement, workers) = Placement::new(plan.actors, plan.workers);
    let [inbound, actor] = image.capacities(placement, workers, largest)?;
    plan.inbound_capacity = plan.inbound_capacity.max(inbound);
    plan.actor_capacity = plan.actor_capacity.max(actor);
    Ok(())
}

pub(in crate::capi) fn state(state: State) -> u32 {
    match state {
        // Moments that users need not know.
        State::Captured => State::Suspended as u32,
        State::Ending => State::Draining as u32,
        state => state as u32,
    }
}

pub(in crate::capi) fn stats(stats: &Statistics) -> rk_kernel_statistics {
    let sum = &stats.sum.counts;
    rk_kernel_statistics {
        struct_size: 0,
        state: state(stats.state),
        backend: stats.backend,
        actors: stats.actors,
        workers: stats.workers,
        lanes: stats.lanes,
        accepted: stats.sum.accepted,
        handled: sum.handled,
        dead_letters: sum.dead,
        pending: stats.sum.pending,
        high_water: stats.sum.high_water,
        sent_host: sum.sent_host,
        sent_actors: sum.sent_actors,
        deferred: sum.deferred,
        undeliverable: sum.undeliverable,
        refused: sum.refused,
        failures: sum.failures,
        quanta: sum.quanta,
        memory: stats.memory,
        memory_per_actor: stats.memory_per_actor,
        counters: sum.counters,
        restarts: sum.restarts,
    }
}
