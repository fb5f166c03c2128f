/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Traces: events in a file, as text or binary (docs/checker.md describes both forms).
 *
 * A reader takes bytes from a file descriptor or from memory, sees by the first of them which form
 * it is, and gives the events one by one. Its memory does not depend on the input; whatever the
 * input is, it ends with the last event or with an error that names the line (text) or record
 * (binary), the word or field, and what would have been right there. A reader is used by one thread
 * at a time; readers are independent.
 *
 * A reader judges the form only: that an address is aligned, or that a CPU runs before it exits, is
 * the model's matter. In both forms, fields that a kind of event does not use are 0; the writers
 * here see to that.
 */
#ifndef S2C_TRACE_H
#define S2C_TRACE_H

#include <stdio.h>

#include "stage2check.h"

#ifdef __cplusplus
extern "C" {
#endif

enum s2c_trace_form {
	S2C_TRACE_TEXT,
	S2C_TRACE_BINARY,
};

#define S2C_TRACE_LINE     4096       /* bytes of a line of text, its end included */
#define S2C_TRACE_RECORD   32         /* bytes of a binary record */
#define S2C_TRACE_EXPECTED 16         /* rules that a trace may expect */
#define S2C_TRACE_RULE     32         /* bytes of such a rule's id, its end included */
#define S2C_TRACE_RANGE    (1u << 20) /* bytes that one `init` may cover: the largest table */

enum s2c_trace_option {
	/*
	 * An S2C_INIT of a range comes as it stands in the trace, for copying: id and the lowest
	 * bit of op hold the number of 8-byte words less one. Otherwise it comes as one event a
	 * word.
	 */
	S2C_TRACE_RANGES = 1u << 0,
};

struct s2c_trace; /* a reader */

/*
 * Reads the head of the trace. The descriptor stays the caller's; nothing else may read from it.
 * Options: enum s2c_trace_option. NULL: no memory. A trace with a bad head is opened, too: the
 * first s2c_trace_next() says what is wrong.
 */
struct s2c_trace *s2c_trace_open(int fd, unsigned int options);
/* The same from memory, which must stay. */
struct s2c_trace *s2c_trace_open_memory(const void *data, size_t size, unsigned int options);
void s2c_trace_close(struct s2c_trace *trace);

/* Returns 1 and the next event; 0 at the end; -1 after an error, and from then on. */
int s2c_trace_next(struct s2c_trace *trace, struct s2c_event *event);
/* "line 12: ..." or "record 12: ...". "": none so far. */
const char *s2c_trace_error(const struct s2c_trace *trace);

enum s2c_trace_form s2c_trace_form(const struct s2c_trace *trace);
/* What the CPUs can do; 48 bits of address and no feature where the trace does not say. */
const struct s2c_cpu *s2c_trace_cpu(const struct s2c_trace *trace);
/* Line or record (both from 1) of the event that came last. */
uint64_t s2c_trace_place(const struct s2c_trace *trace);
/* "line" or "record". */
const char *s2c_trace_unit(const struct s2c_trace *trace);
/* What "# option: NAME" lines above the first event ask of the model: enum s2c_option. */
uint32_t s2c_trace_model_options(const struct s2c_trace *trace);
/* Rules that "# expect: RULE" lines have named so far, in their order. Complete at the end. */
unsigned int s2c_trace_expected(const struct s2c_trace *trace);
const char *s2c_trace_expect(const struct s2c_trace *trace, unsigned int index);

/*
 * Why this event cannot stand in a trace, as a sentence that names the field; NULL: it can. Both
 * ranges of S2C_INIT and single words are fine.
 */
const char *s2c_trace_check(const struct s2c_event *event);

/* Writers. They return 0, or -1: the stream failed (errno), or s2c_trace_check() refuses. */
int s2c_trace_write_start(FILE *out, enum s2c_trace_form form, const struct s2c_cpu *cpu);
int s2c_trace_write_event(FILE *out, enum s2c_trace_form form, const struct s2c_event *event);

/* The same without a stream, for events that s2c_trace_check() likes. */
#define S2C_TRACE_START 24 /* bytes of the binary head: magic, struct s2c_cpu, zeros */
void s2c_trace_binary_start(uint8_t start[S2C_TRACE_START], const struct s2c_cpu *cpu);
void s2c_trace_binary_event(uint8_t record[S2C_TRACE_RECORD], const struct s2c_event *event);
/* Returns the length of the line with its newline; it ends with 0, too. */
size_t s2c_trace_text_event(char line[S2C_TRACE_LINE], const struct s2c_event *event);

/*
 * Casemate's trace format, to let an independent checker judge the same events (casemate.c says
 * what has a counterpart). Returns NULL: no memory.
 */
struct s2c_casemate;
struct s2c_casemate *s2c_casemate_new(FILE *out);
/* The next event, in order. Returns 0, or -1: s2c_casemate_error() says why. */
int s2c_casemate_event(struct s2c_casemate *casemate, const struct s2c_event *event);
const char *s2c_casemate_error(const struct s2c_casemate *casemate);
/* Events that had no counterpart. */
uint64_t s2c_casemate_dropped(const struct s2c_casemate *casemate);
void s2c_casemate_free(struct s2c_casemate *casemate);

#ifdef __cplusplus
}
#endif

#endif
