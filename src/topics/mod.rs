//! Topics: publish and subscribe.
//!
//! ```text
//!   publisher ──▶ topic: its list of subscriptions ──▶ ring of the actor's worker
//!                                │                          ▲ when there is room again
//!                                └─▶ the subscription's own line ──▶ postman, or a poller of the host's queue
//! ```
//!
//! A topic that is open is an [address](crate::address), so that handlers publish as they send. Which subscriptions it goes
//! to is worked out when subscriptions or topics come and go, as a list that never changes: workers keep the lists that
//! they use, and look at one number to know that these still hold ([`Reader`]).

mod fanout;
mod postman;
mod subscription;
mod topic;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::postman::Postman;
use self::topic::{List, Member};
use crate::error::{Error, Result};
use crate::kernel::directory;
use crate::pattern::{check_name, Pattern};
use crate::ring::Envelope;
use crate::runtime::Home;
use crate::table::{Noun, Pinned, Removed, Table};

pub(crate) use self::fanout::{Counts, Fanout, Heard, Seat};
pub(crate) use self::subscription::{Overflow, Quality, Request, Subscriber, Subscription};
pub(crate) use self::topic::{Refusal, Statistics, Topic};

/// All topics of the process that are open, by key: how an address is found.
static TOPICS: Table<Arc<Topic>> = Table::new();
static SUBSCRIPTIONS: Table<Arc<Subscription>> = Table::new();

/// Grows whenever the list of a topic has changed.
static VERSION: AtomicU64 = AtomicU64::new(1);

impl Noun for Arc<Topic> {
    fn poison(&self) {
        self.home.poison();
    }
}

impl Noun for Arc<Subscription> {
    fn poison(&self) {
        self.home.poison();
    }
}

pub(crate) fn find(key: u32) -> Option<Pinned<'static, Arc<Topic>>> {
    TOPICS.get(key)
}

pub(crate) fn find_subscription(key: u32) -> Option<Pinned<'static, Arc<Subscription>>> {
    SUBSCRIPTIONS.get(key)
}

/// The topics and subscriptions of a runtime.
#[derive(Default)]
pub(crate) struct Topics {
    book: Mutex<Book>,
    postman: Arc<Postman>,
}

#[derive(Default)]
struct Book {
    topics: BTreeMap<Box<str>, Listing>,
    subscriptions: Vec<Arc<Subscription>>,
}

struct Listing {
    topic: Arc<Topic>,
    /// The subscriptions whose filters match, in the order in which they were made.
    matching: Vec<Member>,
}

impl Topics {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key of the topic with that name, which is opened if it is not. `retains`: it keeps its last message.
    pub(crate) fn open(&self, home: &Arc<Home>, name: &str, retains: bool) -> Result<u32> {
        check_name(name)?;
        let mut book = self.book();
        if let Some(Listing { topic, .. }) = book.topics.get(name) {
            return match topic.retains == retains {
                true => Ok(topic.key),
                false => Err(Error::Exists(format!("the topic {name:?} is open with other options"))),
            };
        }
        let place = TOPICS.reserve()?;
        let topic = Arc::new(Topic::new(home.clone(), place.key(), name, retains));
        let matching = book.subscriptions.iter().filter(|other| other.matches(name));
        let matching: Vec<_> = matching.map(|subscription| topic.member(subscription, false)).collect();
        topic.set_list(List::of(&matching));
        book.topics.insert(name.into(), Listing { topic: topic.clone(), matching });
        Ok(place.fill(topic))
    }

    /// Ends the topic with that key for everybody.
    pub(crate) fn close(&self, key: u32) -> Result<()> {
        let mut book = self.book();
        // Under the lock, so that who opens the same name meanwhile gets another topic.
        let removed = TOPICS.remove(key).ok_or(Error::Stale)?;
        book.topics.remove(&*removed.value().name);
        // Under it too: who ends a subscription meanwhile does not find the topic any more, and is to have ended it there.
        removed.value().close();
        drop(book);
        closed(removed);
        Ok(())
    }

    /// Gives the key of the subscription.
    pub(crate) fn subscribe(&self, home: &Arc<Home>, request: Request<'_>) -> Result<u32> {
        let pattern = Pattern::parse(request.filter)?;
        let place = SUBSCRIPTIONS.reserve()?;
        if matches!(request.to, Subscriber::Actor(_)) && request.quality != Quality::AtMostOnce {
            self.postman.start(home)?;
        }
        let subscription = Arc::new(Subscription::new(home.clone(), place.key(), self.postman.clone(), &request));
        if let Subscriber::Queue(queue) = &request.to {
            if !queue.attach_subscription(&subscription) {
                return Err(Error::Stale);
            }
        }
        let mut book = self.book();
        // Under the lock: a kernel that goes is first out of the directory, and then forgotten here.
        if matches!(request.to, Subscriber::Actor(actor) if directory::find(actor.kernel()).is_none()) {
            return Err(Error::Stale);
        }
        book.subscriptions.push(subscription.clone());
        for (name, Listing { topic, matching }) in &mut book.topics {
            if pattern.matches(name) {
                topic.admit(matching, &subscription);
            }
        }
        changed();
        Ok(place.fill(subscription))
    }

    pub(crate) fn unsubscribe(&self, key: u32) -> Result<()> {
        match self.end_subscriptions(|subscription| subscription.key == key) {
            0 => Err(Error::Stale),
            _ => Ok(()),
        }
    }

    /// A kernel is gone, and its actors with it.
    pub(crate) fn forget(&self, kernel: u32) {
        self.end_subscriptions(|subscription| subscription.kernel() == Some(kernel));
    }

    /// Gives how many it ended.
    fn end_subscriptions(&self, which: impl Fn(&Subscription) -> bool) -> usize {
        let mut book = self.book();
        let (ended, kept): (Vec<_>, Vec<_>) =
            book.subscriptions.drain(..).partition(|subscription| which(subscription));
        book.subscriptions = kept;
        if ended.is_empty() {
            return 0;
        }
        for Listing { topic, matching } in book.topics.values_mut() {
            let (gone, kept): (Vec<_>, Vec<_>) = matching.drain(..).partition(|member| which(&member.subscription));
            *matching = kept;
            if !gone.is_empty() {
                gone.iter().for_each(|member| topic.dismiss(member));
                topic.set_list(List::of(matching));
            }
        }
        changed();
        let removed: Vec<_> = ended.iter().filter_map(|subscription| SUBSCRIPTIONS.remove(subscription.key)).collect();
        drop(book);
        ended.iter().for_each(|subscription| subscription.end());
        removed.into_iter().for_each(|removed| drop(removed.take()));
        ended.len()
    }

    /// Topics that are open, in the order of their names.
    pub(crate) fn all(&self) -> Vec<Arc<Topic>> {
        self.book().topics.values().map(|listing| listing.topic.clone()).collect()
    }

    /// The runtime is being destroyed: publishers that wait look, and see it.
    pub(crate) fn interrupt(&self) {
        self.book().subscriptions.iter().for_each(|subscription| subscription.made_room());
    }

    /// Ends everything, when no kernel and no other call uses it.
    pub(crate) fn finish(&self) {
        self.postman.stop();
        self.end_subscriptions(|_| true);
        let topics = std::mem::take(&mut self.book().topics);
        for removed in topics.values().filter_map(|listing| TOPICS.remove(listing.topic.key)) {
            removed.value().close();
            closed(removed);
        }
    }
}

fn changed() {
    // Release: who sees the number sees the lists.
    VERSION.fetch_add(1, Ordering::Release);
}

/// Waits until nobody publishes to a topic any more that has been closed.
fn closed(removed: Removed<'_, Arc<Topic>>) {
    changed();
    drop(removed.take());
}

/// The lists of the topics that the actors of a worker, or of a kernel on a device, publish to, as of one version. What
/// they name may have ended since; it stays in memory until the worker's next publication.
#[derive(Default)]
pub(crate) struct Reader {
    version: u64,
    lists: HashMap<u32, (Arc<Topic>, Arc<List>)>,
}

impl Reader {
    /// Publishes a message of an actor, to all that have not heard it.
    pub(crate) fn publish(
        &mut self,
        key: u32,
        envelope: &Envelope,
        payload: &[u8],
        heard: &Heard,
    ) -> std::result::Result<(), Refusal> {
        let (topic, list) = self.look_up(key).ok_or(Refusal::Closed)?;
        topic.publish_through(list, envelope, payload, heard)
    }

    /// Who has heard what an actor has just published whose device serves those who sit there.
    pub(crate) fn heard(&mut self, key: u32, fanout: &Arc<dyn Fanout>) -> Heard {
        self.look_up(key).map_or(Heard::Nobody, |(_, list)| Heard::Seats(fanout.clone(), list.clone()))
    }

    fn look_up(&mut self, key: u32) -> Option<&(Arc<Topic>, Arc<List>)> {
        // Acquire: pairs with the Release in `changed`. One that comes while we publish is as good as later.
        let version = VERSION.load(Ordering::Acquire);
        if version != self.version {
            self.lists.clear();
            self.version = version;
        }
        match self.lists.entry(key) {
            Entry::Occupied(known) => Some(known.into_mut()),
            Entry::Vacant(place) => {
                let topic = find(key)?;
                Some(place.insert((Arc::clone(&topic), topic.list())))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::DeadReason;
    use crate::hlc::Drift;
    use crate::log::Log;
    use crate::message::{Incoming, Offer, Payload, Sink, Timeout};
    use crate::queue::Queue;

    pub(super) fn home() -> Arc<Home> {
        let nothing = std::time::Duration::ZERO;
        Arc::new(Home::new(Drift::of(std::time::Duration::from_secs(1)), Log::default(), nothing, nothing))
    }

    pub(super) fn request<'a>(filter: &'a str, queue: &Arc<Queue>, quality: Quality) -> Request<'a> {
        let to = Subscriber::Queue(queue.clone());
        Request { filter, to, quality, overflow: Overflow::DropOldest, capacity: 2 }
    }

    /// Keeps the first byte of every payload.
    #[derive(Default)]
    struct Bytes(Vec<u8>);

    impl Sink for Bytes {
        fn offer<P: Payload>(&mut self, message: &Incoming<P>) -> Result<Offer> {
            assert_eq!(message.dead(), None::<DeadReason>);
            self.0.push(message.payload.bytes()[0]);
            Ok(Offer::Taken)
        }

        fn taken(&self) -> usize {
            self.0.len()
        }
    }

    fn publish(topic: u32, value: u8, retain: bool) {
        let envelope = Envelope { kind: 1, size: 1, ..Envelope::default() };
        let topic = find(topic).expect("open");
        topic.publish(&envelope, &[value], retain, Timeout::None).expect("nobody blocks");
    }

    pub(super) fn received(queue: &Queue) -> Vec<u8> {
        let mut bytes = Bytes::default();
        // An error is that there is nothing.
        let _nothing = queue.poll(&mut bytes, Timeout::None);
        bytes.0
    }

    #[test]
    fn a_worker_sees_every_change() {
        let home = home();
        let queue = Queue::create(&home);
        let mut reader = Reader::default();
        let envelope = Envelope { kind: 1, size: 1, sender: 1, ..Envelope::default() };
        let topic = home.topics.open(&home, "a", false).expect("room");
        assert!(reader.publish(topic, &envelope, &[1], &Heard::Nobody).is_ok());
        let first = home.topics.subscribe(&home, request("a", &queue, Quality::AtMostOnce)).expect("room");
        assert!(reader.publish(topic, &envelope, &[2], &Heard::Nobody).is_ok());
        home.topics.unsubscribe(first).expect("there");
        assert!(reader.publish(topic, &envelope, &[3], &Heard::Nobody).is_ok());
        home.topics.subscribe(&home, request("#", &queue, Quality::AtMostOnce)).expect("room");
        assert!(reader.publish(topic, &envelope, &[4], &Heard::Nobody).is_ok());
        home.topics.close(topic).expect("open");
        assert!(matches!(reader.publish(topic, &envelope, &[5], &Heard::Nobody), Err(Refusal::Closed)));
        // What waited when the first subscription ended is lost, and no more.
        assert_eq!(received(&queue), [4]);
        home.topics.finish();
    }

    #[derive(Clone, Debug)]
    enum Step {
        Open(usize),
        Close(usize),
        Subscribe { filter: usize, queue: usize, once: bool },
        Unsubscribe(usize),
        Publish { name: usize, retain: bool },
    }

    /// In the order in which a new subscription gets what they retain.
    const NAMES: [&str; 5] = ["a", "a/b", "a/b/c", "a/c", "b"];
    const FILTERS: [&str; 6] = ["a", "a/*", "a/#", "#", "*/b/*", "b"];

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..NAMES.len()).prop_map(Step::Open),
            (0..NAMES.len()).prop_map(Step::Close),
            (0..FILTERS.len(), 0..2usize, any::<bool>()).prop_map(|(filter, queue, once)| Step::Subscribe {
                filter,
                queue,
                once
            }),
            (0..8usize).prop_map(Step::Unsubscribe),
            (0..NAMES.len(), any::<bool>()).prop_map(|(name, retain)| Step::Publish { name, retain }),
        ]
    }

    /// A subscription as the model has it.
    struct Modelled {
        key: u32,
        filter: usize,
        queue: usize,
        once: bool,
        line: Vec<u8>,
    }

    impl Modelled {
        fn push(&mut self, value: u8) {
            if self.line.len() == 2 {
                self.line.remove(0);
            }
            self.line.push(value);
        }
    }

    /// Positions of those that a publication goes to.
    fn receivers(all: &[Modelled], name: &str) -> Vec<usize> {
        let matches = |filter: usize| Pattern::parse(FILTERS[filter]).expect("well formed").matches(name);
        let mut once = [false; 2];
        (all.iter().enumerate().filter(|(_, it)| matches(it.filter)))
            .filter(|(_, it)| !it.once || !std::mem::replace(&mut once[it.queue], true))
            .map(|(at, _)| at)
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        /// Against a model that has no lists, no cache and no locks.
        #[test]
        fn as_the_model_says(steps in prop::collection::vec(step(), 1..60)) {
            let home = home();
            let queues = [Queue::create(&home), Queue::create(&home)];
            let mut reader = Reader::default();
            let mut topics: HashMap<usize, (u32, Option<u8>)> = HashMap::new();
            let mut all: Vec<Modelled> = Vec::new();
            for (step, value) in steps.into_iter().zip(1u8..) {
                match step {
                    Step::Open(name) => {
                        let key = home.topics.open(&home, NAMES[name], false).expect("room");
                        prop_assert_eq!(topics.entry(name).or_insert((key, None)).0, key);
                    }
                    Step::Close(name) => {
                        if let Some((key, _)) = topics.remove(&name) {
                            prop_assert!(home.topics.close(key).is_ok());
                            prop_assert!(home.topics.close(key).is_err());
                        }
                    }
                    Step::Subscribe { filter, queue, once } => {
                        let quality = if once { Quality::ExactlyOnce } else { Quality::AtMostOnce };
                        let key = home.topics.subscribe(&home, request(FILTERS[filter], &queues[queue], quality));
                        all.push(Modelled { key: key.expect("room"), filter, queue, once, line: Vec::new() });
                        let newest = all.len() - 1;
                        for (name, text) in NAMES.iter().enumerate() {
                            let Some((_, Some(kept))) = topics.get(&name) else { continue };
                            if receivers(&all, text).contains(&newest) {
                                all[newest].push(*kept);
                            }
                        }
                    }
                    Step::Unsubscribe(at) if at < all.len() => {
                        prop_assert!(home.topics.unsubscribe(all.remove(at).key).is_ok());
                    }
                    Step::Unsubscribe(_) => {}
                    Step::Publish { name, retain } => {
                        let Some((key, kept)) = topics.get_mut(&name) else { continue };
                        if retain {
                            publish(*key, value, true);
                            *kept = Some(value);
                        } else {
                            let envelope = Envelope { kind: 1, size: 1, sender: 1, ..Envelope::default() };
                            prop_assert!(reader.publish(*key, &envelope, &[value], &Heard::Nobody).is_ok());
                        }
                        for at in receivers(&all, NAMES[name]) {
                            all[at].push(value);
                        }
                    }
                }
            }
            for (number, queue) in queues.iter().enumerate() {
                let mut expected: Vec<u8> =
                    all.iter().filter(|it| it.queue == number).flat_map(|it| it.line.iter().copied()).collect();
                let mut found = received(queue);
                expected.sort_unstable();
                found.sort_unstable();
                prop_assert_eq!(found, expected);
            }
            for (key, _) in topics.values() {
                let matched = find(*key).expect("open").statistics();
                prop_assert_eq!(matched.waiting, 0);
            }
            home.topics.finish();
        }
    }
}
