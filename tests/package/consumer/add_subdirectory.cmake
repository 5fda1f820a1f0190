add_subdirectory("${RINGKERNEL_SOURCE}" ringkernel)
