//! Modules: compiled handlers, checked and copied out of their image.

pub mod file;
mod image;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::layout::{Handler, ModuleImage};

/// In place of a count of kernels: the module is being destroyed.
const RETIRED: usize = usize::MAX;

/// One actor type.
pub(crate) struct ActorType {
    pub(crate) name: String,
    pub(crate) state_size: u32,
    pub(crate) scratch_size: u32,
    pub(crate) handlers: Vec<Handler>,
}

/// A module. What its handlers point to stays valid while it lives.
pub(crate) struct Module {
    name: String,
    actors: Vec<ActorType>,
    /// CUDA C++: what to compile, then the files that it includes; name and text.
    pub(crate) cuda_source: Vec<(String, String)>,
    /// Compiled already: machine code and PTX of the pump with an actor's handlers, `<actor>.sm_<NN>.<lanes>` and
    /// `<actor>.compute_<NN>.<lanes>`.
    pub(crate) cuda_code: Vec<(String, Vec<u8>)>,
    /// SPIR-V of the pump with an actor's handlers, by the actor's name.
    pub(crate) spirv: Vec<(String, Vec<u8>)>,
    /// Names of its messages, by type.
    messages: Arc<BTreeMap<u32, String>>,
    /// Size of the largest message that its actors handle or send.
    largest_message: u32,
    /// Kernels launched from it and not destroyed, or [`RETIRED`].
    kernels: AtomicUsize,
    /// The code, if it came from a file.
    _file: Option<file::LoadedFile>,
}

impl Module {
    /// # Safety
    /// `image` is NULL or an image that `rkc` made, which outlives the module.
    pub(crate) unsafe fn from_image(image: *const ModuleImage) -> Result<Self> {
        // SAFETY: the caller's promise.
        unsafe { image::read(image) }
    }

    /// Counts a kernel that is being launched; false if the module is being destroyed.
    pub(crate) fn enlist(&self) -> bool {
        let more = |kernels| (kernels != RETIRED).then(|| kernels + 1);
        self.kernels.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).is_ok()
    }

    /// Counts one less.
    pub(crate) fn dismiss(&self) {
        // AcqRel: who finds none left may unload the code; no handler of that kernel runs any more.
        self.kernels.fetch_sub(1, Ordering::AcqRel);
    }

    /// Lets no kernel be launched any more; false if there is one.
    pub(crate) fn retire(&self) -> bool {
        self.kernels.compare_exchange(0, RETIRED, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Of a file's contents.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self> {
        // SAFETY: that the file is trusted is what rk_module_load() asks of its caller.
        let file = unsafe { file::LoadedFile::load(bytes) }.map_err(Error::from)?;
        // SAFETY: the image is the file's, and lives as long as it.
        let module = unsafe { image::read(file.image().as_ptr().cast_const().cast()) }?;
        Ok(Self { _file: Some(file), ..module })
    }

    /// Of a file.
    pub(crate) fn from_file(path: &Path) -> Result<Self> {
        let refused = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::NotFound => Error::not_found("module file", path.display()),
            _ => Error::System { what: "reading the module file", errno: error.raw_os_error().unwrap_or(libc::EIO) },
        };
        match crate::regular_file::read(path).map_err(refused)? {
            Some(bytes) => Self::from_bytes(&bytes),
            None => Err(Error::BadImage(format!("{} is not a file", path.display()))),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn actors(&self) -> &[ActorType] {
        &self.actors
    }

    pub(crate) fn messages(&self) -> &Arc<BTreeMap<u32, String>> {
        &self.messages
    }

    pub(crate) fn largest_message(&self) -> u32 {
        self.largest_message
    }

    /// Number of the actor type with that name; without one, of the only one.
    pub(crate) fn find(&self, actor: Option<&str>) -> Result<usize> {
        match actor {
            Some(name) => (self.actors.iter().position(|actor| actor.name == name))
                .ok_or_else(|| Error::NotFound(format!("actor {name:?} in module {}", self.name))),
            None if self.actors.len() == 1 => Ok(0),
            None => {
                Err(Error::invalid(format!("module {} has {} actor types: name one", self.name, self.actors.len())))
            }
        }
    }
}

impl From<file::Error> for Error {
    fn from(error: file::Error) -> Self {
        match error {
            file::Error::LayoutVersion(found) => Self::Layout { module: found, library: crate::layout::LAYOUT_VERSION },
            file::Error::Memory(error) => {
                Self::System { what: "memory for the module", errno: error.raw_os_error().unwrap_or(libc::ENOMEM) }
            }
            other => Self::BadImage(other.to_string()),
        }
    }
}
