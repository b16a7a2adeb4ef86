# SPDX-License-Identifier: MIT
# fuzz_target(<name> LINKS <folder>... [LIBS <target>...])
#   fuzz/fuzz_<name>.c defines LLVMFuzzerTestOneInput(); fuzz/corpus/<name>/ holds its seeds.
#   COWTIP_FUZZ=ON (clang): the libFuzzer program fuzz_<name>.
#   Otherwise: the same with a plain main(), run over the seeds by ctest as "fuzz.<name>".
function(fuzz_target name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "LINKS;LIBS")
  set(folder ${PROJECT_SOURCE_DIR}/tests/fuzz)
  add_executable(fuzz_${name} ${folder}/fuzz_${name}.c)
  target_link_libraries(fuzz_${name} PRIVATE ${arg_LINKS} ${arg_LIBS} build_flags)
  if(COWTIP_FUZZ)
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  else()
    target_sources(fuzz_${name} PRIVATE ${folder}/replay_main.c)
    set_target_properties(fuzz_${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR})
    add_test(NAME fuzz.${name} COMMAND fuzz_${name} ${folder}/corpus/${name})
    set_tests_properties(fuzz.${name} PROPERTIES LABELS fuzz TIMEOUT 120)
  endif()
endfunction()

fuzz_target(trace LINKS traces)
fuzz_target(dm_log LINKS traces)

# Writes fresh seeds for fuzz_trace: cmake --build BUILD --target seed_trace && BUILD/tests/seed_trace DIR
if(NOT COWTIP_FUZZ)
  add_executable(seed_trace EXCLUDE_FROM_ALL
    ${PROJECT_SOURCE_DIR}/tests/fuzz/seed_trace.c ${PROJECT_SOURCE_DIR}/tests/unit/example_trace.c)
  target_link_libraries(seed_trace PRIVATE traces build_flags)
  set_target_properties(seed_trace PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR})
endif()
