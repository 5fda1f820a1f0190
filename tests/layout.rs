//! What the library and the modules share has the same layout on both sides: every struct of `ringkernel/module.h`
//! against `src/layout.rs`, and every struct of `ringkernel.h` against `src/capi`, by the C compiler's own word.
#![cfg(not(loom))]

use std::fmt::Write;
use std::mem::{align_of, offset_of, size_of};
use std::process::Command;

use ringkernel::{capi, layout};

/// Assertions in C for structs: C name, Rust type, fields.
macro_rules! structs {
    ($out:ident; $($c:literal = $rust:ty { $($field:ident)* })*) => {
        $(
            assert!(size_of::<$rust>() % align_of::<$rust>() == 0);
            writeln!($out, "SAME(sizeof({}), {});", $c, size_of::<$rust>()).unwrap();
            $(
                let name = stringify!($field).trim_start_matches("r#").trim_end_matches('_');
                writeln!($out, "SAME(offsetof({}, {name}), {});", $c, offset_of!($rust, $field)).unwrap();
                writeln!($out, "SAME(sizeof((({} *)0)->{name}), {});", $c, field_size(|s: &$rust| &s.$field)).unwrap();
            )*
        )*
    };
}

fn field_size<S, F>(_: impl Fn(&S) -> &F) -> usize {
    size_of::<F>()
}

fn assertions() -> String {
    let mut out = String::from(
        "#include <ringkernel.h>\n#include <ringkernel/module.h>\n\
         #define SAME(c, rust) _Static_assert((c) == (rust), #c \" is not \" #rust)\n",
    );
    structs! { out;
        "rk_outgoing" = layout::Outgoing { to correlation deadline kind r#type size priority reserved }
        "rk_context" = layout::Context {
            state message scratch outbox outbox_used outbox_limit r#type size index actors self_ sender correlation time
            counters priority result fail_code refused buffers reserved
        }
        "rk_buffer_entry" = layout::BufferEntry { id size address reserved }
        "rk_buffer_table" = layout::BufferTable { sink reserved entries }
        "rk_handler" = layout::Handler { r#type size run }
        "rk_actor_type" = layout::ActorType { name state_size scratch_size handlers handler_count reserved }
        "rk_message_type" = layout::MessageType { name r#type size }
        "rk_section" = layout::Section { kind reserved name data size }
        "rk_module_image" = layout::ModuleImage {
            struct_size layout_version name actors messages sections actor_count message_count section_count reserved
        }
        "rk_error" = capi::rk_error { status native_domain native_code flags reserved message }
        "rk_runtime_options" = capi::rk_runtime_options {
            struct_size backend cpu_threads spin_us quantum_us log_level log log_user cpus cpu_count reserved
            clock_drift_ms cuda_multiprocessors config config_length vulkan
        }
        "rk_vulkan_context" = capi::rk_vulkan_context {
            struct_size queue_family instance physical_device device queue get_instance_proc_addr features reserved lock
            unlock lock_user
        }
        "rk_selftest_report" = capi::rk_selftest_report {
            struct_size inbound_memory messages host_p50_ns host_p99_ns host_p999_ns device_p50_ns device_p99_ns
            device_p999_ns reason
        }
        "rk_device_properties" = capi::rk_device_properties {
            struct_size backend ordinal usable workers lanes memory name reason
        }
        "rk_kernel_options" = capi::rk_kernel_options {
            struct_size backend device actors workers lanes quantum_us inbound_capacity actor_capacity outbound_capacity
            outbox_bytes initial_state_size initial_state queues queue_count name_length name latency_every inbound_memory
            on_failure max_restarts restart_window_ms dormant watchdog_ms reserved
        }
        "rk_kernel_statistics" = capi::rk_kernel_statistics {
            struct_size state backend actors workers lanes accepted handled dead_letters pending high_water sent_host
            sent_actors deferred undeliverable refused failures quanta memory memory_per_actor counters restarts
        }
        "rk_send_options" = capi::rk_send_options { struct_size priority correlation deadline_ns timeout_ns }
        "rk_outbound" = capi::rk_outbound { to correlation deadline_ns payload r#type size priority reserved }
        "rk_message" = capi::rk_message {
            from to correlation time payload kind r#type size reason priority reserved
        }
        "rk_registry_entry" = capi::rk_registry_entry { kernel actor name_length reserved name }
        "rk_latency" = capi::rk_latency { struct_size reserved count mean_ns p50_ns p90_ns p99_ns p999_ns max_ns }
        "rk_alert_options" = capi::rk_alert_options {
            struct_size metric kernel threshold clear_below quantile window_ms reserved notify user
        }
        "rk_alert_notice" = capi::rk_alert_notice { alert kernel metric raised value threshold time }
        "rk_buffer_options" = capi::rk_buffer_options {
            struct_size backend device reserved size host device_address
        }
        "rk_buffer_properties" = capi::rk_buffer_properties {
            struct_size backend device imported mappable reserved size
        }
        "rk_buffer" = capi::rk_buffer { id }
        "rk_alert" = capi::rk_alert { id }
        "rk_runtime" = capi::rk_runtime { id }
        "rk_actor" = capi::rk_actor { id }
    }
    for (name, value) in [
        ("RK_LAYOUT_VERSION", layout::LAYOUT_VERSION),
        ("RK_PAYLOAD_MAX", layout::PAYLOAD_MAX),
        ("RK_STATE_MAX", layout::STATE_MAX),
        ("RK_SCRATCH_MAX", layout::SCRATCH_MAX),
        ("RK_TYPE_MAX", layout::TYPE_MAX),
        ("RK_TYPE_START", layout::TYPE_START),
        ("RK_TYPE_STOP", layout::TYPE_STOP),
        ("RK_COUNTERS", layout::COUNTERS as u32),
        ("RK_BUFFERS", layout::BUFFERS as u32),
        ("RK_RESULT_FAIL", layout::RESULT_FAIL),
        ("RK_RESULT_STOP", layout::RESULT_STOP),
        ("RK_POST_REPLY", layout::POST_REPLY),
        ("RK_POST_SEND", layout::POST_SEND),
        ("RK_POST_EMIT", layout::POST_EMIT),
        ("RK_POST_FORWARD", layout::POST_FORWARD),
        ("RK_SECTION_CUDA_SOURCE", layout::SECTION_CUDA_SOURCE),
        ("RK_SECTION_CUDA_CUBIN", layout::SECTION_CUDA_CUBIN),
        ("RK_SECTION_CUDA_PTX", layout::SECTION_CUDA_PTX),
        ("RK_SECTION_SPIRV", layout::SECTION_SPIRV),
    ] {
        writeln!(out, "SAME({name}, {value}u);").unwrap();
    }
    out
}

/// What the C compiler says to a source; empty if it is content.
fn complaints(source: &str) -> String {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let file = folder.join(format!("layout-{}.c", source.len()));
    std::fs::write(&file, source).unwrap();
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    let output = Command::new(compiler)
        .args(["-std=c11", "-fsyntax-only", "-I", concat!(env!("CARGO_MANIFEST_DIR"), "/include")])
        .arg(&file)
        .output()
        .expect("a C compiler");
    assert_eq!(output.status.success(), output.stderr.is_empty());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn same_layout_in_c() {
    let source = assertions();
    assert_eq!(complaints(&source), "");
    // And the assertions do assert something.
    let wrong = source.replacen("SAME(sizeof(rk_context), ", "SAME(sizeof(rk_context), 8 + ", 1);
    assert!(complaints(&wrong).contains("rk_context"));
}
