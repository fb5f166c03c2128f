/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A trace reader from inside: a window of bytes that trace.c keeps filled, from which text.c or
 * binary.c takes one event at a time. And the shape of each kind of event, which is one table for
 * reading, writing and checking both forms.
 */
#ifndef CHK_STREAM_H
#define CHK_STREAM_H

#include "trace.h"

/*
 * The arguments of a kind of event in the order in which text has them, a letter each:
 *   o  op, by its name          i  id, a number up to 0xffff
 *   a  address, hexadecimal     p  value, an address
 *   v  value, hexadecimal       b  value, a number of bytes
 *   r  op, rights
 */
struct trace_shape {
	const char *arguments;
	uint8_t ops;   /* values that an `o` may have */
	uint8_t flags; /* that may be set */
};
extern const struct trace_shape trace_shapes[S2C_KINDS];

/* Names of the bits of s2c_cpu.features, from the lowest. */
#define TRACE_FEATURES 11
extern const char *const trace_features[TRACE_FEATURES];

enum trace_class {
	TRACE_KIND,
	TRACE_SYSREG,
	TRACE_TLBI,
	TRACE_BARRIER,
	TRACE_DC,
	TRACE_CLASSES
};

/* Words by hash, so that reading compares a word with one or two names, not with seventy. */
#define TRACE_SLOTS 256

struct trace_word {
	const char *name; /* NULL: a free slot */
	uint8_t length;
	uint8_t class; /* enum trace_class */
	uint8_t value; /* enum s2c_kind, s2c_tlbi, ... */
};

struct s2c_trace {
	/* The window: what was read and not yet used. Memory: all of it. */
	const char *data;
	size_t start, end;
	char *buffer; /* NULL: memory */
	int fd;       /* -1: there is no more */
	unsigned int options;
	enum s2c_trace_form form;
	int failed;
	uint64_t place;
	/* A range that is being given out word by word: the next one, and how many are left. */
	struct s2c_event range;
	uint32_t left;
	/* Text: what the head had, and what comments said. */
	int has_version, has_cpu, has_event;
	unsigned int nexpected;
	unsigned int model_options; /* enum s2c_option */
	struct s2c_cpu cpu;
	char error[256];
	char expected[S2C_TRACE_EXPECTED][S2C_TRACE_RULE];
	struct trace_word words[TRACE_SLOTS];
};

/*
 * Reads more into the window, waiting for what is there, not for what would fit. Returns 0 at the
 * end of the input or after a failure.
 */
int trace_more(struct s2c_trace *trace);
/* Records "line 12: ..."; always -1. */
__attribute__((format(printf, 2, 3))) int trace_fail(struct s2c_trace *trace, const char *format,
						     ...);

/* The class of names that the op of this kind has. */
enum trace_class trace_op_class(unsigned int kind);
/* Whether this TLBI has an operand register. */
enum trace_operand {
	TRACE_NO_OPERAND,
	TRACE_OPERAND,
	TRACE_MAYBE_OPERAND
};
enum trace_operand trace_operand(unsigned int op);

/* 8-byte words that an S2C_INIT stands for. */
static inline uint32_t trace_init_words(const struct s2c_event *event)
{
	return ((uint32_t)(event->op & 1) << 16 | event->id) + 1;
}

/* Each reads up to the first event, and the next one. As s2c_trace_next(). */
int text_head(struct s2c_trace *trace);
int text_next(struct s2c_trace *trace, struct s2c_event *event);
int binary_head(struct s2c_trace *trace);
int binary_next(struct s2c_trace *trace, struct s2c_event *event);
extern const char trace_magic[8];

#endif
