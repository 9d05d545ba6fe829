# The three ways in which something is built here, so that every directory says only what is its own.
#
#   hlbuf_library(name SOURCES ... DEPS ...)
#   hlbuf_program(name SOURCES ... DEPS ...)
#   hlbuf_test(name LABEL unit|integration|hostile|... SOURCES ... DEPS ... [TSAN] [TIMEOUT s] [ARGS ...])

include(CheckLinkerFlag)

add_library(hlbuf_options INTERFACE)
target_include_directories(hlbuf_options INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_options(hlbuf_options INTERFACE
  -Wall -Wextra -Wconversion -Wshadow -Wno-missing-field-initializers -fno-omit-frame-pointer
  $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor>)
if(HLBUF_WERROR)
  target_compile_options(hlbuf_options INTERFACE -Werror)
endif()
if(HLBUF_SANITIZE)
  # The check `vptr` asks the kernel through a pipe whether memory can be read: in a process without a free descriptor,
  # which is what some tests are about, it takes every object for a broken one.
  target_compile_options(hlbuf_options INTERFACE
    -fsanitize=${HLBUF_SANITIZE} -fno-sanitize=vptr -fno-sanitize-recover=all)
  target_link_options(hlbuf_options INTERFACE -fsanitize=${HLBUF_SANITIZE})
  # Two million pointers in a program, of 24 bytes each without this: a third of it.
  check_linker_flag(C -Wl,-z,pack-relative-relocs HLBUF_PACKS_RELOCATIONS)
  if(HLBUF_PACKS_RELOCATIONS)
    target_link_options(hlbuf_options INTERFACE -Wl,-z,pack-relative-relocs)
  endif()
else()
  target_compile_options(hlbuf_options INTERFACE $<$<CONFIG:Release,RelWithDebInfo>:-D_FORTIFY_SOURCE=2>)
  target_link_options(hlbuf_options INTERFACE -Wl,-z,relro,-z,now)
endif()
# libFuzzer steers by what it sees of the code under test.
if(HLBUF_FUZZ)
  target_compile_options(hlbuf_options INTERFACE -fsanitize=fuzzer-no-link)
endif()

# What ctest -L tsan runs, and nothing else.
add_custom_target(tsan_tests)

function(hlbuf_library name)
  cmake_parse_arguments(A "" "" "SOURCES;DEPS" ${ARGN})
  add_library(${name} STATIC ${A_SOURCES})
  target_link_libraries(${name} PUBLIC hlbuf_options ${A_DEPS})
endfunction()

function(hlbuf_program name)
  cmake_parse_arguments(A "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${A_SOURCES})
  target_link_libraries(${name} PRIVATE hlbuf_options ${A_DEPS})
endfunction()

# One ctest per program; ctest counts programs, gtest's own count is in its XML.
function(hlbuf_test name)
  cmake_parse_arguments(A "TSAN" "LABEL;TIMEOUT" "SOURCES;DEPS;ARGS" ${ARGN})
  if(NOT BUILD_TESTING)
    return()
  endif()
  hlbuf_program(${name} SOURCES ${A_SOURCES} DEPS ${A_DEPS} GTest::gtest GTest::gtest_main)
  add_test(NAME ${name} COMMAND ${name} ${A_ARGS})
  set(labels ${A_LABEL})
  if(A_TSAN)
    list(APPEND labels tsan)
    add_dependencies(tsan_tests ${name})
  endif()
  if(NOT A_TIMEOUT)
    set(A_TIMEOUT 120)
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${labels}" TIMEOUT ${A_TIMEOUT}
    ENVIRONMENT "HLBUF_BUILD_DIR=${CMAKE_BINARY_DIR};HLBUF_SOURCE_DIR=${CMAKE_SOURCE_DIR};TSAN_OPTIONS=suppressions=${CMAKE_SOURCE_DIR}/tests/support/tsan.supp")
endfunction()
