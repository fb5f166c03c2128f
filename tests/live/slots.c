/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Scenarios of memslots and VMs: read-only slots, slots that move and go, vCPUs that share a CPU,
 * and more VMs than there are VMIDs.
 */
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "scenarios.h"
#include "vm.h"

#define MIB      ((size_t)1 << 20)
#define ROLLOVER 270 /* a CPU has 256 VMIDs at least, and many have no more */

/* Loads are of memory, stores come to the program. */
void scenario_readonly(void)
{
	size_t size = MIB;
	char *memory = memory_get(size, MEMORY_PAGES);
	struct stop stop;
	struct vm vm;

	for (size_t offset = 0; offset < size; offset += 4096)
		*(uint64_t *)(memory + offset) = pattern(DATA_GPA + offset, 9);
	vm_create(&vm, 2);
	vm_slot(&vm, 1, KVM_MEM_READONLY, DATA_GPA, size, memory);
	for (uint64_t at = DATA_GPA; at < DATA_GPA + size; at += 65536) {
		guest_verify(&vm.vcpu[0], at, 4096, 4096, 9);
		stop = vcpu_order(&vm.vcpu[1], (struct order){ OP_WRITE, at, at + 8, 8, 11 });
		expect(stop.kind == STOP_WRITE && stop.gpa == at && stop.value == pattern(at, 11),
		       "the store comes here");
		expect(vcpu_continue(&vm.vcpu[1]).kind == STOP_ANSWER, "the guest goes on");
	}
	guest_verify(&vm.vcpu[1], DATA_GPA, size, 4096, 9);
	vm_destroy(&vm);
	memory_put(memory, size);
}

static struct stop read_at(struct vcpu *vcpu, uint64_t gpa)
{
	struct stop stop = vcpu_order(vcpu, (struct order){ OP_READ, gpa, gpa + 8, 8, 0 });

	if (stop.kind == STOP_READ) {
		vcpu_set_data(vcpu, 0);
		expect(vcpu_continue(vcpu).kind == STOP_ANSWER, "the guest goes on");
	}
	return stop;
}

/* The same memory at another gpa; the old one is no memory any more. */
void scenario_move(void)
{
	size_t size = 2 * machine.block;
	char *memory = memory_get(size, MEMORY_BLOCKS);
	uint64_t from = DATA_GPA;
	struct vm vm;

	memset(memory, 0, size);
	vm_create(&vm, 2);
	vm_slot(&vm, 1, 0, from, size, memory);
	for (uint64_t round = 0; round < 4; round++) {
		/* By a block, and by a page, so that blocks fit no more. */
		uint64_t to = DATA_GPA + (round % 2 ? machine.page : 2 * size) * (round + 1);

		guest_write(&vm.vcpu[0], from, size, 4096, round - from);
		vm_slot(&vm, 1, 0, to, size, memory);
		expect(read_at(&vm.vcpu[1], from < to ? from : from + size - 8).kind == STOP_READ,
		       "no memory is left behind");
		guest_verify(&vm.vcpu[0], to, size, 4096, round - to);
		from = to;
	}
	vm_destroy(&vm);
	memory_put(memory, size);
}

/* A slot goes while a vCPU writes to another; its gpa gets other memory. */
void scenario_delete(void)
{
	size_t size = 2 * MIB;
	char *one = memory_get(size, MEMORY_PAGES), *two = memory_get(size, MEMORY_PAGES);
	char *other = memory_get(size, MEMORY_PAGES);
	uint64_t gpa = DATA_GPA + 16 * machine.block;
	struct vm vm;

	vm_create(&vm, 2);
	vm_slot(&vm, 1, 0, DATA_GPA, size, other);
	for (uint64_t round = 0; round < 4; round++) {
		vcpu_start(&vm.vcpu[0],
			   (struct order){ OP_WRITE, DATA_GPA, DATA_GPA + size, 64, round });
		vm_slot(&vm, 2, 0, gpa, size, round % 2 ? one : two);
		guest_write(&vm.vcpu[1], gpa, size, 4096, round);
		vm_slot(&vm, 2, 0, gpa, 0, NULL);
		expect(read_at(&vm.vcpu[1], gpa).kind == STOP_READ, "the slot is gone");
		vm_slot(&vm, 2, 0, gpa, size, round % 2 ? two : one);
		if (round > 0)
			guest_verify(&vm.vcpu[1], gpa, size, 4096, round - 1);
		vm_slot(&vm, 2, 0, gpa, 0, NULL);
		expect(vcpu_wait(&vm.vcpu[0]).kind == STOP_ANSWER, "the other vCPU writes");
		guest_verify(&vm.vcpu[1], DATA_GPA, size, 64, round);
	}
	vm_destroy(&vm);
	memory_put(one, size);
	memory_put(two, size);
	memory_put(other, size);
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	expect(sched_setaffinity(0, sizeof(set), &set) == 0, "CPU %d", cpu);
}

/* Two vCPUs of one VM on one CPU, in turn, and from CPU to CPU: they have one VMID. */
void scenario_share_cpu(void)
{
	size_t size = MIB;
	char *memory = memory_get(size, MEMORY_PAGES);
	cpu_set_t before;
	struct vm vm;

	expect(sched_getaffinity(0, sizeof(before), &before) == 0, "the CPUs that we may use");
	vm_create(&vm, 2);
	vm_slot(&vm, 1, 0, DATA_GPA, size, memory);
	for (uint64_t round = 0; round < 16; round++) {
		pin(round / 8 % 2);
		guest_write(&vm.vcpu[round % 2], DATA_GPA, size, 4096, round);
		guest_verify(&vm.vcpu[1 - round % 2], DATA_GPA, size, 4096, round);
	}
	expect(sched_setaffinity(0, sizeof(before), &before) == 0, "the CPUs that we had");
	vm_destroy(&vm);
	memory_put(memory, size);
}

/* VMs come and go, three of them at any time, on the same memory. */
void scenario_vmids(void)
{
	size_t size = MIB;
	char *memory = memory_get(size, MEMORY_PAGES);
	struct vm vm[3];

	for (unsigned int i = 0; i < 30; i++) {
		if (i >= 3)
			vm_destroy(&vm[i % 3]);
		vm_create(&vm[i % 3], 2);
		vm_slot(&vm[i % 3], 1, 0, DATA_GPA, size, memory);
		guest_write(&vm[i % 3].vcpu[0], DATA_GPA, size, 65536, i);
		for (unsigned int j = 0; j < 3 && j <= i; j++)
			guest_verify(&vm[j].vcpu[1], DATA_GPA, size, 65536, i);
	}
	for (unsigned int i = 0; i < 3; i++)
		vm_destroy(&vm[i]);
	memory_put(memory, size);
}

/* So many that a CPU with 8 bits of VMID has to begin anew, while one VM lives through it all. */
void scenario_rollover(void)
{
	size_t size = MIB;
	char *memory = memory_get(size, MEMORY_PAGES);
	struct vm old, vm;

	vm_create(&old, 2);
	vm_slot(&old, 1, 0, DATA_GPA, size, memory);
	guest_write(&old.vcpu[0], DATA_GPA, size, 4096, 1);
	for (unsigned int i = 0; i < ROLLOVER; i++) {
		vm_create(&vm, 1);
		vm_destroy(&vm);
	}
	guest_verify(&old.vcpu[1], DATA_GPA, size, 4096, 1);
	guest_write(&old.vcpu[0], DATA_GPA, size, 4096, 2);
	guest_verify(&old.vcpu[1], DATA_GPA, size, 4096, 2);
	vm_destroy(&old);
	memory_put(memory, size);
}
