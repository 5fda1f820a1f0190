//! Devices that take what their actors publish to subscribers there themselves, with no host in between.
//!
//! Who they serve is settled when a subscription and a topic meet, and does not change while both last: an actor of the device,
//! at most once, for that nobody waits. It has a seat there. A publication of an actor of the device is brought to those by the
//! device, and to all others by the host; one of anybody else, to all by the host. So nobody gets one twice, and what one
//! publishes goes to a subscription one way, in its order.

use std::sync::{Arc, OnceLock};

use super::topic::List;
use crate::ring::Envelope;

/// What became of publications.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) delivered: u64,
    pub(crate) dropped: u64,
}

impl Counts {
    fn plus(self, other: Self) -> Self {
        Self { delivered: self.delivered + other.delivered, dropped: self.dropped + other.dropped }
    }

    fn since(self, start: Self) -> Self {
        Self { delivered: self.delivered - start.delivered, dropped: self.dropped - start.dropped }
    }
}

/// The subscribers of topics on one device, of the actors of a runtime.
pub(crate) trait Fanout: Send + Sync {
    /// A seat for an actor, which takes messages of so many bytes at most, among those of a topic. None if there is no room.
    /// The actor gets what is published after this returned.
    fn admit(self: Arc<Self>, topic: u32, actor: u64, largest: u32) -> Option<Arc<Seat>>;

    /// It gets nothing that is published after this returned.
    fn dismiss(&self, topic: u32, seat: &Arc<Seat>);

    /// Whether the topic has subscribers without a seat here. They get what is published after this returned.
    fn tell_of_others(&self, topic: u32, others: bool);

    /// What became of all that was ever for a place.
    fn counts(&self, place: usize) -> Counts;

    /// Publications to the topic that the host has not heard of.
    fn published(&self, topic: u32) -> u64;

    /// Nothing that is published after this returned is for any of the topic's.
    fn close(&self, topic: u32);
}

/// The place of a subscription of one topic on its actor's device.
pub(crate) struct Seat {
    fanout: Arc<dyn Fanout>,
    place: usize,
    /// The place's counts when it was given.
    start: Counts,
    /// Ours, once they do not change any more; the place is another's then.
    last: OnceLock<Counts>,
}

impl Seat {
    pub(crate) fn new(fanout: Arc<dyn Fanout>, place: usize) -> Self {
        let start = fanout.counts(place);
        Self { fanout, place, start, last: OnceLock::new() }
    }

    pub(crate) fn place(&self) -> usize {
        self.place
    }

    pub(super) fn is_on(&self, fanout: &Arc<dyn Fanout>) -> bool {
        std::ptr::addr_eq(Arc::as_ptr(&self.fanout), Arc::as_ptr(fanout))
    }

    pub(super) fn fanout(&self) -> &Arc<dyn Fanout> {
        &self.fanout
    }

    /// Before the place is given to another, when no handler runs any more that may count there for us.
    pub(crate) fn finish(&self) {
        // Set once: a place is given back once.
        let _set = self.last.set(self.fanout.counts(self.place).since(self.start));
    }

    pub(crate) fn counts(&self) -> Counts {
        // This order: what another counted in the place came after `finish`.
        let now = self.fanout.counts(self.place);
        self.last.get().copied().unwrap_or_else(|| now.since(self.start))
    }
}

/// Who has a publication of an actor's already, when it is published to all others: it may have waited for them meanwhile,
/// while subscribers came and went and the publisher was moved.
#[derive(Clone)]
pub(crate) enum Heard {
    Nobody,
    /// Who sits on the publisher's device, and who did when the list was the topic's.
    Seats(Arc<dyn Fanout>, Arc<List>),
    /// Actors that sat on a device which the publisher has left, each so often as it sat there.
    Actors(Arc<[u64]>),
}

impl Heard {
    /// As [`Actors`](Self::Actors), also to somebody who does not know the device.
    pub(crate) fn actors(&self, envelope: &Envelope) -> Arc<[u64]> {
        match self {
            Self::Nobody => Arc::default(),
            Self::Seats(fanout, list) => list.served_by(fanout, envelope).collect(),
            Self::Actors(actors) => actors.clone(),
        }
    }

    pub(crate) fn of_actors(actors: &Arc<[u64]>) -> Self {
        match actors.is_empty() {
            true => Self::Nobody,
            false => Self::Actors(actors.clone()),
        }
    }
}

/// All seats that a topic or a subscription has had, for their counts.
#[derive(Default)]
pub(super) struct Seats {
    seats: Vec<Arc<Seat>>,
    /// Of those that are gone.
    before: Counts,
}

impl Seats {
    pub(super) fn add(&mut self, seat: Arc<Seat>) {
        self.settle();
        self.seats.push(seat);
    }

    /// Forgets those whose counts do not change any more. Reads nothing of the devices', which may be far.
    fn settle(&mut self) {
        let Self { seats, before } = self;
        seats.retain(|seat| {
            let last = seat.last.get();
            *before = before.plus(last.copied().unwrap_or_default());
            last.is_none()
        });
    }

    pub(super) fn counts(&mut self) -> Counts {
        self.settle();
        self.seats.iter().fold(self.before, |sum, seat| sum.plus(seat.counts()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    use super::super::subscription::Reach;
    use super::super::tests::{home, received, request};
    use super::super::topic::{List, Topic};
    use super::super::{Overflow, Quality, Request, Subscriber, Subscription};
    use super::*;
    use crate::address::Address;
    use crate::queue::Queue;
    use crate::runtime::Home;

    /// A device with one place.
    #[derive(Default)]
    struct Device {
        others: AtomicBool,
        taken: AtomicBool,
        delivered: AtomicU64,
        published: AtomicU64,
    }

    impl Fanout for Device {
        fn admit(self: Arc<Self>, _: u32, _: u64, _: u32) -> Option<Arc<Seat>> {
            (!self.taken.swap(true, Ordering::Relaxed)).then(|| Arc::new(Seat::new(self, 7)))
        }

        fn dismiss(&self, _: u32, seat: &Arc<Seat>) {
            seat.finish();
            self.taken.store(false, Ordering::Relaxed);
        }

        fn tell_of_others(&self, _: u32, others: bool) {
            self.others.store(others, Ordering::Relaxed);
        }

        fn counts(&self, place: usize) -> Counts {
            assert_eq!(place, 7);
            Counts { delivered: self.delivered.load(Ordering::Relaxed), dropped: 0 }
        }

        fn published(&self, _: u32) -> u64 {
            self.published.load(Ordering::Relaxed)
        }

        fn close(&self, _: u32) {}
    }

    /// A queue stands for the actor, so that it can be seen what the host brings.
    fn subscribe(home: &Arc<Home>, device: &Arc<Device>, queue: &Arc<Queue>) -> Arc<Subscription> {
        let mut subscription =
            Subscription::new(home.clone(), 1, Arc::default(), &request("t", queue, Quality::AtMostOnce));
        subscription.reach = Some(Reach { fanout: device.clone(), actor: 1, largest: 8 });
        let subscription = Arc::new(subscription);
        assert!(queue.attach_subscription(&subscription));
        subscription
    }

    #[test]
    fn a_device_and_the_host_share_a_topic() {
        let home = home();
        let (device, queues) = (Arc::<Device>::default(), [(); 2].map(|()| Queue::create(&home)));
        let (here, elsewhere): (Arc<dyn Fanout>, Arc<dyn Fanout>) = (device.clone(), Arc::<Device>::default());
        let topic = Arc::new(Topic::new(home.clone(), 1, "t", false));
        let mut matching = Vec::new();
        let subscriptions = queues.each_ref().map(|queue| {
            let subscription = subscribe(&home, &device, queue);
            topic.admit(&mut matching, &subscription);
            // The second finds no place.
            assert_eq!(device.others.load(Ordering::Relaxed), matching.len() == 2);
            subscription
        });
        let publish = |value: u8, heard: &Heard| {
            let envelope = Envelope { kind: 1, size: 1, sender: 1, ..Envelope::default() };
            assert!(topic.publish_through(&topic.list(), &envelope, &[value], heard).is_ok());
        };
        let on = |fanout: &Arc<dyn Fanout>| Heard::Seats(fanout.clone(), topic.list());
        publish(1, &Heard::Nobody);
        publish(2, &on(&here));
        device.delivered.fetch_add(1, Ordering::Relaxed);
        assert_eq!(queues.each_ref().map(|queue| received(queue)), [vec![1], vec![1, 2]]);
        publish(3, &on(&elsewhere));
        assert_eq!(queues.each_ref().map(|queue| received(queue)), [vec![3], vec![3]]);
        // For nobody else, of which the host does not hear.
        device.delivered.fetch_add(1, Ordering::Relaxed);
        device.published.fetch_add(1, Ordering::Relaxed);
        let counts = |topic: &Topic| {
            let counts = topic.statistics();
            assert_eq!((counts.dropped, counts.dead, counts.waiting), (0, 0, 0));
            (counts.published, counts.delivered)
        };
        assert_eq!(counts(&topic), (4, 7));
        assert_eq!(subscriptions.each_ref().map(|subscription| subscription.statistics().delivered), [4, 3]);

        // The place is another's, whose counts are its own.
        topic.dismiss(&matching.remove(0));
        topic.set_list(List::of(&matching));
        topic.admit(&mut matching, &subscribe(&home, &device, &queues[0]));
        device.delivered.fetch_add(5, Ordering::Relaxed);
        assert_eq!(subscriptions.each_ref().map(|subscription| subscription.statistics().delivered), [4, 3]);
        assert_eq!(matching[1].subscription.statistics().delivered, 5);
        assert_eq!(counts(&topic), (4, 12));
        topic.dismiss(&matching.pop().expect("two"));
        topic.dismiss(&matching.pop().expect("one"));
        topic.set_list(List::of(&matching));
        assert!(!device.others.load(Ordering::Relaxed));
    }

    /// An actor's, whose kernel there is not: what is offered to it is counted as dropped.
    fn subscribe_actor(home: &Arc<Home>, device: Option<&Arc<Device>>, actor: u32) -> Arc<Subscription> {
        let to = Subscriber::Actor(Address::new(5, actor));
        let asked =
            Request { to, overflow: Overflow::DropNewest, ..request("t", &Queue::create(home), Quality::AtMostOnce) };
        let mut subscription = Subscription::new(home.clone(), 1, Arc::default(), &asked);
        subscription.reach = device.map(|device| {
            let fanout: Arc<dyn Fanout> = device.clone();
            Reach { fanout, actor: Address::new(5, actor).to_bits(), largest: 8 }
        });
        Arc::new(subscription)
    }

    #[test]
    fn who_has_heard_it_does_not_hear_it_again() {
        let (home, device) = (home(), Arc::<Device>::default());
        let topic = Arc::new(Topic::new(home.clone(), 1, "t", false));
        let envelope = Envelope { kind: 1, size: 1, sender: 1, ..Envelope::default() };
        let mut matching = Vec::new();
        // One that sits there, and subscribes once more, for which there is no room; and another.
        let all = [(true, 1), (true, 1), (false, 2)].map(|(sits, actor)| {
            let subscription = subscribe_actor(&home, sits.then_some(&device), actor);
            topic.admit(&mut matching, &subscription);
            subscription
        });
        let fanout: Arc<dyn Fanout> = device.clone();
        let heard = Heard::Seats(fanout, topic.list());
        let actors = heard.actors(&envelope);
        assert_eq!(*actors, [Address::new(5, 1).to_bits()]);
        let publish = |heard: &Heard| {
            let published = topic.publish_through(&topic.list(), &envelope, &[1], heard);
            assert!(published.is_ok());
        };
        let dropped = |subscriptions: &[Arc<Subscription>]| -> Vec<u64> {
            subscriptions.iter().map(|subscription| subscription.statistics().dropped).collect()
        };
        publish(&heard);
        assert_eq!(dropped(&all), [0, 1, 1]);
        // Told by somebody who does not know of seats.
        publish(&Heard::of_actors(&actors));
        assert_eq!(dropped(&all), [0, 2, 2]);
        publish(&Heard::of_actors(&Arc::default()));
        assert_eq!(dropped(&all), [1, 3, 3]);
        // One who came later sits there too now, and who had it has come again.
        topic.dismiss(&matching.remove(0));
        let late = [(Some(&device), 3), (None, 1)].map(|(device, actor)| {
            let subscription = subscribe_actor(&home, device, actor);
            topic.admit(&mut matching, &subscription);
            subscription
        });
        publish(&heard);
        assert_eq!(dropped(&all), [1, 3, 4]);
        assert_eq!(dropped(&late), [0, 1]);
    }

    #[test]
    fn what_is_retained_the_host_brings_and_all_that_follows() {
        let home = home();
        let (device, queue) = (Arc::<Device>::default(), Queue::create(&home));
        let subscription = subscribe(&home, &device, &queue);
        assert!(Topic::new(home.clone(), 1, "t", true).member(&subscription, false).seat.is_none());
        let topic = Topic::new(home, 2, "t", false);
        assert!(topic.member(&subscription, true).seat.is_none());
        assert!(topic.member(&subscription, false).seat.is_some());
    }
}
