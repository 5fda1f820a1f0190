//! Rings between two threads of this process: what they do on any machine that the library runs on, and what a round trip
//! takes on this one.

use std::time::Instant;

use crate::error::{Error, Result};
use crate::pins;
use crate::ring::{Cursor, Envelope, Memory, Ring, Slot};
use crate::selftest::Measured;

const CAPACITY: usize = 64;
const MESSAGES: u64 = 20_000;

fn pass(ring: &Ring<Memory>, slot: &Slot, body: &[u8]) -> Result<()> {
    let ticket = ring.reserve(pins::section(), 1).map_err(|_| Error::Again)?.next();
    ring.write(ticket.ok_or(Error::Again)?, slot, body);
    Ok(())
}

fn await_next(ring: &Ring<Memory>, cursor: &mut Cursor) -> Slot {
    loop {
        if let Some(slot) = cursor.peek(ring) {
            cursor.advance();
            cursor.publish(ring);
            return slot;
        }
        std::hint::spin_loop();
    }
}

/// Sends messages there and back, one at a time, and compares.
pub(super) fn run() -> Result<Measured> {
    let (there, back) = (Ring::new(Memory::new(CAPACITY, 0)?), Ring::new(Memory::new(CAPACITY, 0)?));
    std::thread::scope(|scope| {
        let echo = scope.spawn(|| {
            let mut cursor = Cursor::default();
            (0..MESSAGES).try_for_each(|_| pass(&back, &await_next(&there, &mut cursor), &[]))
        });
        let (mut cursor, mut times) = (Cursor::default(), Vec::with_capacity(MESSAGES as usize));
        for number in 0..MESSAGES {
            let payload = [crate::hlc::physical(), number, !number, number.rotate_left(17)];
            let payload = bytemuck::bytes_of(&payload);
            let envelope = Envelope { kind: 1, size: 32, correlation: number, time: number, ..Envelope::default() };
            let begin = Instant::now();
            let (slot, body) = Slot::encode(&envelope, payload);
            pass(&there, &slot, body)?;
            let (got, inline, _) = await_next(&back, &mut cursor).decode();
            times.push(begin.elapsed());
            if got != envelope || bytemuck::bytes_of(&inline) != payload {
                return Err(Error::Unsupported("a message between two threads came back changed".into()));
            }
        }
        echo.join().map_err(|_| Error::Poisoned)??;
        Ok(Measured::of(times, MESSAGES))
    })
}
