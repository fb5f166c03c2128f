// SPDX-License-Identifier: BSD-2-Clause
/*
 * Where events go: to the model at once, to the trace if there is one, and what the model finds to
 * the driver.
 *
 * A trace must stand for itself, without the machine's memory. The model reads a page only when it
 * becomes (or is found to be) a table, and has it watched from then on; so that is when its
 * contents go into the trace, before the event that made it a table. That event is written last.
 * A page that is let go is known on to the end of the event: it may be taken up again within it.
 *
 * One lock (feed_lock) makes one sequence of what all CPUs do; the driver reads its pipe all the
 * time, so writing to it under the lock does not stop the machine for long.
 */
#include "feed.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "link.h"
#include "memory.h"
#include "trace.h"

#define MAX_TROUBLES 8
#define WORDS        (PAGE_SIZE / 8)
#define TRACE_BUFFER (1u << 20)

static struct {
	pthread_mutex_t lock;
	struct s2c *model; /* NULL: not started, or ended */
	int report;
	FILE *trace; /* or NULL */
	/* Pages let go in this event. */
	uint64_t *gone;
	size_t ngone, room;
	unsigned int troubles;
	uint64_t events[S2C_KINDS];
} feed = { .lock = PTHREAD_MUTEX_INITIALIZER, .report = -1 };

void feed_lock(void)
{
	pthread_mutex_lock(&feed.lock);
}

void feed_unlock(void)
{
	pthread_mutex_unlock(&feed.lock);
}

/* Returns 0, or -1: the driver is gone. */
static int put(const void *data, size_t n)
{
	const char *at = data;

	while (n) {
		ssize_t done = write(feed.report, at, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return -1;
		at += done;
		n -= (size_t)done;
	}
	return 0;
}

static void tell(enum link_kind kind, const void *data, size_t n)
{
	struct link_head head = { .kind = kind, .size = (uint32_t)n };

	if (feed.report < 0)
		return;
	if (put(&head, sizeof(head)) || put(data, n))
		feed.report = -1; /* nobody listens any more; the machine is not to suffer */
}

static void tell_text(enum link_kind kind, const char *format, va_list args)
{
	char text[LINK_TEXT] = "";

	vsnprintf(text, sizeof(text), format, args);
	tell(kind, text, sizeof(text));
}

void feed_trouble(const char *format, ...)
{
	va_list args;

	if (feed.troubles++ >= MAX_TROUBLES)
		return;
	va_start(args, format);
	tell_text(LINK_TROUBLE, format, args);
	va_end(args);
}

void feed_refuse(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	tell_text(LINK_REFUSED, format, args);
	va_end(args);
}

const char *feed_open(int report, int trace)
{
	if (fcntl(report, F_GETFD) < 0)
		return "report= names no open descriptor: `stage2 check --live` starts this plugin";
	feed.report = report;
	if (trace < 0)
		return NULL;
	feed.trace = fdopen(trace, "w");
	if (!feed.trace || setvbuf(feed.trace, NULL, _IOFBF, TRACE_BUFFER))
		return "trace= names no open descriptor: `stage2 check --live` starts this plugin";
	return NULL;
}

static void trace_failed(void)
{
	feed_trouble("the trace ends early: %s", strerror(errno));
	fclose(feed.trace);
	feed.trace = NULL;
}

static void trace_event(const struct s2c_event *event)
{
	if (feed.trace && s2c_trace_write_event(feed.trace, S2C_TRACE_BINARY, event))
		trace_failed();
}

/* Runs of equal words become one event each: the lowest bit of op and id are their number - 1. */
static void trace_page(uint64_t pa, const uint64_t *words)
{
	for (size_t i = 0, n; i < WORDS; i += n) {
		struct s2c_event event = { .kind = S2C_INIT,
					   .address = pa + i * 8,
					   .value = words[i] };

		for (n = 1; i + n < WORDS && words[i + n] == words[i]; n++)
			;
		event.id = (uint16_t)(n - 1);
		event.op = (uint8_t)((n - 1) >> 16);
		trace_event(&event);
	}
}

static void on_report(void *ctx, const struct s2c_violation *violation)
{
	static struct link_violation message;

	(void)ctx;
	memset(&message, 0, sizeof(message));
	message.violation = *violation;
	message.violation.rule = NULL;
	snprintf(message.rule, sizeof(message.rule), "%s", violation->rule->id);
	tell(LINK_VIOLATION, &message, sizeof(message));
}

static int on_read(void *ctx, uint64_t pa, void *buffer, size_t n)
{
	(void)ctx;
	return memory_read(pa, buffer, n);
}

static void let_go(uint64_t pa)
{
	if (feed.ngone == feed.room) {
		feed.room = feed.room ? feed.room * 2 : 64;
		feed.gone = realloc(feed.gone, feed.room * sizeof(*feed.gone));
		if (!feed.gone)
			abort();
	}
	feed.gone[feed.ngone++] = pa;
}

static void forget_gone(void)
{
	while (feed.ngone) {
		uint64_t pa = feed.gone[--feed.ngone];

		if (!memory_test(memory_watched, pa))
			memory_mark(memory_traced, pa, 0);
	}
}

static void on_watch(void *ctx, uint64_t pa, int on)
{
	static uint64_t words[WORDS];

	(void)ctx;
	if (memory_mark(memory_watched, pa, on)) {
		feed_trouble("a table at 0x%llx: stores so high up cannot be watched",
			     (unsigned long long)pa);
		return;
	}
	if (!feed.trace)
		return;
	if (!on) {
		let_go(pa);
	} else if (!memory_test(memory_traced, pa) && !memory_read(pa, words, sizeof(words))) {
		memory_mark(memory_traced, pa, 1);
		trace_page(pa, words);
	}
}

void feed_start(const struct s2c_cpu *cpu)
{
	static int started;
	struct s2c_config config = {
		.cpu = *cpu,
		.options = S2C_OWED_AT_RUN,
		.report = on_report,
		.read = on_read,
		.watch = on_watch,
	};
	struct link_start start = {
		.magic = LINK_MAGIC,
		.violation_size = sizeof(struct s2c_violation),
		.cpu = *cpu,
	};

	if (started)
		return;
	started = 1;
	tell(LINK_START, &start, sizeof(start));
	if (feed.trace && s2c_trace_write_start(feed.trace, S2C_TRACE_BINARY, cpu))
		trace_failed();
	feed.model = s2c_new(&config);
	if (!feed.model)
		feed_trouble("no memory for the model: nothing is checked");
}

void feed_event(const struct s2c_event *event)
{
	if (!feed.model)
		return;
	feed.events[event->kind]++;
	if (!s2c_event(feed.model, event))
		trace_event(event);
	else
		feed_trouble("CPU %u, %s at pc 0x%llx: %s", event->cpu, s2c_kind_name(event->kind),
			     (unsigned long long)event->pc, s2c_error(feed.model));
	forget_gone();
}

void feed_end(uint64_t stores)
{
	struct link_end end = { .stores = stores };

	if (feed.trace && fclose(feed.trace))
		feed_trouble("the trace is not complete: %s", strerror(errno));
	feed.trace = NULL;
	memcpy(end.events, feed.events, sizeof(end.events));
	if (feed.model)
		s2c_stats(feed.model, &end.stats);
	tell(LINK_END, &end, sizeof(end));
	feed.report = -1;
	s2c_free(feed.model);
	feed.model = NULL;
}
