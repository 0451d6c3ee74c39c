# The two shapes of target in this tree. A module is a directory: its .cc files make the library, its
# *_test.cc files make one test program beside it. Files are found by name, so adding one needs no edit.

set(CLEAT_SANITIZER "" CACHE STRING "Sanitizers to build with: address,undefined or thread")

add_library(cleat_flags INTERFACE)
target_include_directories(cleat_flags INTERFACE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR})
target_compile_options(cleat_flags INTERFACE -Wall -Wextra -Wconversion -Wshadow -Werror -msse4.2)
if(CLEAT_SANITIZER)
  # g++ warns of uninitialised values that are none once a sanitizer has changed the code (its manual says so).
  target_compile_options(cleat_flags INTERFACE -fsanitize=${CLEAT_SANITIZER} -fno-omit-frame-pointer
                         -fno-sanitize-recover=all -Wno-maybe-uninitialized)
  target_link_options(cleat_flags INTERFACE -fsanitize=${CLEAT_SANITIZER})
endif()

# cleat_module(NAME [DEPS target...] [TEST_DEPS target...]): library cleat_NAME and test cleat_NAME_test.
function(cleat_module name)
  cmake_parse_arguments(ARG "" "" "DEPS;TEST_DEPS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS *.cc)
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "_test\\.cc$|/main\\.cc$")
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  if(sources)
    add_library(cleat_${name} STATIC ${sources})
    target_link_libraries(cleat_${name} PUBLIC cleat_flags ${ARG_DEPS})
  else()
    add_library(cleat_${name} INTERFACE)
    target_link_libraries(cleat_${name} INTERFACE cleat_flags ${ARG_DEPS})
  endif()
  if(tests)
    cleat_test(cleat_${name}_test SOURCES ${tests} DEPS cleat_${name} ${ARG_TEST_DEPS})
  endif()
endfunction()

# cleat_test(NAME SOURCES file... [DEPS target...]): a gtest program registered with ctest.
function(cleat_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE cleat_flags ${ARG_DEPS} GTest::gtest_main GTest::gmock)
  # The time of a test is in the library that it tests: what compiles sooner is better here.
  target_compile_options(${name} PRIVATE $<$<CONFIG:RelWithDebInfo>:-O1>)
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT 600)
endfunction()

# cleat_program(NAME SOURCES file... [DEPS target...]): a program, put in bin/ of the build directory.
function(cleat_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE cleat_flags ${ARG_DEPS})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
endfunction()
