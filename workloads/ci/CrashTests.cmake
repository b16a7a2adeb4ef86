# SPDX-License-Identifier: MIT
# Crash tests by ctest. In a CMakeLists.txt, with this file and crash-tests.sh in ci/:
#
#   include(ci/CrashTests.cmake)
#   crash_tests(WORKLOADS tests/crash/overlap.qio [SUBJECT "qemu-io -t {cache} -d unmap -f qcow2 {image}"])
#
# Each workload is a test of its own; the report goes to the build folder. The time of each search is
# COWTIP_BUDGET of the environment in which ctest runs. Without cowtip the tests count as not run.
set(crash_tests_script ${CMAKE_CURRENT_LIST_DIR}/crash-tests.sh)
find_program(COWTIP cowtip)

function(crash_tests)
  cmake_parse_arguments(crash "" "SUBJECT" "WORKLOADS" ${ARGN})
  foreach(workload IN LISTS crash_WORKLOADS)
    get_filename_component(name ${workload} NAME_WE)
    get_filename_component(path ${workload} ABSOLUTE)
    add_test(NAME crash.${name} COMMAND sh ${crash_tests_script} ${path})
    set_tests_properties(crash.${name} PROPERTIES LABELS crash TIMEOUT 900
      REQUIRED_FILES "${COWTIP}" ENVIRONMENT
      "COWTIP=${COWTIP};COWTIP_SUBJECT=${crash_SUBJECT};COWTIP_CAMPAIGN=;COWTIP_OUT=${CMAKE_BINARY_DIR}/crash/${name}")
  endforeach()
endfunction()
