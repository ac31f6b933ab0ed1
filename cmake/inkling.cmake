# The project's build vocabulary: ink_library (a layer), ink_flatbuffer, ink_test, and the
# executable floor plan (ink_write_layers) that tests/architecture/check_layers.py reads.

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()

if(INKLING_SANITIZE)
  add_compile_options(-fsanitize=${INKLING_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${INKLING_SANITIZE})
endif()

if(INKLING_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

add_library(inkling_warnings INTERFACE)
target_compile_options(inkling_warnings INTERFACE -Wall -Wextra -Wconversion -Wshadow -Werror -Wformat=2)

# ink_library(NAME [FOLDER dir] SOURCES ... [LAYERS ...] [PRIVATE ...])
#   NAME     the layer; the target is inkling::NAME
#   FOLDER   the folder whose files form the layer (default: the current one), for the layer check
#   LAYERS   the layers its files may include; they are linked publicly
#   PRIVATE  third-party libraries; their headers count as system headers
function(ink_library NAME)
  cmake_parse_arguments(ARG "" "FOLDER" "SOURCES;LAYERS;PRIVATE" ${ARGN})
  set(target inkling_${NAME})
  add_library(${target} STATIC ${ARG_SOURCES})
  add_library(inkling::${NAME} ALIAS ${target})
  # Of an app's shared object that links it, only what INK_API marks is visible.
  set_target_properties(${target} PROPERTIES CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
  target_include_directories(${target} PUBLIC $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}>)
  target_link_libraries(${target} PRIVATE $<BUILD_INTERFACE:inkling_warnings> ${ARG_PRIVATE})
  foreach(layer ${ARG_LAYERS})
    target_link_libraries(${target} PUBLIC inkling::${layer})
  endforeach()
  if(NOT ARG_FOLDER)
    file(RELATIVE_PATH ARG_FOLDER ${CMAKE_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR})
  endif()
  list(JOIN ARG_LAYERS " " allowed)
  set_property(GLOBAL APPEND PROPERTY INKLING_LAYERS "${NAME} ${ARG_FOLDER} ${allowed}")
endfunction()

# ink_flatbuffer(TARGET schema.fbs ...): generates FOLDER/schema_generated.h, private to TARGET.
# Headers are generated at build time because they assert the exact library version.
function(ink_flatbuffer NAME)
  find_program(FLATC flatc REQUIRED)
  set(target inkling_${NAME})
  foreach(schema ${ARGN})
    get_filename_component(stem ${schema} NAME_WE)
    set(source ${CMAKE_CURRENT_SOURCE_DIR}/${schema})
    file(RELATIVE_PATH folder ${CMAKE_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR}/${schema}/..)
    set(out ${CMAKE_BINARY_DIR}/generated/${folder})
    add_custom_command(OUTPUT ${out}/${stem}_generated.h
      COMMAND ${FLATC} --cpp --cpp-std c++17 --scoped-enums -o ${out} ${source}
      DEPENDS ${source} VERBATIM)
    target_sources(${target} PRIVATE ${out}/${stem}_generated.h)
  endforeach()
  target_include_directories(${target} SYSTEM PRIVATE ${CMAKE_BINARY_DIR}/generated)
endfunction()

# The programs that tests labelled fast and e2e run: what ./check builds with sanitizers, and optimised.
add_custom_target(fast_tests)
function(ink_fast_program target)
  add_dependencies(fast_tests ${target})
endfunction()
add_custom_target(e2e_tests)
function(ink_e2e_programs)
  add_dependencies(e2e_tests ${ARGN})
endfunction()

# ink_test(NAME SOURCES ... [LAYERS ...] [PRIVATE ...] [LABEL fast|slow]): one GoogleTest program.
function(ink_test NAME)
  cmake_parse_arguments(ARG "" "LABEL" "SOURCES;LAYERS;PRIVATE" ${ARGN})
  set(target test_${NAME})
  add_executable(${target} ${ARG_SOURCES})
  target_link_libraries(${target} PRIVATE inkling_warnings GTest::gmock GTest::gtest_main ${ARG_PRIVATE})
  target_precompile_headers(${target} PRIVATE <gtest/gtest.h> <vector> <string>)
  foreach(layer ${ARG_LAYERS})
    target_link_libraries(${target} PRIVATE inkling::${layer})
  endforeach()
  if(NOT ARG_LABEL)
    set(ARG_LABEL fast)
  endif()
  if(ARG_LABEL STREQUAL fast)
    ink_fast_program(${target})
  elseif(ARG_LABEL STREQUAL e2e)
    ink_e2e_programs(${target})
  endif()
  add_test(NAME ${NAME} COMMAND ${target})
  set_tests_properties(${NAME} PROPERTIES LABELS ${ARG_LABEL} TIMEOUT 300)
endfunction()

function(ink_write_layers)
  get_property(rows GLOBAL PROPERTY INKLING_LAYERS)
  list(JOIN rows "\n" text)
  file(WRITE ${CMAKE_BINARY_DIR}/layers.txt "${text}\n")
endfunction()
