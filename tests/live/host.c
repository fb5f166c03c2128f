/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Scenarios of the host: it takes pages from below the guest, changes their rights, moves and
 * shares them, swaps them out and asks whether they were used. KVM hears of each from the MMU
 * notifiers.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "scenarios.h"
#include "vm.h"

#define MIB        ((size_t)1 << 20)
#define TRACE      "/sys/kernel/tracing/"
#define KSM        "/sys/kernel/mm/ksm/"
#define CGROUP     "/sys/fs/cgroup/"
#define PATIENCE_S 30 /* for what the kernel does on its own time, and the emulator is slow */

/* Since the compiler's headers: in Linux since 6.1. */
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

static void a_moment(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
}

/* One vCPU works on the lower half while the host takes the upper half away, page by page. */
void scenario_unmap(void)
{
	size_t size = 4 * MIB, half = size / 2;
	char *memory = memory_get(size, MEMORY_PAGES);
	struct vm vm;

	vm_create(&vm, 2);
	vm_slot(&vm, 1, 0, DATA_GPA, size, memory);
	for (uint64_t round = 1; round <= 4; round++) {
		size_t step = machine.page << (2 * round);
		uint64_t sum;

		guest_write(&vm.vcpu[1], DATA_GPA + half, half, 4096, round);
		vcpu_start(&vm.vcpu[0],
			   (struct order){ OP_WRITE, DATA_GPA, DATA_GPA + half, 64, round });
		for (size_t offset = half; offset < size; offset += step)
			expect(madvise(memory + offset, step < size - offset ? step : size - offset,
				       MADV_DONTNEED) == 0,
			       "the host takes pages");
		sum = guest_do(&vm.vcpu[1], (struct order){ OP_READ, DATA_GPA + half,
							    DATA_GPA + size, 4096, 0 });
		expect(sum == 0, "the guest finds zeroes where the host took pages: 0x%jx",
		       (uintmax_t)sum);
		expect(vcpu_wait(&vm.vcpu[0]).kind == STOP_ANSWER, "the other vCPU writes");
		guest_verify(&vm.vcpu[1], DATA_GPA, half, 64, round);
	}
	expect(munmap(memory + half, half) == 0, "the host takes the upper half for good");
	expect(vcpu_order(&vm.vcpu[1],
			  (struct order){ OP_READ, DATA_GPA + half, DATA_GPA + size, 4096, 0 })
			       .kind == STOP_REFUSED,
	       "then KVM_RUN says that there is nothing");
	vm_destroy(&vm);
	memory_put(memory, half);
}

/* A block loses one page and becomes a table; the host collapses the pages to a block again. */
void scenario_split(void)
{
	size_t size = 2 * machine.block, page = machine.page, faults;
	char *memory = memory_get(size, MEMORY_BLOCKS);
	struct vm vm;

	memset(memory, 0, size);
	vm_create(&vm, 2);
	vm_slot(&vm, 1, 0, DATA_GPA, size, memory);
	for (uint64_t round = 0; round < 3; round++) {
		size_t lost = machine.block / 4 * (round + 1);

		guest_write(&vm.vcpu[0], DATA_GPA, size, 4096, round);
		expect(madvise(memory + lost, page, MADV_DONTNEED) == 0, "the host takes a page");
		expect(guest_do(&vm.vcpu[1], (struct order){ OP_READ, DATA_GPA + lost,
							     DATA_GPA + lost + page, 8, 0 }) == 0,
		       "the guest finds it empty");
		guest_verify(&vm.vcpu[1], DATA_GPA, lost, 4096, round);
		guest_verify(&vm.vcpu[0], DATA_GPA + lost + page, size - lost - page, 4096, round);
		expect(madvise(memory, size, MADV_COLLAPSE) == 0, "the host collapses the pages");
		expect(memory_huge(memory) == size, "it has huge pages again");
		events_begin(EVENT_FAULT);
		guest_verify(&vm.vcpu[0], DATA_GPA, lost, 4096, round);
		faults = events_end(EVENT_FAULT);
		expect(faults <= 4, "and so has the guest: it takes %zu faults", faults);
	}
	vm_destroy(&vm);
	memory_put(memory, size);
}

void scenario_protect(void)
{
	size_t size = 2 * MIB;
	char *memory = memory_get(size, MEMORY_PAGES);
	struct stop stop;
	struct vm vm;

	vm_create(&vm, 2);
	vm_slot(&vm, 1, 0, DATA_GPA, size, memory);
	for (uint64_t round = 0; round < 4; round++) {
		uint64_t at = DATA_GPA + round * 65536;

		guest_write(&vm.vcpu[0], DATA_GPA, size, 4096, round);
		expect(mprotect(memory, size, PROT_READ) == 0, "the memory becomes read-only");
		guest_verify(&vm.vcpu[1], DATA_GPA, size, 4096, round);
		stop = vcpu_order(&vm.vcpu[1], (struct order){ OP_WRITE, at, at + 8, 8, 77 });
		expect(stop.kind == STOP_REFUSED, "the guest must not write");
		expect(mprotect(memory, size, PROT_READ | PROT_WRITE) == 0, "it becomes writable");
		expect(vcpu_continue(&vm.vcpu[1]).kind == STOP_ANSWER, "the write is done now");
		guest_verify(&vm.vcpu[0], at, 8, 8, 77);
	}
	vm_destroy(&vm);
	memory_put(memory, size);
}

/* A child shares all pages: the guest's writes must get copies, and the child must not see them. */
void scenario_fork(void)
{
	size_t size = 2 * MIB;
	char *memory = memory_get(size, MEMORY_PAGES);
	int status, gate[2];
	struct vm vm;
	pid_t child;
	char byte;

	vm_create(&vm, 2);
	vm_slot(&vm, 1, 0, DATA_GPA, size, memory);
	guest_write(&vm.vcpu[0], DATA_GPA, size, 4096, 1);
	expect(pipe(gate) == 0, "a pipe");
	child = fork();
	expect(child >= 0, "a child");
	if (child == 0) {
		expect(read(gate[0], &byte, 1) == 1, "the child waits");
		for (size_t offset = 0; offset < size; offset += 4096)
			if (*(uint64_t *)(memory + offset) != pattern(DATA_GPA + offset, 1))
				_exit(1);
		_exit(0);
	}
	guest_verify(&vm.vcpu[1], DATA_GPA, size, 4096, 1);
	guest_write(&vm.vcpu[0], DATA_GPA, size, 4096, 2);
	guest_verify(&vm.vcpu[1], DATA_GPA, size, 4096, 2);
	expect(write(gate[1], "x", 1) == 1, "the child goes on");
	expect(waitpid(child, &status, 0) == child && status == 0,
	       "the child sees what was written before it was born");
	close(gate[0]);
	close(gate[1]);
	vm_destroy(&vm);
	memory_put(memory, size);
}

/* The host finds pages with the same contents and lets the guest share one: read-only, then not. */
void scenario_merge(void)
{
	size_t size = MIB, pages = size / machine.page;
	char *memory = memory_get(size, MEMORY_PAGES);
	int moments = PATIENCE_S * 50;
	struct vm vm;

	memset(memory, 0x55, size);
	vm_create(&vm, 2);
	vm_slot(&vm, 1, 0, DATA_GPA, size, memory);
	guest_do(&vm.vcpu[0], (struct order){ OP_READ, DATA_GPA, DATA_GPA + size, 4096, 0 });
	expect(madvise(memory, size, MADV_MERGEABLE) == 0, "the memory may be merged");
	file_write(KSM "pages_to_scan", "2000");
	file_write(KSM "sleep_millisecs", "1");
	file_write(KSM "run", "1");
	while (file_number(KSM "pages_sharing") < pages - 1 && moments-- > 0) {
		guest_do(&vm.vcpu[1],
			 (struct order){ OP_READ, DATA_GPA, DATA_GPA + size, 4096, 0 });
		a_moment();
	}
	expect(file_number(KSM "pages_sharing") >= pages - 1, "the pages are merged");
	file_write(KSM "run", "0");
	guest_write(&vm.vcpu[0], DATA_GPA, size, 2 * machine.page, 5);
	guest_verify(&vm.vcpu[1], DATA_GPA, size, 2 * machine.page, 5);
	expect(*(uint64_t *)(memory + machine.page) == 0x5555555555555555,
	       "what is still shared keeps its contents");
	file_write(KSM "run", "2");
	guest_verify(&vm.vcpu[0], DATA_GPA, size, 2 * machine.page, 5);
	vm_destroy(&vm);
	memory_put(memory, size);
}

void scenario_swap(void)
{
	size_t size = 4 * MIB;
	char *memory = memory_get(size, MEMORY_PAGES);
	struct vm vm;

	vm_create(&vm, 2);
	vm_slot(&vm, 1, 0, DATA_GPA, size, memory);
	for (uint64_t round = 0; round < 3; round++) {
		guest_write(&vm.vcpu[0], DATA_GPA, size, 4096, round);
		/* Pages that the guest has used stay the first time, and are young no more. */
		for (unsigned int i = 0; i < 3; i++)
			expect(madvise(memory, size, MADV_PAGEOUT) == 0, "the host swaps out");
		expect(memory_swapped(memory, size) > size / machine.page / 2,
		       "most of it is in swap: %zu pages", memory_swapped(memory, size));
		guest_verify(&vm.vcpu[1], DATA_GPA, size, 4096, round);
	}
	vm_destroy(&vm);
	memory_put(memory, size);
}

/* The host wants memory back and looks which pages the guest has used of late. */
void scenario_age(void)
{
	size_t size = 8 * MIB, aged;
	char *memory = memory_get(size, MEMORY_PAGES);
	int fd = open(CGROUP "live/memory.reclaim", O_WRONLY | O_CLOEXEC);
	struct vm vm;

	expect(fd >= 0, CGROUP "live/memory.reclaim: the init of this host makes the group");
	file_write(CGROUP "live/cgroup.procs", "0");
	vm_create(&vm, 2);
	vm_slot(&vm, 1, 0, DATA_GPA, size, memory);
	events_begin(EVENT_AGE);
	for (uint64_t round = 0; round < 6; round++) {
		guest_write(&vm.vcpu[0], DATA_GPA, size, 4096, round);
		/* It says EAGAIN when it found less than that, which is no failure here. */
		(void)!write(fd, "1M", 2);
		guest_verify(&vm.vcpu[1], DATA_GPA, size, 4096, round);
	}
	aged = events_end(EVENT_AGE);
	expect(aged > 0, "KVM was asked how old its pages are");
	file_write(CGROUP "cgroup.procs", "0");
	close(fd);
	vm_destroy(&vm);
	memory_put(memory, size);
}

static void expect_unchanged(struct vcpu *vcpu)
{
	struct stop stop = vcpu_wait(vcpu);

	expect(stop.kind == STOP_ANSWER && stop.value == 0,
	       "the guest reads what it wrote: stop %d, %ju differences", stop.kind,
	       (uintmax_t)stop.value);
}

/*
 * The host moves pages, to have the free ones in one piece: every second page is given back first,
 * so that there is something to do. Both vCPUs read on all the time. What it finds worth moving is
 * its own decision: it is asked until it has moved some, three times at least.
 */
void scenario_compact(void)
{
	size_t size = 4 * MIB, page = machine.page, moved = 0;
	char *memory = memory_get(size, MEMORY_PAGES);
	uint64_t *before = calloc(size / page, sizeof(*before));
	struct vm vm;

	expect(before != NULL, "memory for the pages' places");
	vm_create(&vm, 2);
	vm_slot(&vm, 1, 0, DATA_GPA, size, memory);
	guest_write(&vm.vcpu[0], DATA_GPA, size, page, 1);
	for (size_t i = 0; i < size / page; i++) {
		if (i % 2)
			expect(madvise(memory + i * page, page, MADV_DONTNEED) == 0, "a page goes");
		before[i] = memory_entry(memory + i * page);
	}
	for (uint64_t round = 0; round < 3 || (round < 40 && !moved); round++) {
		for (unsigned int i = 0; i < 2; i++)
			vcpu_start(&vm.vcpu[i], (struct order){ OP_VERIFY, DATA_GPA,
								DATA_GPA + size, 2 * page, 1 });
		file_write("/proc/sys/vm/compact_memory", "1");
		for (unsigned int i = 0; i < 2; i++)
			expect_unchanged(&vm.vcpu[i]);
		for (size_t i = 0; i < size / page; i += 2)
			moved += before[i] != memory_entry(memory + i * page);
	}
	expect(moved > 0, "the host moved pages");
	guest_verify(&vm.vcpu[0], DATA_GPA, size, 2 * page, 1);
	free(before);
	vm_destroy(&vm);
	memory_put(memory, size);
}
