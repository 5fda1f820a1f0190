# RINGKERNEL_SANITIZE: address (with undefined behaviour, on the C side) or thread, on both sides of the C API. Rust's
# sanitizers are unstable, hence RUSTC_BOOTSTRAP; the runtime comes with the C compiler, so the static library is
# tested. RUSTFLAGS reaches no build script because a target is named. What does not test the C API is left out.
if(RINGKERNEL_SANITIZE STREQUAL "address")
    set(c_flags -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
    set(rust_flags -Zsanitizer=address)
elseif(RINGKERNEL_SANITIZE STREQUAL "thread")
    set(c_flags -fsanitize=thread -fno-omit-frame-pointer)
    # The standard library is not instrumented, which rustc otherwise refuses.
    set(rust_flags "-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer --cfg tsan")
else()
    message(FATAL_ERROR "RINGKERNEL_SANITIZE is \"${RINGKERNEL_SANITIZE}\"; it may be address or thread")
endif()
add_compile_options(${c_flags})
add_link_options(${c_flags})
set(RINGKERNEL_CARGO_ENVIRONMENT RUSTC_BOOTSTRAP=1 "RUSTFLAGS=${rust_flags} -Cforce-frame-pointers=yes"
    CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS=true)

set(RINGKERNEL_INSTALL OFF)
set(RINGKERNEL_BUILD_EXAMPLES OFF)
if(NOT RINGKERNEL_RUST_TARGET)
    execute_process(COMMAND rustc -vV OUTPUT_VARIABLE rustc_version COMMAND_ERROR_IS_FATAL ANY)
    string(REGEX MATCH "host: ([^\n]+)" _ "${rustc_version}")
    set(RINGKERNEL_RUST_TARGET "${CMAKE_MATCH_1}")
endif()

# The standard library comes built without the sanitizer: see tsan/mutex.c.
if(RINGKERNEL_SANITIZE STREQUAL "thread")
    execute_process(COMMAND rustc --print target-libdir --target "${RINGKERNEL_RUST_TARGET}"
        OUTPUT_VARIABLE rust_libraries OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
    file(GLOB rust_std "${rust_libraries}/libstd-*.rlib")
    file(STRINGS "${rust_std}" mutex_wait REGEX "^_R[A-Za-z0-9_]*5Mutex14lock_contended$" LIMIT_COUNT 1)
    if(NOT mutex_wait)
        message(FATAL_ERROR "ringkernel: how std::sync::Mutex waits was not found in ${rust_std}")
    endif()
    add_library(ringkernel_tsan STATIC cmake/tsan/mutex.c)
    target_compile_definitions(ringkernel_tsan PRIVATE "MUTEX_WAIT=${mutex_wait}")
    target_link_options(ringkernel_tsan INTERFACE "LINKER:--wrap=${mutex_wait}")
endif()
