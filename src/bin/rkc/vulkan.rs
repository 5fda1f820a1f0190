//! SPIR-V, one image for each actor type.

use crate::args::Args;
use crate::cc::{flags, run};
use crate::emit::{include_lines, Data, Section};
use crate::scan::Names;
use crate::Error;
use std::io::ErrorKind;
use std::process::Command;

pub fn sections(args: &Args, names: &Names) -> Result<Vec<Section>, Error> {
    let mut sections = Vec::new();
    for actor in &names.actors {
        match compile(args, &actor.name) {
            Ok(spirv) => {
                sections.push(Section { kind: "RK_SECTION_SPIRV", name: actor.name.clone(), data: Data::words(&spirv) })
            }
            Err(Error::Io(tool, error)) if error.kind() == ErrorKind::NotFound => {
                eprintln!(
                    "rkc: note: {tool} is not installed: the module has no Vulkan images (--no-vulkan says so too)"
                );
                break;
            }
            Err(error) => {
                eprintln!("rkc: note: --no-vulkan leaves the Vulkan images out");
                return Err(error);
            }
        }
    }
    Ok(sections)
}

fn compile(args: &Args, actor: &str) -> Result<Vec<u8>, Error> {
    let glslc = std::env::var("GLSLC").ok().filter(|name| !name.is_empty()).unwrap_or_else(|| "glslc".into());
    let mut command = Command::new(glslc);
    command.args(["--target-env=vulkan1.2", "-O", "-fshader-stage=compute"]).args(flags(args)).args(["-o", "-", "-"]);
    let source = format!(
        "#version 460\n\
         #extension GL_GOOGLE_include_directive : require\n\
         #define RK_GLSL 1\n\
         #include <ringkernel/actor.h>\n\
         #define RK_DISPATCH {actor}_rk_dispatch\n\
         #include <ringkernel/vulkan/pump.comp>\n\
         {}",
        include_lines(&args.sources)
    );
    run(command, &source)
}
