// SPDX-License-Identifier: BSD-2-Clause
/*
 * Writing traces, in both forms. What a reader would refuse is refused here, so whatever is written
 * is read again as it was, bit for bit; text is in the one canonical spelling: addresses and values
 * in hexadecimal (0 as 0), all else in decimal, defaults left out save for the level of `inval`.
 *
 * No printf an event: recording happens beside the machine that is being watched.
 */
#include <errno.h>

#include "stream.h"

static char *put_word(char *at, const char *word)
{
	*at++ = ' ';
	while (*word)
		*at++ = *word++;
	return at;
}

static char *put_decimal(char *at, uint64_t value)
{
	char digits[20];
	size_t n = 0;

	do {
		digits[n++] = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	while (n)
		*at++ = digits[--n];
	return at;
}

static char *put_hex(char *at, uint64_t value)
{
	unsigned int shift = 60;

	if (value) {
		*at++ = '0';
		*at++ = 'x';
	}
	while (shift && !(value >> shift))
		shift -= 4;
	for (;; shift -= 4) {
		*at++ = "0123456789abcdef"[value >> shift & 15];
		if (!shift)
			return at;
	}
}

static const char *op_name(const struct s2c_event *event)
{
	switch (trace_op_class(event->kind)) {
	case TRACE_SYSREG:
		return s2c_sysreg_name(event->op);
	case TRACE_TLBI:
		return s2c_tlbi_name(event->op);
	case TRACE_DC:
		return s2c_dc_name(event->op);
	default:
		return s2c_barrier_name(event->op);
	}
}

static char *put_rights(char *at, unsigned int op)
{
	*at++ = ' ';
	for (unsigned int i = 0; i < 4; i++)
		if (op >> i & 1)
			*at++ = "rwxp"[i];
	return at;
}

static char *put_argument(char *at, char letter, const struct s2c_event *event)
{
	if (letter == 'o')
		return put_word(at, op_name(event));
	if (letter == 'r')
		return put_rights(at, event->op);
	*at++ = ' ';
	switch (letter) {
	case 'i':
		return put_decimal(at, event->id);
	case 'a':
		return put_hex(at, event->address);
	case 'b':
		return put_decimal(at, event->value);
	default:
		return put_hex(at, event->value);
	}
}

static char *put_arguments(char *at, const struct s2c_event *event)
{
	const char *letter = trace_shapes[event->kind].arguments;

	if (event->kind == S2C_IC && !event->value)
		return put_word(at, "all");
	for (; *letter; letter++) {
		/* Operands that are 0 are written where the TLBI has one for certain. */
		if (event->kind == S2C_TLBI && *letter == 'a' && !event->address &&
		    trace_operand(event->op) != TRACE_OPERAND)
			break;
		at = put_argument(at, *letter, event);
	}
	return at;
}

static char *put_options(char *at, const struct s2c_event *event)
{
	if (event->kind == S2C_WRITE) {
		if (event->size != 3) {
			at = put_word(at, "size ");
			at = put_decimal(at, 1u << event->size);
		}
		if (event->flags & S2C_ATOMIC)
			at = put_word(at, "atomic");
		if (event->flags & S2C_RELEASE)
			at = put_word(at, "release");
		if (event->flags & S2C_HARDWARE)
			at = put_word(at, "hardware");
	} else if (event->kind == S2C_INIT && trace_init_words(event) > 1) {
		*at++ = ' ';
		at = put_decimal(at, 8ull * trace_init_words(event));
	} else if (event->kind == S2C_INVAL) {
		at = put_word(at, "level ");
		if (event->op == S2C_LEVEL_ANY)
			at = put_word(at - 1, "any");
		else
			at = put_decimal(at, event->op);
		if (event->flags & S2C_INVAL_LEAF)
			at = put_word(at, "leaf");
		if (event->flags & S2C_INVAL_LOCAL)
			at = put_word(at, "local");
	}
	if (event->pc) {
		at = put_word(at, "@");
		at = put_hex(at, event->pc);
	}
	return at;
}

size_t s2c_trace_text_event(char line[S2C_TRACE_LINE], const struct s2c_event *event)
{
	char *at = put_decimal(line, event->cpu);

	at = put_word(at, s2c_kind_name(event->kind));
	at = put_arguments(at, event);
	at = put_options(at, event);
	*at++ = '\n';
	*at = 0;
	return (size_t)(at - line);
}

static int put(FILE *out, const void *data, size_t n)
{
	return fwrite(data, 1, n, out) == n ? 0 : -1;
}

int s2c_trace_write_start(FILE *out, enum s2c_trace_form form, const struct s2c_cpu *cpu)
{
	uint8_t start[S2C_TRACE_START];

	if (form == S2C_TRACE_BINARY) {
		s2c_trace_binary_start(start, cpu);
		return put(out, start, sizeof(start));
	}
	fprintf(out, "stage2-trace 1\ncpu pa=%u bbm=%u", cpu->pa_bits, cpu->bbm);
	for (size_t i = 0; i < TRACE_FEATURES; i++)
		if (cpu->features >> i & 1)
			fprintf(out, " %s", trace_features[i]);
	return fputc('\n', out) == EOF ? -1 : 0;
}

int s2c_trace_write_event(FILE *out, enum s2c_trace_form form, const struct s2c_event *event)
{
	uint8_t record[S2C_TRACE_RECORD];
	char line[S2C_TRACE_LINE];

	if (s2c_trace_check(event)) {
		errno = EINVAL;
		return -1;
	}
	if (form == S2C_TRACE_BINARY) {
		s2c_trace_binary_event(record, event);
		return put(out, record, sizeof(record));
	}
	return put(out, line, s2c_trace_text_event(line, event));
}
