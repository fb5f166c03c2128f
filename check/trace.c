// SPDX-License-Identifier: BSD-2-Clause
/*
 * Traces: what both forms share. A reader owns one buffer of fixed size; the window of bytes that
 * were read but not used is moved to its front when more is wanted. From memory, the window is all
 * of it. Errors are final: the reader keeps the first one.
 *
 * A range of S2C_INIT is one line or record, but the model knows single words only: they are
 * counted out here.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stream.h"

#define BUFFER (1u << 18)

#define WRITE_FLAGS (S2C_ATOMIC | S2C_RELEASE | S2C_HARDWARE)
#define INVAL_FLAGS (S2C_INVAL_LEAF | S2C_INVAL_LOCAL)

const char trace_magic[8] = { 'S', '2', 'T', 'R', 'A', 'C', 'E', '1' };

const char *const trace_features[TRACE_FEATURES] = { "fwb",     "idc",      "dic",     "xnx",
						     "ttl",     "vmid16",   "ha",      "hd",
						     "lpa2-4k", "lpa2-16k", "coherent" };

const struct trace_shape trace_shapes[S2C_KINDS] = {
	[S2C_WRITE] = { "av", 0, WRITE_FLAGS },
	[S2C_INIT] = { "av", 0, 0 },
	[S2C_SYSREG] = { "ov", S2C_SYSREGS, 0 },
	[S2C_TLBI] = { "oa", S2C_TLBIS, 0 },
	[S2C_INVAL] = { "iab", 0, INVAL_FLAGS },
	[S2C_DSB] = { "o", S2C_BARRIERS, 0 },
	[S2C_DMB] = { "o", S2C_BARRIERS, 0 },
	[S2C_ISB] = { "", 0, 0 },
	[S2C_DC] = { "oab", S2C_DCS, 0 },
	[S2C_IC] = { "ab", 0, 0 },
	[S2C_RUN] = { "", 0, 0 },
	[S2C_EXIT] = { "", 0, 0 },
	[S2C_ALLOC] = { "ab", 0, 0 },
	[S2C_FREE] = { "ab", 0, 0 },
	[S2C_TAKE] = { "ab", 0, 0 },
	[S2C_GIVE] = { "ab", 0, 0 },
	[S2C_WROTE] = { "ab", 0, 0 },
	[S2C_DEVICE] = { "ab", 0, 0 },
	[S2C_SAME] = { "ap", 0, 0 },
	[S2C_DONE] = { "iab", 0, 0 },
	[S2C_EMPTY] = { "iab", 0, 0 },
	[S2C_LOCAL] = { "iabr", 0, 0 },
	[S2C_HARVEST] = { "iab", 0, 0 },
	[S2C_OWN] = { "abi", 0, 0 },
	[S2C_DISOWN] = { "abi", 0, 0 },
};

_Static_assert(S2C_KINDS == S2C_DISOWN + 1 && S2C_KINDS == 25, "a new kind needs its shape");

enum trace_class trace_op_class(unsigned int kind)
{
	switch (kind) {
	case S2C_SYSREG:
		return TRACE_SYSREG;
	case S2C_TLBI:
		return TRACE_TLBI;
	case S2C_DC:
		return TRACE_DC;
	default:
		return TRACE_BARRIER;
	}
}

enum trace_operand trace_operand(unsigned int op)
{
	if (op == S2C_TLBI_OTHER)
		return TRACE_MAYBE_OPERAND;
	return op >= S2C_VMALLE1 ? TRACE_NO_OPERAND : TRACE_OPERAND;
}

static const char *check_op(const struct s2c_event *event, const struct trace_shape *shape)
{
	switch (event->kind) {
	case S2C_INIT:
		return event->op > 1 ? "its op (of a range) is more than 1" : NULL;
	case S2C_INVAL:
		return event->op > 4 && event->op != S2C_LEVEL_ANY
			       ? "its op is no level (0 to 4, or 0xff for any)"
			       : NULL;
	case S2C_LOCAL:
		return !event->op || event->op > 0xf ? "its op is no set of rights (1 to 0xf)"
						     : NULL;
	default:
		if (shape->ops)
			return event->op >= shape->ops ? "its op has no name" : NULL;
		return event->op ? "its op must be 0" : NULL;
	}
}

static const char *check_init(const struct s2c_event *event)
{
	uint64_t bytes = 8ull * trace_init_words(event);

	return event->address > UINT64_MAX - bytes ? "its address wraps around" : NULL;
}

const char *s2c_trace_check(const struct s2c_event *event)
{
	const struct trace_shape *shape;
	const char *why;

	if (event->kind >= S2C_KINDS)
		return "its kind is none that exists";
	shape = &trace_shapes[event->kind];
	why = check_op(event, shape);
	if (why)
		return why;
	if (event->cpu >= S2C_CPUS)
		return "its cpu is not one of 0 to 63";
	if (event->flags & ~shape->flags)
		return "its flags have one that this kind does not know";
	if (event->size > (event->kind == S2C_WRITE ? 3 : 0))
		return event->kind == S2C_WRITE ? "its size is not one of 0 to 3"
						: "its size must be 0";
	if (event->kind == S2C_INIT)
		return check_init(event);
	if (event->id && !strchr(shape->arguments, 'i'))
		return "its id must be 0";
	if (event->kind == S2C_TLBI ? event->address && trace_operand(event->op) == TRACE_NO_OPERAND
				    : event->address && !strchr(shape->arguments, 'a'))
		return "its address must be 0";
	if (event->value && !strpbrk(shape->arguments, "vbp"))
		return "its value must be 0";
	if (event->kind == S2C_IC && !event->value && event->address)
		return "its address must be 0 where its value (bytes) is";
	return NULL;
}

int trace_fail(struct s2c_trace *trace, const char *format, ...)
{
	va_list args;
	int n;

	if (trace->failed)
		return -1;
	trace->failed = 1;
	n = snprintf(trace->error, sizeof(trace->error), "%s %llu: ", s2c_trace_unit(trace),
		     (unsigned long long)trace->place);
	va_start(args, format);
	vsnprintf(trace->error + n, sizeof(trace->error) - (size_t)n, format, args);
	va_end(args);
	return -1;
}

int trace_more(struct s2c_trace *trace)
{
	ssize_t n;

	if (trace->fd < 0)
		return 0;
	if (trace->start) {
		memmove(trace->buffer, trace->buffer + trace->start, trace->end - trace->start);
		trace->end -= trace->start;
		trace->start = 0;
	}
	do {
		n = read(trace->fd, trace->buffer + trace->end, BUFFER - trace->end);
	} while (n < 0 && errno == EINTR);
	if (n > 0) {
		trace->end += (size_t)n;
		return 1;
	}
	trace->fd = -1;
	if (n < 0) {
		trace->place++;
		trace_fail(trace, "cannot read: %s", strerror(errno));
	}
	return 0;
}

/* What the first bytes say; the rest of the magic is binary_head()'s to judge. */
static void read_head(struct s2c_trace *trace)
{
	while (trace->end < sizeof(trace_magic) && trace_more(trace))
		;
	if (trace->end && trace->data[0] == trace_magic[0])
		trace->form = S2C_TRACE_BINARY;
	if (trace->failed)
		return;
	if (trace->form == S2C_TRACE_BINARY)
		binary_head(trace);
	else
		text_head(trace);
}

static struct s2c_trace *open_trace(unsigned int options)
{
	struct s2c_trace *trace = calloc(1, sizeof(*trace));

	if (!trace)
		return NULL;
	trace->fd = -1;
	trace->options = options;
	trace->cpu.pa_bits = 48;
	return trace;
}

struct s2c_trace *s2c_trace_open(int fd, unsigned int options)
{
	struct s2c_trace *trace = open_trace(options);

	if (!trace)
		return NULL;
	trace->buffer = malloc(BUFFER);
	if (!trace->buffer) {
		free(trace);
		return NULL;
	}
	trace->data = trace->buffer;
	trace->fd = fd;
	read_head(trace);
	return trace;
}

struct s2c_trace *s2c_trace_open_memory(const void *data, size_t size, unsigned int options)
{
	struct s2c_trace *trace = open_trace(options);

	if (!trace)
		return NULL;
	trace->data = data;
	trace->end = size;
	read_head(trace);
	return trace;
}

void s2c_trace_close(struct s2c_trace *trace)
{
	if (trace)
		free(trace->buffer);
	free(trace);
}

/* Gives out one word of a range. */
static int next_word(struct s2c_trace *trace, struct s2c_event *event)
{
	*event = trace->range;
	trace->range.address += 8;
	trace->left--;
	return 1;
}

int s2c_trace_next(struct s2c_trace *trace, struct s2c_event *event)
{
	int got;

	if (trace->left)
		return next_word(trace, event);
	if (trace->failed)
		return -1;
	got = trace->form == S2C_TRACE_BINARY ? binary_next(trace, event) : text_next(trace, event);
	if (got <= 0 || event->kind != S2C_INIT || (trace->options & S2C_TRACE_RANGES))
		return got;
	trace->left = trace_init_words(event);
	trace->range = *event;
	trace->range.id = 0;
	trace->range.op = 0;
	return next_word(trace, event);
}

const char *s2c_trace_error(const struct s2c_trace *trace)
{
	return trace->error;
}

enum s2c_trace_form s2c_trace_form(const struct s2c_trace *trace)
{
	return trace->form;
}

const struct s2c_cpu *s2c_trace_cpu(const struct s2c_trace *trace)
{
	return &trace->cpu;
}

uint64_t s2c_trace_place(const struct s2c_trace *trace)
{
	return trace->place;
}

const char *s2c_trace_unit(const struct s2c_trace *trace)
{
	return trace->form == S2C_TRACE_BINARY ? "record" : "line";
}

uint32_t s2c_trace_model_options(const struct s2c_trace *trace)
{
	return trace->model_options;
}

unsigned int s2c_trace_expected(const struct s2c_trace *trace)
{
	return trace->nexpected;
}

const char *s2c_trace_expect(const struct s2c_trace *trace, unsigned int index)
{
	return index < trace->nexpected ? trace->expected[index] : NULL;
}
