//! One topic: its subscriptions, what it retains, and publishing to it.

use std::cell::OnceCell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::subscription::{Fate, Overflow, Quality, Subscription};
use crate::bell::Bell;
use crate::error::{Error, Result};
use crate::message::Timeout;
use crate::ring::Envelope;
use crate::runtime::Home;

/// The subscriptions of a topic at one moment. It is never changed, only replaced.
pub(crate) struct List {
    subscriptions: Box<[Arc<Subscription>]>,
    /// Whether publishers wait for any of them.
    blocks: bool,
}

impl List {
    /// Of those that match, without those of a subscriber that has an exactly-once one before.
    pub(super) fn of(matching: &[Arc<Subscription>]) -> Self {
        let mut subscriptions: Vec<Arc<Subscription>> = Vec::with_capacity(matching.len());
        let mut once = std::collections::HashSet::new();
        for subscription in matching {
            if subscription.quality != Quality::ExactlyOnce || once.insert(subscription.subscriber()) {
                subscriptions.push(subscription.clone());
            }
        }
        let blocks = subscriptions.iter().any(|subscription| subscription.overflow == Overflow::Block);
        Self { subscriptions: subscriptions.into(), blocks }
    }

    /// A place at each that publishers wait for, or at none.
    fn reserve(&self) -> std::result::Result<(), Refusal> {
        if !self.blocks {
            return Ok(());
        }
        for (count, subscription) in self.subscriptions.iter().enumerate() {
            if !subscription.reserve() {
                self.subscriptions[..count].iter().for_each(|subscription| subscription.release());
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
        Self {
            home,
            key,
            name: name.into(),
            retains,
            closed,
            list,
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

    pub(super) fn set_list(&self, list: List) {
        *self.list.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(list);
    }

    fn retained(&self) -> MutexGuard<'_, Option<Arc<Publication>>> {
        self.retained.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new subscriber, which gets what is retained unless it is in the list twice and got it before.
    pub(super) fn admit(self: &Arc<Self>, list: List, subscription: &Arc<Subscription>) {
        let retained = self.retained();
        let listed = list.subscriptions.iter().any(|other| Arc::ptr_eq(other, subscription));
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
            match self.try_publish(None, &draft, retain) {
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

    /// Publishes a message of an actor of this process's, by a list that it knows.
    pub(super) fn publish_through(
        self: &Arc<Self>,
        list: &Arc<List>,
        envelope: &Envelope,
        payload: &[u8],
    ) -> std::result::Result<(), Refusal> {
        self.try_publish(Some(list), &Draft::new(self, envelope, payload, false), false)
    }

    /// To all subscriptions or, if one has to be waited for, to none.
    fn try_publish(
        self: &Arc<Self>,
        known: Option<&Arc<List>>,
        draft: &Draft<'_>,
        retain: bool,
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
        self.matched.fetch_add(list.subscriptions.len() as u64, Ordering::Relaxed);
        for subscription in &list.subscriptions {
            subscription.offer(draft);
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
        self.list().subscriptions.iter().for_each(|subscription| subscription.made_room());
    }

    pub(crate) fn statistics(&self) -> Statistics {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (delivered, dropped, dead) = (read(&self.delivered), read(&self.dropped), read(&self.dead));
        Statistics {
            published: read(&self.published),
            delivered,
            dropped,
            dead,
            // Read last, so that it is not less than the others together.
            waiting: read(&self.matched).saturating_sub(delivered + dropped + dead),
            subscriptions: self.list().subscriptions.len() as u32,
            retained: self.retained().is_some(),
        }
    }
}
