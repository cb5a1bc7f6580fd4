# What every target is built with, and the functions that declare one.
find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_NOHASHDIR=1
      CCACHE_BASEDIR=${CMAKE_SOURCE_DIR}
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${CCACHE})
endif()
find_program(MOLD mold)
if(MOLD)
  add_link_options(-fuse-ld=mold)
endif()

add_compile_options(-Wall -Wextra -Wpedantic -Wconversion -Werror)
add_compile_definitions(_FILE_OFFSET_BITS=64 HOLDFAST_VERSION="${PROJECT_VERSION}")
if(HOLDFAST_SANITIZE)
  add_compile_options(-fsanitize=${HOLDFAST_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${HOLDFAST_SANITIZE})
endif()
if(HOLDFAST_SANITIZE MATCHES "thread" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # Asio has fences, which GCC's sanitizer doesn't follow and warns of.
  add_compile_options(-Wno-tsan)
endif()
if(HOLDFAST_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

# holdfast_library(NAME deps...): a static library of every .cc file of the calling folder (sub-folders
# included, unless they have a CMakeLists.txt of their own) that isn't a test, and NAME_test from the *_test.cc
# files, run by ctest without privilege.
function(holdfast_library name)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  foreach(source ${sources})
    get_filename_component(folder ${source} DIRECTORY)
    if(NOT folder STREQUAL CMAKE_CURRENT_SOURCE_DIR AND EXISTS ${folder}/CMakeLists.txt)
      list(REMOVE_ITEM sources ${source})
    endif()
  endforeach()
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "_test\\.cc$")
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  if(NOT sources)
    add_library(${name} INTERFACE)
    target_link_libraries(${name} INTERFACE ${ARGN})
  else()
    add_library(${name} STATIC ${sources})
    target_link_libraries(${name} PUBLIC ${ARGN})
    holdfast_precompile(${name})
  endif()
  if(tests)
    find_package(GTest REQUIRED)
    add_executable(${name}_test ${tests})
    target_link_libraries(${name}_test PRIVATE ${name} GTest::gtest GTest::gmock GTest::gtest_main)
    holdfast_precompile_test(${name}_test)
    add_test(NAME ${name}_test COMMAND ${name}_test)
  endif()
endfunction()

# holdfast_program(NAME deps...): an executable of every .cc file of the calling folder, in build/<preset>/bin.
function(holdfast_program name)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  list(FILTER sources EXCLUDE REGEX "_test\\.cc$")
  add_executable(${name} ${sources})
  target_link_libraries(${name} PRIVATE ${ARGN})
  holdfast_precompile(${name})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
endfunction()

# One precompiled header, built with base and used by all: fmt, Boost.JSON and the common std headers are
# most of a small file's compile time.
function(holdfast_precompile name)
  if(name STREQUAL "base")
    target_precompile_headers(base PRIVATE ${CMAKE_SOURCE_DIR}/src/base/precompiled.h)
  else()
    target_precompile_headers(${name} REUSE_FROM base)
  endif()
endfunction()

# The same for tests, with GoogleTest's headers. They are compiled without optimisation, which halves their
# compile time; what they test is compiled as ever.
function(holdfast_precompile_test name)
  target_compile_options(${name} PRIVATE -O0)
  if(name STREQUAL "base_test")
    target_precompile_headers(base_test PRIVATE ${CMAKE_SOURCE_DIR}/src/base/precompiled.h <gtest/gtest.h>)
  else()
    target_precompile_headers(${name} REUSE_FROM base_test)
  endif()
endfunction()
