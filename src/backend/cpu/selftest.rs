//! Rings between two threads of this process: what they do on any machine that the library runs on, and what a round trip
//! takes on this one.

use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::pins;
use crate::ring::{Cursor, Envelope, Memory, Ring, Slot};
use crate::selftest::Measured;

const CAPACITY: usize = 64;
const MESSAGES: u64 = 2_000;
/// For all of it, on a machine that has other things to do; otherwise it takes a millisecond.
const LIMIT: Duration = Duration::from_secs(2);

/// One direction.
struct Way {
    ring: Ring<Memory>,
    until: Instant,
}

impl Way {
    fn new() -> Result<Self> {
        Ok(Self { ring: Ring::new(Memory::new(CAPACITY, 0)?), until: Instant::now() + LIMIT })
    }

    fn pass(&self, slot: &Slot) -> Result<()> {
        let ticket = self.ring.reserve(pins::section(), 1).map_err(|_| Error::Again)?.next();
        self.ring.write(ticket.ok_or(Error::Again)?, slot, &[]);
        Ok(())
    }

    fn next(&self, cursor: &mut Cursor) -> Result<Slot> {
        for turn in 1u32.. {
            if let Some(slot) = cursor.peek(&self.ring) {
                cursor.advance();
                cursor.publish(&self.ring);
                return Ok(slot);
            }
            std::hint::spin_loop();
            // The other thread may need this processor.
            if turn % 256 == 0 {
                std::thread::yield_now();
                if Instant::now() > self.until {
                    break;
                }
            }
        }
        Err(Error::Timeout)
    }
}

/// Sends messages there and back, one at a time, and compares.
pub(super) fn run() -> Result<Measured> {
    let (there, back) = (Way::new()?, Way::new()?);
    std::thread::scope(|scope| {
        let echo = scope.spawn(|| {
            let mut cursor = Cursor::default();
            // What stops it stops the other side too, which tells.
            (0..MESSAGES).try_for_each(|_| back.pass(&there.next(&mut cursor)?))
        });
        let measured = measure(&there, &back);
        // Joined, though the scope would wait: ThreadSanitizer sees only this.
        let _ended = echo.join();
        measured
    })
}

fn measure(there: &Way, back: &Way) -> Result<Measured> {
    let (mut cursor, mut times) = (Cursor::default(), Vec::with_capacity(MESSAGES as usize));
    for number in 0..MESSAGES {
        let payload = [crate::hlc::physical(), number, !number, number.rotate_left(17)];
        let payload = bytemuck::bytes_of(&payload);
        let envelope = Envelope { kind: 1, size: 32, correlation: number, time: number, ..Envelope::default() };
        let begin = Instant::now();
        there.pass(&Slot::encode(&envelope, payload).0)?;
        let (got, inline, _) = back.next(&mut cursor)?.decode();
        times.push(begin.elapsed());
        if got != envelope || bytemuck::bytes_of(&inline) != payload {
            return Err(Error::Unsupported("a message between two threads came back changed".into()));
        }
    }
    Ok(Measured::of(times, MESSAGES))
}
