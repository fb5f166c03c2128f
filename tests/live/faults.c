/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Scenarios of the fault path: what is mapped where, with which size, type and rights, and what is
 * not memory at all.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "scenarios.h"
#include "vm.h"

#define MIB ((size_t)1 << 20)

/* Both vCPUs fault on the same pages at the same time, each writes its half of them. */
void scenario_pages(void)
{
	size_t size = 4 * MIB, page = machine.page;
	char *memory = memory_get(size, MEMORY_PAGES);
	struct vm vm;

	vm_create(&vm, 2);
	vm_slot(&vm, 1, 0, DATA_GPA, size, memory);
	for (unsigned int i = 0; i < 2; i++)
		vcpu_start(&vm.vcpu[i], (struct order){ OP_WRITE, DATA_GPA + i * page / 2,
							DATA_GPA + size, page, 100 + i });
	for (unsigned int i = 0; i < 2; i++)
		expect(vcpu_wait(&vm.vcpu[i]).kind == STOP_ANSWER, "vCPU %u writes", i);
	for (unsigned int i = 0; i < 2; i++)
		guest_verify(&vm.vcpu[1 - i], DATA_GPA + i * page / 2, size - page / 2, page,
			     100 + i);
	for (size_t offset = 0; offset < size; offset += page)
		expect(*(uint64_t *)(memory + offset) == pattern(DATA_GPA + offset, 100),
		       "the host sees what the guest wrote at 0x%zx", offset);
	vm_destroy(&vm);
	memory_put(memory, size);
}

static void fill_blocks(enum memory_kind kind)
{
	size_t size = 2 * machine.block, faults;
	char *memory = memory_get(size, kind);
	uint64_t sum;
	struct vm vm;

	memset(memory, 0, size);
	if (kind == MEMORY_BLOCKS)
		expect(memory_huge(memory) == size, "the host has huge pages for it");
	vm_create(&vm, 2);
	vm_slot(&vm, 1, 0, DATA_GPA, size, memory);
	events_begin(EVENT_FAULT);
	sum = guest_do(&vm.vcpu[0], (struct order){ OP_READ, DATA_GPA, DATA_GPA + size, 65536, 0 });
	expect(sum == 0, "the guest reads zeroes");
	for (unsigned int i = 0; i < 2; i++)
		vcpu_start(&vm.vcpu[i], (struct order){ OP_WRITE, DATA_GPA + i * 4096,
							DATA_GPA + size, 8192, 7 });
	for (unsigned int i = 0; i < 2; i++)
		expect(vcpu_wait(&vm.vcpu[i]).kind == STOP_ANSWER, "vCPU %u writes", i);
	guest_verify(&vm.vcpu[0], DATA_GPA, size, 4096, 7);
	faults = events_end(EVENT_FAULT);
	expect(faults <= 16, "two blocks are not %zu faults", faults);
	vm_destroy(&vm);
	memory_put(memory, size);
}

void scenario_blocks(void)
{
	fill_blocks(MEMORY_BLOCKS);
}

void scenario_hugetlb(void)
{
	char path[96], count[16];

	snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/hugepages-%zukB/nr_hugepages",
		 machine.block / 1024);
	snprintf(count, sizeof(count), "%d", 2);
	file_write(path, count);
	expect(file_number(path) == 2, "two huge pages in %s", path);
	fill_blocks(MEMORY_HUGETLB);
	file_write(path, "0");
}

/* A page is read first and executed later: it may owe the right, and the cache's maintenance. */
void scenario_exec(void)
{
	static const uint32_t code[] = {
		0xd2800540, /* mov x0, #42 */
		0xd65f03c0, /* ret */
	};
	size_t size = MIB;
	char *memory = memory_get(size, MEMORY_PAGES);
	struct vm vm;

	for (size_t offset = 0; offset < size; offset += machine.page)
		memcpy(memory + offset, code, sizeof(code));
	vm_create(&vm, 2);
	vm_slot(&vm, 1, 0, DATA_GPA, size, memory);
	guest_do(&vm.vcpu[0], (struct order){ OP_READ, DATA_GPA, DATA_GPA + size / 2, 4096, 0 });
	for (size_t offset = 0; offset < size; offset += machine.page)
		expect(guest_do(&vm.vcpu[1],
				(struct order){ OP_CALL, DATA_GPA + offset, 0, 0, 0 }) == 42,
		       "the code at 0x%zx runs", offset);
	vm_destroy(&vm);
	memory_put(memory, size);
}

/* Tables of the guest's own stage 1, with pages of 4 KiB, in the first three pages of MEMORY. */
static void guest_tables(char *memory)
{
	uint64_t *level1 = (uint64_t *)memory;
	uint64_t *low = level1 + 512, *high = low + 512;
	const uint64_t table = 3, block = 1 | 1 << 10 | 3 << 8; /* AF, inner shareable */
	const uint64_t normal = 0, device = 1 << 2;             /* index into MAIR */

	level1[0] = (DATA_GPA + 4096) | table;
	level1[DATA_GPA >> 30] = (DATA_GPA + 8192) | table;
	low[CODE_GPA >> 21] = (CODE_GPA & ~0x1fffffULL) | block | normal;
	low[DOORBELL_GPA >> 21] = DOORBELL_GPA | block | device;
	for (uint64_t i = 0; i < 512; i++)
		high[i] = (DATA_GPA + (i << 21)) | block | normal;
}

/*
 * The guest's own MMU is on, and its tables are memory like any other: they are not yet mapped when
 * it first walks them, and the host takes them away and gives them back.
 */
void scenario_stage1(void)
{
	const uint64_t tcr = 25 | 1 << 8 | 1 << 10 | 3 << 12 | 1ULL << 23 | 2ULL << 32;
	const uint64_t sctlr = 0x30d00800 | 1 | 1 << 2 | 1 << 12; /* RES1, M, C, I */
	const uint64_t mair = 0xff;                               /* write-back; device */
	size_t size = 4 * MIB, tables = 65536;
	char *memory = memory_get(size, MEMORY_PAGES);
	struct vm vm;

	guest_tables(memory);
	vm_create(&vm, 2);
	vm_slot(&vm, 1, 0, DATA_GPA, size, memory);
	for (unsigned int i = 0; i < 2; i++)
		guest_do(&vm.vcpu[i], (struct order){ OP_STAGE1, DATA_GPA, tcr, mair, sctlr });
	for (uint64_t round = 0; round < 8; round++) {
		struct vcpu *vcpu = &vm.vcpu[round % 2];

		guest_write(vcpu, DATA_GPA + tables, size - tables, 4096, round);
		expect(mprotect(memory, size, PROT_READ) == 0, "the host takes the right to write");
		expect(mprotect(memory, size, PROT_READ | PROT_WRITE) == 0, "and gives it back");
		expect(mprotect(memory, tables, PROT_NONE) == 0, "it takes the tables away");
		expect(mprotect(memory, tables, PROT_READ | PROT_WRITE) == 0,
		       "and gives them back");
		guest_do(vcpu, (struct order){ .op = OP_TLBI });
		guest_verify(vcpu, DATA_GPA + tables, size - tables, 4096, round);
	}
	vm_destroy(&vm);
	memory_put(memory, size);
}

/* A real device of the host, its virtio-mmio transports, is mapped into the guest. */
void scenario_device(void)
{
	const uint64_t device = 0x0a000000, magic = 0x74726976; /* "virt" */
	int fd = open("/dev/mem", O_RDWR | O_SYNC | O_CLOEXEC);
	volatile uint32_t *registers;
	struct vm vm;

	expect(fd >= 0, "/dev/mem");
	registers = mmap(NULL, machine.page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)device);
	expect(registers != MAP_FAILED, "the device's registers");
	expect(*registers == magic, "the host reads its identification: 0x%x", *registers);
	vm_create(&vm, 2);
	vm_slot(&vm, 1, 0, DATA_GPA, machine.page, (void *)registers);
	for (unsigned int i = 0; i < 2; i++)
		expect(guest_do(&vm.vcpu[i], (struct order){ OP_READ32, DATA_GPA, 0, 0, 0 }) ==
			       magic,
		       "and so does the guest");
	vm_destroy(&vm);
	munmap((void *)registers, machine.page);
	close(fd);
}

/* Where no slot is, loads and stores come to the program. */
void scenario_mmio(void)
{
	const uint64_t gpa = 0x09000000;
	struct stop stop;
	struct vm vm;

	vm_create(&vm, 1);
	for (uint64_t i = 0; i < 32; i++) {
		stop = vcpu_order(&vm.vcpu[0],
				  (struct order){ OP_WRITE, gpa + 8 * i, gpa + 8 * i + 8, 8, i });
		expect(stop.kind == STOP_WRITE && stop.gpa == gpa + 8 * i &&
			       stop.value == pattern(stop.gpa, i),
		       "the store comes here, with its value");
		stop = vcpu_continue(&vm.vcpu[0]);
		expect(stop.kind == STOP_ANSWER, "the guest goes on behind it");

		stop = vcpu_order(&vm.vcpu[0],
				  (struct order){ OP_READ, gpa + 8 * i, gpa + 8 * i + 8, 8, 0 });
		expect(stop.kind == STOP_READ && stop.gpa == gpa + 8 * i, "the load comes here");
		vcpu_set_data(&vm.vcpu[0], 0x1234567800 + i);
		stop = vcpu_continue(&vm.vcpu[0]);
		expect(stop.kind == STOP_ANSWER && stop.value == 0x1234567800 + i,
		       "the guest gets what it is given");
	}
	vm_destroy(&vm);
}

/* Accesses to no memory that cannot be carried out for the guest. */
void scenario_nowhere(void)
{
	const uint64_t gpa = 0x09000000;
	struct stop stop;
	struct vm vm;

	vm_create(&vm, 1);
	vm_enable(&vm, KVM_CAP_ARM_NISV_TO_USER, 0);
	stop = vcpu_order(&vm.vcpu[0], (struct order){ OP_PAIR, gpa, 0, 0, 0 });
	expect(stop.kind == STOP_NISV && (stop.gpa & ~0xfffULL) == gpa,
	       "a load of a pair comes here");
	vcpu_restart(&vm.vcpu[0]);
	stop = vcpu_order(&vm.vcpu[0], (struct order){ OP_CALL, gpa, 0, 0, 0 });
	expect(stop.kind == STOP_EXCEPTION && (uint32_t)stop.value >> 26 == 0x21,
	       "a jump gives the guest an instruction abort: stop %d, value 0x%jx", stop.kind,
	       (uintmax_t)stop.value);
	vm_destroy(&vm);
}

/* Set/way operations are trapped: KVM cleans all that is mapped, and watches the guest's MMU. */
void scenario_setway(void)
{
	size_t size = MIB;
	char *memory = memory_get(size, MEMORY_PAGES);
	struct vm vm;

	vm_create(&vm, 1);
	vm_slot(&vm, 1, 0, DATA_GPA, size, memory);
	guest_write(&vm.vcpu[0], DATA_GPA, size, 4096, 3);
	guest_do(&vm.vcpu[0], (struct order){ OP_SETWAY, 0, 0, 0, 0 });
	guest_verify(&vm.vcpu[0], DATA_GPA, size, 4096, 3);
	vm_destroy(&vm);
	memory_put(memory, size);
}

/* A reboot: a CPU without FWB loses all that is mapped. */
void scenario_reset(void)
{
	size_t size = 2 * machine.block;
	char *memory = memory_get(size, MEMORY_BLOCKS);
	struct vm vm;

	vm_create(&vm, 2);
	vm_slot(&vm, 1, 0, DATA_GPA, size, memory);
	for (uint64_t round = 0; round < 3; round++) {
		guest_write(&vm.vcpu[0], DATA_GPA, size, 4096, round);
		for (unsigned int i = 0; i < 2; i++)
			vcpu_reset(&vm.vcpu[i], &vm);
		guest_verify(&vm.vcpu[1], DATA_GPA, size, 4096, round);
	}
	vm_destroy(&vm);
	memory_put(memory, size);
}
