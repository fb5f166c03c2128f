/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the tests of the checker's reports share: files that live in memory, symbols from a list,
 * events in one expression. Included once by each of these programs, after cmocka.h.
 */
#ifndef CHECK_REPORT_H
#define CHECK_REPORT_H

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "report.h"

#define MAP                                 \
	"ffff800008000000 T _text\n"        \
	"ffff800008001000 t helper\n"       \
	"ffff800008001000 T stage2_map\n"   \
	"ffff800008002000 t unmap\t[kvm]\n" \
	"ffff800008002800 d $d\n"           \
	"ffff800008003000 D data\n"         \
	"0000000000000010 A absolute\n"     \
	"                 U missing\n"

/* Files that exist as long as they are open. */
static inline int memory_file(const char *text, size_t n, char *name, size_t room)
{
	int fd = memfd_create("test", 0);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, n), n);
	snprintf(name, room, "/proc/self/fd/%d", fd);
	return fd;
}

static inline struct s2c_symbols *symbols_of(const char *list, const char *offset)
{
	struct s2c_symbols *symbols = s2c_symbols_new();
	char name[64], spec[128], error[256] = "";
	int fd = memory_file(list, strlen(list), name, sizeof(name));

	snprintf(spec, sizeof(spec), "%s%s", name, offset);
	if (s2c_symbols_add(symbols, spec, error, sizeof(error)))
		fail_msg("%s", error);
	close(fd);
	return symbols;
}

#define EVENT(k, o, i, a, v) \
	((struct s2c_event){ .kind = k, .op = o, .id = i, .address = a, .value = v })

static inline struct s2c_event store(uint64_t address, uint64_t value, unsigned int size,
				     unsigned int flags)
{
	struct s2c_event event = EVENT(S2C_WRITE, 0, 0, address, value);

	event.size = (uint8_t)size;
	event.flags = (uint8_t)flags;
	return event;
}

#endif
