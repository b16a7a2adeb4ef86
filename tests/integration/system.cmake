# SPDX-License-Identifier: MIT
# Tests of the whole: the shipped workloads through engine, injector and oracle, and next to QEMU.
add_library(suite_support STATIC integration/shipped.c)
target_link_libraries(suite_support PRIVATE build_flags PkgConfig::check PUBLIC workloads)

integration_test(known_bugs LINKS suite_support workloads engine oracle injector traces)
integration_test(bug_table LINKS suite_support workloads engine oracle injector traces)
target_compile_definitions(test_bug_table PRIVATE TESTS_README="${PROJECT_SOURCE_DIR}/tests/README.md")
integration_test(faults LINKS suite_support workloads engine oracle injector traces LIBS PkgConfig::fiu)
integration_test(standstill LINKS suite_support workloads engine oracle injector traces)
integration_test(recovery LINKS suite_support workloads engine oracle injector traces)
integration_test(crash_states LINKS suite_support workloads engine oracle injector traces)
integration_test(same_script LINKS suite_support workloads engine oracle injector traces)

# Committed traces must replay as they were recorded; make_corpus records them anew:
#   cmake --build BUILD --target make_corpus && BUILD/tests/make_corpus traces/corpus
integration_test(determinism LINKS suite_support workloads engine oracle injector traces)
target_compile_definitions(test_determinism PRIVATE
  COWTIP="$<TARGET_FILE:cowtip>" CORPUS="${PROJECT_SOURCE_DIR}/traces/corpus")
add_dependencies(test_determinism cowtip)
add_executable(make_corpus EXCLUDE_FROM_ALL integration/make_corpus.c)
target_link_libraries(make_corpus PRIVATE cli workloads engine oracle injector traces build_flags)
set_target_properties(make_corpus PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR})

# Stock qemu-io at the gate. The thousand runs are for patient people.
integration_test(program_gate LINKS workloads engine oracle injector traces)
add_executable(helper_gated integration/helper_gated.c)
target_compile_definitions(helper_gated PRIVATE _GNU_SOURCE)
set_target_properties(helper_gated PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR})
target_compile_definitions(test_program_gate PRIVATE HELPER="$<TARGET_FILE:helper_gated>")
add_dependencies(test_program_gate cowtip-injector helper_gated)
add_test(NAME long.program_gate COMMAND test_program_gate 1000)
set_tests_properties(long.program_gate PROPERTIES LABELS long TIMEOUT 3600 SKIP_RETURN_CODE 77)

# The engine's accesses against its footprints: the audited files stand in for those of the layers.
if(TARGET audit)
  audited(world_audited ${PROJECT_SOURCE_DIR}/workloads/world_script.c)
  integration_test(footprints_audit
    LINKS engine_audited world_audited audit suite_support workloads engine oracle injector traces
    LIBS PkgConfig::zlib)
endif()

# Sweeps to their end, one fault and two. Too long with sanitizers; `ctest -L long`.
if(NOT COWTIP_SANITIZE)
  foreach(faults 1 2)
    add_test(NAME long.faults_${faults}
      COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/integration/sweep_faults.py
        $<TARGET_FILE:cowtip> ${PROJECT_SOURCE_DIR}/workloads/suite ${faults})
    set_tests_properties(long.faults_${faults} PROPERTIES LABELS long TIMEOUT 3600)
  endforeach()
endif()

# Stock qemu-io: recorded, and through blklogwrites. What takes long has the label `long`.
function(stock_test name label)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "" "ARGUMENTS")
  list(POP_FRONT arg_ARGUMENTS script)
  add_test(NAME integration.${name} COMMAND Python3::Interpreter
    ${PROJECT_SOURCE_DIR}/tests/integration/${script} $<TARGET_FILE:cowtip> ${arg_ARGUMENTS})
  set_tests_properties(integration.${name} PROPERTIES LABELS ${label} TIMEOUT 1200 SKIP_RETURN_CODE 77)
endfunction()

stock_test(dm_log integration ARGUMENTS test_dm_log.py ${PROJECT_SOURCE_DIR}/traces/corpus)
stock_test(false_alarms integration ARGUMENTS false_alarms.py --runs 24)
stock_test(false_alarms_long long ARGUMENTS false_alarms.py --runs 200 --seed 2)
stock_test(dm_log_long long
  ARGUMENTS test_dm_log.py ${PROJECT_SOURCE_DIR}/traces/corpus --runs 100)
