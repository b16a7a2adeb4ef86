// SPDX-License-Identifier: MIT
/* One zstd frame with a checksum over its contents. In it, as pack.h lays things out: the words
 * "cowtip checkpoint", the format's number, the program, the workload's name and text, the
 * settings, the ledger. The number changes with every change of this layout; there is no reading
 * of other numbers, since only the very program that wrote a checkpoint goes on with it. */
#include "workloads/checkpoint.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#define MAGIC "cowtip checkpoint"

enum {
	FORMAT = 2,
	COMPRESSION_LEVEL = 3,
	PATH_BYTES = 4096,
};

/* What a file may ask for: 2^30 bytes, more than a hundred million classes. */
#define BYTES_MAX ((uint64_t)1 << 30)

/** Bytes on the heap. */
struct bytes {
	void *bytes; /* owned */
	size_t count;
};

void checkpoint_release(struct checkpoint *checkpoint)
{
	free(checkpoint->program);
	free(checkpoint->workload);
	free(checkpoint->text);
	free(checkpoint->settings);
	ledger_release(&checkpoint->ledger);
	*checkpoint = (struct checkpoint){ 0 };
}

static enum status write_file(const struct bytes *file_bytes, const char *path, struct why *why)
{
	char temporary[PATH_BYTES];
	if ((size_t)snprintf(temporary, sizeof(temporary), "%s.tmp", path) >= sizeof(temporary))
		return why_set(why, STATUS_IO, "file name is too long: '%.200s...'", path);
	FILE *file = fopen(temporary, "we");
	if (!file)
		return why_set(why, STATUS_IO, "cannot create '%.300s': %s", temporary,
			       strerror(errno));
	bool failed = fwrite(file_bytes->bytes, 1, file_bytes->count, file) != file_bytes->count;
	failed |= fflush(file) != 0 || fsync(fileno(file)) != 0;
	failed |= fclose(file) != 0;
	failed = failed || rename(temporary, path) != 0;
	if (!failed)
		return STATUS_OK;
	int error = errno;
	unlink(temporary);
	return why_set(why, STATUS_IO, "cannot write '%.300s': %s", path, strerror(error));
}

static void pack_all(const struct checkpoint *checkpoint, struct pack *pack)
{
	pack_text(pack, MAGIC);
	pack_number(pack, FORMAT);
	pack_text(pack, checkpoint->program);
	pack_text(pack, checkpoint->workload);
	pack_text(pack, checkpoint->text);
	pack_text(pack, checkpoint->settings);
	ledger_pack(&checkpoint->ledger, pack);
}

enum status checkpoint_write(const struct checkpoint *checkpoint, const char *path, struct why *why)
{
	struct pack pack = { 0 };
	pack_all(checkpoint, &pack);
	enum status status = STATUS_NO_MEMORY;
	size_t room = ZSTD_compressBound(pack.count);
	struct bytes frame = { .bytes = malloc(room) };
	ZSTD_CCtx *compressor = ZSTD_createCCtx();
	if (!frame.bytes || !compressor) {
		why_set(why, status, "out of memory");
		goto out;
	}
	ZSTD_CCtx_setParameter(compressor, ZSTD_c_compressionLevel, COMPRESSION_LEVEL);
	ZSTD_CCtx_setParameter(compressor, ZSTD_c_checksumFlag, 1);
	frame.count = ZSTD_compress2(compressor, frame.bytes, room, pack.bytes, pack.count);
	if (ZSTD_isError(frame.count))
		status = why_set(why, STATUS_IO, "cannot write '%.300s': %s", path,
				 ZSTD_getErrorName(frame.count));
	else
		status = write_file(&frame, path, why);
out:
	ZSTD_freeCCtx(compressor);
	free(frame.bytes);
	pack_release(&pack);
	return status;
}

static enum status read_file(struct bytes *file_bytes, const char *path, struct why *why)
{
	enum status status = STATUS_OK;
	FILE *file = fopen(path, "re");
	if (!file)
		return why_set(why, STATUS_IO, "cannot open '%.300s': %s", path, strerror(errno));
	long size = fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;
	if (size < 0 || (uint64_t)size > BYTES_MAX) {
		status = why_set(why, STATUS_FOREIGN, "'%.300s' is no checkpoint of cowtip", path);
		goto out;
	}
	rewind(file);
	file_bytes->count = (size_t)size;
	file_bytes->bytes = malloc(file_bytes->count + 1);
	if (!file_bytes->bytes)
		status = why_set(why, STATUS_NO_MEMORY, "out of memory");
	else if (fread(file_bytes->bytes, 1, file_bytes->count, file) != file_bytes->count)
		status = why_set(why, STATUS_IO, "cannot read '%.300s'", path);
out:
	fclose(file);
	return status;
}

static enum status decompress(const struct bytes *frame, struct bytes *content, const char *path,
			      struct why *why)
{
	unsigned long long size = ZSTD_getFrameContentSize(frame->bytes, frame->count);
	if (size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN || size > BYTES_MAX)
		return why_set(why, STATUS_FOREIGN, "'%.300s' is no checkpoint of cowtip", path);
	content->bytes = malloc((size_t)size + 1);
	if (!content->bytes)
		return why_set(why, STATUS_NO_MEMORY, "out of memory");
	content->count = ZSTD_decompress(content->bytes, (size_t)size, frame->bytes, frame->count);
	if (ZSTD_isError(content->count) || content->count != size)
		return why_set(why, STATUS_CORRUPT, "'%.300s' is damaged", path);
	return STATUS_OK;
}

static enum status unpack_all(struct checkpoint *checkpoint, const struct bytes *content,
			      const char *path, struct why *why)
{
	struct unpack unpack = { .bytes = content->bytes, .count = content->count };
	char magic[sizeof(MAGIC) + 1];
	unpack_short_text(&unpack, magic, sizeof(magic));
	if (unpack.failed || strcmp(magic, MAGIC) != 0)
		return why_set(why, STATUS_FOREIGN, "'%.300s' is no checkpoint of cowtip", path);
	if (unpack_number(&unpack, UINT64_MAX) != FORMAT)
		return why_set(why, STATUS_NEWER,
			       "'%.300s' was written by another version of cowtip", path);
	checkpoint->program = unpack_text(&unpack);
	checkpoint->workload = unpack_text(&unpack);
	checkpoint->text = unpack_text(&unpack);
	checkpoint->settings = unpack_text(&unpack);
	if (!unpack.failed && ledger_unpack(&checkpoint->ledger, &unpack) &&
	    unpack.at == unpack.count)
		return STATUS_OK;
	checkpoint_release(checkpoint);
	return why_set(why, STATUS_CORRUPT, "'%.300s' is damaged", path);
}

enum status checkpoint_read(struct checkpoint *checkpoint, const char *path, struct why *why)
{
	struct bytes frame = { 0 }, content = { 0 };
	enum status status = read_file(&frame, path, why);
	if (status == STATUS_OK)
		status = decompress(&frame, &content, path, why);
	if (status == STATUS_OK)
		status = unpack_all(checkpoint, &content, path, why);
	free(content.bytes);
	free(frame.bytes);
	return status;
}
