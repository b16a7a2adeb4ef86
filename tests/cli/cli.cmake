# SPDX-License-Identifier: MIT
# Tests of the command line: cli/test_<name>.py PROGRAM ARGUMENT..., run by ctest as "cli.<name>".
function(cli_test name)
  add_test(NAME cli.${name} COMMAND Python3::Interpreter
    ${PROJECT_SOURCE_DIR}/tests/cli/test_${name}.py $<TARGET_FILE:cowtip> ${ARGN})
  set_tests_properties(cli.${name} PROPERTIES LABELS cli TIMEOUT 300)
endfunction()

cli_test(usage)
# What the README shows is the release build: with sanitizers states of a run are not known, and more is executed.
if(NOT COWTIP_SANITIZE)
  cli_test(readme ${PROJECT_SOURCE_DIR}/README.md ${PROJECT_SOURCE_DIR}/workloads)
endif()
cli_test(bench)
cli_test(sweep)
cli_test(certificate)
cli_test(traces)
cli_test(show)
cli_test(image)
cli_test(install ${PROJECT_BINARY_DIR})
cli_test(lax)
cli_test(convert)
if(COWTIP_SANITIZE)
  cli_test(import 1)
else()
  cli_test(import 0)
endif()
cli_test(ci ${PROJECT_SOURCE_DIR}/workloads/ci)
cli_test(guest)
cli_test(program ${PROJECT_SOURCE_DIR}/workloads/qemu)
cli_test(shrink ${PROJECT_SOURCE_DIR}/workloads/qemu)
cli_test(corpus ${PROJECT_SOURCE_DIR}/workloads/qemu)
cli_test(nbd ${PROJECT_SOURCE_DIR}/workloads/qemu)
set_tests_properties(cli.program cli.nbd cli.shrink cli.corpus PROPERTIES TIMEOUT 600)
cli_test(large ${PROJECT_SOURCE_DIR}/workloads/large three-overlapping)

# Minutes and more; COWTIP_LONG_SECONDS bounds each sweep.
add_test(NAME long.large COMMAND Python3::Interpreter
  ${PROJECT_SOURCE_DIR}/tests/cli/test_large.py $<TARGET_FILE:cowtip>
  ${PROJECT_SOURCE_DIR}/workloads/large four-overlapping five-alike)
set_tests_properties(long.large PROPERTIES LABELS long TIMEOUT 7200)
cli_test(recovery)
cli_test(weakest)
cli_test(rules ${PROJECT_SOURCE_DIR}/oracle/rules)
cli_test(campaign)
set_tests_properties(cli.campaign PROPERTIES TIMEOUT 900)
cli_test(holes ${PROJECT_SOURCE_DIR}/workloads/qemu)
set_tests_properties(cli.holes PROPERTIES TIMEOUT 900)
