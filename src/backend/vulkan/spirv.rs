//! What a module's SPIR-V says about itself, as far as a device has to know before it gets it.

use super::features::capability;
use crate::error::{Error, Result};

const MAGIC: u32 = 0x0723_0203;
const HEADER: usize = 5;
const OP_UNDEF: u32 = 1;
const OP_EXTENSION: u32 = 10;
const OP_CAPABILITY: u32 = 17;
const OP_DECORATE: u32 = 71;
const OP_LOOP_MERGE: u32 = 246;
const OP_READ_CLOCK: u32 = 5056;
/// What is said of a specialisation constant, before its number.
const SPEC_ID: u32 = 1;
/// RK_MEASURES of `latency.glsl`.
const MEASURES: u32 = 3;
const CLOCK_EXTENSION: &[u8] = b"SPV_KHR_shader_clock\0";
/// Loop control: do not unroll. The pump's loops say so, all of them; handlers' loops as a rule do not.
const DONT_UNROLL: u32 = 2;

/// A shader.
#[derive(Debug)]
pub(super) struct Spirv {
    pub(super) words: Vec<u32>,
    pub(super) capabilities: Vec<u32>,
    /// Whether handlers have loops.
    pub(super) handlers_loop: bool,
    /// Whether the pump can measure latencies. Those made before it could cannot.
    pub(super) measures: bool,
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
        let mut spirv = Self { words: Vec::new(), capabilities: Vec::new(), handlers_loop: false, measures: false };
        for instruction in instructions(&words) {
            let (opcode, operands) = instruction.ok_or_else(|| bad("ends in the middle of an instruction"))?;
            match (opcode, operands) {
                (OP_CAPABILITY, [capability]) => spirv.capabilities.push(*capability),
                (OP_LOOP_MERGE, [_, _, control, ..]) => spirv.handlers_loop |= control & DONT_UNROLL == 0,
                (OP_DECORATE, [_, SPEC_ID, MEASURES]) => spirv.measures = true,
                _ => {}
            }
        }
        spirv.words = words;
        Ok(spirv)
    }

    /// For devices that have no clocks: the same, in which reading one gives anything. Only what measures latencies does.
    pub(super) fn without_clocks(mut self) -> Self {
        let mut words = self.words[..HEADER].to_vec();
        for (opcode, operands) in instructions(&self.words).flatten() {
            match (opcode, operands) {
                (OP_CAPABILITY, [capability::SHADER_CLOCK]) => {}
                (OP_EXTENSION, name) if bytemuck::cast_slice::<_, u8>(name).starts_with(CLOCK_EXTENSION) => {}
                (OP_READ_CLOCK, [kind, result, _scope]) => words.extend([3 << 16 | OP_UNDEF, *kind, *result]),
                _ => {
                    words.push((operands.len() as u32 + 1) << 16 | opcode);
                    words.extend(operands);
                }
            }
        }
        self.capabilities.retain(|capability| *capability != capability::SHADER_CLOCK);
        Self { words, ..self }
    }
}

/// Numbers of the instructions with their operands; at last `None`, if it ends in the middle of one.
fn instructions(words: &[u32]) -> impl Iterator<Item = Option<(u32, &[u32])>> {
    let mut rest = &words[HEADER..];
    std::iter::from_fn(move || {
        let first = *rest.first()?;
        let (length, opcode) = ((first >> 16) as usize, first & 0xffff);
        let whole = length > 0 && length <= rest.len();
        let instruction = whole.then(|| &rest[..length]);
        rest = if whole { &rest[length..] } else { &[] };
        Some(instruction.map(|words| (opcode, &words[1..])))
    })
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
    fn takes_the_clocks_out() {
        let extension = |name: &str| {
            let mut words = vec![0; name.len() / 4 + 1];
            bytemuck::cast_slice_mut::<u32, u8>(&mut words)[..name.len()].copy_from_slice(name.as_bytes());
            [vec![(words.len() as u32 + 1) << 16 | OP_EXTENSION], words].concat()
        };
        let capability = |number| vec![2 << 16 | OP_CAPABILITY, number];
        let around = |with: bool| {
            [
                vec![MAGIC, 0x10500, 0, 10, 0],
                capability(1),
                if with { capability(capability::SHADER_CLOCK) } else { vec![] },
                extension("SPV_KHR_shader_clock_2"),
                if with { extension("SPV_KHR_shader_clock") } else { vec![] },
                vec![4 << 16 | OP_DECORATE, 4, SPEC_ID, MEASURES],
                if with { vec![4 << 16 | OP_READ_CLOCK, 8, 9, 6] } else { vec![3 << 16 | OP_UNDEF, 8, 9] },
                vec![4 << 16 | OP_LOOP_MERGE, 7, 8, DONT_UNROLL],
            ]
            .concat()
        };
        let spirv = Spirv::read(&bytes(&around(true))).expect("whole");
        assert!(spirv.measures);
        assert_eq!(spirv.capabilities, [1, capability::SHADER_CLOCK]);
        let without = spirv.without_clocks();
        assert_eq!((without.words, without.capabilities), (around(false), vec![1]));
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
