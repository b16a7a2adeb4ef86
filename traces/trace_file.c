// SPDX-License-Identifier: MIT
/* Trace files: the stream of trace_stream.h in one zstd frame with a checksum.
 *
 * Writing: the size of the stream is found by encoding once into nothing, because a frame that says
 * its size up front can be checked against it, and a small one needs no window. Now and then the
 * compressor is told to put out everything it has, so that a file cut by a crash still holds what
 * went in before.
 *
 * Reading: chunk by chunk, through the decompressor into the decoder. A byte grows to 32768 at
 * most, which is zstd's own bound and comes near for a recording of large writes of zeros; so there
 * is no other but for the whole. When the decoder finds a contradiction the rest is still
 * decompressed: if the checksum is wrong, that is the reason, and it is what the message says. */
#include "traces/trace.h"

#include "traces/trace_check.h"
#include "traces/trace_decoder.h"
#include "traces/trace_record.h"
#include "traces/trace_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

enum {
	CHUNK_BYTES = 64 * 1024,
	/** Bytes of the stream that a crash while writing may cost. */
	FLUSH_BYTES = 256 * 1024,
	/** 8 MiB, what `zstd -19` uses; decides the memory that a few bytes can ask for. */
	WINDOW_BITS_MAX = 23,
	ZSTD_MAGIC_BYTES = 4,
};

static const uint8_t zstd_magic[ZSTD_MAGIC_BYTES] = { 0x28, 0xb5, 0x2f, 0xfd };

/* A trace on its way into a file. */
struct writer {
	int file;
	ZSTD_CCtx *compressor;
	uint64_t stream_bytes; /* put so far */
	uint64_t flushed_at;   /* stream_bytes at the last flush */
	uint8_t chunk[CHUNK_BYTES];
};

static enum status count_bytes(void *context, const struct trace_span *spans, size_t span_count)
{
	uint64_t *total = context;
	for (size_t i = 0; i < span_count; i++)
		*total += spans[i].byte_count;
	return STATUS_OK;
}

static bool write_all(int file, const uint8_t *bytes, size_t byte_count)
{
	while (byte_count) {
		ssize_t written = write(file, bytes, byte_count);
		if (written < 0)
			return false;
		bytes += written;
		byte_count -= (size_t)written;
	}
	return true;
}

/* Compress `span`, then flush or end when asked to. */
static enum status compress(struct writer *writer, struct trace_span span,
			    ZSTD_EndDirective directive)
{
	ZSTD_inBuffer in = { span.bytes, span.byte_count, 0 };
	for (;;) {
		ZSTD_outBuffer out = { writer->chunk, sizeof(writer->chunk), 0 };
		size_t left = ZSTD_compressStream2(writer->compressor, &out, &in, directive);
		if (ZSTD_isError(left))
			return STATUS_NO_MEMORY;
		if (!write_all(writer->file, writer->chunk, out.pos))
			return STATUS_IO;
		bool done = directive == ZSTD_e_continue ? in.pos == in.size : left == 0;
		if (done)
			return STATUS_OK;
	}
}

static enum status put_compressed(void *context, const struct trace_span *spans, size_t span_count)
{
	struct writer *writer = context;
	for (size_t i = 0; i < span_count; i++) {
		enum status status = compress(writer, spans[i], ZSTD_e_continue);
		if (status != STATUS_OK)
			return status;
		writer->stream_bytes += spans[i].byte_count;
	}
	if (writer->stream_bytes - writer->flushed_at < FLUSH_BYTES)
		return STATUS_OK;
	writer->flushed_at = writer->stream_bytes;
	return compress(writer, (struct trace_span){ NULL, 0 }, ZSTD_e_flush);
}

/* The longer a stream, the faster it is compressed: whoever records waits for it. */
static int choose_level(uint64_t stream_bytes)
{
	enum { SHORT_BYTES = 256 << 10, LONG_BYTES = 16 << 20 };
	if (stream_bytes <= SHORT_BYTES)
		return 9;
	return stream_bytes <= LONG_BYTES ? 3 : 1;
}

static enum status write_frame(struct writer *writer, const struct trace *trace)
{
	uint64_t total = 0;
	enum status status =
		trace_encode(trace, &(struct trace_sink){ .put = count_bytes, .context = &total });
	if (status != STATUS_OK)
		return status;
	ZSTD_CCtx *compressor = writer->compressor;
	ZSTD_CCtx_setParameter(compressor, ZSTD_c_compressionLevel, choose_level(total));
	ZSTD_CCtx_setParameter(compressor, ZSTD_c_checksumFlag, 1);
	ZSTD_CCtx_setPledgedSrcSize(compressor, total);
	status = trace_encode(trace,
			      &(struct trace_sink){ .put = put_compressed, .context = writer });
	if (status == STATUS_OK)
		status = compress(writer, (struct trace_span){ NULL, 0 }, ZSTD_e_end);
	return status;
}

/* Write, sync and close; STATUS_IO leaves the reason in errno. */
static enum status write_file(const struct trace *trace, const char *path)
{
	enum status status = STATUS_NO_MEMORY;
	struct writer *writer = malloc(sizeof(*writer));
	ZSTD_CCtx *compressor = ZSTD_createCCtx();
	int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (file < 0) {
		status = STATUS_IO;
	} else if (writer && compressor) {
		*writer = (struct writer){ .file = file, .compressor = compressor };
		status = write_frame(writer, trace);
		if (status == STATUS_OK && fsync(file) < 0)
			status = STATUS_IO;
	}
	int error = errno;
	if (file >= 0 && close(file) < 0 && status == STATUS_OK) {
		status = STATUS_IO;
		error = errno;
	}
	ZSTD_freeCCtx(compressor);
	free(writer);
	errno = error;
	return status;
}

enum status trace_write(const struct trace *trace, const char *path, struct why *why)
{
	enum status status = trace_check(trace, path, why);
	if (status != STATUS_OK)
		return status;
	char *temporary = NULL;
	if (asprintf(&temporary, "%s.tmp", path) < 0)
		return why_set(why, STATUS_NO_MEMORY, "cannot write '%s': out of memory", path);
	status = write_file(trace, temporary);
	if (status == STATUS_OK && rename(temporary, path) < 0)
		status = STATUS_IO;
	if (status == STATUS_IO)
		why_set(why, status, "cannot write '%s': %s", path, strerror(errno));
	else if (status != STATUS_OK)
		why_set(why, status, "cannot write '%s': %s", path, status_name(status));
	if (status != STATUS_OK)
		unlink(temporary);
	free(temporary);
	return status;
}

/* Where compressed or bare bytes come from: a file or memory, chunk by chunk. */
struct source {
	int file; /* negative: memory */
	const uint8_t *bytes;
	size_t byte_count;
	uint8_t *chunk; /* owned; CHUNK_BYTES, for files */
	uint64_t taken; /* bytes given so far */
};

/* The next bytes, borrowed until the call after; none at the end. */
static enum status source_next(struct source *source, struct trace_span *span)
{
	if (source->file < 0) {
		*span = (struct trace_span){ source->bytes, source->byte_count };
		source->byte_count = 0;
	} else {
		ssize_t got = read(source->file, source->chunk, CHUNK_BYTES);
		if (got < 0)
			return STATUS_IO;
		*span = (struct trace_span){ source->chunk, (size_t)got };
	}
	source->taken += span->byte_count;
	return STATUS_OK;
}

/* A trace on its way out of a file. */
struct reader {
	struct source *source;
	struct trace_decoder decoder;
	enum status status; /* the decoder's; fed no more when not OK */
	ZSTD_DCtx *decompressor;
	uint8_t *chunk;
	uint64_t stream_bytes; /* decompressed so far */
	bool frame_done;
};

static void feed(struct reader *reader, const uint8_t *bytes, size_t byte_count)
{
	if (reader->status == STATUS_OK)
		reader->status = trace_decoder_feed(&reader->decoder, bytes, byte_count);
}

static enum status corrupt_file(const struct reader *reader, const char *problem)
{
	return why_set(reader->decoder.why, STATUS_CORRUPT,
		       "trace '%s': damaged file, within the first %" PRIu64 " bytes: %s",
		       reader->decoder.name, reader->source->taken, problem);
}

/* Decompress one chunk of the file into the decoder. */
static enum status decompress(struct reader *reader, struct trace_span span)
{
	ZSTD_inBuffer in = { span.bytes, span.byte_count, 0 };
	bool drained = false;
	while (in.pos < in.size || !drained) {
		if (reader->frame_done && in.pos < in.size)
			return corrupt_file(reader, "bytes behind the end");
		if (reader->frame_done)
			return STATUS_OK;
		ZSTD_outBuffer out = { reader->chunk, CHUNK_BYTES, 0 };
		size_t left = ZSTD_decompressStream(reader->decompressor, &out, &in);
		if (ZSTD_isError(left))
			return corrupt_file(reader, ZSTD_getErrorName(left));
		reader->frame_done = left == 0;
		reader->stream_bytes += out.pos;
		drained = out.pos < out.size;
		if (reader->stream_bytes > TRACE_STREAM_BYTES_MAX)
			return corrupt_file(reader, "it grows too much when decompressed");
		feed(reader, reader->chunk, out.pos);
	}
	return STATUS_OK;
}

static enum status finish_compressed(struct reader *reader)
{
	if (reader->status != STATUS_OK)
		return reader->status;
	if (!reader->frame_done && reader->stream_bytes < TRACE_HEADER_BYTES)
		return why_set(reader->decoder.why, STATUS_TRUNCATED,
			       "trace '%s': ends at byte %" PRIu64 ", before its first record",
			       reader->decoder.name, reader->source->taken);
	enum status status = trace_decoder_finish(&reader->decoder);
	if (status == STATUS_OK && !reader->frame_done) {
		reader->decoder.trace->complete = false;
		return why_set(reader->decoder.why, STATUS_TRUNCATED,
			       "trace '%s': ends at byte %" PRIu64 ", before its checksum",
			       reader->decoder.name, reader->source->taken);
	}
	return status;
}

static enum status read_compressed(struct reader *reader, struct trace_span span)
{
	reader->decompressor = ZSTD_createDCtx();
	reader->chunk = malloc(CHUNK_BYTES);
	if (!reader->decompressor || !reader->chunk)
		return why_set(reader->decoder.why, STATUS_NO_MEMORY,
			       "cannot read '%s': out of memory", reader->decoder.name);
	ZSTD_DCtx_setParameter(reader->decompressor, ZSTD_d_windowLogMax, WINDOW_BITS_MAX);
	enum status status = STATUS_OK;
	while (status == STATUS_OK && span.byte_count) {
		status = decompress(reader, span);
		if (status == STATUS_OK)
			status = source_next(reader->source, &span);
	}
	return status == STATUS_OK ? finish_compressed(reader) : status;
}

static enum status read_bare(struct reader *reader, struct trace_span span)
{
	enum status status = STATUS_OK;
	while (status == STATUS_OK && reader->status == STATUS_OK && span.byte_count) {
		feed(reader, span.bytes, span.byte_count);
		if (reader->source->taken > TRACE_STREAM_BYTES_MAX)
			status = corrupt_file(reader, "it is too large");
		else
			status = source_next(reader->source, &span);
	}
	if (status == STATUS_OK)
		status = reader->status;
	return status == STATUS_OK ? trace_decoder_finish(&reader->decoder) : status;
}

static enum status read_source(struct trace *trace, struct source *source, const char *name,
			       struct why *why)
{
	struct reader reader = { .source = source, .status = STATUS_OK };
	trace_decoder_init(&reader.decoder, trace, name, why);
	struct trace_span span;
	enum status status = source_next(source, &span);
	if (status == STATUS_OK) {
		bool compressed = span.byte_count >= ZSTD_MAGIC_BYTES &&
				  memcmp(span.bytes, zstd_magic, ZSTD_MAGIC_BYTES) == 0;
		status = compressed ? read_compressed(&reader, span) : read_bare(&reader, span);
	}
	if (status == STATUS_IO)
		why_set(why, status, "cannot read '%s': %s", name, strerror(errno));
	ZSTD_freeDCtx(reader.decompressor);
	free(reader.chunk);
	trace_decoder_release(&reader.decoder);
	if (status != STATUS_OK && status != STATUS_TRUNCATED) {
		trace_release(trace);
		trace_init(trace);
	}
	return status;
}

enum status trace_read(struct trace *trace, const char *path, struct why *why)
{
	struct source source = { .file = open(path, O_RDONLY | O_CLOEXEC) };
	if (source.file < 0)
		return why_set(why, STATUS_IO, "cannot open '%s': %s", path, strerror(errno));
	source.chunk = malloc(CHUNK_BYTES);
	enum status status = source.chunk ? read_source(trace, &source, path, why)
					  : why_set(why, STATUS_NO_MEMORY,
						    "cannot read '%s': out of memory", path);
	close(source.file);
	free(source.chunk);
	return status;
}

enum status trace_read_memory(struct trace *trace, const void *bytes, size_t byte_count,
			      const char *name, struct why *why)
{
	struct source source = { .file = -1, .bytes = bytes, .byte_count = byte_count };
	return read_source(trace, &source, name, why);
}
