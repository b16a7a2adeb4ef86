// SPDX-License-Identifier: MIT
/* One run of an unmodified program:
 *
 *      copy the image; start the program; then, at each rest (gate_program.h),
 *          read what it said: requests complete
 *          options: take the next command (0, when the program would read), each waiting call
 *          the choice picks one; a command is fed, a call let go
 *      and when it has ended, put its recording and what was told here together.
 *
 * The recording has the program's I/O and a mark at each rest; requests and choices are told here.
 * What is told between two rests goes in front of the second one's mark. So an acknowledgement may
 * stand a little later in the log than it was given, never earlier, and never behind an I/O that
 * came in a later step: whatever is promised by it was promised then.
 *
 * The end of the input is a command like any other, but comes when no request is outstanding. */
#include "workloads/program.h"

#include "injector/digest.h"
#include "injector/order.h"
#include "traces/memory.h"
#include "workloads/program_private.h"
#include "workloads/world.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	STEPS_MAX = 20000,
	COMMAND_ACTOR = 1,
	/** Instead of a command's number: a step without a decision. */
	UNCHOSEN = WORKLOAD_COMMANDS_MAX + 1,
	/** Of the path of the folder above ours; with a socket in ours, whose path has 107 at most.
	 */
	FOLDER_BYTES_MAX = 200,
	SOCKET_FOLDER_BYTES_MAX = 80,
};

/* ---- beginning and end ---- */

/** Take the initial files, under the names that they have in every trace. */
static enum status take_files(struct program *program, const struct program_options *options,
			      struct why *why)
{
	const struct world_options plain = { .policy = QCOW2_EAGER, .points = SCHED_POINTS_IO };
	const struct trace_file *files = options->files;
	size_t count = options->file_count;
	struct world *world = NULL;
	enum status status = STATUS_OK;

	if (!files && workload_compresses(program->workload))
		return program_prepare(&program->files, program->workload, program->folder, why);
	if (!files) {
		status = world_new(&world, program->workload, &plain, why);
		if (status != STATUS_OK)
			return status;
		files = world_files(world, &count);
	}
	for (size_t i = 0; i < count && status == STATUS_OK; i++) {
		struct content *initial = content_clone(files[i].initial);
		if (initial)
			trace_add_file(&program->files, files[i].path, files[i].format,
				       files[i].backing, initial);
		else
			status = why_set(why, STATUS_NO_MEMORY, "out of memory");
	}
	world_free(world);
	return status;
}

const char *program_usual_folder(void)
{
	const char *given = getenv("TMPDIR");

	if (access("/dev/shm", W_OK) == 0)
		return "/dev/shm";
	return given && *given ? given : "/tmp";
}

/** Make a folder of our own; its path is absolute, because servers insist on that for sockets. */
static enum status make_folder(struct program *program, const char *above, struct why *why)
{
	size_t most = program->face->has_socket ? SOCKET_FOLDER_BYTES_MAX : FOLDER_BYTES_MAX;
	char *absolute = realpath(above, NULL);
	enum status status = STATUS_OK;

	if (absolute && strlen(absolute) > most) {
		status = why_set(why, STATUS_USAGE,
				 "the path of folder '%.100s' is too long: %zu bytes at most",
				 above, most);
		goto out;
	}
	if (absolute)
		snprintf(program->folder, sizeof(program->folder), "%s/cowtip-XXXXXX", absolute);
	if (!absolute || !mkdtemp(program->folder)) {
		program->folder[0] = 0;
		status = why_set(why, STATUS_IO, "cannot make a folder in '%s': %s", above,
				 strerror(errno));
	}
out:
	free(absolute);
	return status;
}

/** Place the files: the image is written anew before each run, what backs it stays. */
static enum status place_files(struct program *program, struct why *why)
{
	enum status status = STATUS_OK;

	snprintf(program->prefix, sizeof(program->prefix), "%s/recording", program->folder);
	snprintf(program->socket_path, sizeof(program->socket_path), "%s/socket", program->folder);
	snprintf(program->image_path, sizeof(program->image_path), "%s/%.30s", program->folder,
		 program->files.files[0].path);
	for (size_t i = 0; i < program->files.file_count; i++) {
		program->known[i].path = i == 0 ? program->image_path : program->backing_path;
		program->known[i].initial = program->files.files[i].initial;
	}
	for (size_t i = 1; i < program->files.file_count && status == STATUS_OK; i++) {
		snprintf(program->backing_path, sizeof(program->backing_path), "%s/%.30s",
			 program->folder, program->files.files[i].path);
		status = content_store(program->files.files[i].initial, program->backing_path, why);
	}
	return status;
}

enum status program_new(struct program **program, const struct workload *workload,
			const struct program_options *options, struct why *why)
{
	struct program *made = calloc(1, sizeof(*made));
	const char *above = options->image_folder;

	if (!made)
		return why_set(why, STATUS_NO_MEMORY, "out of memory");
	made->face = options->is_nbd ? &program_nbd : &program_console;
	made->workload = workload;
	made->stacks = options->stacks;
	made->faults = options->faults;
	made->gate_flags = (options->gate_all ? GATE_ORDER_ALL : 0u) |
			   (options->split_completion ? GATE_ORDER_SPLIT : 0u);
	made->steps_max = options->steps_max ? options->steps_max : STEPS_MAX;
	trace_init(&made->files);
	event_log_init(&made->told);
	event_log_init(&made->log);
	record_result_init(&made->result);
	made->trail = program_trail_new();
	trace_set_text(&made->command, options->command);
	enum status status = make_folder(made, above ? above : program_usual_folder(), why);
	if (status == STATUS_OK)
		status = take_files(made, options, why);
	if (status == STATUS_OK)
		status = place_files(made, why);
	if (status == STATUS_OK)
		status = program_split(made, why);
	/* What counts as a request depends on the command line. */
	if (status == STATUS_OK)
		status = program_spell(made, why);
	if (status == STATUS_OK)
		*program = made;
	else
		program_free(made);
	return status;
}

void program_free(struct program *program)
{
	if (!program)
		return;
	program->face->end(program);
	gated_server_stop(&program->server);
	if (program->folder[0]) {
		unlink(program->image_path);
		unlink(program->socket_path);
		unlink(program->backing_path);
		rmdir(program->folder);
	}
	for (size_t i = 0; i < program->request_count; i++)
		free(program->requests[i].text);
	for (size_t i = 0; program->argv && program->argv[i]; i++)
		free(program->argv[i]);
	free(program->requests);
	free(program->argv);
	free(program->command);
	free(program->marks);
	program_trail_free(program->trail);
	free(program->dump.bytes);
	trace_release(&program->files);
	event_log_release(&program->told);
	event_log_release(&program->log);
	record_result_release(&program->result);
	free(program);
}

const struct trace_file *program_files(const struct program *program, size_t *file_count)
{
	*file_count = program->files.file_count;
	return program->files.files;
}

/* ---- what is told ---- */

static void tell(struct program *program, const struct event *event, const void *data,
		 size_t data_bytes)
{
	event_log_append(&program->told, event, data, data_bytes);
}

static void tell_image(struct program *program, enum event_kind kind, enum request_op op,
		       int result)
{
	const struct event event = {
		.kind = (uint8_t)kind,
		.op = (uint8_t)op,
		.id = op == REQUEST_OPEN ? PROGRAM_OPEN_ID : program->close_id,
		.result = result,
	};
	tell(program, &event, NULL, 0);
}

static struct event request_event(const struct program_request *request, enum event_kind kind)
{
	return (struct event){
		.kind = (uint8_t)kind,
		.op = (uint8_t)request->command->op,
		.id = request->id,
		.guest_offset = request->command->guest_offset,
		.length = request->command->length,
	};
}

void program_invoked(struct program *program, size_t index)
{
	struct program_request *request = &program->requests[index];
	const struct workload_command *command = request->command;
	const struct event event = request_event(request, EVENT_REQUEST_INVOKED);
	size_t bytes = command->op == REQUEST_WRITE ? (size_t)command->length : 0;

	request->state = REQUEST_OUTSTANDING;
	if (!request->id)
		return;
	uint8_t *data = bytes ? malloc(bytes) : NULL;
	if (bytes && !data)
		abort();
	if (data)
		memset(data, command->pattern, bytes);
	tell(program, &event, data, bytes);
	free(data);
}

void program_completed(struct program *program, size_t index, int result, const uint8_t *data,
		       size_t data_bytes)
{
	struct program_request *request = &program->requests[index];
	struct event event = request_event(request, EVENT_REQUEST_COMPLETED);

	request->state = REQUEST_DONE;
	event.result = result;
	if (request->id)
		tell(program, &event, data_bytes ? data : NULL, data_bytes);
}

size_t program_outstanding(const struct program *program)
{
	size_t count = 0;

	for (size_t i = 0; i < program->request_count; i++)
		count += program->requests[i].state == REQUEST_OUTSTANDING;
	return count;
}

/* ---- a run ---- */

/** How it is run; `images` (of one) must live as long as the result. */
static struct record_options options_of(const struct program *program, const char *const *images)
{
	return (struct record_options){ .argv = program->argv,
					.images = images,
					.image_count = 1,
					.known = program->known,
					.known_count = program->files.file_count,
					.prefix = program->prefix,
					.folder = program->folder,
					.stacks = program->stacks };
}

/** Write the image, start the program. */
static enum status launch(struct program *program, struct why *why)
{
	const char *images[] = { program->image_path };
	const struct record_options options = options_of(program, images);
	enum status status =
		content_overwrite(program->files.files[0].initial, program->image_path, why);

	if (status == STATUS_OK && !program->server.started)
		status = gated_server_start(&program->server, &options, why);
	if (status == STATUS_OK)
		status = gated_start_with(&program->run, &program->server, &options,
					  program->gate_flags, why);
	return status;
}

static enum status begin_run(struct program *program, struct why *why)
{
	event_log_reset(&program->told);
	event_log_reset(&program->log);
	record_result_release(&program->result);
	for (size_t i = 0; i < program->request_count; i++) {
		program->requests[i].state = REQUEST_UNBORN;
		program->requests[i].suspected = 0;
		program->requests[i].told = 0;
		program->requests[i].is_troubled = false;
	}
	memset(program->failures, 0, sizeof(program->failures));
	program->flush_failed = false;
	program->close_troubled = false;
	program->mark_count = 0;
	program_trail_begin(program->trail);
	program->next = 0;
	program->faults_left = program->faults.faults_max;
	program->waited_for = SIZE_MAX;
	program->is_open = false;
	program->is_closing = false;
	program->has_refused = false;
	program->dump.byte_count = 0;
	program->was_told_to_end = false;
	program->line[0] = 0;
	program->face->begin(program);
	tell_image(program, EVENT_REQUEST_INVOKED, REQUEST_OPEN, 0);
	return launch(program, why);
}

/** The program takes its next command. */
static void feed(struct program *program)
{
	size_t index = program->next;

	program->line[0] = 0;
	if (index == program->request_count) {
		program->is_closing = true;
		tell_image(program, EVENT_REQUEST_INVOKED, REQUEST_CLOSE, 0);
	} else {
		if (program->requests[index].waits)
			program->waited_for = index;
		program_invoked(program, index);
		program->next++;
	}
	program->face->give(program, index);
}

static void mark_rest(struct program *program)
{
	program->marks = memory_grow(program->marks, &program->mark_capacity,
				     program->mark_count + 1, sizeof(*program->marks));
	program->marks[program->mark_count++] = program->told.count;
}

/** What can be done at this rest. Returns how many options there are; the first is to take a
 * command, if `*takes`. */
static uint32_t list_options(const struct program *program, uint32_t *actors, bool *takes)
{
	const struct gate_ask *ask = &program->run.ask;
	uint32_t count = 0;

	*takes = ask->takes_command && !program->is_closing && program->face->takes(program) &&
		 (program->next < program->request_count || program_outstanding(program) == 0);
	if (*takes)
		actors[count++] = COMMAND_ACTOR;
	for (uint32_t i = 0; i < ask->count && i < GATE_WIRE_CALLS_MAX; i++)
		actors[count++] = ask->calls[i].actor;
	return count;
}

/** Decide what goes wrong with a call that is about to go on. False: the run is given up. */
static bool decide_fault(struct program *program, struct choice *choice,
			 const struct gate_wire_call *call, struct fault *fault)
{
	const struct fault_options *options = &program->faults;
	const struct fault_call asked = { .point = call->point,
					  .kind = fault_menu_kind((enum io_op)call->op),
					  .host_offset = call->host_offset,
					  .length = call->length };
	struct fault_menu menu = { .count = 0 };

	if (program->faults_left > 0 && call->point[0] && !call->returns)
		fault_menu_matching(&menu, &asked,
				    options->kinds ? options->kinds : FAULT_KINDS_ALL,
				    options->points ? options->points : "*");
	if (!menu.count)
		return true;
	uint32_t pick = choice_pick(
		choice, &(struct choice_point){ .kind = CHOICE_FAULT, .count = 1 + menu.count });
	if (pick == CHOICE_ABANDON)
		return false;
	program_trail_fault(program->trail, pick);
	if (pick == 0)
		return true;
	*fault = menu.faults[pick - 1];
	program->faults_left--;
	program_failed(program, call->op == IO_FLUSH);
	return true;
}

/** Let call number `index` go on. False: the run is given up. */
static bool let_go(struct program *program, struct choice *choice, uint32_t index)
{
	const struct gate_wire_call *call = &program->run.ask.calls[index];
	struct fault fault = { 0 };

	program_trail_step(program->trail, call, 0);
	if (!decide_fault(program, choice, call, &fault))
		return false;
	gated_let_fail(&program->run, index, &fault);
	return true;
}

static void rest_on_trail(struct program *program)
{
	program_trail_rest(program->trail, &program->run.ask, program->told.count,
			   2 * program->next + program->is_closing);
}

/** Decide at a rest, and begin the next step. RUN_FINISHED: the run goes on. */
static enum run_end decide(struct program *program, struct choice *choice)
{
	static const struct footprint unknown = { .everything = true };
	uint32_t actors[GATE_WIRE_CALLS_MAX + 1];
	bool takes = false;
	uint32_t count = list_options(program, actors, &takes);
	const struct choice_point point = { .kind = CHOICE_RUN, .count = count, .actors = actors };

	if (!count)
		return RUN_DEADLOCK;
	if (program->mark_count > program->steps_max)
		return RUN_LIVELOCK;
	if (choice->stepping)
		choice_step_done(choice, &unknown, 0);
	rest_on_trail(program);
	uint32_t pick = choice_pick(choice, &point);
	if (pick == CHOICE_ABANDON)
		return RUN_PRUNED;
	if (count > 1)
		program_trail_decided(program->trail, true);
	if (takes && pick == 0) {
		program_trail_step(program->trail, NULL, program->next);
		feed(program);
	} else if (!let_go(program, choice, pick - takes)) {
		return RUN_PRUNED;
	}
	mark_rest(program);
	return RUN_FINISHED;
}

void program_opened(struct program *program)
{
	if (program->is_open)
		return;
	program->is_open = true;
	tell_image(program, EVENT_REQUEST_COMPLETED, REQUEST_OPEN, 0);
}

/** Begin the next step without a decision. The trail has it all the same: the recording has a mark
 * of its rest. */
static enum run_end go_on(struct program *program, enum program_turn turn)
{
	if (program->mark_count > program->steps_max)
		return RUN_LIVELOCK;
	rest_on_trail(program);
	program_trail_step(program->trail, NULL, UNCHOSEN);
	if (turn == PROGRAM_ENDS)
		gated_terminate(&program->run);
	else
		gated_go_on(&program->run);
	mark_rest(program);
	return RUN_FINISHED;
}

/** From the start to the end of the program, or of our patience. */
static enum status step_through(struct program *program, struct choice *choice, enum run_end *end,
				struct why *why)
{
	enum gated_state state = GATED_RESTS;

	*end = RUN_FINISHED;
	while (*end == RUN_FINISHED) {
		enum status status = gated_wait(&program->run, &state, why);
		enum program_turn turn = PROGRAM_CHOOSES;
		if (status == STATUS_OK)
			status = program->face->listen(program, state == GATED_ENDED, &turn, why);
		if (status != STATUS_OK || state == GATED_ENDED)
			return status;
		*end = turn == PROGRAM_CHOOSES ? decide(program, choice) : go_on(program, turn);
	}
	return STATUS_OK;
}

static void end_event(const struct program *program, enum run_end end, char *text,
		      size_t text_bytes)
{
	int wait_status = program->result.wait_status;

	text[0] = 0;
	if (end == RUN_DIED && WIFSIGNALED(wait_status))
		snprintf(text, text_bytes, "ended by signal %d%s%.160s", WTERMSIG(wait_status),
			 program->line[0] ? ": " : "", program->line);
	else if (end == RUN_DIED)
		snprintf(text, text_bytes, "ended with exit status %d in mid-course%s%.160s",
			 WEXITSTATUS(wait_status), program->line[0] ? ": " : "", program->line);
	else if (end == RUN_DEADLOCK)
		snprintf(text, text_bytes, "the program waits for what cannot come");
}

static void move_told(struct program *program, size_t *from, size_t to)
{
	for (; *from < to; ++*from) {
		const struct event *event = &program->told.events[*from];
		event_log_append(&program->log, event, event_data(&program->told, event),
				 event->data_bytes);
	}
}

/** One log of the recording and of what was told. */
static void join_logs(struct program *program, const struct trace *recorded, enum run_end end)
{
	struct event last = { .kind = EVENT_END, .op = (uint8_t)end };
	size_t told = 0, mark = 0;
	char text[PROGRAM_LINE_BYTES];

	for (size_t i = 0; i < recorded->log.count; i++) {
		const struct event *event = &recorded->log.events[i];
		if (event->kind == EVENT_SWITCH && mark < program->mark_count)
			move_told(program, &told, program->marks[mark++]);
		else if (event->kind != EVENT_SWITCH && event->kind != EVENT_END)
			event_log_append(&program->log, event, event_data(&recorded->log, event),
					 event->data_bytes);
	}
	move_told(program, &told, program->told.count);
	end_event(program, end, text, sizeof(text));
	event_log_append(&program->log, &last, text[0] ? text : NULL, strlen(text));
}

/** The program has ended by itself: how? */
static enum run_end own_end(struct program *program)
{
	bool has_failed = program->faults_left < program->faults.faults_max;
	if (!program->is_open && has_failed && WIFEXITED(program->result.wait_status)) {
		program->has_refused = true;
		tell_image(program, EVENT_REQUEST_COMPLETED, REQUEST_OPEN, -EIO);
		return RUN_FINISHED;
	}
	if (!program->is_closing || !WIFEXITED(program->result.wait_status))
		return RUN_DIED;
	/* Nor does it say whether it could close the image. */
	bool failed = program->flush_failed || program->close_troubled;
	tell_image(program, EVENT_REQUEST_COMPLETED, REQUEST_CLOSE, failed ? -EIO : 0);
	return RUN_FINISHED;
}

static enum status check_recording(const struct program *program, struct why *why)
{
	const struct record_result *result = &program->result;
	const char *said = program->line[0] ? program->line : "nothing that tells why";

	if (!program->is_open && !program->has_refused && result->trace_count == 0)
		return why_set(why, STATUS_BAD_INPUT,
			       "'%s' ended before it opened the image; it said: %s",
			       program->argv[0], said);
	if (!program->is_open && !program->has_refused)
		return why_set(why, STATUS_BAD_INPUT, "'%s' ended before it %s; it said: %s",
			       program->argv[0], program->face->begun, said);
	if (result->trace_count != 1)
		return why_set(why, STATUS_UNSUPPORTED,
			       "'%s' changed the image in %zu processes: one is wanted",
			       program->argv[0], result->trace_count);
	return STATUS_OK;
}

enum run_end program_run(struct program *program, struct choice *choice)
{
	const char *images[] = { program->image_path };
	const struct record_options options = options_of(program, images);
	struct why *why = &program->why;
	struct why finish_why = { "" };
	enum run_end end = RUN_FINISHED;

	choice->log = &program->told;
	program->status = begin_run(program, why);
	if (program->status == STATUS_OK)
		program->status = step_through(program, choice, &end, why);
	bool is_over = program->status == STATUS_OK && end == RUN_FINISHED;
	if (!is_over)
		gated_kill(&program->run);
	program->face->end(program);
	enum status finished = gated_finish(&program->run, &program->server, &options,
					    &program->result, &finish_why);
	if (program->status == STATUS_OK && finished != STATUS_OK) {
		program->status = finished;
		*why = finish_why;
	}
	if (is_over && program->status == STATUS_OK)
		end = own_end(program);
	if (program->status == STATUS_OK)
		program->status = check_recording(program, why);
	if (program->status != STATUS_OK)
		return end;
	join_logs(program, &program->result.traces[0], end);
	if (program->is_trail_wanted)
		program_trail_end(program->trail, &program->result.traces[0], &program->told,
				  program_end_hash(program) + (uint64_t)end);
	return end;
}

void program_keep_line(struct program *program, const char *line)
{
	snprintf(program->line, sizeof(program->line), "%s", line);
}

enum status program_status(const struct program *program, struct why *why)
{
	*why = program->why;
	return program->status;
}

/* ---- the result ---- */

const struct event_log *program_log(const struct program *program)
{
	return &program->log;
}

static uint64_t hash_bytes(const void *bytes, size_t byte_count)
{
	struct iovec piece = { .iov_len = byte_count };

	memcpy(&piece.iov_base, &bytes, sizeof(bytes));
	return byte_count ? digest_vector(&piece, byte_count) : 0;
}

uint64_t program_end_hash(const struct program *program)
{
	struct content *image = trace_final_view(&program->result.traces[0], 0);
	uint64_t hash = image ? order_mixed(content_size(image)) : 0;

	for (uint64_t page = 0; image && content_next_page(image, &page); page++) {
		const uint8_t *bytes = content_page(image, page);
		/* A page of zeros and a hole read the same. */
		if (bytes[0] || memcmp(bytes, bytes + 1, CONTENT_PAGE_BYTES - 1) != 0)
			hash += order_mixed(page + hash_bytes(bytes, CONTENT_PAGE_BYTES));
	}
	for (size_t i = 0; i < program->log.count; i++) {
		const struct event *event = &program->log.events[i];
		if (event->kind == EVENT_REQUEST_COMPLETED)
			hash += order_mixed(
				((uint64_t)event->id << 32 | (uint32_t)event->result) +
				hash_bytes(event_data(&program->log, event), event->data_bytes));
		else if (event->kind == EVENT_END)
			hash += order_mixed(event->op);
	}
	content_free(image);
	return hash;
}

const struct join_trail *program_trail(struct program *program)
{
	program->is_trail_wanted = true;
	return program_trail_places(program->trail);
}

static void copy_labels(const struct trace *from, struct trace *to)
{
	for (size_t i = 0; i < from->module_count; i++)
		trace_add_module(to, from->modules[i].path, from->modules[i].build_id);
	for (size_t i = 0; i < from->stack_count; i++)
		trace_add_stack(to, &from->stacks[i]);
}

void program_trace(const struct program *program, const struct choice *choice, struct trace *trace)
{
	trace_set_text(&trace->subject, program->command);
	trace_set_text(&trace->workload, program->workload->text);
	trace_add_setting(trace, program->face->setting, program->command);
	trace_add_setting(trace, "stamps", "no");
	fault_options_to_trace(&program->faults, trace);
	if (program->gate_flags & GATE_ORDER_ALL)
		trace_add_setting(trace, "gate_all", "yes");
	if (program->gate_flags & GATE_ORDER_SPLIT)
		trace_add_setting(trace, "split_completion", "yes");
	schedule_copy(&trace->schedule, &choice->taken);
	for (size_t i = 0; i < program->files.file_count; i++) {
		const struct trace_file *file = &program->files.files[i];
		struct content *initial = content_clone(file->initial);
		if (!initial)
			abort();
		trace_add_file(trace, file->path, file->format, file->backing, initial);
	}
	copy_labels(&program->result.traces[0], trace);
	for (size_t i = 0; i < program->log.count; i++) {
		const struct event *event = &program->log.events[i];
		event_log_append(&trace->log, event, event_data(&program->log, event),
				 event->data_bytes);
	}
	trace->complete = true;
}
