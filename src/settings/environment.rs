//! Options from environment variables: `RINGKERNEL_CPU_THREADS`, `RINGKERNEL_KERNEL_LANES`, `RINGKERNEL_SEND_PRIORITY`.

use std::ffi::OsString;
use std::path::PathBuf;

use super::fields::{unknown, Section};
use super::Layer;
use crate::error::{Error, Result};

const PREFIX: &str = "RINGKERNEL_";

/// Names the file.
const CONFIG: &str = "RINGKERNEL_CONFIG";

/// Read elsewhere: by the GPU backends and by rkc. One that is new there has to be named here, or it is refused.
const OTHERS: [&str; 6] = [
    CONFIG,
    "RINGKERNEL_CUDA_HOME",
    "RINGKERNEL_CACHE",
    "RINGKERNEL_VULKAN_VALIDATION",
    "RINGKERNEL_VULKAN_PUMP",
    "RINGKERNEL_INCLUDE",
];

fn variable_of(section: Section, field: &str) -> String {
    let section = match section {
        Section::Runtime => String::new(),
        other => other.name().to_uppercase() + "_",
    };
    format!("{PREFIX}{section}{}", field.to_uppercase())
}

/// What the variables say, and the file that they name. One that is set to nothing is not set.
pub(super) fn read(variables: impl Iterator<Item = (OsString, OsString)>) -> Result<(Layer, Option<PathBuf>)> {
    let mut layer = Layer { source: "the environment".into(), ..Layer::default() };
    let mut file = None;
    let known: Vec<_> = Section::ALL
        .into_iter()
        .flat_map(|section| {
            section.fields().iter().map(move |field| (variable_of(section, field.name), section, field))
        })
        .collect();
    for (name, value) in variables {
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
        if name == CONFIG && !value.is_empty() {
            file = Some(PathBuf::from(&value));
        }
        if value.is_empty() || OTHERS.contains(&name) {
            continue;
        }
        let Some((_, section, field)) = known.iter().find(|(variable, ..)| variable == name) else {
            let names = known.iter().map(|(variable, ..)| variable.as_str()).chain(OTHERS);
            return Err(unknown("environment variable", name, names));
        };
        let text = value.to_str().ok_or_else(|| Error::invalid(format!("{name} is not UTF-8")))?;
        let value = field.variable(text).map_err(|error| error.within(name))?;
        layer.values(*section).0.insert(field.name, value);
    }
    Ok((layer, file))
}
