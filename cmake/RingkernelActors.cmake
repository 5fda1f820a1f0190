# ringkernel_add_actors(TARGET [MODULE name] SOURCES a.rk.h [b.rk.h ...]
#                       [INCLUDE_DIRECTORIES dir ...] [DEFINITIONS NAME[=VALUE] ...] [NO_VULKAN]
#                       [CUDA_CODE sm_90 compute_80:32 ...])
#
# Compiles files of actors into a module of TARGET, whose program then says
#
#     #include <ringkernel/module.h>
#     RK_DECLARE_MODULE(name);
#
# and passes &name to rk_module_create(). MODULE defaults to the target's name. Links ringkernel::ringkernel, unless
# TARGET links ringkernel::shared or ringkernel::static already. INCLUDE_DIRECTORIES and DEFINITIONS hold for the
# actors on every backend and for TARGET. NO_VULKAN leaves out the SPIR-V images, which take glslc to make. CUDA_CODE
# names CUDA devices for which the actors are compiled now, by NVRTC, and lanes if they are not 1: where the program runs
# it needs no NVRTC then. Others are compiled there.
cmake_minimum_required(VERSION 3.22)

function(ringkernel_add_actors target)
    cmake_parse_arguments(PARSE_ARGV 1 arg "NO_VULKAN" "MODULE" "SOURCES;INCLUDE_DIRECTORIES;DEFINITIONS;CUDA_CODE")
    if(NOT TARGET ${target})
        message(FATAL_ERROR "ringkernel_add_actors: there is no target ${target}")
    elseif(NOT arg_SOURCES)
        message(FATAL_ERROR "ringkernel_add_actors(${target}): SOURCES names no file of actors")
    elseif(arg_UNPARSED_ARGUMENTS)
        message(FATAL_ERROR "ringkernel_add_actors(${target}): what is ${arg_UNPARSED_ARGUMENTS}?")
    elseif(NOT CMAKE_C_COMPILER_LOADED)
        message(FATAL_ERROR "ringkernel_add_actors(${target}): modules are C; add C to the LANGUAGES of project()")
    endif()
    if(NOT arg_MODULE)
        set(arg_MODULE "${target}")
    endif()
    if(NOT arg_MODULE MATCHES "^[A-Za-z_][A-Za-z0-9_]*$")
        message(FATAL_ERROR "ringkernel_add_actors(${target}): the module's name \"${arg_MODULE}\" is no C identifier")
    endif()

    set(options "")
    foreach(directory IN LISTS arg_INCLUDE_DIRECTORIES)
        cmake_path(ABSOLUTE_PATH directory NORMALIZE)
        list(APPEND options -I "${directory}")
        target_include_directories(${target} PRIVATE "${directory}")
    endforeach()
    foreach(definition IN LISTS arg_DEFINITIONS)
        list(APPEND options -D "${definition}")
        target_compile_definitions(${target} PRIVATE "${definition}")
    endforeach()
    foreach(device IN LISTS arg_CUDA_CODE)
        list(APPEND options --cuda-code "${device}")
    endforeach()
    if(arg_NO_VULKAN)
        list(APPEND options --no-vulkan)
    endif()
    set(sources "")
    foreach(source IN LISTS arg_SOURCES)
        cmake_path(ABSOLUTE_PATH source NORMALIZE)
        list(APPEND sources "${source}")
    endforeach()

    get_target_property(include_dir ringkernel::static INTERFACE_INCLUDE_DIRECTORIES)
    set(directory "${CMAKE_CURRENT_BINARY_DIR}/${target}_actors")
    set(output "${directory}/${arg_MODULE}_module.c")
    file(MAKE_DIRECTORY "${directory}")
    add_custom_command(
        OUTPUT "${output}"
        COMMAND ${CMAKE_COMMAND} -E env "CC=${CMAKE_C_COMPILER}" $<TARGET_FILE:ringkernel::rkc> ${sources}
                --module ${arg_MODULE} -o "${output}" --include-dir "${include_dir}" --depfile "${output}.d" ${options}
        DEPENDS ${sources} ringkernel::rkc
        DEPFILE "${output}.d"
        COMMENT "Compiling actors of module ${arg_MODULE}"
        VERBATIM)

    set(call ${sources} --module ${arg_MODULE} ${options})
    list(JOIN call "\" \"" call)
    set_property(GLOBAL APPEND PROPERTY RINGKERNEL_MODULES "\"${call}\"") # for ringkernel's own tests

    target_sources(${target} PRIVATE "${output}")
    target_compile_features(${target} PRIVATE c_std_11)
    get_target_property(linked ${target} LINK_LIBRARIES)
    if(NOT linked MATCHES "ringkernel::(shared|static|ringkernel)")
        target_link_libraries(${target} PRIVATE ringkernel::ringkernel)
    endif()
endfunction()
