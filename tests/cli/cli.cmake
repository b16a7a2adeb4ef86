# SPDX-License-Identifier: MIT
# Tests of the command line: cli/test_<name>.py PROGRAM, run by ctest as "cli.<name>".
function(cli_test name)
  add_test(NAME cli.${name} COMMAND Python3::Interpreter
    ${PROJECT_SOURCE_DIR}/tests/cli/test_${name}.py $<TARGET_FILE:cowtip>)
  set_tests_properties(cli.${name} PROPERTIES LABELS cli TIMEOUT 300)
endfunction()

cli_test(usage)
cli_test(bench)
cli_test(sweep)
cli_test(certificate)
cli_test(traces)
cli_test(recovery)
