//! Properties of slots and rings.
#![cfg(not(loom))]

use std::collections::VecDeque;

use proptest::prelude::*;
use ringkernel::pins::section;
use ringkernel::ring::{flags, Cursor, Envelope, Like, Memory, Refused, Ring, Slot};

const BODY: usize = 256;

fn ring(capacity: usize) -> Ring<Memory> {
    Ring::new(Memory::new(capacity, BODY).expect("memory"))
}

/// What a message in a ring says.
fn read(ring: &Ring<Memory>, cursor: &Cursor) -> Option<(Envelope, Vec<u8>)> {
    let (envelope, inline, in_body) = cursor.peek(ring)?.decode();
    let size = envelope.size as usize;
    let payload = if in_body {
        // SAFETY: the slot at the cursor is written, and its body has at least BODY bytes.
        unsafe { std::slice::from_raw_parts(ring.storage().body(cursor.index(ring)), size) }.to_vec()
    } else {
        bytemuck::bytes_of(&inline)[..size].to_vec()
    };
    Some((envelope, payload))
}

fn envelopes() -> impl Strategy<Value = (Envelope, Vec<u8>)> {
    let optional = || prop_oneof![Just(0u64), any::<u64>()];
    let payload = prop_oneof![prop::collection::vec(any::<u8>(), 0..=34), prop::collection::vec(any::<u8>(), 0..=BODY)];
    let bits = any::<u8>().prop_map(|bits| bits & flags::SAID);
    let ends = (any::<u32>(), any::<u16>(), 0..4u8, bits);
    (ends, any::<u64>(), any::<u64>(), optional(), optional(), payload).prop_map(
        |((actor, kind, level, flags), correlation, time, sender, deadline, payload)| {
            let size = payload.len() as u32;
            (Envelope { actor, kind, level, flags, size, correlation, sender, deadline, time }, payload)
        },
    )
}

proptest! {
    /// Whatever is put into a slot comes out, through memory, also when the slot was used before.
    #[test]
    fn slots_carry_everything(messages in prop::collection::vec(envelopes(), 1..20)) {
        let ring = ring(4);
        let mut cursor = Cursor::default();
        for (envelope, payload) in &messages {
            let (slot, body) = Slot::encode(envelope, payload);
            prop_assert!(body.is_empty() || body == &payload[..]);
            let ticket = ring.reserve(section(), 1).expect("room").next().expect("one");
            ring.write(ticket, &slot, body);
            prop_assert_eq!(read(&ring, &cursor), Some((*envelope, payload.clone())));
            cursor.advance();
            cursor.publish(&ring);
        }
    }

    /// The short way to a slot leads to the same one.
    #[test]
    fn alike_is_the_same((envelope, payload) in envelopes()) {
        let Envelope { actor, kind, level, size, correlation, time, .. } = envelope;
        let plain = Envelope { actor, kind, level, size, correlation, time, ..Envelope::default() };
        let like = Like::new(kind, level, payload.len());
        prop_assert_eq!(Slot::encode_like(like, actor, correlation, time, &payload), Slot::encode(&plain, &payload));
    }

    /// Messages that are written together come out one by one, round the ring's end, whichever of them have bodies.
    #[test]
    fn runs_carry_everything(shift in 0..5u32, runs in prop::collection::vec(prop::collection::vec(envelopes(), 1..20), 1..12)) {
        let ring = ring(1 << shift);
        let mut cursor = Cursor::default();
        for run in &runs {
            let mut left = &run[..];
            while !left.is_empty() {
                let tickets = ring.reserve(section(), left.len() as u64).expect("room");
                let (now, later) = left.split_at(tickets.remaining());
                let encoded: Vec<_> = now.iter().map(|(envelope, payload)| Slot::encode(envelope, payload)).collect();
                ring.write_all(tickets, encoded.iter().map(|(slot, body)| (slot, *body)));
                for message in now {
                    prop_assert_eq!(read(&ring, &cursor), Some(message.clone()));
                    cursor.advance();
                }
                prop_assert!(read(&ring, &cursor).is_none());
                cursor.publish(&ring);
                left = later;
            }
        }
    }

    /// Against a plain queue: order, fullness, reservations of any size, late publication.
    #[test]
    fn behaves_as_a_bounded_queue(shift in 0..5u32, steps in prop::collection::vec((0..4u8, 1..9u64), 1..400)) {
        let ring = ring(1 << shift);
        let capacity = ring.capacity();
        let mut cursor = Cursor::default();
        let mut model = VecDeque::new();
        let (mut sent, mut unpublished) = (0u64, 0u64);
        for (step, count) in steps {
            match step {
                0 | 1 => {
                    let occupied = model.len() as u64 + unpublished;
                    match ring.reserve(section(), count) {
                        Ok(tickets) => {
                            prop_assert_eq!(tickets.remaining() as u64, count.min(capacity - occupied));
                            for ticket in tickets {
                                sent += 1;
                                let envelope = Envelope { correlation: sent, ..Envelope::default() };
                                ring.write(ticket, &Slot::encode(&envelope, &[]).0, &[]);
                                model.push_back(sent);
                            }
                        }
                        Err(refused) => {
                            prop_assert_eq!(refused, Refused::Full);
                            prop_assert_eq!(occupied, capacity);
                        }
                    }
                }
                2 => {
                    prop_assert_eq!(read(&ring, &cursor).map(|(envelope, _)| envelope.correlation), model.front().copied());
                    if model.pop_front().is_some() {
                        cursor.advance();
                        unpublished += 1;
                    }
                }
                _ => {
                    prop_assert_eq!(cursor.publish(&ring), unpublished > 0);
                    unpublished = 0;
                }
            }
            prop_assert_eq!(ring.accepted() - cursor.position(), model.len() as u64);
        }
        prop_assert_eq!(ring.close(section()), sent);
        prop_assert_eq!(ring.reserve(section(), 1).err(), Some(Refused::Closed));
    }
}

/// Stamps repeat after 2^16 laps; a ring that has gone round more often still tells old slots from new ones.
#[test]
fn stamps_wrap_around() {
    let ring = ring(1);
    let mut cursor = Cursor::default();
    for value in 0..200_000u64 {
        assert!(cursor.peek(&ring).is_none());
        let ticket = ring.reserve_sole().expect("room");
        assert!(cursor.peek(&ring).is_none());
        ring.write(ticket, &Slot::encode(&Envelope { correlation: value, ..Envelope::default() }, &[]).0, &[]);
        assert!(matches!(ring.reserve_sole(), Err(Refused::Full)));
        assert_eq!(read(&ring, &cursor).map(|(envelope, _)| envelope.correlation), Some(value));
        cursor.advance();
        cursor.publish(&ring);
    }
}

/// Real threads on real memory: words are not torn, and bodies come with their slots.
#[test]
fn threads() {
    const EACH: u64 = 200_000;
    let ring = ring(64);
    std::thread::scope(|scope| {
        for producer in 1..=2u32 {
            let ring = &ring;
            scope.spawn(move || {
                for value in 0..EACH {
                    let payload = vec![value as u8; (value % 100) as usize];
                    let envelope = Envelope {
                        actor: producer,
                        correlation: value,
                        time: value.wrapping_mul(0x9e37_79b9_7f4a_7c15),
                        size: payload.len() as u32,
                        ..Envelope::default()
                    };
                    let ticket = loop {
                        match ring.reserve(section(), 1) {
                            Ok(mut tickets) => break tickets.next().expect("one"),
                            Err(_) => std::thread::yield_now(),
                        }
                    };
                    let (slot, body) = Slot::encode(&envelope, &payload);
                    ring.write(ticket, &slot, body);
                }
            });
        }
        let mut cursor = Cursor::default();
        let mut next = [0u64; 3];
        while cursor.position() < 2 * EACH {
            let Some((envelope, payload)) = read(&ring, &cursor) else {
                std::thread::yield_now();
                continue;
            };
            let value = envelope.correlation;
            let expected = &mut next[envelope.actor as usize];
            assert_eq!(value, *expected, "in order");
            *expected += 1;
            assert_eq!(envelope.time, value.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            assert_eq!(payload, vec![value as u8; (value % 100) as usize]);
            cursor.advance();
            cursor.publish(&ring);
        }
    });
}
