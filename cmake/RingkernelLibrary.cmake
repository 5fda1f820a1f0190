# The targets ringkernel::static, ::shared and ::ringkernel, from RINGKERNEL_ARCHIVE.

# What `rustc --print native-static-libs` names; tests/package compares.
set(RINGKERNEL_SYSTEM_LIBRARIES -lgcc_s -lutil -lrt -lpthread -lm -ldl)

add_library(ringkernel::static STATIC IMPORTED GLOBAL)
set_target_properties(ringkernel::static PROPERTIES
    IMPORTED_LOCATION "${RINGKERNEL_ARCHIVE}"
    INTERFACE_INCLUDE_DIRECTORIES "${PROJECT_SOURCE_DIR}/include"
    INTERFACE_LINK_LIBRARIES "${RINGKERNEL_SYSTEM_LIBRARIES}")
if(TARGET ringkernel_cargo)
    add_dependencies(ringkernel::static ringkernel_cargo)
endif()

if(TARGET ringkernel_tsan)
    set_property(TARGET ringkernel::static APPEND PROPERTY INTERFACE_LINK_LIBRARIES ringkernel_tsan)
endif()
if(RINGKERNEL_SANITIZE) # a shared library would lack the sanitizer's runtime, which comes with the program
    add_library(ringkernel::ringkernel ALIAS ringkernel::static)
    return()
endif()

# rustc's own cdylib has neither SONAME nor symbol versions and takes no second version script. All of the archive goes
# in, because the exported symbols are what nothing refers to yet; the linker then drops what they do not reach.
set(map "${PROJECT_SOURCE_DIR}/cmake/ringkernel.map")
add_library(ringkernel_shared SHARED "${map}")
add_library(ringkernel::shared ALIAS ringkernel_shared)
set_target_properties(ringkernel_shared PROPERTIES
    OUTPUT_NAME ringkernel
    VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR}
    LINKER_LANGUAGE C
    LINK_DEPENDS "${RINGKERNEL_ARCHIVE};${map}")
target_include_directories(ringkernel_shared INTERFACE "${PROJECT_SOURCE_DIR}/include")
target_link_options(ringkernel_shared PRIVATE
    "LINKER:--whole-archive,${RINGKERNEL_ARCHIVE},--no-whole-archive"
    "LINKER:--version-script=${map}"
    LINKER:-z,nodelete LINKER:-z,defs LINKER:--gc-sections)
target_link_libraries(ringkernel_shared PRIVATE ${RINGKERNEL_SYSTEM_LIBRARIES})
if(TARGET ringkernel_cargo)
    add_dependencies(ringkernel_shared ringkernel_cargo)
endif()

if(RINGKERNEL_LINK STREQUAL "STATIC"
   OR (RINGKERNEL_LINK STREQUAL "" AND DEFINED BUILD_SHARED_LIBS AND NOT BUILD_SHARED_LIBS))
    add_library(ringkernel::ringkernel ALIAS ringkernel::static)
else()
    add_library(ringkernel::ringkernel ALIAS ringkernel_shared)
endif()
