//! All counters of a runtime in the text format of Prometheus (version 0.0.4 of its exposition formats).

use std::fmt::{Display, Write};

use crate::kernel::{directory, Kernel, Load, State, Statistics};
use crate::latency::{Times, Which};
use crate::runtime::Runtime;
use crate::topics;

/// Bounds of the histograms, in seconds.
const BOUNDS: [f64; 25] = [
    1e-7, 2.5e-7, 5e-7, 1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2,
    5e-2, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// A kernel's counters at one moment.
struct Sample {
    labels: String,
    statistics: Statistics,
    /// Empty unless asked for.
    workers: Vec<Load>,
    handler: Times,
    queue: Times,
}

impl Sample {
    fn of(kernel: &Kernel, workers: bool) -> Self {
        let times = |which| kernel.times(which, None).unwrap_or_default();
        let backend = ["", "cpu", "cuda", "vulkan"].get(kernel.backend.kind() as usize).copied().unwrap_or("");
        Self {
            labels: format!("kernel=\"{}\",id=\"{}\",backend=\"{backend}\"", escaped(&kernel.name), kernel.key),
            statistics: kernel.stats(),
            workers: if workers { kernel.ports.iter().map(|port| port.load()).collect() } else { Vec::new() },
            handler: times(Which::Handler),
            queue: times(Which::Queue),
        }
    }
}

/// Gives `out` one family of metrics after the other. `workers`: also those of every worker.
pub(crate) fn write(runtime: &Runtime, workers: bool, mut out: impl FnMut(&str)) {
    // All taken before anything is given out, which may take its time.
    let kernels = runtime.kernels();
    let samples: Vec<_> =
        kernels.into_iter().filter_map(directory::find).map(|kernel| Sample::of(&kernel, workers)).collect();
    // Once each, for it may read devices' memory.
    let topics: Vec<_> = (runtime.home().topics.all().iter())
        .map(|topic| (format!("topic=\"{}\"", escaped(topic.name())), topic.statistics()))
        .collect();
    out(&Family::new("build_info", "gauge", "Version of the library.")
        .line(&format!("version=\"{}\"", env!("CARGO_PKG_VERSION")), 1)
        .text);
    let limited = runtime.clock().limited();
    out(&Family::new("clock_limited_total", "counter", "Stamps received that were beyond the clock's drift bound.")
        .line("", limited)
        .text);
    out(&Family::new("buffer_bytes", "gauge", "Memory of buffers, imported ones not counted.")
        .line("", runtime.home().buffers.bytes())
        .text);
    for (name, kind, help, value) in OF_TOPICS {
        let mut family = Family::new(name, kind, help);
        for (labels, statistics) in &topics {
            family = family.line(labels, value(statistics));
        }
        out(&family.text);
    }
    for (name, kind, help, value) in OF_KERNELS {
        let mut family = Family::new(name, kind, help);
        for sample in &samples {
            family = family.line(&sample.labels, value(&sample.statistics));
        }
        out(&family.text);
    }
    out(&states(&samples));
    out(&user_counters(&samples));
    for (name, help, times) in LATENCIES {
        out(&histogram(name, help, samples.iter().map(|sample| (&*sample.labels, times(sample)))));
    }
    if workers {
        for (name, kind, help, value) in OF_WORKERS {
            let mut family = Family::new(name, kind, help);
            for sample in &samples {
                for (number, load) in sample.workers.iter().enumerate() {
                    family = family.line(&format!("{},worker=\"{number}\"", sample.labels), value(load));
                }
            }
            out(&family.text);
        }
    }
}

type OfKernel = (&'static str, &'static str, &'static str, fn(&Statistics) -> u64);

const OF_KERNELS: [OfKernel; 17] = [
    ("accepted_total", "counter", "Messages taken into the kernel's rings.", |s| s.sum.accepted),
    ("handled_total", "counter", "Messages whose handler ran.", |s| s.sum.counts.handled),
    ("dead_letters_total", "counter", "Accepted messages that could not be handled.", |s| s.sum.counts.dead),
    ("undeliverable_total", "counter", "Posts of actors that no ring accepted.", |s| s.sum.counts.undeliverable),
    ("refused_total", "counter", "Posts that found the outbox full.", |s| s.sum.counts.refused),
    ("failures_total", "counter", "Handlers that failed.", |s| s.sum.counts.failures),
    ("restarts_total", "counter", "Actors restarted after a handler failed.", |s| s.sum.counts.restarts),
    ("sent_host_total", "counter", "Replies and emits handed to the host.", |s| s.sum.counts.sent_host),
    ("sent_actors_total", "counter", "Messages handed to actors.", |s| s.sum.counts.sent_actors),
    ("quanta_total", "counter", "Stays of the kernel's pumps on the device.", |s| s.sum.counts.quanta),
    ("pending", "gauge", "Messages waiting in the rings.", |s| s.sum.pending),
    ("pending_high_water", "gauge", "Most messages seen waiting at one worker.", |s| s.sum.high_water),
    ("deferred", "gauge", "Posts waiting for room in a ring.", |s| s.sum.counts.deferred),
    ("actors", "gauge", "Actors launched.", |s| s.actors.into()),
    ("workers", "gauge", "Workers.", |s| s.workers.into()),
    ("lanes", "gauge", "Lanes of a worker.", |s| s.lanes.into()),
    ("memory_bytes", "gauge", "Memory of states, actor table and rings.", |s| s.memory),
];

type OfTopic = (&'static str, &'static str, &'static str, fn(&topics::Statistics) -> u64);

const OF_TOPICS: [OfTopic; 6] = [
    ("topic_published_total", "counter", "Messages published.", |t| t.published),
    ("topic_delivered_total", "counter", "Messages taken by subscribers.", |t| t.delivered),
    ("topic_dropped_total", "counter", "Messages lost to a full queue or an ended subscription.", |t| t.dropped),
    ("topic_dead_letters_total", "counter", "Messages that actors subscribed to do not take.", |t| t.dead),
    ("topic_waiting", "gauge", "Messages in the queues of subscriptions.", |t| t.waiting),
    ("topic_subscriptions", "gauge", "Subscriptions that match.", |t| t.subscriptions.into()),
];

type OfWorker = (&'static str, &'static str, &'static str, fn(&Load) -> u64);

const OF_WORKERS: [OfWorker; 5] = [
    ("worker_accepted_total", "counter", "Messages taken into the worker's rings.", |w| w.accepted),
    ("worker_handled_total", "counter", "Messages whose handler ran at the worker.", |w| w.counts.handled),
    ("worker_quanta_total", "counter", "Stays of the worker's pump on the device.", |w| w.counts.quanta),
    ("worker_pending", "gauge", "Messages waiting in the worker's rings.", |w| w.pending),
    ("worker_pending_high_water", "gauge", "Most messages seen waiting at the worker.", |w| w.high_water),
];

type Latency = (&'static str, &'static str, fn(&Sample) -> &Times);

const LATENCIES: [Latency; 2] = [
    ("handler_seconds", "Time that handlers took, of the messages that were measured.", |sample| &sample.handler),
    ("queue_seconds", "Time from sending to handling, of the messages that were measured.", |sample| &sample.queue),
];

fn states(samples: &[Sample]) -> String {
    let mut family = Family::new("kernel_state", "gauge", "1 for the state that the kernel is in.");
    let names = [
        (State::Created, "created"),
        (State::Active, "active"),
        (State::Suspended, "suspended"),
        (State::Draining, "draining"),
        (State::Terminated, "terminated"),
        (State::Failed, "failed"),
    ];
    for sample in samples {
        let now = match sample.statistics.state {
            State::Ending => State::Draining,
            State::Captured => State::Suspended,
            state => state,
        };
        for (state, name) in names {
            family = family.line(&format!("{},state=\"{name}\"", sample.labels), u8::from(now == state));
        }
    }
    family.text
}

fn user_counters(samples: &[Sample]) -> String {
    let mut family = Family::new("user_total", "counter", "What handlers counted with rk_count().");
    for sample in samples {
        for (number, value) in sample.statistics.sum.counts.counters.iter().enumerate() {
            family = family.line(&format!("{},counter=\"{number}\"", sample.labels), value);
        }
    }
    family.text
}

fn histogram<'a>(name: &str, help: &str, of: impl Iterator<Item = (&'a str, &'a Times)>) -> String {
    let mut text = Family::new(name, "histogram", help).text;
    // Kernels that measure nothing are left out: a histogram of zeros says something else.
    for (labels, times) in of.filter(|(_, times)| times.count() > 0) {
        for bound in BOUNDS {
            line(&mut text, &format!("{name}_bucket"), &format!("{labels},le=\"{bound}\""), times.at_most(bound * 1e9));
        }
        line(&mut text, &format!("{name}_bucket"), &format!("{labels},le=\"+Inf\""), times.count());
        line(&mut text, &format!("{name}_sum"), labels, times.sum() / 1e9);
        line(&mut text, &format!("{name}_count"), labels, times.count());
    }
    text
}

/// Metrics of one name.
struct Family<'a> {
    name: &'a str,
    text: String,
}

impl<'a> Family<'a> {
    fn new(name: &'a str, kind: &str, help: &str) -> Self {
        Self { name, text: format!("# HELP ringkernel_{name} {help}\n# TYPE ringkernel_{name} {kind}\n") }
    }

    fn line(mut self, labels: &str, value: impl Display) -> Self {
        line(&mut self.text, self.name, labels, value);
        self
    }
}

fn line(text: &mut String, name: &str, labels: &str, value: impl Display) {
    let outcome = match labels {
        "" => writeln!(text, "ringkernel_{name} {value}"),
        labels => writeln!(text, "ringkernel_{name}{{{labels}}} {value}"),
    };
    debug_assert!(outcome.is_ok(), "strings take everything");
}

/// As the value of a label.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
