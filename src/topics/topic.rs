//! One topic: its subscriptions, what it retains, and publishing to it.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::fanout::{Fanout, Heard, Seat, Seats};
use super::subscription::{Fate, Overflow, Quality, Subscription};
use crate::bell::Bell;
use crate::error::{Error, Result};
use crate::message::Timeout;
use crate::ring::Envelope;
use crate::runtime::Home;

/// One of those that match a topic.
#[derive(Clone)]
pub(super) struct Member {
    pub(super) subscription: Arc<Subscription>,
    /// Where its actor's device brings it what actors there publish.
    pub(super) seat: Option<Arc<Seat>>,
}

impl Member {
    fn is_served_by(&self, fanout: &Arc<dyn Fanout>) -> bool {
        self.seat.as_ref().is_some_and(|seat| seat.is_on(fanout))
    }

    /// Takes its actor from among those who have had something, if it is there and had it by a subscription of this kind.
    fn is_among(&self, heard: &mut HashMap<u64, usize>) -> bool {
        let actor = self.subscription.may_sit();
        let left = actor.and_then(|actor| heard.get_mut(&actor)).filter(|left| **left > 0);
        left.map(|left| *left -= 1).is_some()
    }
}

/// The subscriptions of a topic at one moment. It is never changed, only replaced.
pub(crate) struct List {
    members: Box<[Member]>,
    /// Whether publishers wait for any of them.
    blocks: bool,
}

impl List {
    /// Of those that match, without those of a subscriber that has an exactly-once one before.
    pub(super) fn of(matching: &[Member]) -> Self {
        let mut members: Vec<Member> = Vec::with_capacity(matching.len());
        let mut once = std::collections::HashSet::new();
        for member in matching {
            let subscription = &member.subscription;
            if subscription.quality != Quality::ExactlyOnce || once.insert(subscription.subscriber()) {
                members.push(member.clone());
            }
        }
        let blocks = members.iter().any(|member| member.subscription.overflow == Overflow::Block);
        Self { members: members.into(), blocks }
    }

    /// Those of actors to which a device brings such a message: what one does not take is left to the host, for the dead
    /// letter.
    fn served<'a>(
        &'a self,
        fanout: &'a Arc<dyn Fanout>,
        envelope: &'a Envelope,
    ) -> impl Iterator<Item = &'a Member> + 'a {
        self.members.iter().filter(|member| member.is_served_by(fanout) && !member.subscription.refuses(envelope))
    }

    /// Their actors.
    pub(super) fn served_by<'a>(
        &'a self,
        fanout: &'a Arc<dyn Fanout>,
        envelope: &'a Envelope,
    ) -> impl Iterator<Item = u64> + 'a {
        self.served(fanout, envelope).filter_map(|member| member.subscription.may_sit())
    }

    /// Those that have not had a message.
    fn without<'a>(
        self: &'a Arc<Self>,
        heard: &'a Heard,
        envelope: &'a Envelope,
    ) -> impl Iterator<Item = &'a Member> + 'a {
        // Who had it and has no seat any more: it may have come again.
        let mut before = HashMap::<u64, usize>::new();
        if !matches!(heard, Heard::Seats(_, list) if Arc::ptr_eq(list, self)) {
            heard.actors(envelope).iter().for_each(|actor| *before.entry(*actor).or_default() += 1);
        }
        let fanout = match heard {
            Heard::Seats(fanout, _) => Some(fanout),
            _ => None,
        };
        // First those that still sit there, for an actor may also subscribe otherwise.
        for member in fanout.into_iter().flat_map(|fanout| self.served(fanout, envelope)) {
            let _came_later = !member.is_among(&mut before);
        }
        self.members.iter().filter(move |member| match fanout.is_some_and(|fanout| member.is_served_by(fanout)) {
            true => member.subscription.refuses(envelope),
            false => !member.is_among(&mut before),
        })
    }

    fn subscriptions(&self) -> impl Iterator<Item = &Arc<Subscription>> {
        self.members.iter().map(|member| &member.subscription)
    }

    /// A place at each that publishers wait for, or at none.
    fn reserve(&self) -> std::result::Result<(), Refusal> {
        if !self.blocks {
            return Ok(());
        }
        for (count, subscription) in self.subscriptions().enumerate() {
            if !subscription.reserve() {
                self.subscriptions().take(count).for_each(|subscription| subscription.release());
                return Err(Refusal::Full(subscription.clone()));
            }
        }
        Ok(())
    }
}

/// Why nothing was published.
pub(crate) enum Refusal {
    /// There is no such topic, or not any more.
    Closed,
    /// This subscription's publishers wait.
    Full(Arc<Subscription>),
}

/// A message that is kept: for subscribers that have no room, or for those to come.
pub(crate) struct Publication {
    pub(super) envelope: Envelope,
    pub(super) payload: Box<[u8]>,
    /// The host published it, not an actor (one may pass on what the host sent, whose sender is the host).
    pub(super) from_host: bool,
}

/// A message being published, which is copied when the first has to keep it.
pub(super) struct Draft<'a> {
    pub(super) topic: &'a Arc<Topic>,
    pub(super) envelope: &'a Envelope,
    pub(super) payload: &'a [u8],
    pub(super) from_host: bool,
    kept: OnceCell<Arc<Publication>>,
}

impl<'a> Draft<'a> {
    fn new(topic: &'a Arc<Topic>, envelope: &'a Envelope, payload: &'a [u8], from_host: bool) -> Self {
        Self { topic, envelope, payload, from_host, kept: OnceCell::new() }
    }

    fn of_kept(topic: &'a Arc<Topic>, kept: &'a Arc<Publication>) -> Self {
        let Publication { envelope, payload, from_host } = &**kept;
        Self { topic, envelope, payload, from_host: *from_host, kept: kept.clone().into() }
    }

    pub(super) fn keep(&self) -> Arc<Publication> {
        let Self { envelope, payload, from_host, .. } = *self;
        let copy = || Arc::new(Publication { envelope: *envelope, payload: payload.into(), from_host });
        self.kept.get_or_init(copy).clone()
    }
}

/// A topic.
pub(crate) struct Topic {
    pub(crate) home: Arc<Home>,
    pub(super) key: u32,
    pub(super) name: Box<str>,
    /// Keeps every message that is published, not only those of which the publisher asks it.
    pub(super) retains: bool,
    closed: AtomicBool,
    list: Mutex<Arc<List>>,
    /// Devices that serve subscribers of it.
    fanouts: Mutex<Vec<Arc<dyn Fanout>>>,
    seats: Mutex<Seats>,
    /// The message that new subscribers get. Locked while one that is to be retained is published, and while a subscriber
    /// comes: so each sees every one once, and all see the same last one.
    retained: Mutex<Option<Arc<Publication>>>,
    published: AtomicU64,
    /// Each publication once for every subscription that it was for. The others say what became of these.
    matched: AtomicU64,
    delivered: AtomicU64,
    dropped: AtomicU64,
    dead: AtomicU64,
}

/// Fields as `rk_topic_statistics`.
pub(crate) struct Statistics {
    pub(crate) published: u64,
    pub(crate) delivered: u64,
    pub(crate) dropped: u64,
    pub(crate) dead: u64,
    pub(crate) waiting: u64,
    pub(crate) subscriptions: u32,
    pub(crate) retained: bool,
}

impl Topic {
    pub(super) fn new(home: Arc<Home>, key: u32, name: &str, retains: bool) -> Self {
        let list = Mutex::new(Arc::new(List::of(&[])));
        let (published, matched, delivered, dropped, dead) = Default::default();
        let (closed, retained) = Default::default();
        let (fanouts, seats) = Default::default();
        Self {
            home,
            key,
            name: name.into(),
            retains,
            closed,
            list,
            fanouts,
            seats,
            retained,
            published,
            matched,
            delivered,
            dropped,
            dead,
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn address(&self) -> crate::address::Address {
        crate::address::Address::of_topic(self.key)
    }

    pub(super) fn list(&self) -> Arc<List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// One at a time. Devices know the new list when this returns.
    pub(super) fn set_list(&self, list: List) {
        let list = Arc::new(list);
        *self.list.lock().unwrap_or_else(PoisonError::into_inner) = list.clone();
        for fanout in &*self.fanouts() {
            fanout.tell_of_others(self.key, list.members.iter().any(|member| !member.is_served_by(fanout)));
        }
    }

    fn fanouts(&self) -> MutexGuard<'_, Vec<Arc<dyn Fanout>>> {
        self.fanouts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more, with a seat if its device serves it. `retained`: the host brings it something, and that is to come first.
    pub(super) fn member(&self, subscription: &Arc<Subscription>, retained: bool) -> Member {
        let reach = subscription.reach.as_ref().filter(|_| !self.retains && !retained);
        let seat = reach.and_then(|reach| reach.fanout.clone().admit(self.key, reach.actor, reach.largest));
        if let Some(seat) = &seat {
            self.seats().add(seat.clone());
            subscription.take_seat(seat);
            let mut fanouts = self.fanouts();
            if !fanouts.iter().any(|fanout| seat.is_on(fanout)) {
                fanouts.push(seat.fanout().clone());
            }
        }
        Member { subscription: subscription.clone(), seat }
    }

    /// One less.
    pub(super) fn dismiss(&self, member: &Member) {
        if let Some(seat) = &member.seat {
            seat.fanout().dismiss(self.key, seat);
        }
    }

    fn retained(&self) -> MutexGuard<'_, Option<Arc<Publication>>> {
        self.retained.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new subscriber, which gets what is retained unless it is in the list twice and got it before.
    pub(super) fn admit(self: &Arc<Self>, matching: &mut Vec<Member>, subscription: &Arc<Subscription>) {
        let retained = self.retained();
        matching.push(self.member(subscription, retained.is_some()));
        let list = List::of(matching);
        let listed = list.subscriptions().any(|other| Arc::ptr_eq(other, subscription));
        self.set_list(list);
        if let (Some(kept), true) = (&*retained, listed) {
            self.matched.fetch_add(1, Ordering::Relaxed);
            // Nobody can wait here: one more than there is room for.
            subscription.reserve_beyond();
            subscription.offer(&Draft::of_kept(self, kept));
        }
    }

    /// Publishes a message of the host.
    pub(crate) fn publish(
        self: &Arc<Self>,
        envelope: &Envelope,
        payload: &[u8],
        retain: bool,
        timeout: Timeout,
    ) -> Result<()> {
        let draft = Draft::new(self, envelope, payload, true);
        let attempt = || {
            // Also for who waits for a subscription that has ended with the runtime.
            if self.home.is_closing() {
                return Err(Error::Stale);
            }
            match self.try_publish(None, &draft, retain, &Heard::Nobody) {
                Err(Refusal::Closed) => Err(Error::Stale),
                Err(Refusal::Full(subscription)) => Ok(Some(subscription)),
                Ok(()) => Ok(None),
            }
        };
        let Some(mut full) = attempt()? else { return Ok(()) };
        if timeout == Timeout::None {
            return Err(Error::Again);
        }
        let (bell, deadline) = (Arc::<Bell>::default(), timeout.deadline());
        loop {
            let mark = bell.mark();
            full.await_room(&bell);
            let outcome = attempt();
            let same = matches!(&outcome, Ok(Some(other)) if Arc::ptr_eq(other, &full));
            if same && !deadline.has_passed() {
                bell.wait(mark, deadline);
            }
            full.forget(&bell);
            match outcome? {
                None => return Ok(()),
                Some(_) if deadline.has_passed() => return Err(Error::Timeout),
                Some(other) => full = other,
            }
        }
    }

    /// Forgets what is retained.
    pub(crate) fn clear(&self) {
        *self.retained() = None;
    }

    /// Publishes a message of an actor of this process's, by a list that it knows, to those that have not heard it.
    pub(super) fn publish_through(
        self: &Arc<Self>,
        list: &Arc<List>,
        envelope: &Envelope,
        payload: &[u8],
        heard: &Heard,
    ) -> std::result::Result<(), Refusal> {
        self.try_publish(Some(list), &Draft::new(self, envelope, payload, false), false, heard)
    }

    /// To all subscriptions that have not heard it or, if one has to be waited for, to none.
    fn try_publish(
        self: &Arc<Self>,
        known: Option<&Arc<List>>,
        draft: &Draft<'_>,
        retain: bool,
        heard: &Heard,
    ) -> std::result::Result<(), Refusal> {
        // Acquire: pairs with the Release in `close`; only a hint, for one that comes now is as good as later.
        if self.closed.load(Ordering::Acquire) {
            return Err(Refusal::Closed);
        }
        let mut retained = (retain || self.retains).then(|| self.retained());
        let list = match (known, &retained) {
            (Some(list), None) => list.clone(),
            // Under the lock: see `retained`.
            _ => self.list(),
        };
        list.reserve()?;
        if let Some(place) = &mut retained {
            **place = (!draft.payload.is_empty()).then(|| draft.keep());
        }
        // Relaxed, all of these: they are counts.
        self.published.fetch_add(1, Ordering::Relaxed);
        if matches!(heard, Heard::Nobody) {
            self.matched.fetch_add(list.members.len() as u64, Ordering::Relaxed);
            list.subscriptions().for_each(|subscription| subscription.offer(draft));
            return Ok(());
        }
        for member in list.without(heard, draft.envelope) {
            // Each by itself, for asked again one might answer otherwise.
            self.matched.fetch_add(1, Ordering::Relaxed);
            member.subscription.offer(draft);
        }
        Ok(())
    }

    /// What became of a publication at one subscription.
    pub(super) fn count(&self, fate: Fate) {
        let count = match fate {
            Fate::Delivered => &self.delivered,
            Fate::Dropped => &self.dropped,
            Fate::Dead => &self.dead,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Nothing is published any more, and who waits learns it. What waits for subscribers still reaches them.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.clear();
        self.fanouts().iter().for_each(|fanout| fanout.close(self.key));
        self.list().subscriptions().for_each(|subscription| subscription.made_room());
    }

    pub(crate) fn statistics(&self) -> Statistics {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (delivered, dropped, dead) = (read(&self.delivered), read(&self.dropped), read(&self.dead));
        // For those that devices serve nothing waits.
        let (seats, on_devices) =
            (self.seats().counts(), self.fanouts().iter().map(|fanout| fanout.published(self.key)).sum::<u64>());
        Statistics {
            published: read(&self.published) + on_devices,
            delivered: delivered + seats.delivered,
            dropped: dropped + seats.dropped,
            dead,
            // Read last, so that it is not less than the others together.
            waiting: read(&self.matched).saturating_sub(delivered + dropped + dead),
            subscriptions: self.list().members.len() as u32,
            retained: self.retained().is_some(),
        }
    }
}
