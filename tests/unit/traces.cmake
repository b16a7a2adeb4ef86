# SPDX-License-Identifier: MIT
unit_test(event LINKS traces)
unit_test(content LINKS traces)
unit_test(schedule LINKS traces)
unit_test(dm_log LINKS traces)
unit_test(dm_log_write LINKS traces)

find_program(ZSTD_PROGRAM zstd)
foreach(module trace trace_corrupt trace_follow)
  unit_test(${module} LINKS traces LIBS PkgConfig::zstd)
  target_sources(test_${module} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/unit/example_trace.c)
  target_compile_definitions(test_${module} PRIVATE
    ZSTD_PROGRAM="$<IF:$<BOOL:${ZSTD_PROGRAM}>,${ZSTD_PROGRAM},>")
endforeach()
