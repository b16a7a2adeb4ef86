// SPDX-License-Identifier: MIT
/** An image and its external data file, put together to be judged and shown as one. */
#ifndef WORKLOADS_CLI_DATA_FILE_H
#define WORKLOADS_CLI_DATA_FILE_H

#include "traces/trace.h"

/** Of each image of the trace whose external data file is a file of the trace, too: make that
 * file's events events of the image, at host offsets from IMAGE_EXTERNAL on
 * (oracle/image_header.h), and its contents the image's `external`. What is left of it is empty and
 * nothing happens to it. */
void data_file_join(struct trace *trace);

/** One of the two again, of the image that is file 0 of a joined `trace`: as file 0 of `part`,
 * which is the image or (`external`) its data file, with host offsets of that file. Operations on
 * the other one stay, so that all are counted, and do nothing. `part` borrows all but its log,
 * which the caller releases. */
void data_file_part(struct trace *part, struct trace_file *file, const struct trace *trace,
		    bool external);

/** The items of a list of persisted sectors (oracle/persist.h) that concern the data file, with its
 * offsets. Gives; free(). NULL for NULL. */
char *data_file_persist(const char *list);

/** The name of the data file, as the image has it; false: it has none. */
enum { DATA_FILE_NAME_BYTES = 1024 };
bool data_file_name(char name[DATA_FILE_NAME_BYTES], const struct content *image);

#endif
