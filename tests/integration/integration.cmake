# SPDX-License-Identifier: MIT
# integration_test(<name> LINKS <layer>...)  ->  integration/test_<name>.c, next to the reference tools
add_library(test_support STATIC integration/subject.c integration/shell.c integration/patience.c)
target_link_libraries(test_support PRIVATE build_flags PkgConfig::check PUBLIC engine)

function(integration_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "LINKS;LIBS")
  add_executable(test_${name} integration/test_${name}.c)
  target_link_libraries(test_${name} PRIVATE test_support ${arg_LINKS} ${arg_LIBS} build_flags
    PkgConfig::check)
  set_target_properties(test_${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR})
  add_test(NAME integration.${name} COMMAND test_${name})
  set_tests_properties(integration.${name} PROPERTIES LABELS integration TIMEOUT 600
    SKIP_RETURN_CODE 77)
endfunction()

integration_test(reference LINKS engine)
integration_test(repair LINKS engine injector traces)
