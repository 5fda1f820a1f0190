//! A table of what the pumps of a module, each with the handlers of an actor, take of CUDA devices: a register more can be a
//! worker less on a multiprocessor, and what is spilled is written to memory and read again. No device is needed for it.

use crate::args::Args;
use crate::cuda;
use crate::emit::Section;
use crate::scan::{Actor, Names};
use crate::Error;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Which pumps are compiled: `sm_90` those of all actors, `sm_90:ACTOR` that of one.
pub struct Wish {
    device: u32,
    actor: Option<String>,
}

impl Wish {
    pub fn parse(text: &str) -> Result<Self, Error> {
        let (device, actor) = text.split_once(':').map_or((text, None), |(device, actor)| (device, Some(actor.into())));
        let device = device.strip_prefix("sm_").and_then(|number| number.parse().ok());
        device.map(|device| Self { device, actor }).ok_or_else(|| {
            Error::Usage(format!("--cuda-report {text}: a device is named like sm_90, or sm_90:ACTOR for one actor"))
        })
    }
}

/// `sections`: with CUDA source.
pub fn print(args: &Args, names: &Names, sections: &[Section]) -> Result<(), Error> {
    let source = cuda::source(sections);
    println!(
        "{:<18} {:<16} {:<7} {:>9} {:>12} {:>11} {:>6} {:>6}",
        "module", "actor", "device", "registers", "spill stores", "spill loads", "stack", "shared"
    );
    for Wish { device, actor: wished } in &args.cuda_report {
        let is_wished = |actor: &&Actor| wished.as_ref().is_none_or(|name| *name == actor.name);
        let actors: Vec<_> = names.actors.iter().filter(is_wished).collect();
        if let (Some(name), true) = (wished, actors.is_empty()) {
            return Err(Error::Usage(format!("--cuda-report: the module has no actor {name}")));
        }
        for actor in actors {
            // As NVRTC does it inside the library. PTX for an older device would do, but other registers come of it.
            let [registers, stores, loads, stack, shared] =
                Ptx::of(args, actor, &source, *device)?.assemble(*device)?;
            println!(
                "{:<18} {:<16} sm_{device:<4} {registers:>9} {stores:>12} {loads:>11} {stack:>6} {shared:>6}",
                args.module, actor.name
            );
        }
    }
    Ok(())
}

/// In a file, for assemblers read no pipes.
struct Ptx(PathBuf);

impl Ptx {
    fn of(args: &Args, actor: &Actor, source: &[(String, String)], device: u32) -> Result<Self, Error> {
        let name = &actor.name;
        let text = ringkernel::cuda_code(source, name, &cuda::scratch(actor), args.lanes, &format!("compute_{device}"))
            .map_err(|error| Error::Source(format!("{name} for sm_{device}: {error}")))?;
        let path = std::env::temp_dir().join(format!("rkc-{}-{name}-{device}.ptx", std::process::id()));
        let io = |error| Error::Io(path.display().to_string(), error);
        // New: in a folder that all share, somebody may have put a link there.
        let mut file = std::fs::File::create_new(&path).map_err(io)?;
        file.write_all(&text).map_err(io)?;
        Ok(Self(path))
    }

    /// Registers of a thread; bytes that it spills, reads again, and has as a stack; bytes of a worker's shared memory, to
    /// which scratch memory and states kept close are added when it is launched.
    fn assemble(&self, device: u32) -> Result<[u32; 5], Error> {
        let ptxas = ptxas();
        let named = ptxas.display().to_string();
        let mut command = Command::new(&ptxas);
        command.arg(format!("-arch=sm_{device}")).args(["-v", "-o", "/dev/null"]).arg(&self.0);
        let output = command.output().map_err(|error| Error::Io(named.clone(), error))?;
        let said = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            eprint!("{said}");
            return Err(Error::Tool(named, output.status));
        }
        read(&said).ok_or_else(|| Error::Source(format!("{named} -v says nothing of registers: {said}")))
    }
}

impl Drop for Ptx {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Beside the NVRTC that the library finds, else wherever programs are.
fn ptxas() -> PathBuf {
    let homes = ["RINGKERNEL_CUDA_HOME", "CUDA_HOME"].into_iter().filter_map(std::env::var_os);
    let places = homes.map(|home| Path::new(&home).join("bin/ptxas"));
    places.chain(["/usr/local/cuda/bin/ptxas".into()]).find(|place| place.is_file()).unwrap_or("ptxas".into())
}

/// It has lines for the pump and for each function that was not inlined.
fn read(said: &str) -> Option<[u32; 5]> {
    let all = |phrase| said.lines().filter_map(move |line| number_before(line, phrase));
    let most = |phrase| all(phrase).max();
    Some([
        most(" registers")?,
        all(" bytes spill stores").sum(),
        all(" bytes spill loads").sum(),
        most(" bytes cumulative stack size").unwrap_or(0),
        most(" bytes smem").unwrap_or(0),
    ])
}

fn number_before(line: &str, phrase: &str) -> Option<u32> {
    line.split_once(phrase)?.0.rsplit(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}
