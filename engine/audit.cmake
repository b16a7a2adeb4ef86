# SPDX-License-Identifier: MIT
# The audit build: files compiled so that the compiler tells of every access to memory, for tests
# that compare these with the steps' footprints. gcc's thread sanitizer makes the calls; its run-time
# library, which no other sanitizer likes beside it, is not linked: scheduler/audit_calls.c answers.

# audited(<name> <source>...): an object library of such files. Linked before the layers, it stands in
# for their own copies of these files.
function(audited name)
  add_library(${name} OBJECT ${ARGN})
  get_target_property(options build_flags INTERFACE_COMPILE_OPTIONS)
  list(FILTER options EXCLUDE REGEX "sanitize")
  target_compile_options(${name} PRIVATE ${options} -fsanitize=thread
    # Names of functions are wanted in complaints.
    -fno-inline-small-functions -fno-inline-functions -fno-inline-functions-called-once
    -fno-partial-inlining -fno-ipa-sra -fno-ipa-cp
    # These would tell of accesses of their own.
    -fno-profile-arcs -fno-test-coverage -fno-analyzer
    --param=tsan-distinguish-volatile=0 --param=tsan-instrument-func-entry-exit=0
    -include ${PROJECT_SOURCE_DIR}/engine/scheduler/audit_calls.h)
  target_compile_definitions(${name} PRIVATE _GNU_SOURCE COWTIP_AUDIT)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  set_target_properties(${name} PROPERTIES INTERPROCEDURAL_OPTIMIZATION OFF
    EXPORT_COMPILE_COMMANDS OFF)
endfunction()

set(audited_sources ${runtime_sources} ${qcow2_sources})
list(FILTER audited_sources INCLUDE REGEX "^(qcow2/|coroutine/co_|scheduler/touch)")
audited(engine_audited ${audited_sources})
target_link_libraries(engine_audited PRIVATE PkgConfig::zlib)

add_library(audit STATIC scheduler/audit.c scheduler/audit_map.c scheduler/audit_calls.c)
target_sources(audit PUBLIC FILE_SET HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR}
  FILES scheduler/audit_private.h scheduler/audit_calls.h)
target_link_libraries(audit PRIVATE build_flags engine)
