//! Models of the rings, biased words and bells: loom tries every interleaving of these threads, and every value that the memory model
//! lets a load return.
//!
//!     RUSTFLAGS="--cfg loom" cargo test --release --lib

use crate::bell::Bell;
use crate::bias::{Biased, Section};
use crate::ring::{Cursor, Envelope, Refused, Ring, Sight, Slot, Storage, Word};
use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use loom::sync::Arc;
use loom::thread;

/// Storage whose words are what [`Storage`] asks for, no more: each load gives what one store wrote, stores release and
/// nothing acquires but fences. A word holds the number of its value in a log. Bodies are cells that loom checks for races.
struct Model {
    words: Vec<AtomicU64>,
    log: std::sync::Mutex<Vec<Word>>,
    bodies: Vec<loom::cell::UnsafeCell<u8>>,
    head: AtomicU64,
}

impl Model {
    fn ring(capacity: usize) -> Ring<Self> {
        Ring::new(Self {
            words: (0..capacity * 4).map(|_| AtomicU64::new(0)).collect(),
            log: std::sync::Mutex::new(vec![[0; 2]]),
            bodies: (0..capacity).map(|_| loom::cell::UnsafeCell::new(0)).collect(),
            head: AtomicU64::new(0),
        })
    }

    fn store(&self, index: usize, [lower, upper]: Word, stamp: u16) {
        let word = [lower, upper | u64::from(stamp) << 48];
        let mut log = self.log.lock().unwrap();
        log.push(word);
        let number = log.len() as u64 - 1;
        drop(log);
        self.words[index].store(number, Ordering::Release);
    }

    fn read_body(&self, slot: usize) -> u8 {
        // SAFETY: loom panics if anybody writes it meanwhile, which is what the models are to find.
        self.bodies[slot].with(|body| unsafe { *body })
    }
}

impl Sight for &Model {
    fn upper(&self, index: usize) -> u64 {
        let number = self.words[index].load(Ordering::Relaxed);
        self.log.lock().unwrap()[number as usize][1]
    }

    fn word(&self, index: usize) -> Word {
        let number = self.words[index].load(Ordering::Relaxed);
        self.log.lock().unwrap()[number as usize]
    }
}

impl Storage for Model {
    type Sight<'a> = &'a Self;

    fn sight(&self) -> &Self {
        self
    }

    fn capacity(&self) -> usize {
        self.bodies.len()
    }

    fn store_slot(&self, slot: usize, content: &Slot, stamp: u16) {
        for word in (0..4).rev() {
            self.store(slot * 4 + word, content.word(word), stamp);
        }
    }

    fn is_far(&self) -> bool {
        true
    }

    fn write_body(&self, slot: usize, bytes: &[u8]) {
        // SAFETY: as in `read_body`.
        self.bodies[slot].with_mut(|body| unsafe { *body = bytes[0] });
    }

    fn head(&self) -> &AtomicU64 {
        &self.head
    }
}

/// A message that says `value` in its type and, being too long for a slot, in its body.
fn message(value: u8) -> (Slot, Vec<u8>) {
    let payload = vec![value; 40];
    let envelope = Envelope { kind: u16::from(value), size: 40, correlation: u64::MAX, ..Envelope::default() };
    (Slot::encode(&envelope, &payload).0, payload)
}

/// A section for a thread. Never freed, as those of real threads are not.
fn section() -> &'static Section {
    Box::leak(Box::default())
}

fn send(ring: &Ring<Model>, me: &'static Section, value: u8) -> Result<(), Refused> {
    let ticket = ring.reserve(me, 1)?.next().expect("one was reserved");
    let (slot, body) = message(value);
    ring.write(ticket, &slot, &body);
    Ok(())
}

/// Takes the next message; its parts must belong together.
fn receive(ring: &Ring<Model>, cursor: &mut Cursor) -> Option<u8> {
    let (envelope, _, in_body) = cursor.peek(ring)?.decode();
    let body = ring.storage().read_body(cursor.index(ring));
    assert!(in_body && envelope.kind == u16::from(body) && envelope.correlation == u64::MAX);
    cursor.advance();
    cursor.publish(ring);
    Some(body)
}

fn model(f: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    // Of preemptions three find what more find (Musuvathi and Qadeer, "Iterative context bounding", 2007).
    builder.preemption_bound = Some(3);
    builder.check(f);
}

/// One producer, which goes round a ring of two slots.
#[test]
fn spsc_wraps_around() {
    model(|| {
        let ring = Arc::new(Model::ring(2));
        let producer = {
            let ring = ring.clone();
            thread::spawn(move || {
                let mut sent = 0;
                for value in 1..=4 {
                    match ring.reserve_sole() {
                        Ok(ticket) => {
                            let (slot, body) = message(value);
                            ring.write(ticket, &slot, &body);
                            sent += 1;
                        }
                        Err(refused) => {
                            assert_eq!(refused, Refused::Full);
                            break;
                        }
                    }
                }
                sent
            })
        };
        let mut cursor = Cursor::default();
        let mut received = Vec::new();
        for _ in 0..3 {
            received.extend(receive(&ring, &mut cursor));
        }
        let sent = producer.join().unwrap();
        received.extend(std::iter::from_fn(|| receive(&ring, &mut cursor)));
        assert_eq!(received, (1..=sent).collect::<Vec<u8>>());
        assert!(sent >= 2, "two fit whatever happens");
    });
}

/// Two producers and a ring that is too small for what they send.
#[test]
fn mpsc_loses_and_doubles_nothing() {
    model(|| {
        let ring = Arc::new(Model::ring(2));
        let producers: Vec<_> = [10, 20]
            .into_iter()
            .map(|base| {
                let ring = ring.clone();
                thread::spawn(move || {
                    let me = section();
                    (1..=2).filter(|value| send(&ring, me, base + value).is_ok()).map(|v| base + v).collect()
                })
            })
            .collect();
        let mut cursor = Cursor::default();
        let mut received: Vec<u8> = (0..2).filter_map(|_| receive(&ring, &mut cursor)).collect();
        let sent: Vec<Vec<u8>> = producers.into_iter().map(|producer| producer.join().unwrap()).collect();
        received.extend(std::iter::from_fn(|| receive(&ring, &mut cursor)));
        for sent in &sent {
            let from_it: Vec<u8> =
                received.iter().copied().filter(|value| value / 10 == sent.first().map_or(0, |v| v / 10)).collect();
            assert_eq!(&from_it, sent, "each producer's messages, in its order");
        }
        assert_eq!(received.len(), sent.iter().map(Vec::len).sum::<usize>());
        assert_eq!(ring.accepted(), received.len() as u64);
    });
}

/// A reservation of several, all of whose bodies are written before the first slot, against a producer of single ones.
#[test]
fn batches_keep_together() {
    model(|| {
        let ring = Arc::new(Model::ring(4));
        let other = {
            let ring = ring.clone();
            thread::spawn(move || send(&ring, section(), 9).is_ok())
        };
        let batch = {
            let ring = ring.clone();
            thread::spawn(move || {
                let tickets = ring.reserve(section(), 2).expect("it is never full");
                let messages = [message(1), message(2)];
                ring.write_all(tickets, messages.iter().map(|(slot, body)| (slot, &body[..])));
            })
        };
        let mut cursor = Cursor::default();
        let mut received: Vec<u8> = (0..2).filter_map(|_| receive(&ring, &mut cursor)).collect();
        assert!(other.join().unwrap());
        batch.join().unwrap();
        received.extend(std::iter::from_fn(|| receive(&ring, &mut cursor)));
        assert!(received == [1, 2, 9] || received == [9, 1, 2], "{received:?}");
    });
}

/// The consumer goes away while producers send: every message is either refused or among those that it empties the ring of.
#[test]
fn consumer_death() {
    model(|| {
        let ring = Arc::new(Model::ring(2));
        // Two senders before, and the tail is shared: who takes it from whom is another model's.
        let mut cursor = Cursor::default();
        for value in [8, 9] {
            assert_eq!(send(&ring, section(), value), Ok(()));
            assert_eq!(receive(&ring, &mut cursor), Some(value));
        }
        let producers: Vec<_> = [1, 2]
            .into_iter()
            .map(|value| {
                let ring = ring.clone();
                thread::spawn(move || send(&ring, section(), value))
            })
            .collect();
        let me = section();
        let accepted = ring.close(me);
        let mut buried = 0;
        while cursor.position() < accepted {
            match receive(&ring, &mut cursor) {
                Some(_) => buried += 1,
                None => thread::yield_now(),
            }
        }
        let outcomes: Vec<_> = producers.into_iter().map(|producer| producer.join().unwrap()).collect();
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count() as u64, buried);
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(()) | Err(Refused::Closed))));
        assert_eq!(receive(&ring, &mut cursor), None);
        assert_eq!(send(&ring, me, 3), Err(Refused::Closed));
    });
}

/// Threads that take a word from each other, until it is shared: no change is lost, and each sees what the others did
/// before theirs.
#[test]
fn biased_words_lose_no_change() {
    model(|| {
        let word = Arc::new(Biased::default());
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let word = word.clone();
                thread::spawn(move || {
                    let me = section();
                    let step = || word.update(me, |before| Ok::<_, ()>(before + 1)).unwrap();
                    [step(), step()]
                })
            })
            .collect();
        let mut seen: Vec<u64> = Vec::new();
        for thread in threads {
            let [first, second] = thread.join().unwrap();
            assert!(first < second);
            seen.extend([first, second]);
        }
        seen.sort_unstable();
        assert_eq!(seen, [0, 1, 2, 3]);
        assert_eq!(word.load(Ordering::Relaxed), 4);
    });
}

/// The owner of a word comes back after another thread has used it once.
#[test]
fn biased_words_change_hands_and_back() {
    model(|| {
        let word = Arc::new(Biased::default());
        let me = section();
        word.update(me, |before| Ok::<_, ()>(before + 1)).unwrap();
        let other = {
            let word = word.clone();
            thread::spawn(move || word.update(section(), |before| Ok::<_, ()>(before + 10)).unwrap())
        };
        word.update(me, |before| Ok::<_, ()>(before + 1)).unwrap();
        word.update(me, |before| Ok::<_, ()>(before + 1)).unwrap();
        assert!((1..=3).contains(&other.join().unwrap()));
        assert_eq!(word.load(Ordering::Relaxed), 13);
    });
}

/// A sleeper that found no news either sees the bell rung or the news: it never sleeps through.
#[test]
fn bell_wakes() {
    model(|| {
        let bell = Arc::new(Bell::default());
        let news = Arc::new(AtomicBool::new(false));
        let ringer = {
            let (bell, news) = (bell.clone(), news.clone());
            thread::spawn(move || {
                news.store(true, Ordering::Relaxed);
                bell.ring();
            })
        };
        let mark = bell.mark();
        let saw = news.load(Ordering::Relaxed);
        ringer.join().unwrap();
        assert!(saw || bell.rung_since(mark), "the news came after the look, and no ring after the mark");
    });
}

/// Two sleepers, two ringers: a ring is not lost to the other sleeper's new mark.
#[test]
fn bell_wakes_all() {
    model(|| {
        let bell = Arc::new(Bell::default());
        let news = Arc::new(AtomicBool::new(false));
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let (bell, news) = (bell.clone(), news.clone());
                thread::spawn(move || {
                    let mark = bell.mark();
                    (mark, news.load(Ordering::Relaxed))
                })
            })
            .collect();
        news.store(true, Ordering::Relaxed);
        bell.ring();
        for thread in threads {
            let (mark, saw) = thread.join().unwrap();
            assert!(saw || bell.rung_since(mark));
        }
    });
}
