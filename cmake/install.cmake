# What an app gets: one static library with the C interface, its headers, and how to find them, by
# find_package(inkling) or pkg-config. `cmake --install build/embed --prefix DIR`.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(parts base runtime autograd storage rerank rerank_learn embed)
list(TRANSFORM parts REPLACE "(.+)" "$<TARGET_OBJECTS:inkling_\\1>" OUTPUT_VARIABLE objects)
add_library(inkling_app STATIC ${objects})
set_target_properties(inkling_app PROPERTIES OUTPUT_NAME inkling LINKER_LANGUAGE CXX)
install(TARGETS inkling_app ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})

install(FILES embed/inkling.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY autograd embed rerank runtime storage
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/inkling
  FILES_MATCHING PATTERN "*.h" PATTERN ops.inc
  PATTERN autograd/data EXCLUDE PATTERN backends EXCLUDE PATTERN compression EXCLUDE PATTERN passes EXCLUDE
  PATTERN schema EXCLUDE PATTERN support.h EXCLUDE)

set(config_folder ${CMAKE_INSTALL_LIBDIR}/cmake/inkling)
configure_package_config_file(cmake/inklingConfig.cmake.in ${CMAKE_BINARY_DIR}/inklingConfig.cmake
  INSTALL_DESTINATION ${config_folder} PATH_VARS CMAKE_INSTALL_LIBDIR CMAKE_INSTALL_INCLUDEDIR)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/inklingConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/inklingConfig.cmake ${CMAKE_BINARY_DIR}/inklingConfigVersion.cmake
  DESTINATION ${config_folder})
# Where the tree is moved to, the file goes with it.
file(RELATIVE_PATH INKLING_PREFIX_FROM_PC ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
configure_file(cmake/inkling.pc.in ${CMAKE_BINARY_DIR}/inkling.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/inkling.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
