// SPDX-License-Identifier: MIT
/* Unwinding costs little once libunwind knows a thread's stacks, but what it knows of them is a
 * table of 256 KiB for each thread, and a pool's threads come from the same place all the time. So
 * there is a way to ask whether a thread stands where it stood: its frame is at the same place, and
 * wherever a return address was found last time, the same is there now. That is proof for all code
 * whose frames have one size at a given return address: then each address that is the same says
 * where the next one lies. A function with a frame of changing size (alloca()) might be taken for
 * an earlier call of itself, if that left its return address where it would have to be and nothing
 * overwrote it; a label would be wrong, nothing else.
 *
 * The list of modules is read anew when an address lies in none of those known: libraries are
 * loaded now and then (dlopen), stacks are taken at every I/O. Modules that were unloaded stay in
 * the list, because labels that name them do. */
#define UNW_LOCAL_ONLY

#include "injector/unwind.h"

#include <elf.h>
#include <libunwind.h>
#include <limits.h>
#include <link.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { NOTE_ALIGNMENT = 4, FRAMES_MAX = 64 };

/* The linker's own names for the ends of a section; absent where nothing is intercepted. */
/* NOLINTBEGIN(readability-identifier-naming): the linker chooses them */
extern const char __start_cowtip_intercept[] __attribute__((weak, visibility("hidden")));
extern const char __stop_cowtip_intercept[] __attribute__((weak, visibility("hidden")));
/* NOLINTEND(readability-identifier-naming) */

static struct unwind_module modules[UNWIND_MODULES_MAX];
static int module_count;
static int last_found; /* neighbouring frames lie in the same module more often than not */

__attribute__((noinline)) size_t unwind_addresses(uintptr_t *addresses, size_t addresses_max)
{
	void *frames[FRAMES_MAX];
	size_t room = addresses_max + 1 < FRAMES_MAX ? addresses_max + 1 : FRAMES_MAX;

	/* The first is an address in this function. */
	int count = unw_backtrace(frames, (int)room);
	size_t kept = 0;
	for (int i = 1; i < count; i++)
		if (frames[i])
			addresses[kept++] = (uintptr_t)frames[i];
	return kept;
}

static bool is_interception(const void *address)
{
	return address > (const void *)__start_cowtip_intercept &&
	       address <= (const void *)__stop_cowtip_intercept;
}

/** Store what lies behind the interception. The first frame is ours. */
static size_t keep_callers(uintptr_t *addresses, size_t addresses_max, void *const *frames,
			   size_t count)
{
	size_t first = 1;
	size_t kept = 0;

	for (size_t i = 1; i < count; i++)
		if (is_interception(frames[i]))
			first = i + 1;
		else if (first > 1)
			break;
	for (size_t i = first; i < count && kept < addresses_max; i++)
		if (frames[i])
			addresses[kept++] = (uintptr_t)frames[i];
	return kept;
}

__attribute__((noinline)) size_t unwind_callers(uintptr_t *addresses, size_t addresses_max)
{
	void *frames[FRAMES_MAX];
	int count = unw_backtrace(frames, FRAMES_MAX);

	return keep_callers(addresses, addresses_max, frames, count > 0 ? (size_t)count : 0);
}

/** Note a return address and its place, which is right below the frame that it returns to, but for
 * a signal's. False: it is not there. */
static bool take(struct unwind_taken *taken, uintptr_t address, uintptr_t stack_pointer)
{
	/* NOLINTNEXTLINE(performance-no-int-to-ptr): it is one */
	const uintptr_t *place = (const uintptr_t *)stack_pointer - 1;

	if ((const void *)place <= taken->frame)
		return true;
	if (taken->count == UNWIND_TAKEN_MAX || *place != address)
		return false;
	taken->addresses[taken->count] = address;
	taken->places[taken->count++] = place;
	return true;
}

__attribute__((noinline)) size_t unwind_callers_taken(uintptr_t *addresses, size_t addresses_max,
						      struct unwind_taken *taken, const void *frame)
{
	void *frames[FRAMES_MAX];
	size_t count = 0;
	unw_context_t context;
	unw_cursor_t cursor;
	unw_word_t address = 0;
	unw_word_t stack_pointer = 0;
	bool is_whole = true;

	*taken = (struct unwind_taken){ .frame = frame };
	unw_getcontext(&context);
	if (unw_init_local(&cursor, &context) < 0)
		return 0;
	do {
		if (unw_get_reg(&cursor, UNW_REG_IP, &address) < 0 || address == 0 ||
		    unw_get_reg(&cursor, UNW_REG_SP, &stack_pointer) < 0)
			break;
		if (count > 0 && is_whole)
			is_whole = take(taken, (uintptr_t)address, (uintptr_t)stack_pointer);
		/* NOLINTNEXTLINE(performance-no-int-to-ptr): it is one */
		frames[count++] = (void *)address;
	} while (count < FRAMES_MAX && unw_step(&cursor) > 0);
	if (!is_whole || count == FRAMES_MAX)
		taken->count = 0;
	return keep_callers(addresses, addresses_max, frames, count);
}

bool unwind_is_again(const struct unwind_taken *taken, const void *frame)
{
	if (taken->count == 0 || taken->frame != frame)
		return false;
	for (size_t i = 0; i < taken->count; i++)
		if (*taken->places[i] != taken->addresses[i])
			return false;
	return true;
}

size_t unwind_addresses_signal(uintptr_t *addresses, size_t addresses_max, void *ucontext)
{
	unw_cursor_t cursor;
	size_t count = 0;

	if (unw_init_local2(&cursor, ucontext, UNW_INIT_SIGNAL_FRAME) < 0)
		return 0;
	while (count < addresses_max) {
		unw_word_t address = 0;
		if (unw_get_reg(&cursor, UNW_REG_IP, &address) < 0 || address == 0)
			break;
		addresses[count] = (uintptr_t)address + (count == 0);
		count++;
		if (unw_step(&cursor) <= 0)
			break;
	}
	return count;
}

/** Find the GNU build id in a note segment; stores hex digits. */
static void read_build_id(char *hex, size_t hex_bytes, const uint8_t *notes, size_t note_bytes)
{
	while (note_bytes >= sizeof(ElfW(Nhdr))) {
		ElfW(Nhdr) note;
		memcpy(&note, notes, sizeof(note));
		size_t name_bytes = ((size_t)note.n_namesz + NOTE_ALIGNMENT - 1) & ~3UL;
		size_t id_bytes = ((size_t)note.n_descsz + NOTE_ALIGNMENT - 1) & ~3UL;
		size_t whole = sizeof(note) + name_bytes + id_bytes;
		if (whole > note_bytes)
			return;
		const uint8_t *name = notes + sizeof(note);
		if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
		    memcmp(name, "GNU", 4) == 0 && 2 * (size_t)note.n_descsz < hex_bytes) {
			for (size_t i = 0; i < note.n_descsz; i++)
				snprintf(hex + 2 * i, 3, "%02x", name[name_bytes + i]);
			return;
		}
		notes += whole;
		note_bytes -= whole;
	}
}

static bool is_known(const struct unwind_module *module)
{
	for (int i = 0; i < module_count; i++)
		if (modules[i].base == module->base && modules[i].from == module->from &&
		    strcmp(modules[i].path, module->path) == 0)
			return true;
	return false;
}

static int add_module(struct dl_phdr_info *info, size_t info_bytes, void *context)
{
	struct unwind_module *module = &modules[module_count];

	(void)info_bytes;
	(void)context;
	if (module_count == UNWIND_MODULES_MAX)
		return 1;
	*module = (struct unwind_module){ .base = info->dlpi_addr, .from = UINTPTR_MAX };
	for (size_t i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
		uintptr_t from = info->dlpi_addr + segment->p_vaddr;
		if (segment->p_type == PT_NOTE && module->build_id[0] == '\0')
			read_build_id(module->build_id, sizeof(module->build_id),
				      /* NOLINTNEXTLINE(performance-no-int-to-ptr): it is one */
				      (const uint8_t *)from, segment->p_filesz);
		if (segment->p_type != PT_LOAD)
			continue;
		if (from < module->from)
			module->from = from;
		if (from + segment->p_memsz > module->to)
			module->to = from + segment->p_memsz;
	}
	if (info->dlpi_name[0] != '\0')
		snprintf(module->path, sizeof(module->path), "%s", info->dlpi_name);
	else if (module_count == 0 &&
		 readlink("/proc/self/exe", module->path, sizeof(module->path) - 1) < 0)
		snprintf(module->path, sizeof(module->path), "/proc/self/exe");
	if (!is_known(module))
		module_count++;
	return 0;
}

static int find_module(uintptr_t address)
{
	if (last_found < module_count && address >= modules[last_found].from &&
	    address < modules[last_found].to)
		return last_found;
	for (int i = 0; i < module_count; i++)
		if (address >= modules[i].from && address < modules[i].to)
			return last_found = i;
	return -1;
}

int unwind_module_number(uintptr_t address)
{
	int number = find_module(address);

	if (number >= 0)
		return number;
	dl_iterate_phdr(add_module, NULL);
	return find_module(address);
}

const struct unwind_module *unwind_module(int number)
{
	return &modules[number];
}
