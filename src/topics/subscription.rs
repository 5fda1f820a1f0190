//! One subscription: who gets what matches, and what waits until it can be had.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::fanout::{Fanout, Seat, Seats};
use super::postman::Postman;
use super::topic::{Draft, Publication, Topic};
use crate::address::Address;
use crate::bell::Bell;
use crate::error::Result;
use crate::kernel::{directory, Offered, Wait};
use crate::message::{Class, Incoming, Offer, Sink};
use crate::pattern::Pattern;
use crate::queue::Queue;
use crate::ring::{flags, Envelope, Room};
use crate::runtime::Home;

/// Who subscribes.
#[derive(Clone)]
pub(crate) enum Subscriber {
    Actor(Address),
    Queue(Arc<Queue>),
}

/// The numbers are `RK_QOS_...`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
#[allow(clippy::enum_variant_names, reason = "the field's terms")]
pub(crate) enum Quality {
    AtMostOnce = 0,
    AtLeastOnce = 1,
    ExactlyOnce = 2,
}

impl Quality {
    pub(crate) fn from_number(number: u32) -> Option<Self> {
        [Self::AtMostOnce, Self::AtLeastOnce, Self::ExactlyOnce].into_iter().find(|it| *it as u32 == number)
    }
}

/// What gives way when no more can wait. The numbers are `RK_OVERFLOW_...`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Overflow {
    DropNewest = 1,
    DropOldest = 2,
    Block = 3,
}

impl Overflow {
    pub(crate) fn from_number(number: u32) -> Option<Self> {
        [Self::DropNewest, Self::DropOldest, Self::Block].into_iter().find(|it| *it as u32 == number)
    }
}

/// What a subscription is made of.
pub(crate) struct Request<'a> {
    pub(crate) filter: &'a str,
    pub(crate) to: Subscriber,
    pub(crate) quality: Quality,
    pub(crate) overflow: Overflow,
    pub(crate) capacity: usize,
}

/// An actor whose device may bring it what actors there publish.
pub(super) struct Reach {
    pub(super) fanout: Arc<dyn Fanout>,
    pub(super) actor: u64,
    /// Bytes of the largest message that it takes.
    pub(super) largest: u32,
}

impl Reach {
    /// Of those that nobody ever waits for, see [`Subscription::may_sit`].
    fn of(to: &Subscriber, quality: Quality) -> Option<Self> {
        let Subscriber::Actor(address) = to else { return None };
        let kernel = directory::find(address.kernel()).filter(|_| quality == Quality::AtMostOnce)?;
        let fanout = kernel.fanout.clone()?;
        Some(Self { fanout, actor: address.to_bits(), largest: kernel.types.largest() })
    }
}

/// What becomes of a publication in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Delivered,
    Dropped,
    Dead,
}

/// A publication that waits.
struct Parcel {
    topic: Arc<Topic>,
    publication: Arc<Publication>,
}

#[derive(Default)]
struct Line {
    parcels: VecDeque<Parcel>,
    /// The postman knows of it.
    posted: bool,
    /// The subscription has ended.
    over: bool,
}

/// A subscription.
pub(crate) struct Subscription {
    pub(crate) home: Arc<Home>,
    pub(super) key: u32,
    filter: Box<str>,
    to: Subscriber,
    pub(super) quality: Quality,
    pub(super) overflow: Overflow,
    capacity: usize,
    pub(super) reach: Option<Reach>,
    seats: Mutex<Seats>,
    postman: Arc<Postman>,
    line: Mutex<Line>,
    /// How many wait; looked at before the lock is taken.
    waiting: AtomicUsize,
    /// Of one that publishers wait for: how many wait or have a place reserved.
    places: AtomicUsize,
    /// Publishers that wait.
    room: Room,
    delivered: AtomicU64,
    dropped: AtomicU64,
    dead: AtomicU64,
}

/// Fields as `rk_subscription_statistics`.
pub(crate) struct Statistics {
    pub(crate) delivered: u64,
    pub(crate) dropped: u64,
    pub(crate) dead: u64,
    pub(crate) waiting: u64,
}

/// What came of handing something to an actor.
enum Handed {
    No,
    Ended(Fate),
}

impl Subscription {
    pub(super) fn new(home: Arc<Home>, key: u32, postman: Arc<Postman>, request: &Request<'_>) -> Self {
        let (line, waiting, places, room) = Default::default();
        let (delivered, dropped, dead) = Default::default();
        let Request { filter, to, quality, overflow, capacity } = request;
        let (filter, to, quality, overflow, capacity) = ((*filter).into(), to.clone(), *quality, *overflow, *capacity);
        let (reach, seats) = (Reach::of(&to, quality), Mutex::default());
        Self {
            home,
            key,
            filter,
            to,
            quality,
            overflow,
            capacity,
            reach,
            seats,
            postman,
            line,
            waiting,
            places,
            room,
            delivered,
            dropped,
            dead,
        }
    }

    pub(super) fn matches(&self, name: &str) -> bool {
        // It was parsed when the subscription was made.
        Pattern::parse(&self.filter).is_ok_and(|pattern| pattern.matches(name))
    }

    /// What tells one subscriber from another.
    pub(super) fn subscriber(&self) -> (u64, usize) {
        match &self.to {
            Subscriber::Actor(address) => (address.to_bits(), 0),
            Subscriber::Queue(queue) => (0, Arc::as_ptr(queue) as usize),
        }
    }

    /// Address of its actor, if a device may serve it: nobody ever waits for it.
    pub(super) fn may_sit(&self) -> Option<u64> {
        match &self.to {
            Subscriber::Actor(address) if self.quality == Quality::AtMostOnce => Some(address.to_bits()),
            _ => None,
        }
    }

    /// Key of the actor's kernel.
    pub(super) fn kernel(&self) -> Option<u32> {
        match &self.to {
            Subscriber::Actor(address) => Some(address.kernel()),
            Subscriber::Queue(_) => None,
        }
    }

    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Of a topic, for its counts.
    pub(super) fn take_seat(&self, seat: &Arc<Seat>) {
        self.seats().add(seat.clone());
    }

    /// Whether it is an actor's that does not take such a message.
    pub(super) fn refuses(&self, envelope: &Envelope) -> bool {
        let Subscriber::Actor(address) = &self.to else { return false };
        let envelope = Envelope { actor: address.actor(), ..*envelope };
        directory::find(address.kernel()).is_some_and(|kernel| kernel.objection(&envelope).is_some())
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, topic: &Topic, fate: Fate) {
        let count = match fate {
            Fate::Delivered => &self.delivered,
            Fate::Dropped => &self.dropped,
            Fate::Dead => &self.dead,
        };
        // Relaxed: it is a count.
        count.fetch_add(1, Ordering::Relaxed);
        topic.count(fate);
    }

    /// A place for one more, where publishers wait for places; true also where they do not.
    pub(super) fn reserve(&self) -> bool {
        // Relaxed: the number is all there is to it; what waits is under the lock.
        self.overflow != Overflow::Block
            || self
                .places
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |places| {
                    (places < self.capacity).then_some(places + 1)
                })
                .is_ok()
    }

    /// The same, whether there is one or not.
    pub(super) fn reserve_beyond(&self) {
        if self.overflow == Overflow::Block {
            self.places.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Gives a place back.
    pub(super) fn release(&self) {
        if self.overflow == Overflow::Block {
            self.places.fetch_sub(1, Ordering::Relaxed);
            self.made_room();
        }
    }

    /// Has publishers look that wait.
    pub(super) fn made_room(&self) {
        self.room.made();
    }

    /// What publishers wait for that find no place.
    pub(crate) fn holds_up(&self) -> Wait {
        match &self.to {
            Subscriber::Queue(_) => Wait::Host,
            Subscriber::Actor(address) => directory::find(address.kernel()).map_or(Wait::Host, |kernel| Wait::Worker {
                kernel: kernel.key,
                worker: kernel.placement.worker(address.index()) as u32,
            }),
        }
    }

    /// Has `bell` rung when there may be a place. Look again after this, before sleeping.
    pub(crate) fn await_room(&self, bell: &Arc<Bell>) {
        self.room.register(bell);
    }

    /// Forgets that `bell` was to be rung.
    pub(super) fn forget(&self, bell: &Arc<Bell>) {
        self.room.forget(bell);
    }

    /// A message that is published, after [`reserve`](Self::reserve).
    pub(super) fn offer(self: &Arc<Self>, draft: &Draft<'_>) {
        // Acquire: pairs with the Release in `serve`. Order is kept for each publisher, who sees what of its own waits: it
        // stops waiting only after it is in the ring.
        if self.waiting.load(Ordering::Acquire) == 0 {
            if let Subscriber::Actor(address) = &self.to {
                match self.hand_over(*address, draft.envelope, draft.payload, draft.from_host) {
                    Handed::Ended(fate) => return self.settle(draft, fate),
                    Handed::No if self.quality == Quality::AtMostOnce => return self.settle(draft, Fate::Dropped),
                    Handed::No => {}
                }
            }
        }
        self.keep(draft);
    }

    /// It does not wait.
    fn settle(&self, draft: &Draft<'_>, fate: Fate) {
        self.release();
        self.count(draft.topic, fate);
    }

    /// It waits, or another does not any more.
    #[cold]
    fn keep(self: &Arc<Self>, draft: &Draft<'_>) {
        let mut line = self.line();
        let has_place = self.overflow != Overflow::DropNewest || line.parcels.len() < self.capacity;
        if line.over || !has_place {
            drop(line);
            return self.settle(draft, Fate::Dropped);
        }
        if self.overflow == Overflow::DropOldest && line.parcels.len() >= self.capacity {
            if let Some(oldest) = line.parcels.pop_front() {
                self.count(&oldest.topic, Fate::Dropped);
                // It may be waiting for another ring's room than the next one needs.
                self.postman.look();
            }
        }
        line.parcels.push_back(Parcel { topic: draft.topic.clone(), publication: draft.keep() });
        self.waiting.store(line.parcels.len(), Ordering::Release);
        match &self.to {
            Subscriber::Queue(queue) => {
                drop(line);
                queue.notify();
            }
            Subscriber::Actor(_) if !line.posted => {
                line.posted = true;
                drop(line);
                self.postman.add(self.clone());
            }
            Subscriber::Actor(_) => {}
        }
    }

    /// Into the ring of an actor's worker.
    fn hand_over(&self, address: Address, envelope: &Envelope, payload: &[u8], from_host: bool) -> Handed {
        // A kernel that is gone has no queue that could say so.
        let Some(kernel) = directory::find(address.kernel()) else { return Handed::Ended(Fate::Dropped) };
        let again = if self.quality == Quality::AtLeastOnce { flags::AGAIN } else { 0 };
        let envelope = Envelope { actor: address.actor(), flags: envelope.flags | again, ..*envelope };
        match kernel.offer(&envelope, payload, from_host, || (envelope.time, envelope.deadline)) {
            Offered::Sent => Handed::Ended(Fate::Delivered),
            Offered::Full(_) => Handed::No,
            Offered::Dead(reason) => {
                kernel.lament(address, &envelope, payload, reason);
                Handed::Ended(Fate::Dead)
            }
        }
    }

    /// The first that waits, as long as `take` tells what became of it.
    fn serve(&self, line: &mut Line, mut take: impl FnMut(&Parcel) -> Result<Option<Fate>>) -> Result<bool> {
        let mut outcome = Ok(true);
        while let Some(parcel) = line.parcels.front() {
            match take(parcel) {
                Ok(Some(fate)) => self.count(&parcel.topic, fate),
                Ok(None) => outcome = Ok(false),
                Err(error) => outcome = Err(error),
            }
            if !matches!(outcome, Ok(true)) {
                break;
            }
            line.parcels.pop_front();
            self.release();
        }
        // Release: only now, when they are where they belong: see `offer`.
        self.waiting.store(line.parcels.len(), Ordering::Release);
        outcome
    }

    /// By the postman: what waits goes into the ring as far as there is room. True if nothing is left.
    pub(super) fn forward(&self) -> bool {
        let Subscriber::Actor(address) = &self.to else { return true };
        let mut line = self.line();
        let done = self.serve(&mut line, |parcel| {
            let Publication { envelope, payload, from_host } = &*parcel.publication;
            match self.hand_over(*address, envelope, payload, *from_host) {
                Handed::Ended(fate) => Ok(Some(fate)),
                Handed::No => Ok(None),
            }
        });
        let done = matches!(done, Ok(true));
        line.posted = !done;
        done
    }

    /// By the postman: has `bell` rung when the ring may have room.
    pub(super) fn await_entrance(&self, bell: &Arc<Bell>) {
        let Subscriber::Actor(address) = &self.to else { return };
        let first = self.line().parcels.front().map(|parcel| parcel.publication.clone());
        if let (Some(first), Some(kernel)) = (first, directory::find(address.kernel())) {
            kernel.entrance_of(*address, first.envelope.level, first.from_host).await_room(bell);
        }
    }

    /// Whether something waits for a poller.
    pub(crate) fn has_news(&self) -> bool {
        self.waiting.load(Ordering::Acquire) != 0
    }

    /// By a poller: offers what waits. True if all was taken.
    pub(crate) fn take<S: Sink>(&self, sink: &mut S, latest: &mut u64) -> Result<bool> {
        if !self.has_news() {
            return Ok(true);
        }
        let mut line = self.line();
        self.serve(&mut line, |parcel| {
            let Publication { envelope, payload, .. } = &*parcel.publication;
            let message = Incoming {
                class: Class::Publication,
                from: envelope.sender,
                to: parcel.topic.address().to_bits(),
                correlation: envelope.correlation,
                time: envelope.time,
                kind: u32::from(envelope.kind),
                reason: 0,
                level: envelope.level,
                call: false,
                payload: &payload[..],
            };
            let taken = sink.offer(&message)? == Offer::Taken;
            *latest = (*latest).max(if taken { envelope.time } else { 0 });
            Ok(taken.then_some(Fate::Delivered))
        })
    }

    /// The subscription has ended: what waits is dropped.
    pub(super) fn end(&self) {
        let mut line = self.line();
        line.over = true;
        let dropped = self.serve(&mut line, |_| Ok(Some(Fate::Dropped)));
        debug_assert!(matches!(dropped, Ok(true)));
        drop(line);
        self.made_room();
        if let Subscriber::Queue(queue) = &self.to {
            queue.detach_subscription(self);
        }
    }

    pub(crate) fn statistics(&self) -> Statistics {
        let seats = self.seats().counts();
        Statistics {
            delivered: self.delivered.load(Ordering::Relaxed) + seats.delivered,
            dropped: self.dropped.load(Ordering::Relaxed) + seats.dropped,
            dead: self.dead.load(Ordering::Relaxed),
            waiting: self.waiting.load(Ordering::Relaxed) as u64,
        }
    }
}
