# Installs what programs need: libraries, headers, rkc, the CMake package and two pkg-config files. Nothing in them
# names an absolute path, so the installed tree may be moved.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/ringkernel")
set(pkgconfig_dir "${CMAKE_INSTALL_LIBDIR}/pkgconfig")

install(TARGETS ringkernel_shared)
install(FILES "${RINGKERNEL_ARCHIVE}" DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(PROGRAMS "$<TARGET_FILE:ringkernel::rkc>" DESTINATION "${CMAKE_INSTALL_BINDIR}" RENAME rkc)
install(DIRECTORY include/ DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(FILES LICENSE-APACHE LICENSE-MIT DESTINATION "${CMAKE_INSTALL_DOCDIR}")

configure_package_config_file(cmake/ringkernelConfig.cmake.in ringkernelConfig.cmake
    INSTALL_DESTINATION "${package_dir}"
    PATH_VARS CMAKE_INSTALL_INCLUDEDIR CMAKE_INSTALL_LIBDIR CMAKE_INSTALL_BINDIR)
write_basic_package_version_file(ringkernelConfigVersion.cmake COMPATIBILITY SameMajorVersion) # as the SONAME
install(FILES
    "${PROJECT_BINARY_DIR}/ringkernelConfig.cmake" "${PROJECT_BINARY_DIR}/ringkernelConfigVersion.cmake"
    cmake/RingkernelActors.cmake
    DESTINATION "${package_dir}")

# One template, two files: `pkg-config --libs` cannot say which of the two libraries is meant.
file(RELATIVE_PATH prefix "${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig" "${CMAKE_INSTALL_PREFIX}")
list(JOIN RINGKERNEL_SYSTEM_LIBRARIES " " system_libs)
foreach(kind IN ITEMS shared static)
    if(kind STREQUAL "shared")
        set(name ringkernel)
        set(libs "-L\${libdir} -lringkernel")
    else()
        set(name ringkernel-static)
        set(libs "\${libdir}/libringkernel.a ${system_libs}")
    endif()
    configure_file(cmake/ringkernel.pc.in ${name}.pc @ONLY)
    install(FILES "${PROJECT_BINARY_DIR}/${name}.pc" DESTINATION "${pkgconfig_dir}")
endforeach()
