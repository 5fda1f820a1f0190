//! What several lanes share, as NVRTC compiles it.

use crate::nvrtc;
use crate::tools::cuda_home;

const ACTORS: &str = "
    __device__ rk_u64 seen;
    RK_SIGNAL(count, 1)
    RK_STATE(clerk, rk_u64 total;)
    RK_ON(clerk, count) {
        if (rk_lane() == 0u) rk_state.total += 1u;
        rk_barrier();
        seen = rk_state.total;
    }
    RK_ACTOR(clerk, RK_HANDLES(clerk, count))
    extern \"C\" __global__ void run(rk_context *cx, struct clerk *state, const count *in) { clerk_on_count(cx, state, in); }
";

/// The PTX behind the last barrier.
fn after_the_barrier(home: &std::path::Path, lanes: u32) -> String {
    let source = format!("#define RK_LANES {lanes}\n#include <ringkernel/actor.h>\n{ACTORS}");
    let headers: Vec<_> = nvrtc::dialect().collect();
    let ptx = nvrtc::compile(home, &source, &headers).unwrap_or_else(|log| panic!("{log}"));
    let barrier = ["bar.sync", "barrier.sync", "bar.warp.sync"].iter().filter_map(|name| ptx.rfind(name)).max();
    ptx[barrier.expect("a barrier")..].to_string()
}

/// The state is read again: one lane wrote it before the barrier, and to the others its pointer must not be one that nobody
/// else writes through.
#[test]
fn state_is_read_behind_a_barrier() {
    let Some(home) = cuda_home() else { return };
    for lanes in [2, 32, 64, 1024] {
        let after = after_the_barrier(&home, lanes);
        assert!(after.contains("ld."), "with {lanes} lanes:\n{after}");
    }
}
