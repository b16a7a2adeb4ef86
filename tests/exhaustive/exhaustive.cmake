# SPDX-License-Identifier: MIT
# exhaustive_test(<name> SOURCES <file>... LINKS <layer>...)  ->  exhaustive/test_<name>.c: whole searches of tiny worlds
function(exhaustive_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LINKS;LIBS")
  add_executable(test_${name} exhaustive/test_${name}.c ${arg_SOURCES})
  target_link_libraries(test_${name} PRIVATE ${arg_LINKS} ${arg_LIBS} build_flags PkgConfig::check)
  set_target_properties(test_${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR})
  add_test(NAME exhaustive.${name} COMMAND test_${name})
  set_tests_properties(exhaustive.${name} PROPERTIES LABELS exhaustive TIMEOUT 600)
endfunction()

# Every search against every other, and the swap test.
exhaustive_test(equality SOURCES exhaustive/searches.c exhaustive/small_world.c
  LINKS workloads oracle engine injector traces)
exhaustive_test(swap LINKS workloads oracle engine injector traces)
exhaustive_test(symmetry SOURCES exhaustive/searches.c LINKS workloads oracle engine injector traces)
