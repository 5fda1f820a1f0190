//! Options from a TOML file:
//!
//! ```toml
//! [runtime]
//! cpu_threads = 4
//! [kernel]                # every kernel
//! quantum_us = 500
//! [kernels.ingest]        # the kernels of that name
//! workers = 8
//! [send]                  # see rk_send_options_load()
//! priority = "high"
//! ```

use std::ops::Range;
use std::path::Path;

use toml::de::{DeArray, DeTable, DeValue};
use toml::Spanned;

use super::fields::{unknown, Field, Section, Value};
use super::{Layer, Values};
use crate::error::{Error, Result};
use crate::regular_file;

const KERNELS: &str = "kernels";

pub(super) fn read(path: &Path) -> Result<Layer> {
    let source = path.display().to_string();
    let bytes = regular_file::read(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Error::not_found("configuration file", &source),
        _ => Error::System { what: "reading the configuration", errno: error.raw_os_error().unwrap_or(libc::EIO) },
    })?;
    let bytes = bytes.ok_or_else(|| Error::invalid(format!("{source} is not a file")))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| Error::invalid(format!("{source} is not UTF-8")))?;
    parse(&source, text)
}

pub(super) fn parse(source: &str, text: &str) -> Result<Layer> {
    let reader = Reader { source, text };
    let root = DeTable::parse(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        reader.at(start..start, Error::invalid(error.message()))
    })?;
    let mut layer = Layer { source: source.into(), ..Layer::default() };
    for (key, value) in root.get_ref() {
        let name: &str = key.get_ref();
        if name == KERNELS {
            for (kernel, value) in reader.table(name, value)? {
                let values = reader.values(Section::Kernel, &format!("kernels.{}", kernel.get_ref()), value)?;
                layer.kernels.insert(kernel.get_ref().to_string(), values);
            }
            continue;
        }
        let Some(section) = Section::ALL.into_iter().find(|section| section.name() == name) else {
            let known = Section::ALL.into_iter().map(Section::name).chain([KERNELS]);
            return Err(reader.at(key.span(), unknown("table", name, known)));
        };
        *layer.values(section) = reader.values(section, name, value)?;
    }
    Ok(layer)
}

struct Reader<'a> {
    source: &'a str,
    text: &'a str,
}

impl Reader<'_> {
    /// The error with its place.
    fn at(&self, span: Range<usize>, error: Error) -> Error {
        let line = 1 + self.text.bytes().take(span.start).filter(|byte| *byte == b'\n').count();
        error.within(&format!("{}:{line}", self.source))
    }

    fn table<'t, 'i>(&self, name: &str, value: &'t Spanned<DeValue<'i>>) -> Result<&'t DeTable<'i>> {
        let table = value.get_ref().as_table();
        table.ok_or_else(|| self.at(value.span(), Error::invalid(format!("{name} must be a table"))))
    }

    fn values(&self, section: Section, name: &str, value: &Spanned<DeValue<'_>>) -> Result<Values> {
        let mut values = Values::default();
        for (key, value) in self.table(name, value)? {
            let name: &str = key.get_ref();
            let Some(field) = section.fields().iter().find(|field| field.name == name) else {
                let known = section.fields().iter().map(|field| field.name);
                return Err(self.at(key.span(), unknown("option", name, known)));
            };
            let value = of(field, value.get_ref()).map_err(|error| self.at(value.span(), error))?;
            values.0.insert(field.name, value);
        }
        Ok(values)
    }
}

fn of(field: &Field, value: &DeValue<'_>) -> Result<Value> {
    match value {
        DeValue::String(text) => field.text(text),
        DeValue::Integer(_) => field.number(number(value).ok_or_else(|| field.expected())?),
        DeValue::Array(all) => field.numbers(numbers(all).ok_or_else(|| field.expected())?),
        _ => Err(field.expected()),
    }
}

fn number(value: &DeValue<'_>) -> Option<u64> {
    let integer = value.as_integer()?;
    u64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

fn numbers(all: &DeArray<'_>) -> Option<Vec<u32>> {
    all.iter().map(|value| number(value.get_ref()).and_then(|number| u32::try_from(number).ok())).collect()
}
