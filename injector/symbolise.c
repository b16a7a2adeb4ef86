// SPDX-License-Identifier: MIT
/* Addresses to names, from the module's file. A label holds return addresses: the call stands just
 * before, which may be another line and, behind a function that does not return, another function.
 * So the address minus one is looked up, and the address itself is shown. */
#include "injector/backtrace.h"

#include <elfutils/libdwfl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/** Does the file still have the build id that was recorded? Names of another build would be lies.
 */
static bool is_same_build(Dwfl_Module *module, const char *build_id)
{
	const unsigned char *bytes;
	GElf_Addr address;
	int count = dwfl_module_build_id(module, &bytes, &address);

	if (count <= 0 || build_id[0] == '\0')
		return true;
	if (strlen(build_id) != 2 * (size_t)count)
		return false;
	for (int i = 0; i < count; i++) {
		char hex[3];
		snprintf(hex, sizeof(hex), "%02x", bytes[i]);
		if (strncmp(build_id + 2 * (size_t)i, hex, 2) != 0)
			return false;
	}
	return true;
}

/** Name `address` (relative to the load address 0); false when there is no symbol. */
static bool name_address(char *text, size_t text_bytes, Dwfl_Module *module, Dwarf_Addr address)
{
	GElf_Off distance = 0;
	GElf_Sym symbol;
	const char *name =
		dwfl_module_addrinfo(module, address - 1, &distance, &symbol, NULL, NULL, NULL);

	if (!name)
		return false;
	Dwfl_Line *line = dwfl_module_getsrc(module, address - 1);
	int number = 0;
	const char *source = line ? dwfl_lineinfo(line, NULL, &number, NULL, NULL, NULL) : NULL;
	if (source)
		snprintf(text, text_bytes, "%s+0x%" PRIx64 " (%s:%d)", name, distance + 1,
			 base_name(source), number);
	else
		snprintf(text, text_bytes, "%s+0x%" PRIx64, name, distance + 1);
	return true;
}

void backtrace_symbolise(char *text, size_t text_bytes, const struct trace *trace,
			 const struct trace_frame *frame)
{
	static const Dwfl_Callbacks callbacks = {
		.find_elf = dwfl_build_id_find_elf,
		.find_debuginfo = dwfl_standard_find_debuginfo,
		.section_address = dwfl_offline_section_address,
	};
	if (frame->module >= trace->module_count) {
		snprintf(text, text_bytes, "?+0x%" PRIx64, frame->address);
		return;
	}
	const struct trace_module *file = &trace->modules[frame->module];
	bool named = false;
	Dwfl *dwfl = dwfl_begin(&callbacks);
	if (dwfl) {
		Dwfl_Module *module =
			dwfl_report_elf(dwfl, base_name(file->path), file->path, -1, 0, false);
		dwfl_report_end(dwfl, NULL, NULL);
		if (module && is_same_build(module, file->build_id))
			named = name_address(text, text_bytes, module, frame->address);
		dwfl_end(dwfl);
	}
	if (!named)
		snprintf(text, text_bytes, "%s+0x%" PRIx64, base_name(file->path), frame->address);
}
