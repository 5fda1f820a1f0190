//! What a self-test of memory between host and device measured.

use std::time::Duration;

/// Round trips of messages that all came back as they were sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Measured {
    pub(crate) messages: u64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    pub(crate) p999: Duration,
}

impl Measured {
    /// Of the times of some of so many messages.
    pub(crate) fn of(mut times: Vec<Duration>, messages: u64) -> Self {
        times.sort_unstable();
        let share = |per_mille: usize| times.get(times.len() * per_mille / 1000).copied().unwrap_or_default();
        Self { messages, p50: share(500), p99: share(990), p999: share(999) }
    }
}

/// Where rings from the host lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Inbound {
    /// In the device's own memory if the self-test finds that it works and is not slower, else in the host's.
    #[default]
    Auto = 0,
    Host = 1,
    Device = 2,
}

impl Inbound {
    pub(crate) fn from_number(number: u32) -> Option<Self> {
        [Self::Auto, Self::Host, Self::Device].into_iter().find(|place| *place as u32 == number)
    }
}

/// What a device's self-test came to.
pub(crate) struct Report {
    /// What kernels get that leave it to the library; never `Auto`.
    pub(crate) chosen: Inbound,
    pub(crate) host: Measured,
    /// Of device memory; or why it is not to be used.
    pub(crate) device: std::result::Result<Measured, String>,
}

impl Report {
    /// Device memory is chosen where it works, unless a message that the processor keeps back for a while is slower there.
    pub(crate) fn new(host: Measured, device: std::result::Result<Measured, String>) -> Self {
        let slower = |device: &Measured| host.messages > 0 && device.p50 > host.p50;
        let chosen = if device.as_ref().is_ok_and(|device| !slower(device)) { Inbound::Device } else { Inbound::Host };
        Self { chosen, host, device }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_chosen() {
        let of = |ns| Measured { messages: 9, p50: Duration::from_nanos(ns), ..Measured::default() };
        assert_eq!(Report::new(of(2300), Ok(of(1600))).chosen, Inbound::Device);
        assert_eq!(Report::new(of(2300), Ok(of(900_000))).chosen, Inbound::Host);
        assert_eq!(Report::new(Measured::default(), Ok(of(1600))).chosen, Inbound::Device);
        assert_eq!(Report::new(of(2300), Err("no window".into())).chosen, Inbound::Host);
    }

    #[test]
    fn shares() {
        let times = (0..1000).rev().map(Duration::from_nanos).collect();
        let measured = Measured::of(times, 5);
        assert_eq!((measured.p50.as_nanos(), measured.p99.as_nanos(), measured.p999.as_nanos()), (500, 990, 999));
        assert_eq!(Measured::of(Vec::new(), 0), Measured::default());
    }
}
