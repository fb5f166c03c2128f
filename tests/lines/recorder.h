/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the recorder in recorder.c saw: for each thread, the cache lines that it read and wrote.
 */
#ifndef LINES_RECORDER_H
#define LINES_RECORDER_H

#include <stddef.h>
#include <stdint.h>

#define LINE_SIZE 64
#define LOG_SLOTS (1u << 14)

/* One line and the return addresses of its first reader and first writer; 0: there was none. */
struct line {
	uintptr_t address;
	uintptr_t read;
	uintptr_t wrote;
};

/* A hash table; an address of 0 marks a free slot. To empty one, zero it. */
struct line_log {
	struct line lines[LOG_SLOTS];
};

/* From now on the calling thread's accesses go to this log; NULL: nowhere. */
void record_to(struct line_log *log);

/* The line's record, or NULL if the thread never touched it. */
const struct line *line_find(const struct line_log *log, uintptr_t address);

#endif
