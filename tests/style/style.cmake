# SPDX-License-Identifier: MIT
# The style tests: `ctest -L style`. Each has a self-test that plants faults and expects them found.
set(style ${PROJECT_SOURCE_DIR}/tests/style)
get_property(layer_uses GLOBAL PROPERTY LAYER_USES)
string(REPLACE ";" " " layer_uses "${layer_uses}")

# style_test(<name> COMMAND ...)
function(style_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "COMMAND")
  add_test(NAME style.${name} COMMAND ${arg_COMMAND})
  set_tests_properties(style.${name} PROPERTIES LABELS style TIMEOUT 120 SKIP_RETURN_CODE 77)
endfunction()

style_test(tidy COMMAND Python3::Interpreter ${style}/tidy.py ${PROJECT_SOURCE_DIR} ${layer_uses})
style_test(tidy.self_test COMMAND Python3::Interpreter ${style}/tidy.py --self-test)

# With link-time optimisation the objects hold compiler code, which only the compiler's own nm reads.
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
  find_program(STYLE_NM NAMES gcc-nm nm)
else()
  find_program(STYLE_NM NAMES llvm-nm llvm-nm-14 nm)
endif()
set(libraries)
foreach(folder engine oracle traces)
  if(TARGET ${folder})
    list(APPEND libraries ${folder}=$<TARGET_FILE:${folder}>)
  endif()
endforeach()
style_test(symbols COMMAND Python3::Interpreter ${style}/symbols.py ${STYLE_NM} ${libraries})
style_test(symbols.self_test COMMAND Python3::Interpreter ${style}/symbols.py --self-test
  ${STYLE_NM} ${CMAKE_AR} ${CMAKE_C_COMPILER})

style_test(format COMMAND ${style}/format.sh ${PROJECT_SOURCE_DIR})
style_test(format.self_test COMMAND ${style}/format.sh --self-test ${PROJECT_SOURCE_DIR})
