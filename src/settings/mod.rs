//! Options that come from outside the program: from environment variables and from a file that the program or
//! `RINGKERNEL_CONFIG` names. What the program says itself comes first, then the environment, then the file, then defaults.
//!
//! This module knows names and forms. What the values may be is checked by the code that checks the program's own options.

mod environment;
mod fields;
mod file;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

pub(crate) use fields::{Section, Value};

use crate::error::Result;

/// Values of some fields of one section.
#[derive(Clone, Debug, Default)]
pub(crate) struct Values(BTreeMap<&'static str, Value>);

/// All that one source sets.
#[derive(Debug, Default)]
struct Layer {
    /// For errors.
    source: String,
    runtime: Values,
    send: Values,
    /// For all kernels.
    kernel: Values,
    /// For those of a name, which come before.
    kernels: BTreeMap<String, Values>,
}

impl Layer {
    fn values(&mut self, section: Section) -> &mut Values {
        match section {
            Section::Runtime => &mut self.runtime,
            Section::Kernel => &mut self.kernel,
            Section::Send => &mut self.send,
        }
    }
}

/// What is set, the more important source first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings(Arc<[Layer]>);

/// What is set for one thing, the more important first.
pub(crate) struct View<'a>(Vec<&'a Values>);

impl Settings {
    /// From the environment and the file named by the program, or else by the environment.
    pub(crate) fn load(file: Option<&Path>) -> Result<Self> {
        let (environment, named) = environment::read(std::env::vars_os())?;
        let mut layers = vec![environment];
        if let Some(path) = file.or(named.as_deref()) {
            layers.push(file::read(path)?);
        }
        Ok(Self(layers.into()))
    }

    pub(crate) fn runtime(&self) -> View<'_> {
        View(self.0.iter().map(|layer| &layer.runtime).collect())
    }

    pub(crate) fn send(&self) -> View<'_> {
        View(self.0.iter().map(|layer| &layer.send).collect())
    }

    /// For a kernel of that name.
    pub(crate) fn kernel(&self, name: &str) -> View<'_> {
        View(self.0.iter().flat_map(|layer| layer.kernels.get(name).into_iter().chain([&layer.kernel])).collect())
    }

    /// Each group of values by itself, with where it is from: to be checked, used or not.
    pub(crate) fn groups(&self) -> impl Iterator<Item = (String, Section, View<'_>)> {
        self.0.iter().flat_map(|layer| {
            let section = |section: Section, values| (layer.source.clone(), section, View(vec![values]));
            let named = layer.kernels.iter().map(|(name, values)| {
                (format!("{}, kernel {name:?}", layer.source), Section::Kernel, View(vec![values]))
            });
            [
                section(Section::Runtime, &layer.runtime),
                section(Section::Kernel, &layer.kernel),
                section(Section::Send, &layer.send),
            ]
            .into_iter()
            .chain(named)
        })
    }

    /// The sources that set anything, for the log.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &str> {
        let sets = |layer: &&Layer| {
            let values = [&layer.runtime, &layer.send, &layer.kernel].into_iter().chain(layer.kernels.values());
            values.map(|values| values.0.len()).sum::<usize>() > 0
        };
        self.0.iter().filter(sets).map(|layer| layer.source.as_str())
    }
}

#[cfg(test)]
impl Settings {
    /// One value.
    pub(crate) fn of(section: Section, name: &'static str, value: Value) -> Self {
        let mut layer = Layer::default();
        layer.values(section).0.insert(name, value);
        Self([layer].into())
    }
}

impl<'a> View<'a> {
    pub(crate) fn get(&self, name: &str) -> Option<&'a Value> {
        self.0.iter().find_map(|values| values.0.get(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    fn environment(variables: &[(&str, &str)]) -> Result<Layer> {
        let pairs = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        environment::read(pairs).map(|(layer, _)| layer)
    }

    fn refusal(text: &str) -> String {
        file::parse("x.toml", text).expect_err("refused").to_string()
    }

    #[test]
    fn precedence() {
        let variables = environment(&[("RINGKERNEL_SPIN_US", "7"), ("RINGKERNEL_KERNEL_LANES", "32")]).expect("known");
        let file = file::parse(
            "x.toml",
            "[runtime]\nspin_us = 8\ncpu_threads = 3\n[kernel]\nlanes = 1\nactors = 5\nworkers = 2\n\
             [kernels.\"a b\"]\nactors = 6\nlanes = 2\n[send]\npriority = \"high\"\n",
        );
        let settings = Settings([variables, file.expect("well formed")].into());
        let number = |view: View<'_>, name| match view.get(name) {
            Some(Value::Number(number)) => Some(*number),
            _ => None,
        };
        assert_eq!(number(settings.runtime(), "spin_us"), Some(7));
        assert_eq!(number(settings.runtime(), "cpu_threads"), Some(3));
        assert_eq!(number(settings.runtime(), "backend"), None);
        assert_eq!(number(settings.kernel("a b"), "actors"), Some(6));
        assert_eq!(number(settings.kernel("a b"), "workers"), Some(2));
        assert_eq!(number(settings.kernel("a b"), "lanes"), Some(32));
        assert_eq!(number(settings.kernel("b"), "actors"), Some(5));
        assert_eq!(number(settings.send(), "priority"), Some(128));
        assert_eq!(settings.sources().collect::<Vec<_>>(), ["the environment", "x.toml"]);
        assert_eq!(settings.groups().count(), 7);
    }

    #[test]
    fn unknown_names_are_refused_with_the_nearest() {
        for (text, expected) in [
            ("[runtime]\n\ncpu_thread = 2", "x.toml:3: there is no option cpu_thread; the nearest is cpu_threads"),
            ("[kernels.k]\nqantum_us = 2", "x.toml:2: there is no option qantum_us; the nearest is quantum_us"),
            ("[kernal]\n", "x.toml:1: there is no table kernal; the nearest is kernel"),
            ("spin_us = 2", "x.toml:1: there is no table spin_us; the nearest is"),
        ] {
            assert!(refusal(text).contains(expected), "{}", refusal(text));
        }
        let error = environment(&[("RINGKERNEL_CPU_THREAD", "1")]).expect_err("unknown").to_string();
        assert!(error.contains("RINGKERNEL_CPU_THREAD; the nearest is RINGKERNEL_CPU_THREADS"), "{error}");
        assert!(environment(&[("RINGKERNEL", "1"), ("PATH", "x"), ("RINGKERNEL_CUDA_HOME", "x")]).is_ok());
    }

    #[test]
    fn values_of_another_form_are_refused() {
        for (text, expected) in [
            ("[runtime]\nspin_us = -1", "x.toml:2: spin_us must be a number that is not negative or \"none\""),
            ("[runtime]\nspin_us = 1.5", "spin_us must be"),
            ("[runtime]\nspin_us = true", "spin_us must be"),
            ("[runtime]\nspin_us = \"nine\"", "spin_us must be"),
            ("[runtime]\nspin_us = 4294967296", "spin_us is 4294967296, it can be at most 4294967295"),
            ("[runtime]\nspin_us = 99999999999999999999", "spin_us"),
            ("[runtime]\ncpus = 1", "cpus must be a list of numbers"),
            ("[runtime]\ncpus = [0,\n 1, \"2\"]", "x.toml:2: cpus must be a list of numbers"),
            ("[runtime]\nbackend = \"metal\"", "or \"auto\" or \"cpu\""),
            ("[kernel]\ninitial_state = \"abc\"", "hexadecimal"),
            ("[kernel]\nname = 1", "name must be a text"),
            ("[kernels]\nname = 1", "kernels.name must be a table"),
            ("[runtime]\nspin_us = 1\nspin_us = 2", "x.toml:3: duplicate key"),
            ("[runtime\n", "x.toml:1: "),
        ] {
            assert!(refusal(text).contains(expected), "{}", refusal(text));
        }
        for (name, value) in
            [("SPIN_US", "x"), ("CPUS", "1,"), ("CPUS", ""), ("KERNEL_INITIAL_STATE", "0"), ("SPIN_US", "-1")]
        {
            let outcome = environment(&[(&format!("RINGKERNEL_{name}"), value)]);
            // Set to nothing is not set.
            assert_eq!(outcome.is_ok(), value.is_empty(), "{name}={value}");
        }
    }

    #[test]
    fn forms() {
        let text = "[runtime]\ncpus = [0, 0x10]\nspin_us = \"none\"\n[send]\ntimeout_ns = \"forever\"\n\
                    [kernel]\ninitial_state = \"00fF\"\nname = \"n\"\nlanes = 1_000\n";
        let file = file::parse("x.toml", text).expect("well formed");
        assert_eq!(file.runtime.0["cpus"], Value::Numbers(vec![0, 16]));
        assert_eq!(file.runtime.0["spin_us"], Value::Number(u64::from(u32::MAX)));
        assert_eq!(file.send.0["timeout_ns"], Value::Number(u64::MAX));
        assert_eq!(file.kernel.0["initial_state"], Value::Bytes(vec![0, 255]));
        assert_eq!(file.kernel.0["name"], Value::Text("n".into()));
        assert_eq!(file.kernel.0["lanes"], Value::Number(1000));
        let variables = environment(&[("RINGKERNEL_CPUS", " 3, 1"), ("RINGKERNEL_KERNEL_NAME", " n")]).expect("known");
        assert_eq!(variables.runtime.0["cpus"], Value::Numbers(vec![3, 1]));
        assert_eq!(variables.kernel.0["name"], Value::Text(" n".into()));
    }
}
