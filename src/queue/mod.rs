//! Queues: where what kernels have for the host is received.
//!
//! Every worker has one outbound ring, of which one queue is the consumer. Threads that poll a queue take turns at being
//! that consumer, under a lock that nobody holds while waiting.

mod source;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use self::source::Source;
use crate::address::Address;
use crate::align::Aligned;
use crate::bell::{heavy, Bell};
use crate::error::{Error, Result};
use crate::message::{Class, Event, Incoming, Offer, Owned, Payload, Sink, Timeout};
use crate::runtime::Home;
use crate::time::Spin;
use crate::topics::Subscription;

pub(crate) use self::source::Outbound;

/// Sources whose next slots are fetched while one is looked at: what a device has written is in no cache near.
const SOURCES_AHEAD: usize = 6;

#[derive(Default)]
struct Consumer {
    sources: Vec<Source>,
    /// The source to begin with, so that none is starved by those before it.
    first: usize,
    /// What topics have for the host.
    subscriptions: Vec<Arc<Subscription>>,
    /// These or the sources, by turns, so that neither fills every poll.
    subscriptions_first: bool,
    /// What callers found on their way to their replies.
    stash: VecDeque<Owned>,
    /// Ends of kernels, after everything else that they had.
    endings: VecDeque<Owned>,
    /// No kernel may be attached any more.
    retired: bool,
}

/// Where kernels put what they have for the host.
pub(crate) struct Queue {
    home: Arc<Home>,
    /// On lines of its own: pollers write the lock all the time, workers read what is below for every message.
    consumer: Aligned<Mutex<Consumer>>,
    bell: Bell,
    /// The eventfd, made when it is first asked for; -1 before.
    fd: AtomicI32,
    /// 1: the descriptor is to be made readable.
    armed: AtomicU32,
    closed: AtomicBool,
}

/// All queues of the process: an answer to a call may come by any of them.
static QUEUES: Mutex<Vec<Weak<Queue>>> = Mutex::new(Vec::new());

/// The queues of which `which` holds.
pub(crate) fn all(which: impl Fn(&Queue) -> bool) -> Vec<Arc<Queue>> {
    let all = QUEUES.lock().unwrap_or_else(PoisonError::into_inner);
    all.iter().filter_map(Weak::upgrade).filter(|queue| which(queue)).collect()
}

impl crate::table::Noun for Arc<Queue> {
    fn poison(&self) {
        self.home.poison();
    }
}

impl Queue {
    pub(crate) fn create(home: &Arc<Home>) -> Arc<Self> {
        let queue = Arc::new(Self {
            home: home.clone(),
            consumer: Aligned::default(),
            bell: Bell::default(),
            fd: AtomicI32::new(-1),
            armed: AtomicU32::new(0),
            closed: AtomicBool::new(false),
        });
        let mut all = QUEUES.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|other| other.strong_count() > 0);
        all.push(Arc::downgrade(&queue));
        drop(all);
        queue
    }

    pub(crate) fn home(&self) -> &Arc<Home> {
        &self.home
    }

    fn consumer(&self) -> MutexGuard<'_, Consumer> {
        self.consumer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Becomes the consumer of a worker's messages; false if the queue is being destroyed.
    pub(crate) fn attach(&self, outbound: &Arc<Outbound>) -> bool {
        let mut consumer = self.consumer();
        if !consumer.retired {
            consumer.sources.push(Source::new(outbound.clone()));
        }
        !consumer.retired
    }

    /// Becomes the consumer of what a subscription has; false if the queue is being destroyed.
    pub(crate) fn attach_subscription(&self, subscription: &Arc<Subscription>) -> bool {
        let mut consumer = self.consumer();
        if !consumer.retired {
            consumer.subscriptions.push(subscription.clone());
        }
        !consumer.retired
    }

    pub(crate) fn detach_subscription(&self, subscription: &Subscription) {
        self.consumer().subscriptions.retain(|other| !std::ptr::eq(&**other, subscription));
    }

    /// Lets no kernel or subscription be attached any more; false if one is.
    pub(crate) fn retire(&self) -> bool {
        let mut consumer = self.consumer();
        consumer.retired |= consumer.sources.is_empty() && consumer.subscriptions.is_empty();
        consumer.retired
    }

    /// Forgets a kernel's workers and what they had, but for answers that callers wait for.
    pub(crate) fn detach(&self, kernel: u32) {
        let mut consumer = self.consumer();
        for source in consumer.sources.iter_mut().filter(|source| source.outbound.kernel() == kernel) {
            let emptied = source.take(&self.home, &mut Nowhere, &mut 0);
            debug_assert!(matches!(emptied, Ok(true)));
        }
        consumer.sources.retain(|source| source.outbound.kernel() != kernel);
        let is_its_end = |message: &Owned| {
            let ends = [Event::KernelTerminated as u32, Event::KernelFailed as u32].contains(&message.kind);
            message.class == Class::Event && ends && Address::from_bits(message.from).kernel() == kernel
        };
        consumer.endings.retain(|ending| !is_its_end(ending));
        // A caller that looked for its answer may have put it there.
        consumer.stash.retain(|message| !is_its_end(message));
        consumer.first = 0;
    }

    /// A kernel has ended. Its messages are all in its rings by now; the lock keeps pollers from having looked at some of
    /// these before and at this after.
    /// `end` changes its state; no event if it does not.
    pub(crate) fn announce(&self, ending: Owned, end: impl FnOnce() -> bool) {
        let mut consumer = self.consumer();
        // Under the lock: who receives the event finds the state changed, and who sees the state can receive the event.
        if end() {
            consumer.endings.push_back(ending);
        }
        drop(consumer);
        self.notify();
    }

    /// Makes waiting calls return, for good.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.notify();
    }

    /// Whether somebody sleeps until there is news, or may be about to.
    pub(crate) fn is_awaited(&self) -> bool {
        self.bell.is_marked() || self.armed.load(Ordering::Relaxed) != 0
    }

    /// There is news: wakes pollers, and makes the descriptor readable if it is armed.
    #[inline]
    pub(crate) fn notify(&self) {
        self.bell.ring();
        // Relaxed: ordered after the news by `light` in `ring`; the partner is `heavy` in `arm`.
        if self.armed.load(Ordering::Relaxed) != 0 {
            self.signal();
        }
    }

    #[cold]
    fn signal(&self) {
        if self.armed.swap(0, Ordering::AcqRel) != 0 {
            let one = 1u64;
            // SAFETY: eight bytes are read from `one`. It is armed, so there is an eventfd, which takes them.
            unsafe { libc::write(self.fd.load(Ordering::Acquire), std::ptr::from_ref(&one).cast(), 8) };
        }
    }

    /// The eventfd.
    pub(crate) fn fd(&self) -> Result<i32> {
        // Acquire: pairs with the exchange below, of whoever made it.
        let made = self.fd.load(Ordering::Acquire);
        if made >= 0 {
            return Ok(made);
        }
        // SAFETY: eventfd takes no pointers.
        let fd = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
        if fd < 0 {
            return Err(Error::system("eventfd"));
        }
        match self.fd.compare_exchange(-1, fd, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Ok(fd),
            Err(made) => {
                // SAFETY: another thread was faster; ours was just made and nobody else has it.
                unsafe { libc::close(fd) };
                Ok(made)
            }
        }
    }

    /// Asks for the descriptor to become readable with the next message; [`Error::Again`] if one is there.
    pub(crate) fn arm(&self) -> Result<()> {
        let fd = self.fd()?;
        if self.closed.load(Ordering::SeqCst) {
            return Err(Error::Stale);
        }
        // Disarmed first: a late signal for the arm before this must not be lost between read and store.
        self.armed.store(0, Ordering::SeqCst);
        let mut count = 0u64;
        // SAFETY: eight bytes are written to `count`; the descriptor does not block.
        unsafe { libc::read(fd, std::ptr::from_mut(&mut count).cast(), 8) };
        // Relaxed: ordered before our look by `heavy`; its partner is `light` in `notify`.
        self.armed.store(1, Ordering::Relaxed);
        heavy();
        // Looked at again: a close before the store above found nothing armed.
        if self.closed.load(Ordering::SeqCst) {
            return Err(Error::Stale);
        }
        // It stays armed: another thread may have done the same and be waiting.
        if self.consumer().has_news() {
            return Err(Error::Again);
        }
        Ok(())
    }

    /// Receives messages.
    pub(crate) fn poll<S: Sink>(&self, sink: &mut S, timeout: Timeout) -> Result<()> {
        if self.collect(sink)? {
            return Ok(());
        }
        if timeout == Timeout::None {
            return Err(if self.closed.load(Ordering::Relaxed) { Error::Stale } else { Error::Again });
        }
        let deadline = timeout.deadline();
        let mut spin = Spin::new(self.home.spin, deadline);
        loop {
            while spin.turn() {
                if self.collect(sink)? {
                    return Ok(());
                }
            }
            if deadline.has_passed() {
                return Err(Error::Timeout);
            }
            let mark = self.bell.mark();
            if self.closed.load(Ordering::SeqCst) {
                return Err(Error::Stale);
            }
            if self.collect(sink)? {
                return Ok(());
            }
            self.bell.wait(mark, deadline);
        }
    }

    /// Moves what is there to the sink. True if it took something.
    #[inline(always)]
    fn collect<S: Sink>(&self, sink: &mut S) -> Result<bool> {
        let mut latest = 0;
        let outcome = self.consumer().take_all(&self.home, sink, &mut latest);
        // Once a batch: stamps grow with cause and effect, and nobody knows of these messages before we return.
        if latest != 0 {
            self.home.clock.merge(latest);
        }
        match outcome {
            Err(error) if sink.taken() == 0 => Err(error),
            _ => Ok(sink.taken() > 0),
        }
    }

    /// Looks through what is there for answers to calls and sets the rest aside for pollers.
    pub(crate) fn sift(&self) {
        let mut latest = 0;
        let mut consumer = self.consumer();
        let mut aside = Aside { stash: std::mem::take(&mut consumer.stash), taken: 0 };
        let outcome = consumer.take(&self.home, &mut aside, &mut latest);
        debug_assert!(outcome.is_ok(), "setting aside never refuses");
        consumer.stash = aside.stash;
        drop(consumer);
        if latest != 0 {
            self.home.clock.merge(latest);
        }
        if aside.taken > 0 {
            self.notify();
        }
    }
}

/// Keeps copies for pollers.
struct Aside {
    stash: VecDeque<Owned>,
    taken: usize,
}

impl Sink for Aside {
    fn offer<P: Payload>(&mut self, message: &Incoming<P>) -> Result<Offer> {
        self.stash.push_back(message.to_owned());
        self.taken += 1;
        Ok(Offer::Taken)
    }

    fn taken(&self) -> usize {
        self.taken
    }
}

/// Forgets everything.
struct Nowhere;

impl Sink for Nowhere {
    fn offer<P: Payload>(&mut self, _: &Incoming<P>) -> Result<Offer> {
        Ok(Offer::Taken)
    }

    fn taken(&self) -> usize {
        0
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        let fd = *self.fd.get_mut();
        if fd >= 0 {
            // SAFETY: ours, and nobody uses the queue any more.
            unsafe { libc::close(fd) };
        }
    }
}

impl Consumer {
    fn has_news(&self) -> bool {
        !self.stash.is_empty()
            || !self.endings.is_empty()
            || self.sources.iter().any(Source::has_news)
            || self.subscriptions.iter().any(|subscription| subscription.has_news())
    }

    /// Whether a kernel's workers have anything here.
    fn has_more(&self, kernel: u32) -> bool {
        self.sources.iter().any(|source| source.outbound.kernel() == kernel && source.has_news())
    }

    /// Offers every message that is there until one is refused, publications too.
    #[inline(always)]
    fn take_all<S: Sink>(&mut self, home: &Home, sink: &mut S, latest: &mut u64) -> Result<()> {
        let first = self.subscriptions_first && !self.subscriptions.is_empty();
        if first {
            self.take_publications(sink, latest)?;
        }
        self.take(home, sink, latest)?;
        if !first && !self.subscriptions.is_empty() {
            self.take_publications(sink, latest)?;
        }
        self.subscriptions_first = !first;
        Ok(())
    }

    /// Not for callers that look for their answers: what waits in a subscription is bounded, what they set aside is not.
    #[cold]
    fn take_publications<S: Sink>(&mut self, sink: &mut S, latest: &mut u64) -> Result<()> {
        for at in 0..self.subscriptions.len() {
            let before = sink.taken();
            if !self.subscriptions[at].take(sink, latest)? {
                // First at the next look: the one that found no room, or who comes after the one that left none.
                let served = usize::from(sink.taken() > before);
                self.subscriptions.rotate_left(at + served);
                break;
            }
        }
        Ok(())
    }

    /// Offers every message of kernels that is there until one is refused. Answers to calls go to the callers.
    #[inline(always)]
    fn take<S: Sink>(&mut self, home: &Home, sink: &mut S, latest: &mut u64) -> Result<()> {
        while let Some(message) = self.stash.front() {
            if sink.offer(message)? == Offer::Full {
                return Ok(());
            }
            self.stash.pop_front();
        }
        if self.take_endings(sink)? == Offer::Full {
            return Ok(());
        }
        let count = self.sources.len();
        let order = (self.first..count).chain(0..self.first);
        // The first one is looked at right away.
        let mut ahead = order.clone().skip(1);
        ahead.by_ref().take(SOURCES_AHEAD).for_each(|index| self.sources[index].fetch());
        for index in order {
            if let Some(index) = ahead.next() {
                self.sources[index].fetch();
            }
            let more = self.sources[index].take(home, sink, latest);
            match more {
                Ok(true) => {}
                Ok(false) => {
                    self.first = if index + 1 < count { index + 1 } else { 0 };
                    return Ok(());
                }
                // The same message is to be the first again.
                Err(error) => {
                    self.first = index;
                    return Err(error);
                }
            }
        }
        self.first = if self.first + 1 < count { self.first + 1 } else { 0 };
        // Those of kernels whose last message was an answer that a caller waits for: nothing else will tell of them.
        self.take_endings(sink).map(|_| ())
    }

    /// Ends of kernels that have nothing else for the host.
    fn take_endings<S: Sink>(&mut self, sink: &mut S) -> Result<Offer> {
        while let Some(at) =
            self.endings.iter().position(|ending| !self.has_more(Address::from_bits(ending.from).kernel()))
        {
            if sink.offer(&self.endings[at])? == Offer::Full {
                return Ok(Offer::Full);
            }
            self.endings.remove(at);
        }
        Ok(Offer::Taken)
    }
}
