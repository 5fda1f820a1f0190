# RINGKERNEL_SANITIZE: address (with undefined behaviour, on the C side) or thread, on both sides of the C API. Rust's
# sanitizers are unstable, hence RUSTC_BOOTSTRAP; the runtime comes with the C compiler, so the static library is
# tested. RUSTFLAGS reaches no build script because a target is named. What does not test the C API is left out.
if(RINGKERNEL_SANITIZE STREQUAL "address")
    set(c_flags -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
    set(rust_flags -Zsanitizer=address)
elseif(RINGKERNEL_SANITIZE STREQUAL "thread")
    set(c_flags -fsanitize=thread -fno-omit-frame-pointer)
    # The standard library is not instrumented, which rustc otherwise refuses.
    set(rust_flags "-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer")
else()
    message(FATAL_ERROR "RINGKERNEL_SANITIZE is \"${RINGKERNEL_SANITIZE}\"; it may be address or thread")
endif()
add_compile_options(${c_flags})
add_link_options(${c_flags})
set(RINGKERNEL_CARGO_ENVIRONMENT RUSTC_BOOTSTRAP=1 "RUSTFLAGS=${rust_flags} -Cforce-frame-pointers=yes")

set(RINGKERNEL_INSTALL OFF)
set(RINGKERNEL_BUILD_EXAMPLES OFF)
if(NOT RINGKERNEL_RUST_TARGET)
    execute_process(COMMAND rustc -vV OUTPUT_VARIABLE rustc_version COMMAND_ERROR_IS_FATAL ANY)
    string(REGEX MATCH "host: ([^\n]+)" _ "${rustc_version}")
    set(RINGKERNEL_RUST_TARGET "${CMAKE_MATCH_1}")
endif()
