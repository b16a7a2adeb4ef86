# SPDX-License-Identifier: MIT
unit_test(choice LINKS injector traces)
unit_test(strategy LINKS injector traces)
unit_test(prune LINKS injector traces)
unit_test(disk_memory LINKS injector traces)
unit_test(intercept LINKS injector traces)
unit_test(session LINKS injector traces)
unit_test(fault_point LINKS injector traces LIBS PkgConfig::fiu)
unit_test(backtrace LINKS injector traces)

# Recording whole programs. The helpers are such programs: built as anybody's are, without our flags.
find_package(Threads REQUIRED)
foreach(helper helper_file_calls helper_static)
  add_executable(${helper} integration/helper_file_calls.c)
  target_compile_definitions(${helper} PRIVATE _GNU_SOURCE)
  target_compile_options(${helper} PRIVATE -g -fno-optimize-sibling-calls)
  target_link_libraries(${helper} PRIVATE Threads::Threads)
  set_target_properties(${helper} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR} INTERPROCEDURAL_OPTIMIZATION OFF)
endforeach()
target_link_options(helper_static PRIVATE -static)

add_executable(test_record_program integration/test_record_program.c)
target_link_libraries(test_record_program PRIVATE injector traces build_flags PkgConfig::check)
target_compile_definitions(test_record_program PRIVATE
  HELPER="$<TARGET_FILE:helper_file_calls>" STATIC_HELPER="$<TARGET_FILE:helper_static>")
set_target_properties(test_record_program PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR})
add_dependencies(test_record_program cowtip-injector helper_file_calls helper_static)
add_test(NAME integration.record_program COMMAND test_record_program)
set_tests_properties(integration.record_program PROPERTIES LABELS integration TIMEOUT 300)
