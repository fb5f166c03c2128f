/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the subjects made of Linux's code share. It is used with Linux's headers and its types only
 * where they are included already.
 */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include <stdint.h>

#include "../subject.h"

/* How often the calling thread was warned by the code that it measures. */
extern __thread unsigned int linux_warnings;

/* Where piece i of a job lies, counted from the job's start. */
static inline uint64_t job_offset(const struct bench_job *job, uint32_t i)
{
	return (job->order ? job->order[i] : i) * job->piece;
}

/*
 * The leaf at gpa in a tree of 4 levels of 4K tables, read from the bytes: a second opinion on what
 * the code that wrote them says about them.
 */
void peer_read(const uint64_t *root, uint64_t gpa, struct bench_leaf *leaf);

/* Adds b to a. */
void peer_add(struct bench_count *a, const struct bench_count *b);

#endif
