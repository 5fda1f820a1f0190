//! What a module's SPIR-V says about itself, as far as a device has to know before it gets it.

use crate::error::{Error, Result};

const MAGIC: u32 = 0x0723_0203;
const HEADER: usize = 5;
const OP_CAPABILITY: u32 = 17;
const OP_LOOP_MERGE: u32 = 246;
/// Loop control: do not unroll. The pump's loops say so, all of them; handlers' loops as a rule do not.
const DONT_UNROLL: u32 = 2;

/// A shader.
#[derive(Debug)]
pub(super) struct Spirv {
    pub(super) words: Vec<u32>,
    pub(super) capabilities: Vec<u32>,
    /// Whether handlers have loops.
    pub(super) handlers_loop: bool,
}

impl Spirv {
    pub(super) fn read(bytes: &[u8]) -> Result<Self> {
        let bad = |why: &str| Error::BadImage(format!("its SPIR-V {why}"));
        if bytes.len() % 4 != 0 || bytes.len() < 4 * HEADER {
            return Err(bad("is not whole words"));
        }
        let words: Vec<u32> =
            bytes.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().expect("four bytes"))).collect();
        if words[0] != MAGIC {
            return Err(bad("does not begin as SPIR-V does"));
        }
        let mut spirv = Self { words: Vec::new(), capabilities: Vec::new(), handlers_loop: false };
        let mut rest = &words[HEADER..];
        while let [first, ..] = rest {
            let (length, opcode) = ((first >> 16) as usize, first & 0xffff);
            if length == 0 || length > rest.len() {
                return Err(bad("ends in the middle of an instruction"));
            }
            match (opcode, &rest[1..length]) {
                (OP_CAPABILITY, [capability]) => spirv.capabilities.push(*capability),
                (OP_LOOP_MERGE, [_, _, control, ..]) => spirv.handlers_loop |= control & DONT_UNROLL == 0,
                _ => {}
            }
            rest = &rest[length..];
        }
        spirv.words = words;
        Ok(spirv)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn reads_what_it_needs() {
        let mut words = vec![MAGIC, 0x10500, 0, 10, 0, 2 << 16 | OP_CAPABILITY, 1, 2 << 16 | OP_CAPABILITY, 5345];
        words.extend([4 << 16 | OP_LOOP_MERGE, 7, 8, DONT_UNROLL]);
        let spirv = Spirv::read(&bytes(&words)).expect("whole");
        assert_eq!((spirv.capabilities, spirv.handlers_loop), (vec![1, 5345], false));
        words.extend([4 << 16 | OP_LOOP_MERGE, 7, 8, 0]);
        assert!(Spirv::read(&bytes(&words)).expect("whole").handlers_loop);
    }

    #[test]
    fn refuses_what_is_none() {
        let good = [MAGIC, 0x10500, 0, 10, 0, 2 << 16 | OP_CAPABILITY, 1];
        for bad in [&good[..4], &good[..6], &[1, 2, 3, 4, 5], &[MAGIC, 0, 0, 0, 0, 0]] {
            assert!(matches!(Spirv::read(&bytes(bad)), Err(Error::BadImage(_))), "{bad:?}");
        }
        assert!(Spirv::read(&bytes(&good)[1..]).is_err());
    }
}
