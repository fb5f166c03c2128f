/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The compiler's instrumentation for the thread sanitizer, with another runtime behind it: instead
 * of looking for races, it writes down which cache lines each thread reads and writes.
 *
 * Code that is compiled with -fsanitize=thread calls a function before each plain access and
 * instead of each atomic one; those that gcc and clang call from C are below, and one that is
 * missing fails the link, so that nothing goes by unseen in silence. Atomics do the real thing,
 * with the strongest order: this is about where, not about when. A compare-and-swap that fails
 * counts as a write, because it takes the line away from others all the same.
 *
 * Not seen: code that is not instrumented, save its calls of memset, memcpy and memmove (--wrap).
 * Not recorded: a thread's own stack, so that two threads may be played by one.
 */
#include "recorder.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum access {
	READ,
	WRITE,
};

static _Thread_local struct line_log *current;
static _Thread_local uintptr_t stack_start, stack_end;

static void find_stack(void)
{
	pthread_attr_t attr;
	size_t size;
	void *start;

	if (pthread_getattr_np(pthread_self(), &attr) ||
	    pthread_attr_getstack(&attr, &start, &size)) {
		printf("Bail out! where is the stack?\n");
		exit(1);
	}
	pthread_attr_destroy(&attr);
	stack_start = (uintptr_t)start;
	stack_end = stack_start + size;
}

void record_to(struct line_log *log)
{
	if (!stack_end)
		find_stack();
	current = log;
}

static size_t slot_of(uintptr_t address)
{
	return (size_t)(address / LINE_SIZE * 0x9e3779b97f4a7c15ull >> 50) & (LOG_SLOTS - 1);
}

const struct line *line_find(const struct line_log *log, uintptr_t address)
{
	for (size_t n = 0, i = slot_of(address); n < LOG_SLOTS; n++, i = (i + 1) % LOG_SLOTS) {
		if (log->lines[i].address == address)
			return &log->lines[i];
		if (!log->lines[i].address)
			break;
	}
	return NULL;
}

static struct line *line_get(struct line_log *log, uintptr_t address)
{
	for (size_t n = 0, i = slot_of(address); n < LOG_SLOTS; n++, i = (i + 1) % LOG_SLOTS) {
		if (!log->lines[i].address)
			log->lines[i].address = address;
		if (log->lines[i].address == address)
			return &log->lines[i];
	}
	printf("Bail out! more than %u lines\n", LOG_SLOTS);
	exit(1);
}

static void note(const volatile void *p, size_t size, enum access access, void *caller)
{
	uintptr_t start = (uintptr_t)p, pc = (uintptr_t)caller;

	if (!current || !size || (start >= stack_start && start < stack_end))
		return;
	for (uintptr_t at = start & ~(uintptr_t)(LINE_SIZE - 1); at < start + size;
	     at += LINE_SIZE) {
		struct line *line = line_get(current, at);
		uintptr_t *first = access == WRITE ? &line->wrote : &line->read;

		if (!*first)
			*first = pc;
	}
}

/* Every entry point declares itself: the compiler knows them, no header does. */
#define ENTRY(type, name, ...)  \
	type name(__VA_ARGS__); \
	type name(__VA_ARGS__)
#define CALLER __builtin_return_address(0)

ENTRY(void, __tsan_init, void)
{
}

ENTRY(void, __tsan_func_entry, void *caller)
{
	(void)caller;
}

ENTRY(void, __tsan_func_exit, void)
{
}

#define PLAIN(size)                                        \
	ENTRY(void, __tsan_read##size, void *p)            \
	{                                                  \
		note(p, size, READ, CALLER);               \
	}                                                  \
	ENTRY(void, __tsan_write##size, void *p)           \
	{                                                  \
		note(p, size, WRITE, CALLER);              \
	}                                                  \
	ENTRY(void, __tsan_unaligned_read##size, void *p)  \
	{                                                  \
		note(p, size, READ, CALLER);               \
	}                                                  \
	ENTRY(void, __tsan_unaligned_write##size, void *p) \
	{                                                  \
		note(p, size, WRITE, CALLER);              \
	}

PLAIN(1)
PLAIN(2)
PLAIN(4)
PLAIN(8)
PLAIN(16)

ENTRY(void, __tsan_read_range, void *p, size_t size)
{
	note(p, size, READ, CALLER);
}

ENTRY(void, __tsan_write_range, void *p, size_t size)
{
	note(p, size, WRITE, CALLER);
}

#define FETCH(bits, op)                                                                            \
	ENTRY(uint##bits##_t, __tsan_atomic##bits##_fetch_##op, volatile void *p,                  \
	      uint##bits##_t value, int order)                                                     \
	{                                                                                          \
		(void)order;                                                                       \
		note(p, bits / 8, WRITE, CALLER);                                                  \
		return __atomic_fetch_##op((volatile uint##bits##_t *)p, value, __ATOMIC_SEQ_CST); \
	}

#define COMPARE(bits, strength)                                                            \
	ENTRY(_Bool, __tsan_atomic##bits##_compare_exchange_##strength, volatile void *p,  \
	      void *expected, uint##bits##_t desired, int order, int fail_order)           \
	{                                                                                  \
		(void)order;                                                               \
		(void)fail_order;                                                          \
		note(p, bits / 8, WRITE, CALLER);                                          \
		return __atomic_compare_exchange_n((volatile uint##bits##_t *)p,           \
						   (uint##bits##_t *)expected, desired, 0, \
						   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);    \
	}

#define ATOMIC(bits)                                                                               \
	ENTRY(uint##bits##_t, __tsan_atomic##bits##_load, const volatile void *p, int order)       \
	{                                                                                          \
		(void)order;                                                                       \
		note(p, bits / 8, READ, CALLER);                                                   \
		return __atomic_load_n((const volatile uint##bits##_t *)p, __ATOMIC_SEQ_CST);      \
	}                                                                                          \
	ENTRY(void, __tsan_atomic##bits##_store, volatile void *p, uint##bits##_t value,           \
	      int order)                                                                           \
	{                                                                                          \
		(void)order;                                                                       \
		note(p, bits / 8, WRITE, CALLER);                                                  \
		__atomic_store_n((volatile uint##bits##_t *)p, value, __ATOMIC_SEQ_CST);           \
	}                                                                                          \
	ENTRY(uint##bits##_t, __tsan_atomic##bits##_exchange, volatile void *p,                    \
	      uint##bits##_t value, int order)                                                     \
	{                                                                                          \
		(void)order;                                                                       \
		note(p, bits / 8, WRITE, CALLER);                                                  \
		return __atomic_exchange_n((volatile uint##bits##_t *)p, value, __ATOMIC_SEQ_CST); \
	}                                                                                          \
	ENTRY(uint##bits##_t, __tsan_atomic##bits##_compare_exchange_val, volatile void *p,        \
	      uint##bits##_t expected, uint##bits##_t desired, int order, int fail_order)          \
	{                                                                                          \
		(void)order;                                                                       \
		(void)fail_order;                                                                  \
		note(p, bits / 8, WRITE, CALLER);                                                  \
		__atomic_compare_exchange_n((volatile uint##bits##_t *)p, &expected, desired, 0,   \
					    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);                   \
		return expected;                                                                   \
	}                                                                                          \
	COMPARE(bits, strong)                                                                      \
	COMPARE(bits, weak)                                                                        \
	FETCH(bits, add)                                                                           \
	FETCH(bits, sub)                                                                           \
	FETCH(bits, and)                                                                           \
	FETCH(bits, or)                                                                            \
	FETCH(bits, xor)

ATOMIC(8)
ATOMIC(16)
ATOMIC(32)
ATOMIC(64)

ENTRY(void, __tsan_atomic_thread_fence, int order)
{
	(void)order;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

ENTRY(void, __tsan_atomic_signal_fence, int order)
{
	(void)order;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/* What remains of memset and its kin as calls: by the linker's --wrap, or by newer clangs. */
#define LIBC(name, type, second_is)                                              \
	void *__real_##name(void *to, type from, size_t size);                   \
	static void *note_##name(void *to, type from, size_t size, void *caller) \
	{                                                                        \
		second_is(from, size, caller);                                   \
		note(to, size, WRITE, caller);                                   \
		return __real_##name(to, from, size);                            \
	}                                                                        \
	ENTRY(void *, __wrap_##name, void *to, type from, size_t size)           \
	{                                                                        \
		return note_##name(to, from, size, CALLER);                      \
	}                                                                        \
	ENTRY(void *, __tsan_##name, void *to, type from, size_t size)           \
	{                                                                        \
		return note_##name(to, from, size, CALLER);                      \
	}
#define A_SOURCE(from, size, caller) note(from, size, READ, caller)
#define A_VALUE(from, size, caller)  ((void)0)

LIBC(memset, int, A_VALUE)
LIBC(memcpy, const void *, A_SOURCE)
LIBC(memmove, const void *, A_SOURCE)
