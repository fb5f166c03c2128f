// SPDX-License-Identifier: BSD-2-Clause
/*
 * The binary form of a trace: a head of 24 bytes (magic, struct s2c_cpu, zeros), then records of
 * 32 bytes, struct s2c_event in little-endian, whatever machine writes or reads it.
 *
 * Reading is strict: a record that no writer here would write (a field that its kind does not use
 * is not 0) is refused, so that whatever is read can be written again as it was, in either form.
 * Records have numbers from 1; 0 is the head.
 */
#include <errno.h>
#include <string.h>

#include "stream.h"

#define KNOWN_FEATURES ((uint32_t)S2C_COHERENT * 2 - 1)

static uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] | at[1] << 8);
}

static uint64_t get64(const uint8_t *at)
{
	uint64_t value = 0;

	for (unsigned int i = 0; i < 8; i++)
		value |= (uint64_t)at[i] << 8 * i;
	return value;
}

static void put16(uint8_t *at, unsigned int value)
{
	at[0] = (uint8_t)value;
	at[1] = (uint8_t)(value >> 8);
}

static void put64(uint8_t *at, uint64_t value)
{
	for (unsigned int i = 0; i < 8; i++)
		at[i] = (uint8_t)(value >> 8 * i);
}

/* Makes n bytes available. Returns how many there are, n at most. */
static size_t want(struct s2c_trace *trace, size_t n)
{
	while (trace->end - trace->start < n && trace_more(trace))
		;
	return trace->end - trace->start < n ? trace->end - trace->start : n;
}

int binary_head(struct s2c_trace *trace)
{
	size_t n = want(trace, S2C_TRACE_START);
	const uint8_t *head = (const uint8_t *)trace->data + trace->start;
	static const uint8_t zeros[10];

	if (memcmp(head, trace_magic, n < 8 ? n : 8))
		return trace_fail(trace, "begins with neither 'S2TRACE1' (binary) nor "
					 "'stage2-trace 1' (text): is this a trace?");
	if (n < S2C_TRACE_START)
		return trace_fail(trace,
				  "only %zu of the %u bytes of its head are there: it was cut "
				  "off",
				  n, S2C_TRACE_START);
	trace->cpu.features = get16(head + 8) | (uint32_t)get16(head + 10) << 16;
	trace->cpu.bbm = head[12];
	trace->cpu.pa_bits = head[13];
	if (trace->cpu.features & ~KNOWN_FEATURES)
		return trace_fail(trace,
				  "the head has unknown CPU features (0x%x): expected some of "
				  "0x%x",
				  trace->cpu.features, KNOWN_FEATURES);
	if (trace->cpu.bbm > 2)
		return trace_fail(trace, "the head says bbm %u: expected 0, 1 or 2",
				  trace->cpu.bbm);
	if (trace->cpu.pa_bits < 32 || trace->cpu.pa_bits > 52)
		return trace_fail(trace,
				  "the head says %u bits of physical address: expected 32 to 52",
				  trace->cpu.pa_bits);
	if (memcmp(head + 14, zeros, sizeof(zeros)))
		return trace_fail(trace, "bytes 14 to 23 of the head are not all 0");
	trace->start += S2C_TRACE_START;
	return 0;
}

int binary_next(struct s2c_trace *trace, struct s2c_event *event)
{
	size_t n = want(trace, S2C_TRACE_RECORD);
	const uint8_t *record = (const uint8_t *)trace->data + trace->start;
	const char *why;

	if (!n)
		return trace->failed ? -1 : 0;
	trace->place++;
	if (n < S2C_TRACE_RECORD)
		return trace_fail(trace,
				  "only %zu of its %u bytes are there: the trace was cut off", n,
				  S2C_TRACE_RECORD);
	trace->start += S2C_TRACE_RECORD;
	event->kind = record[0];
	event->op = record[1];
	event->flags = record[2];
	event->size = record[3];
	event->cpu = get16(record + 4);
	event->id = get16(record + 6);
	event->address = get64(record + 8);
	event->value = get64(record + 16);
	event->pc = get64(record + 24);
	why = s2c_trace_check(event);
	if (why)
		return trace_fail(trace, "%s (kind %u, op %u, flags 0x%x, size %u, cpu %u, id %u)",
				  why, event->kind, event->op, event->flags, event->size,
				  event->cpu, event->id);
	return 1;
}

void s2c_trace_binary_start(uint8_t start[S2C_TRACE_START], const struct s2c_cpu *cpu)
{
	memset(start, 0, S2C_TRACE_START);
	memcpy(start, trace_magic, sizeof(trace_magic));
	put16(start + 8, cpu->features & 0xffff);
	put16(start + 10, cpu->features >> 16);
	start[12] = cpu->bbm;
	start[13] = cpu->pa_bits;
}

void s2c_trace_binary_event(uint8_t record[S2C_TRACE_RECORD], const struct s2c_event *event)
{
	record[0] = event->kind;
	record[1] = event->op;
	record[2] = event->flags;
	record[3] = event->size;
	put16(record + 4, event->cpu);
	put16(record + 6, event->id);
	put64(record + 8, event->address);
	put64(record + 16, event->value);
	put64(record + 24, event->pc);
}
