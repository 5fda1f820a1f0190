//! device/histogram.h finds the buckets that the library finds, and compiles in every language of devices.

use crate::nvrtc;
use crate::tools::{command, cuda_home, families, folder, glslc, run, INCLUDE, STRICT};
use ringkernel::histogram::{index, Histogram, BUCKETS};
use ringkernel::latency::Latencies;
use std::mem::size_of;

/// Around every edge there is.
fn values() -> Vec<u64> {
    let powers = (0..64).map(|power| 1u64 << power);
    let edges = powers.flat_map(|power| (0..8).map(move |eighth| power + power / 8 * eighth));
    edges.flat_map(|edge| [edge.saturating_sub(1), edge, edge + 1]).chain([0, u64::MAX]).collect()
}

#[test]
fn the_same_buckets_in_c_and_cpp() {
    let out = folder("histogram");
    let (histogram, latencies) = (size_of::<Histogram>(), size_of::<Latencies>());
    let list: String = values().iter().map(|value| format!("{value}ull,")).collect();
    let source = format!(
        "#include <ringkernel/actor.h>\n#include <ringkernel/device/histogram.h>\n#include <stdio.h>\n\
         RK_ASSERT(sizeof(struct rk_histogram) == {histogram} && RK_HISTOGRAM_BUCKETS == {BUCKETS}u, \"as in Rust\");\n\
         RK_ASSERT(sizeof(struct rk_latencies) == {latencies}, \"as in Rust\");\n\
         static const rk_u64 values[] = {{{list}}};\n\
         int main(void) {{\n\
             static struct rk_histogram all;\n\
             for (unsigned i = 0; i < sizeof values / sizeof values[0]; i++) {{\n\
                 printf(\"%u\\n\", (unsigned)rk_histogram_index(values[i]));\n\
                 rk_histogram_record(&all, values[i]);\n\
             }}\n\
             rk_u64 count = 0;\n\
             for (unsigned i = 0; i < RK_HISTOGRAM_BUCKETS; i++) count += all.buckets[i];\n\
             unsigned random = 1, gaps = 0;\n\
             for (int i = 0; i < 1000; i++) gaps += rk_sample_gap(random = rk_sample_random(random), 16);\n\
             return count == sizeof values / sizeof values[0] && all.largest == ~(rk_u64)0 && gaps > 15000 && gaps < 17000\n\
                        ? 0 : 1;\n\
         }}\n"
    );
    let expected: String = values().iter().map(|value| format!("{}\n", index(*value))).collect();
    for family in families() {
        for (compiler, standard, name) in [(family.c, "-std=c11", "h.c"), (family.cpp, "-std=c++17", "h.cpp")] {
            let (source_file, program) = (out.join(name), out.join("program"));
            std::fs::write(&source_file, &source).unwrap();
            let mut cc = command(compiler);
            run(cc.arg(standard).args(STRICT).args(["-I", INCLUDE, "-o"]).arg(&program).arg(source_file).arg("-lm"));
            assert_eq!(run(&mut command(&program)), expected, "{compiler}");
        }
    }
}

#[test]
fn cuda_compiles_it() {
    let Some(home) = cuda_home() else { return };
    let name = "ringkernel/device/histogram.h".to_owned();
    let text = std::fs::read_to_string(std::path::Path::new(INCLUDE).join(&name)).unwrap();
    let headers: Vec<_> = nvrtc::dialect().chain([(name, text)]).collect();
    let source = "#include <ringkernel/actor.h>\n#include <ringkernel/device/histogram.h>\n\
                  extern \"C\" __global__ void record(rk_latencies *at, rk_u64 value) {\n\
                  rk_histogram_record(&at->queue, value);\n\
                  at->handler.reserved[0] = rk_sample_gap(rk_sample_random(1u), 16u);\n}\n";
    let ptx = nvrtc::compile(&home, source, &headers).unwrap_or_else(|log| panic!("{log}"));
    assert!(ptx.contains(".entry record("));
    // Single volatile accesses, and none atomic.
    assert!(ptx.contains("ld.volatile.global.u64") && !ptx.contains("atom."), "{ptx}");
}

#[test]
fn glsl_compiles_it() {
    if glslc().is_none() {
        return;
    }
    let out = folder("histogram_glsl");
    let (source, image) = (out.join("h.comp"), out.join("h.spv"));
    let text = "#version 460\n#extension GL_GOOGLE_include_directive : require\n#define RK_GLSL 1\n\
                #include <ringkernel/actor.h>\n#include <ringkernel/device/histogram.h>\n\
                layout(push_constant, scalar) uniform push { rk_u64 at; rk_u64 value; } p;\n\
                void main() { rk_histogram_record(p.at, p.value + rk_u64(rk_sample_gap(rk_sample_random(1u), 16u))); }\n";
    std::fs::write(&source, text).unwrap();
    let mut glslc = command("glslc");
    glslc.args(["--target-env=vulkan1.2", "-Werror", "-O", "-fshader-stage=compute", "-I", INCLUDE, "-o"]);
    run(glslc.arg(&image).arg(&source));
    run(command("spirv-val").args(["--target-env", "vulkan1.2", "--scalar-block-layout"]).arg(&image));
}
