# SPDX-License-Identifier: MIT

# Hand-built images and logs, used by the tests of the oracle.
add_library(oracle_world STATIC ${CMAKE_CURRENT_SOURCE_DIR}/unit/oracle_world.c
  ${CMAKE_CURRENT_SOURCE_DIR}/unit/reorder_lister.c
  ${CMAKE_CURRENT_SOURCE_DIR}/unit/reorder_compare.c)
target_link_libraries(oracle_world PUBLIC oracle traces PRIVATE build_flags PkgConfig::check)

unit_test(oracle_content LINKS oracle_world oracle traces)
unit_test(oracle_structure LINKS oracle_world oracle traces)
unit_test(oracle_contained LINKS oracle_world oracle traces)
unit_test(oracle_reads LINKS oracle_world oracle traces)
unit_test(oracle_cuts LINKS oracle_world oracle traces)
unit_test(oracle_cut_examples LINKS oracle_world oracle traces)
unit_test(oracle_random LINKS oracle_world oracle traces)
unit_test(oracle_flushes LINKS oracle_world oracle traces)
unit_test(oracle_external LINKS oracle_world oracle traces)
unit_test(oracle_reorder LINKS oracle_world oracle traces)
unit_test(oracle_leaks LINKS oracle_world oracle traces)
unit_test(oracle_images LINKS oracle traces)
unit_test(oracle_lax LINKS oracle_world oracle traces)
unit_test(oracle_magnitude LINKS oracle LIBS m)
unit_test(oracle_judge LINKS oracle_world oracle traces LIBS PkgConfig::zlib)

# Crash states a second: cmake --build BUILD --target bench_oracle && BUILD/tests/bench_oracle
add_executable(bench_oracle EXCLUDE_FROM_ALL ${CMAKE_CURRENT_SOURCE_DIR}/unit/bench_oracle.c)
target_link_libraries(bench_oracle PRIVATE oracle_world build_flags PkgConfig::check)
set_target_properties(bench_oracle PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR})
