/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Scenarios of dirty logging: which pages KVM says were written, exactly; blocks that logging
 * splits and that come back after it; and a migration, whose copy must be the guest's memory in the
 * end.
 *
 * KVM has three ways to harvest: get and protect at once; get, and protect by a call of its own;
 * and the latter with all pages dirty at first, and nothing write-protected before it is cleared.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "scenarios.h"
#include "vm.h"

/* Not in the headers of Debian 12's kernel. */
#ifndef KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE
#define KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE 228
#define KVM_CAP_ARM_SUPPORTED_BLOCK_SIZES  229
#endif

enum harvest {
	HARVEST_AT_ONCE,
	HARVEST_MANUAL,
	HARVEST_ALL_SET,
	HARVEST_EAGER,
};

/* A VM with one slot, whose dirty pages are got as `how` says. */
struct logged {
	struct vm vm;
	enum harvest how;
	char *memory;
	size_t size, pages;
	uint64_t *bits; /* of the last harvest */
};

/*
 * It must be asked for before there is any slot. A kernel that cannot do it knows no block sizes,
 * and splits on faults.
 */
static void split_eagerly(struct vm *vm)
{
	if (vm_capability(vm, KVM_CAP_ARM_SUPPORTED_BLOCK_SIZES) <= 0)
		return;
	vm_slot(vm, 0, 0, CODE_GPA, 0, NULL);
	vm_enable(vm, KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE, machine.block);
	vm_slot(vm, 0, 0, CODE_GPA, CODE_SIZE, vm->code);
}

static void logged_create(struct logged *logged, enum harvest how)
{
	*logged = (struct logged){ .how = how, .size = 2 * machine.block };
	logged->pages = logged->size / machine.page;
	logged->memory = memory_get(logged->size, MEMORY_BLOCKS);
	logged->bits = calloc(logged->pages / 64 + 1, sizeof(uint64_t));
	expect(logged->bits != NULL, "memory for a bitmap");
	memset(logged->memory, 0, logged->size);
	vm_create(&logged->vm, 2);
	if (how == HARVEST_EAGER)
		split_eagerly(&logged->vm);
	if (how == HARVEST_MANUAL || how == HARVEST_ALL_SET)
		vm_enable(&logged->vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
			  how == HARVEST_ALL_SET ? KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE |
							   KVM_DIRTY_LOG_INITIALLY_SET
						 : KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE);
	vm_slot(&logged->vm, 1, 0, DATA_GPA, logged->size, logged->memory);
}

static void logged_destroy(struct logged *logged)
{
	vm_destroy(&logged->vm);
	memory_put(logged->memory, logged->size);
	free(logged->bits);
}

static void logging(struct logged *logged, uint32_t flags)
{
	vm_slot(&logged->vm, 1, flags, DATA_GPA, logged->size, logged->memory);
}

static int is_dirty(struct logged *logged, size_t page)
{
	return logged->bits[page / 64] >> page % 64 & 1;
}

/* Protects what the bitmap has: by halves of the slot, so that a clear is not always all of it. */
static void clear(struct logged *logged)
{
	for (size_t half = 0; half < 2; half++) {
		struct kvm_clear_dirty_log log = {
			.slot = 1,
			.first_page = half * logged->pages / 2,
			.num_pages = (uint32_t)(logged->pages / 2),
			.dirty_bitmap = logged->bits + half * logged->pages / 128,
		};

		expect(ioctl(logged->vm.fd, KVM_CLEAR_DIRTY_LOG, &log) == 0, "the log is cleared");
	}
}

/* Gets the pages that were written since the last time, and says how many these are. */
static size_t harvest(struct logged *logged)
{
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = logged->bits };
	size_t count = 0;

	expect(ioctl(logged->vm.fd, KVM_GET_DIRTY_LOG, &log) == 0, "the dirty log");
	if (logged->how == HARVEST_MANUAL || logged->how == HARVEST_ALL_SET)
		clear(logged);
	for (size_t page = 0; page < logged->pages; page++)
		count += (size_t)is_dirty(logged, page);
	return count;
}

/* The guest writes every STEP-th page from FIRST; these and no others must be in the next harvest.
 */
static void write_and_compare(struct logged *logged, size_t first, size_t step, uint64_t seed)
{
	uint64_t end = DATA_GPA + logged->size;
	size_t expected = (logged->pages - first + step - 1) / step, count;

	for (uint64_t i = 0; i < 2; i++)
		vcpu_start(&logged->vm.vcpu[i],
			   (struct order){ OP_WRITE,
					   DATA_GPA + (first + i * step) * machine.page + i * 8,
					   end, 2 * step * machine.page, seed });
	for (unsigned int i = 0; i < 2; i++)
		expect(vcpu_wait(&logged->vm.vcpu[i]).kind == STOP_ANSWER, "vCPU %u writes", i);
	count = harvest(logged);
	for (size_t page = first; page < logged->pages; page += step)
		expect(is_dirty(logged, page), "page 0x%zx was written", page);
	expect(count == expected, "only %zu pages were written, not %zu", expected, count);
}

static void log_dirty(enum harvest how)
{
	struct logged logged;
	size_t count;

	logged_create(&logged, how);
	for (uint64_t round = 0; round < 2; round++) {
		/* Without logging first: blocks, which logging has to split. */
		guest_write(&logged.vm.vcpu[0], DATA_GPA, logged.size, 4096, 10 + round);
		logging(&logged, KVM_MEM_LOG_DIRTY_PAGES);
		count = harvest(&logged);
		expect(how == HARVEST_ALL_SET ? count == logged.pages : count == 0,
		       "nothing was written yet, save that all is said to be: %zu", count);
		write_and_compare(&logged, 3, 37, 20 + round);
		write_and_compare(&logged, 3, 37, 30 + round);
		expect(guest_do(&logged.vm.vcpu[1],
				(struct order){ OP_READ, DATA_GPA, DATA_GPA + logged.size, 4096,
						0 }) != 0,
		       "the guest reads");
		expect(harvest(&logged) == 0, "and nothing is dirty for that");
		write_and_compare(&logged, 0, 1, 40 + round);
		/* Off: pages become blocks again when they are written. */
		logging(&logged, 0);
		events_begin(EVENT_FAULT);
		guest_do(&logged.vm.vcpu[1],
			 (struct order){ OP_READ, DATA_GPA, DATA_GPA + logged.size, 4096, 0 });
		guest_write(&logged.vm.vcpu[1], DATA_GPA, logged.size, 4096, 50 + round);
		guest_verify(&logged.vm.vcpu[0], DATA_GPA, logged.size, 4096, 50 + round);
		count = events_end(EVENT_FAULT);
		expect(count <= 8, "two blocks come back by %zu faults", count);
	}
	logged_destroy(&logged);
}

void scenario_log(void)
{
	log_dirty(HARVEST_AT_ONCE);
}

void scenario_log_manual(void)
{
	log_dirty(HARVEST_MANUAL);
}

void scenario_log_all_set(void)
{
	log_dirty(HARVEST_ALL_SET);
}

void scenario_log_eager(void)
{
	log_dirty(HARVEST_EAGER);
}

static void copy_dirty(struct logged *logged, char *copy)
{
	harvest(logged);
	for (size_t page = 0; page < logged->pages; page++)
		if (is_dirty(logged, page))
			memcpy(copy + page * machine.page, logged->memory + page * machine.page,
			       machine.page);
}

/* Copies the memory while both vCPUs write to it, again and again, then once more when they rest.
 */
static void migrate(enum harvest how)
{
	struct logged logged;
	char *copy;

	logged_create(&logged, how);
	copy = memory_get(logged.size, MEMORY_BLOCKS);
	guest_write(&logged.vm.vcpu[0], DATA_GPA, logged.size, 4096, 1);
	logging(&logged, KVM_MEM_LOG_DIRTY_PAGES);
	if (how != HARVEST_ALL_SET)
		memcpy(copy, logged.memory, logged.size);
	for (uint64_t round = 2; round < 6; round++) {
		for (uint64_t i = 0; i < 2; i++)
			vcpu_start(&logged.vm.vcpu[i],
				   (struct order){ OP_WRITE, DATA_GPA + i * 64,
						   DATA_GPA + logged.size, 512, round });
		for (unsigned int i = 0; i < 6; i++)
			copy_dirty(&logged, copy);
		for (unsigned int i = 0; i < 2; i++)
			expect(vcpu_wait(&logged.vm.vcpu[i]).kind == STOP_ANSWER, "vCPU %u writes",
			       i);
	}
	copy_dirty(&logged, copy);
	expect(memcmp(copy, logged.memory, logged.size) == 0, "the copy is the guest's memory");
	logging(&logged, 0);
	memory_put(copy, logged.size);
	logged_destroy(&logged);
}

void scenario_migrate(void)
{
	migrate(HARVEST_AT_ONCE);
}

void scenario_migrate_manual(void)
{
	migrate(HARVEST_ALL_SET);
}
