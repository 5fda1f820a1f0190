//! The threads that workers run on.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::super::signals::SignalsBlocked;
use super::worker::{Visit, Worker};
use crate::bell::{heavy, light, Bell};
use crate::error::{Error, Result};
use crate::futex;
use crate::kernel::Kernel;
use crate::runtime::Home;
use crate::time::{Deadline, Spin};

/// Stack of a thread: handlers are the user's, and may be used to a main thread's.
const STACK: usize = 8 << 20;

/// One thread, as others see it. On lines of its own: the thread writes it at every round.
#[repr(align(128))]
pub(super) struct Seat {
    /// Rung when there may be work.
    pub(super) bell: Arc<Bell>,
    /// Grows with every round over the workers, and before a sleep: what was begun before is over.
    pass: AtomicU32,
    /// 1 while the thread is between rounds, asleep or about to be.
    asleep: AtomicU32,
    /// How many wait for the next pass.
    watchers: AtomicU32,
    /// Workers that are to move in.
    arrivals: Mutex<Vec<Worker>>,
    has_arrivals: AtomicBool,
    /// The thread has ended by a panic.
    dead: AtomicBool,
    /// Workers that sit here, or will.
    load: AtomicUsize,
}

impl Seat {
    /// Gives the thread a worker.
    pub(super) fn adopt(&self, worker: Worker) {
        self.load.fetch_add(1, Ordering::Relaxed);
        let mut arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        arrivals.push(worker);
        // Release: pairs with the Acquire in `round`, though the lock is what protects the list.
        self.has_arrivals.store(true, Ordering::Release);
        // Under the lock, as where it is set: either we see it, or the thread's last look finds the worker.
        if self.dead.load(Ordering::Relaxed) {
            arrivals.iter().for_each(|worker| worker.kernel().fail(crate::capi::RK_ERROR_PANIC));
        }
        drop(arrivals);
        self.bell.ring();
    }

    fn begin_pass(&self) {
        // Release: pairs with the Acquire in `rest`; what was done in the pass before is seen by who waited for this one.
        self.pass.store(self.pass.load(Ordering::Relaxed).wrapping_add(1), Ordering::Release);
        light();
        // Relaxed: ordered after the store by `light`; its partner is `heavy` in `sleep_until`.
        if self.watchers.load(Ordering::Relaxed) != 0 {
            futex::wake_all(&self.pass);
        }
    }
}

/// The threads of a runtime.
pub(super) struct Pool {
    seats: Vec<Arc<Seat>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    stopping: Arc<AtomicBool>,
    interrupted: AtomicBool,
}

impl Pool {
    pub(super) fn start(home: &Arc<Home>, threads: usize, cpus: &[u32]) -> Result<Arc<Self>> {
        let seat = || {
            Arc::new(Seat {
                bell: Arc::new(Bell::default()),
                pass: AtomicU32::new(0),
                asleep: AtomicU32::new(0),
                watchers: AtomicU32::new(0),
                arrivals: Mutex::default(),
                has_arrivals: AtomicBool::new(false),
                dead: AtomicBool::new(false),
                load: AtomicUsize::new(0),
            })
        };
        let pool = Arc::new(Self {
            seats: (0..threads).map(|_| seat()).collect(),
            threads: Mutex::default(),
            stopping: Arc::new(AtomicBool::new(false)),
            interrupted: AtomicBool::new(false),
        });
        // Threads inherit the mask: a signal of the host's must not end up in one of ours.
        let _masked = SignalsBlocked::new()?;
        for (number, seat) in pool.seats.iter().enumerate() {
            let cpu = (!cpus.is_empty()).then(|| cpus[number % cpus.len()]);
            if let Err(error) = pool.spawn(home, number, seat, cpu) {
                pool.stop();
                return Err(error);
            }
        }
        Ok(pool)
    }

    fn spawn(&self, home: &Arc<Home>, number: usize, seat: &Arc<Seat>, cpu: Option<u32>) -> Result<()> {
        let (ready, started) = std::sync::mpsc::channel();
        let (home, seat, stopping) = (home.clone(), seat.clone(), self.stopping.clone());
        let thread = std::thread::Builder::new().name(format!("rk-cpu-{number}")).stack_size(STACK).spawn(move || {
            let bound = cpu.map_or(Ok(()), bind);
            let failed = bound.is_err();
            // The receiver waits for this one message.
            let _sent = ready.send(bound);
            if !failed {
                run(&home, &seat, &stopping);
            }
        });
        let thread = thread.map_err(|error| Error::System {
            what: "starting a thread",
            errno: error.raw_os_error().unwrap_or(libc::EAGAIN),
        })?;
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        started.recv().unwrap_or(Ok(()))
    }

    pub(super) fn threads(&self) -> usize {
        self.seats.len()
    }

    /// Seats for so many workers, the emptiest first.
    pub(super) fn choose(&self, workers: usize) -> Vec<Arc<Seat>> {
        let mut loads: Vec<usize> = self.seats.iter().map(|seat| seat.load.load(Ordering::Relaxed)).collect();
        let mut emptiest = || {
            let at = (0..loads.len()).min_by_key(|at| loads[*at]).unwrap_or(0);
            loads[at] += 1;
            self.seats[at].clone()
        };
        (0..workers).map(|_| emptiest()).collect()
    }

    pub(super) fn kick(&self) {
        for seat in &self.seats {
            seat.bell.ring();
        }
    }

    /// Waits until each thread that has workers of `kernel` (all threads without one) has begun a new pass or sleeps.
    pub(super) fn rest(&self, kernel: Option<&Kernel>, spin: Duration, deadline: Deadline) -> bool {
        let has = |seat: &Seat| {
            kernel.is_none_or(|kernel| kernel.ports.iter().any(|port| Arc::ptr_eq(&port.bell, &seat.bell)))
        };
        self.seats.iter().filter(|seat| has(seat)).all(|seat| {
            // Acquire, here and below: pairs with the Release stores of the thread; its handlers' effects are ours to see.
            let first = seat.pass.load(Ordering::Acquire);
            let has_rested = || seat.asleep.load(Ordering::Acquire) == 1 || seat.pass.load(Ordering::Acquire) != first;
            // A thread that has no long handler begins a pass before we could fall asleep.
            let mut spin = Spin::new(spin, deadline);
            while !has_rested() {
                // SeqCst: as in `sleep_until`.
                if self.interrupted.load(Ordering::SeqCst) || !spin.turn() {
                    return self.sleep_until(has_rested, seat, first, deadline);
                }
            }
            true
        })
    }

    fn sleep_until(&self, has_rested: impl Fn() -> bool, seat: &Seat, first: u32, deadline: Deadline) -> bool {
        // SeqCst: the thread that finds it in `Seat::begin_pass` wakes us; one that does not has begun its pass before the
        // fence, and we see that.
        seat.watchers.fetch_add(1, Ordering::SeqCst);
        heavy();
        let rested = loop {
            if has_rested() {
                break true;
            }
            // SeqCst: set by `interrupt` before it wakes who waits.
            if deadline.has_passed() || self.interrupted.load(Ordering::SeqCst) {
                break false;
            }
            futex::wait(&seat.pass, first, deadline);
        };
        seat.watchers.fetch_sub(1, Ordering::SeqCst);
        rested
    }

    pub(super) fn interrupt(&self) {
        self.interrupted.store(true, Ordering::SeqCst);
        for seat in &self.seats {
            futex::wake_all(&seat.pass);
        }
    }

    /// Ends the threads, once their workers have left.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.kick();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // A panic in it was caught and reported inside.
            let _ended = thread.join();
        }
    }
}

/// Binds this thread to a processor.
fn bind(cpu: u32) -> Result<()> {
    // SAFETY: cpu_set_t is plain data; CPU_SET ignores numbers that it has no room for, and those are refused before.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        if cpu >= libc::CPU_SETSIZE as u32 {
            return Err(Error::System { what: "binding a thread to a processor", errno: libc::EINVAL });
        }
        libc::CPU_SET(cpu as usize, &mut set);
        if libc::sched_setaffinity(0, std::mem::size_of_val(&set), &set) != 0 {
            return Err(Error::system("binding a thread to a processor"));
        }
    }
    Ok(())
}

/// What each thread does. A panic is a bug of ours: it is caught, the runtime is poisoned and its kernels fail, so that
/// nobody waits for this thread.
fn run(home: &Arc<Home>, seat: &Seat, stopping: &AtomicBool) {
    let mut workers = Vec::new();
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| serve(home, seat, stopping, &mut workers)));
    seat.asleep.store(1, Ordering::Release);
    seat.begin_pass();
    if outcome.is_err() {
        home.poison();
        let mut arrivals = seat.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        seat.dead.store(true, Ordering::Relaxed);
        let arrived = std::mem::take(&mut *arrivals);
        drop(arrivals);
        for worker in workers.iter().chain(&arrived) {
            worker.kernel().fail(crate::capi::RK_ERROR_PANIC);
        }
    }
}

fn serve(home: &Arc<Home>, seat: &Seat, stopping: &AtomicBool, workers: &mut Vec<Worker>) {
    let mut spin = Spin::new(home.spin, Deadline::Never);
    loop {
        if round(seat, workers) {
            spin.reset();
            continue;
        }
        // SeqCst: set before the last bell, which ends the sleep.
        // A kernel may still be ended by a call that took it before the runtime could; its workers leave then.
        if stopping.load(Ordering::SeqCst) && workers.is_empty() {
            return;
        }
        if spin.turn() {
            continue;
        }
        let mark = seat.bell.mark();
        for worker in workers.iter() {
            worker.before_sleep(&seat.bell);
        }
        // The last look, after the mark.
        if round(seat, workers) || (stopping.load(Ordering::SeqCst) && workers.is_empty()) {
            continue;
        }
        // Release: who sees us asleep sees what we did. While asleep nothing runs; waking begins with a new pass.
        seat.asleep.store(1, Ordering::Release);
        seat.begin_pass();
        seat.bell.wait(mark, Deadline::Never);
        seat.asleep.store(0, Ordering::Relaxed);
        spin.reset();
    }
}

/// One visit to every worker. True if anything was done.
fn round(seat: &Seat, workers: &mut Vec<Worker>) -> bool {
    seat.begin_pass();
    if seat.has_arrivals.load(Ordering::Acquire) {
        let mut arrivals = seat.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        workers.append(&mut arrivals);
        seat.has_arrivals.store(false, Ordering::Relaxed);
    }
    let alone = workers.len() == 1;
    let mut busy = false;
    workers.retain_mut(|worker| match worker.visit(alone) {
        Visit::Busy => {
            busy = true;
            true
        }
        Visit::Idle => true,
        Visit::Left => {
            busy = true;
            seat.load.fetch_sub(1, Ordering::Relaxed);
            false
        }
    });
    busy
}
