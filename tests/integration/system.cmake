# SPDX-License-Identifier: MIT
# Tests of the whole: the shipped workloads through engine, injector and oracle, and next to QEMU.
# What `ctest --preset long` runs of these programs; they are built for it by the target `long_programs`.
add_custom_target(long_programs DEPENDS cowtip)

# long_test(<test> ARGUMENT ...): test program <test> once more, at length, as long.<test>
function(long_test name)
  add_test(NAME long.${name} COMMAND test_${name} ${ARGN})
  set_tests_properties(long.${name} PROPERTIES LABELS long TIMEOUT 3600 SKIP_RETURN_CODE 77)
  add_dependencies(long_programs test_${name})
endfunction()

add_library(suite_support STATIC integration/shipped.c integration/page.c)
target_link_libraries(suite_support PRIVATE build_flags PkgConfig::check PUBLIC workloads)

integration_test(known_bugs LINKS suite_support workloads engine oracle injector traces)
integration_test(bug_table LINKS suite_support workloads engine oracle injector traces)
target_compile_definitions(test_bug_table PRIVATE TESTS_README="${PROJECT_SOURCE_DIR}/tests/README.md")
# A handful of known bugs, and (`ctest -L long`) all of them.
integration_test(shrink_table LINKS suite_support cli workloads engine oracle injector traces)
target_compile_definitions(test_shrink_table PRIVATE TESTS_README="${PROJECT_SOURCE_DIR}/tests/README.md")
if(NOT COWTIP_SANITIZE)
  long_test(shrink_table all)
endif()
# Three requests are too few for some bugs: a sample of all lists, and all of them.
integration_test(fewest_requests LINKS suite_support workloads engine oracle injector traces)
if(NOT COWTIP_SANITIZE)
  long_test(fewest_requests 1000000)
  set_tests_properties(long.fewest_requests PROPERTIES TIMEOUT 7200)
endif()
integration_test(faults LINKS suite_support workloads engine oracle injector traces LIBS PkgConfig::fiu)
integration_test(standstill LINKS suite_support workloads engine oracle injector traces)
integration_test(recovery LINKS suite_support workloads engine oracle injector traces)

# Deciding what reordering leaves, next to listing it: a sample, and enough for patient people.
integration_test(reorder_listed LINKS suite_support oracle_world workloads engine oracle injector traces)
long_test(reorder_listed 4000)
integration_test(bitmaps_listed LINKS oracle_world cli workloads engine oracle injector traces)
add_dependencies(test_bitmaps_listed cowtip-injector)
long_test(bitmaps_listed 1500)

# Crash states next to qemu-img check, the same.
add_library(agreement STATIC integration/agreement.c integration/silence.c)
target_link_libraries(agreement PRIVATE test_support suite_support build_flags PkgConfig::check
  PUBLIC oracle traces)
integration_test(crash_states
  LINKS agreement suite_support oracle_world workloads engine oracle injector traces)
target_compile_definitions(test_crash_states PRIVATE COWTIP="$<TARGET_FILE:cowtip>"
  RECORD_STOCK="${CMAKE_CURRENT_SOURCE_DIR}/integration/record_stock.py"
  TESTS_README="${PROJECT_SOURCE_DIR}/tests/README.md")
add_dependencies(test_crash_states cowtip cowtip-injector)
long_test(crash_states 20000)
integration_test(same_script LINKS suite_support workloads engine oracle injector traces)

integration_test(determinism LINKS suite_support workloads engine oracle injector traces)

# Committed traces must be what their README says, and replay as they were recorded; make_corpus records them anew:
#   cmake --build BUILD --target make_corpus && BUILD/tests/make_corpus traces/corpus
integration_test(corpus LINKS suite_support cli workloads engine oracle injector traces)
target_sources(test_corpus PRIVATE integration/corpus_page.c)
target_compile_definitions(test_corpus PRIVATE
  COWTIP="$<TARGET_FILE:cowtip>" CORPUS="${PROJECT_SOURCE_DIR}/traces/corpus")
add_dependencies(test_corpus cowtip cowtip-injector)
add_executable(make_corpus EXCLUDE_FROM_ALL integration/make_corpus.c integration/invented.c
  integration/corpus_page.c)
target_link_libraries(make_corpus PRIVATE cli workloads engine oracle injector traces build_flags)
target_compile_definitions(make_corpus PRIVATE QEMU_WORKLOADS="${PROJECT_SOURCE_DIR}/workloads/qemu")
add_dependencies(make_corpus cowtip-injector)
set_target_properties(make_corpus PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR})

# Unmodified programs at the gate. The thousand runs are for patient people.
add_library(foreign_support STATIC integration/foreign.c)
target_link_libraries(foreign_support PRIVATE build_flags PkgConfig::check
  PUBLIC workloads engine oracle injector traces)

# gate_test(<name> HELPER <program> RUNS <number>): with a badly behaved program; once more at length
function(gate_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "HELPER;RUNS" "")
  integration_test(${name} LINKS foreign_support)
  add_executable(${arg_HELPER} integration/${arg_HELPER}.c)
  target_compile_definitions(${arg_HELPER} PRIVATE _GNU_SOURCE)
  set_target_properties(${arg_HELPER} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR})
  target_compile_definitions(test_${name} PRIVATE HELPER="$<TARGET_FILE:${arg_HELPER}>")
  add_dependencies(test_${name} cowtip-injector ${arg_HELPER})
  long_test(${name} ${arg_RUNS})
endfunction()

gate_test(program_gate HELPER helper_gated RUNS 1000)
gate_test(nbd_gate HELPER helper_served RUNS 1000)

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
stock_test(external_data integration ARGUMENTS external_data.py)
stock_test(false_alarms integration ARGUMENTS false_alarms.py --runs 24)
stock_test(false_alarms_long long ARGUMENTS false_alarms.py --runs 200 --seed 2)
stock_test(dm_log_long long
  ARGUMENTS test_dm_log.py ${PROJECT_SOURCE_DIR}/traces/corpus --runs 100)

# Stock qemu-img, every crash state: a few of them shown to qemu-img itself, or all.
set(qemu_img_page ${PROJECT_SOURCE_DIR}/workloads/qemu/README.md)
stock_test(qemu_img integration ARGUMENTS qemu_img.py --states 5 --readme ${qemu_img_page})
stock_test(qemu_img_long long ARGUMENTS qemu_img.py --readme ${qemu_img_page})
