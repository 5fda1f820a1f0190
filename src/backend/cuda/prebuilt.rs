//! Code that a module brings with it (`rkc --cuda-code`), so that no NVRTC is needed where it runs.

use crate::module::Module;

/// In place of an actor's name: the kernel that tests memory. No actor's may begin like this.
pub(super) const SELFTEST: (&str, u32) = ("rk_selftest", 32);

/// The pump of an actor for so many lanes and a device of this compute capability, if the module has it: machine code,
/// which serves later devices of the same generation too, or else PTX, which the driver compiles for every later device.
pub(super) fn find<'a>(module: &'a Module, actor: &str, lanes: u32, capability: (i32, i32)) -> Option<&'a [u8]> {
    best(module.cuda_code.iter().map(|(name, code)| (name.as_str(), &**code)), actor, lanes, capability)
}

fn best<'a>(
    all: impl Iterator<Item = (&'a str, &'a [u8])>,
    actor: &str,
    lanes: u32,
    capability: (i32, i32),
) -> Option<&'a [u8]> {
    let device = capability.0 * 10 + capability.1;
    let fitting = all.filter_map(|(name, code)| {
        let (target, its_lanes) = name.strip_prefix(actor)?.strip_prefix('.')?.split_once('.')?;
        let (kind, number) = target.split_once('_')?;
        let is_machine_code = code.starts_with(b"\x7fELF");
        let number = (kind == if is_machine_code { "sm" } else { "compute" }).then(|| number.parse::<u16>().ok())??;
        let number = i32::from(number);
        let runs = number <= device && (!is_machine_code || number / 10 == capability.0);
        (runs && its_lanes.parse() == Ok(lanes)).then_some(((is_machine_code, number), code))
    });
    fitting.max_by_key(|(rank, _)| *rank).map(|(_, code)| code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_that_runs() {
        let all: [(&str, &[u8]); 10] = [
            ("counter.sm_80.1", b"\x7fELF 80"),
            ("counter.sm_86.1", b"\x7fELF 86"),
            ("counter.sm_90.1", b"\x7fELF 90"),
            ("counter.sm_90.64", b"\x7fELF 90 with 64 lanes"),
            ("counter.compute_75.1", b"75"),
            ("counter.compute_100.1", b"100"),
            ("counters.sm_90.1", b"\x7fELF another's"),
            ("counter.sm_89.1", b"PTX that says it is machine code"),
            ("counter.compute_90.1", b"\x7fELF that says it is PTX"),
            ("counter.other_90.1", b"nothing"),
        ];
        let best = |lanes, capability| best(all.into_iter(), "counter", lanes, capability);
        for (capability, expected) in [((9, 0), "90"), ((8, 0), "80"), ((8, 6), "86"), ((8, 9), "86")] {
            assert_eq!(best(1, capability), Some(format!("\x7fELF {expected}").as_bytes()), "{capability:?}");
        }
        assert_eq!((best(1, (7, 5)), best(1, (12, 0))), (Some(&b"75"[..]), Some(&b"100"[..])));
        assert_eq!(best(1, (7, 0)), None);
        assert_eq!(best(64, (9, 0)), Some(&b"\x7fELF 90 with 64 lanes"[..]));
        assert_eq!((best(64, (10, 0)), best(32, (9, 0))), (None, None));
    }
}
