/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host's memory for the guests: how it is got, and what the kernel did with it; and counts of
 * what happened in the kernel.
 *
 * It stands at a multiple of the host's block size, so that a slot at a like gpa may be mapped by
 * blocks; whether it is, the kind says.
 */
#include "vm.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define TRACING "/sys/kernel/tracing/"

void *memory_get(size_t size, enum memory_kind kind)
{
	int flags = MAP_ANONYMOUS | (kind == MEMORY_SHARED ? MAP_SHARED : MAP_PRIVATE);
	size_t align = machine.block;
	char *room, *memory;

	if (kind == MEMORY_HUGETLB) {
		memory = mmap(NULL, size, PROT_READ | PROT_WRITE, flags | MAP_HUGETLB, -1, 0);
		expect(memory != MAP_FAILED, "0x%zx bytes of hugetlb", size);
		return memory;
	}
	room = mmap(NULL, size + align, PROT_READ | PROT_WRITE, flags, -1, 0);
	expect(room != MAP_FAILED, "0x%zx bytes of memory", size);
	memory = (char *)(((uintptr_t)room + align - 1) / align * align);
	if (memory != room)
		munmap(room, (size_t)(memory - room));
	if (memory != room + align)
		munmap(memory + size, (size_t)(room + align - memory));
	expect(kind == MEMORY_SHARED ||
		       madvise(memory, size,
			       kind == MEMORY_BLOCKS ? MADV_HUGEPAGE : MADV_NOHUGEPAGE) == 0,
	       "advice about huge pages");
	return memory;
}

void memory_put(void *memory, size_t size)
{
	expect(munmap(memory, size) == 0, "memory goes");
}

uint64_t memory_entry(void *memory)
{
	off_t at = (off_t)((uintptr_t)memory / machine.page * sizeof(uint64_t));
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry;

	expect(fd >= 0 && pread(fd, &entry, sizeof(entry), at) == sizeof(entry),
	       "an entry of /proc/self/pagemap");
	close(fd);
	return entry;
}

size_t memory_swapped(void *memory, size_t size)
{
	size_t swapped = 0;

	for (size_t offset = 0; offset < size; offset += machine.page)
		swapped += memory_entry((char *)memory + offset) >> 62 & 1;
	return swapped;
}

size_t memory_huge(void *memory)
{
	FILE *file = fopen("/proc/self/smaps", "re");
	unsigned long start, end, huge = 0, kilobytes;
	char line[512];
	int ours = 0;

	expect(file != NULL, "/proc/self/smaps");
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			ours = start <= (uintptr_t)memory && (uintptr_t)memory < end;
		else if (ours && sscanf(line, "AnonHugePages: %lu", &kilobytes) == 1)
			huge += kilobytes * 1024;
	}
	fclose(file);
	return huge;
}

static void switch_event(const char *event, const char *state)
{
	char path[128];

	snprintf(path, sizeof(path), TRACING "events/%s/enable", event);
	file_write(path, state);
}

void events_begin(const char *event)
{
	int fd = open(TRACING "trace", O_WRONLY | O_TRUNC | O_CLOEXEC); /* empties it */

	expect(fd >= 0, TRACING "trace");
	close(fd);
	switch_event(event, "1");
}

size_t events_end(const char *event)
{
	FILE *file;
	char line[512];
	size_t lines = 0;

	switch_event(event, "0");
	file = fopen(TRACING "trace", "re");
	expect(file != NULL, TRACING "trace");
	while (fgets(line, sizeof(line), file))
		lines += line[0] != '#';
	fclose(file);
	return lines;
}
