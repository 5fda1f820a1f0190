# Runs cargo and yields RINGKERNEL_ARCHIVE (libringkernel.a) and ringkernel::rkc.
#
# Cargo knows best what is out of date, so the target runs always; it costs a fraction of a second, and nothing is
# linked again when the archive stays as it was. The profile does not follow CMAKE_BUILD_TYPE: a host program that is
# debugged still wants rings that run at speed.

if(RINGKERNEL_CARGO_PROFILE STREQUAL "dev")
    set(profile_dir debug)
else()
    set(profile_dir "${RINGKERNEL_CARGO_PROFILE}")
endif()

set(build "")
set(byproducts "")
if(RINGKERNEL_PREBUILT_STATIC)
    get_filename_component(RINGKERNEL_ARCHIVE "${RINGKERNEL_PREBUILT_STATIC}" ABSOLUTE)
else()
    set(RINGKERNEL_ARCHIVE
        "${RINGKERNEL_CARGO_TARGET_DIR}/${RINGKERNEL_RUST_TARGET}/${profile_dir}/libringkernel.a")
    cmake_path(NORMAL_PATH RINGKERNEL_ARCHIVE)
    list(APPEND byproducts "${RINGKERNEL_ARCHIVE}")
    list(APPEND build library)
endif()

if(RINGKERNEL_RKC)
    get_filename_component(rkc "${RINGKERNEL_RKC}" ABSOLUTE)
else()
    set(rkc "${RINGKERNEL_CARGO_TARGET_DIR}/${profile_dir}/rkc")
    list(APPEND byproducts "${rkc}")
    list(APPEND build rkc)
endif()

add_executable(ringkernel::rkc IMPORTED GLOBAL)
set_target_properties(ringkernel::rkc PROPERTIES IMPORTED_LOCATION "${rkc}")

if(build)
    find_program(RINGKERNEL_CARGO NAMES "${CARGO}" "$ENV{CARGO}" cargo HINTS ENV CARGO_HOME PATHS "$ENV{HOME}/.cargo"
        PATH_SUFFIXES bin DOC "cargo, the Rust build tool")
    if(NOT RINGKERNEL_CARGO)
        message(FATAL_ERROR "ringkernel: cargo was not found. Install Rust (https://rustup.rs), or set CARGO to it, "
            "or set both RINGKERNEL_PREBUILT_STATIC and RINGKERNEL_RKC to files that were built elsewhere.")
    endif()
    set(cargo "${RINGKERNEL_CARGO}" build --locked --quiet --profile "${RINGKERNEL_CARGO_PROFILE}"
        --manifest-path "${PROJECT_SOURCE_DIR}/Cargo.toml" --target-dir "${RINGKERNEL_CARGO_TARGET_DIR}")
    if(RINGKERNEL_OFFLINE)
        list(APPEND cargo --offline)
    endif()

    set(commands "")
    if(RINGKERNEL_RUST_TARGET)
        # rkc runs on the machine that builds, so it is not for that target (and not sanitized).
        if("library" IN_LIST build)
            list(APPEND commands COMMAND ${CMAKE_COMMAND} -E env ${RINGKERNEL_CARGO_ENVIRONMENT}
                ${cargo} --lib --target "${RINGKERNEL_RUST_TARGET}")
        endif()
        if("rkc" IN_LIST build)
            list(APPEND commands COMMAND ${cargo} --bin rkc)
        endif()
    else()
        list(TRANSFORM build REPLACE "library" "--lib")
        list(TRANSFORM build REPLACE "rkc" "--bin=rkc")
        list(APPEND commands COMMAND ${cargo} ${build})
    endif()
    add_custom_target(ringkernel_cargo ${commands} BYPRODUCTS ${byproducts} VERBATIM
        WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}" COMMENT "cargo build --profile ${RINGKERNEL_CARGO_PROFILE}")
    add_dependencies(ringkernel::rkc ringkernel_cargo)
endif()
