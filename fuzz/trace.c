// SPDX-License-Identifier: BSD-2-Clause
/*
 * Fuzzes all that reads traces: any bytes are a trace, and must end in events or in an error with
 * its place. What is read is held against itself: the same from a file as from memory, and the
 * same again after it was written in either form. Then a model and the writer for casemate get the
 * events: they may refuse them, nothing else.
 *
 * fuzz/run builds it and gives it the words of the text form and traces to start from.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../check/trace.h"

#define KEPT         512u
#define MODEL_EVENTS 3000u /* told to the model: a line can stand for 131072 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(int holds)
{
	if (!holds)
		abort();
}

static void must_say_where(const struct s2c_trace *trace)
{
	const char *unit = s2c_trace_unit(trace);
	const char *error = s2c_trace_error(trace);

	demand(!strncmp(error, unit, strlen(unit)) && strstr(error, ": "));
}

/* Events that were read, to be held against what they become when they are written. */
static struct s2c_event kept[KEPT];
static size_t nkept;

/* Reads the kept events back from the text or records that they are written as. */
static void same_again(const char *data, size_t size)
{
	struct s2c_trace *trace = s2c_trace_open_memory(data, size, S2C_TRACE_RANGES);
	struct s2c_event back;

	demand(trace != NULL);
	for (size_t i = 0; i < nkept; i++) {
		demand(s2c_trace_next(trace, &back) == 1);
		demand(!memcmp(&back, &kept[i], sizeof(back)));
	}
	demand(s2c_trace_next(trace, &back) == 0);
	s2c_trace_close(trace);
}

static void write_both(void)
{
	static const struct s2c_cpu cpu = { .pa_bits = 48 };
	static char text[KEPT * 128 + S2C_TRACE_LINE] = "stage2-trace 1\n";
	static uint8_t binary[S2C_TRACE_START + KEPT * S2C_TRACE_RECORD];
	size_t n = strlen("stage2-trace 1\n");

	s2c_trace_binary_start(binary, &cpu);
	for (size_t i = 0; i < nkept; i++) {
		demand(n < KEPT * 128);
		n += s2c_trace_text_event(text + n, &kept[i]);
		s2c_trace_binary_event(binary + S2C_TRACE_START + i * S2C_TRACE_RECORD, &kept[i]);
	}
	same_again(text, n);
	same_again((const char *)binary, S2C_TRACE_START + nkept * S2C_TRACE_RECORD);
}

/* From memory and from a file, side by side. */
static void read_both(const uint8_t *data, size_t size)
{
	struct s2c_trace *memory = s2c_trace_open_memory(data, size, S2C_TRACE_RANGES);
	int fd = memfd_create("trace", 0);
	struct s2c_event a, b;
	struct s2c_trace *file;
	int got;

	nkept = 0;
	demand(fd >= 0 && write(fd, data, size) == (ssize_t)size && !lseek(fd, 0, SEEK_SET));
	file = s2c_trace_open(fd, S2C_TRACE_RANGES);
	demand(memory && file);
	do {
		got = s2c_trace_next(memory, &a);
		demand(s2c_trace_next(file, &b) == got);
		demand(s2c_trace_place(memory) == s2c_trace_place(file));
		if (got <= 0)
			break;
		demand(!memcmp(&a, &b, sizeof(a)));
		demand(!s2c_trace_check(&a));
		if (nkept < KEPT)
			kept[nkept++] = a;
	} while (got > 0);
	demand(!strcmp(s2c_trace_error(memory), s2c_trace_error(file)));
	if (got < 0)
		must_say_where(memory);
	for (unsigned int i = 0; i < s2c_trace_expected(memory); i++)
		demand(!strcmp(s2c_trace_expect(memory, i), s2c_trace_expect(file, i)));
	s2c_trace_close(memory);
	s2c_trace_close(file);
	close(fd);
	write_both();
}

static void report(void *ctx, const struct s2c_violation *violation)
{
	(void)ctx;
	demand(violation->rule && s2c_rule(violation->rule->id) == violation->rule);
	demand(memchr(violation->text, 0, sizeof(violation->text)) != NULL);
	demand(violation->nhistory <= S2C_HISTORY);
}

static void judge(const uint8_t *data, size_t size)
{
	struct s2c_trace *trace = s2c_trace_open_memory(data, size, 0);
	struct s2c_config config = { .report = report };
	struct s2c_casemate *casemate;
	struct s2c_event event;
	struct s2c *model;
	static FILE *nowhere;

	if (!nowhere)
		nowhere = fopen("/dev/null", "w");
	demand(trace && nowhere);
	config.cpu = *s2c_trace_cpu(trace);
	model = s2c_new(&config);
	casemate = s2c_casemate_new(nowhere);
	demand(model && casemate);
	for (unsigned int i = 0; i < MODEL_EVENTS && s2c_trace_next(trace, &event) > 0; i++) {
		if (s2c_event(model, &event))
			demand(s2c_error(model)[0] != 0);
		if (s2c_casemate_event(casemate, &event))
			demand(s2c_casemate_error(casemate)[0] != 0);
	}
	s2c_casemate_free(casemate);
	s2c_free(model);
	s2c_trace_close(trace);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	read_both(data, size);
	judge(data, size);
	return 0;
}
