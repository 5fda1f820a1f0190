# Runs cargo and yields RINGKERNEL_ARCHIVE (libringkernel.a) and ringkernel::rkc.
#
# Cargo knows best what is out of date, so its target runs always; that costs a fraction of a second, and nothing is
# linked again when the archive stays as it was. The profile does not follow CMAKE_BUILD_TYPE: a host program that is
# debugged still wants rings that run at speed.

set(profile_dir "${RINGKERNEL_CARGO_PROFILE}")
if(profile_dir STREQUAL "dev")
    set(profile_dir debug)
endif()
set(library_dir "${RINGKERNEL_CARGO_TARGET_DIR}")
if(RINGKERNEL_SANITIZE) # rkc is shared with other build trees; a sanitized library is not
    set(library_dir "${PROJECT_BINARY_DIR}/cargo")
endif()

set(RINGKERNEL_ARCHIVE "${library_dir}/${RINGKERNEL_RUST_TARGET}/${profile_dir}/libringkernel.a")
cmake_path(NORMAL_PATH RINGKERNEL_ARCHIVE)
set(rkc "${RINGKERNEL_CARGO_TARGET_DIR}/${profile_dir}/rkc")
set(products "${RINGKERNEL_ARCHIVE}" "${rkc}")

set(build_library ON)
set(build_rkc ON)
if(RINGKERNEL_PREBUILT_STATIC)
    list(REMOVE_ITEM products "${RINGKERNEL_ARCHIVE}")
    file(REAL_PATH "${RINGKERNEL_PREBUILT_STATIC}" RINGKERNEL_ARCHIVE)
    set(build_library OFF)
endif()
if(RINGKERNEL_RKC)
    list(REMOVE_ITEM products "${rkc}")
    file(REAL_PATH "${RINGKERNEL_RKC}" rkc)
    set(build_rkc OFF)
endif()

add_executable(ringkernel::rkc IMPORTED GLOBAL)
set_target_properties(ringkernel::rkc PROPERTIES IMPORTED_LOCATION "${rkc}")
if(NOT products)
    return()
endif()

set(name cargo)
if(CARGO)
    set(name "${CARGO}")
elseif(DEFINED ENV{CARGO})
    set(name "$ENV{CARGO}")
endif()
find_program(RINGKERNEL_CARGO "${name}" HINTS ENV CARGO_HOME PATHS "$ENV{HOME}/.cargo" PATH_SUFFIXES bin
    DOC "cargo, the Rust build tool")
if(NOT RINGKERNEL_CARGO)
    message(FATAL_ERROR "ringkernel: ${name} was not found. Install Rust (https://rustup.rs), or set CARGO to it, "
        "or set both RINGKERNEL_PREBUILT_STATIC and RINGKERNEL_RKC to files that were built elsewhere.")
endif()

set(cargo "${RINGKERNEL_CARGO}" build --locked --quiet --profile "${RINGKERNEL_CARGO_PROFILE}"
    --manifest-path "${PROJECT_SOURCE_DIR}/Cargo.toml")
if(RINGKERNEL_OFFLINE)
    list(APPEND cargo --offline)
endif()
set(for_library --lib --target-dir "${library_dir}")
set(for_rkc --bin=rkc --target-dir "${RINGKERNEL_CARGO_TARGET_DIR}")

# One call builds both, except where the library is for another target: rkc runs on the machine that builds.
if(RINGKERNEL_RUST_TARGET)
    list(APPEND for_library --target "${RINGKERNEL_RUST_TARGET}")
elseif(build_library AND build_rkc)
    list(APPEND for_library --bin=rkc)
    set(build_rkc OFF)
endif()
set(commands "")
if(build_library)
    list(APPEND commands COMMAND ${CMAKE_COMMAND} -E env ${RINGKERNEL_CARGO_ENVIRONMENT} ${cargo} ${for_library})
endif()
if(build_rkc)
    list(APPEND commands COMMAND ${cargo} ${for_rkc})
endif()
add_custom_target(ringkernel_cargo ${commands}
    BYPRODUCTS ${products}
    WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}"
    COMMENT "cargo build --profile ${RINGKERNEL_CARGO_PROFILE}"
    VERBATIM)
add_dependencies(ringkernel::rkc ringkernel_cargo)
