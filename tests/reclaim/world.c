// SPDX-License-Identifier: BSD-2-Clause
/* The machine and its guest: see world.h. */
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "testdev.h"
#include "tracing.h"
#include "world.h"

#define FRAMES    (WORLD_PAGES + HYP_SPARE_FRAMES)
#define TAIL      (HYP_SPARE_FRAMES * FRAME_SIZE_4K + WORLD_PAGES * (64 + FRAME_SIZE_4K))
#define ALIGN     0x200000ull
#define TRIES     100000 /* of one access */
#define PATIENT   4      /* of them without waiting */
#define ALLOWED   (-1)
#define NO_FRAME  0ull
#define WORD_STEP 3

struct tlb {
	uint64_t frame; /* NO_FRAME: nothing */
	unsigned int prot;
};

struct cpu {
	uint32_t lock;
	struct tlb tlb[WORLD_PAGES];
	uint64_t value[WORLD_PAGES][WORLD_WORDS];
};

struct hyp_guest hyp_guest;
struct hyp_cpu hyp_cpus[HYP_MAX_CPUS];
struct hyp_report world_report;

static struct cpu cpus[WORLD_CPUS];
static uint8_t is_free[FRAMES];
static uint64_t memory;
static uint32_t used;
static int is_up; /* the spare frames are free */

void world_fail(const char *format, ...)
{
	char message[200];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	play_failed(message);
}

static void spin(struct cpu *cpu)
{
	while (__atomic_exchange_n(&cpu->lock, 1, __ATOMIC_ACQUIRE))
		sched_yield();
}

static void unspin(struct cpu *cpu)
{
	__atomic_store_n(&cpu->lock, 0, __ATOMIC_RELEASE);
}

static uint64_t index_of(uint64_t frame)
{
	uint64_t index = (frame - hyp_frames.base) / FRAME_SIZE_4K;

	if (frame % FRAME_SIZE_4K || index >= hyp_frames.nframes)
		world_fail("reclaim: 0x%llx is no frame", (unsigned long long)frame);
	return index;
}

/* --- what reclaim.c and frames.c call --- */

struct hyp_cpu *cpu_this(void)
{
	return &hyp_cpus[play_cpu()];
}

void cpu_relax(void)
{
	play_wait();
}

void cpu_sleep(void)
{
	play_wait();
}

int cpu_has_tags(void)
{
	return 0;
}

void hyp_end(enum hyp_end end, const char *format, ...)
{
	char message[160];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	world_fail("hyp_end(%u): %s", end, message);
}

int testdev_resolve(s2_hva_t hva, enum s2_access access, struct s2_page *page)
{
	(void)hva;
	(void)access;
	(void)page;
	return S2_ENOENT;
}

/* Does any page show it? Who changes one has it busy meanwhile. */
static void check_unshown(uint64_t frame)
{
	for (uint64_t n = 0; n < hyp_frames.npages; n++) {
		uint64_t word = frames_word(n);

		if ((word == WHERE_HOME || (word & WHERE_BITS) == WHERE_HERE) &&
		    frames_of(n, word) == frame)
			world_fail("reclaim: frame %llu was taken, page %llu shows it",
				   (unsigned long long)index_of(frame), (unsigned long long)n);
	}
}

void tracing_take(const void *page, uint64_t size)
{
	uint64_t frame = (uint64_t)page, index = index_of(frame);

	(void)size;
	play_point();
	if (__atomic_exchange_n(&is_free[index], 1, __ATOMIC_ACQ_REL))
		world_fail("reclaim: frame %llu was taken twice", (unsigned long long)index);
	if (!is_up)
		return;
	for (unsigned int c = 0; c < WORLD_CPUS; c++) {
		spin(&cpus[c]);
		for (uint64_t n = 0; n < hyp_frames.npages; n++)
			if (cpus[c].tlb[n].frame == frame)
				world_fail("reclaim: frame %llu was taken, CPU %u reaches it as "
					   "page %llu",
					   (unsigned long long)index, c, (unsigned long long)n);
		unspin(&cpus[c]);
	}
	check_unshown(frame);
	play_taken(frame);
}

void tracing_give(const void *page, uint64_t size)
{
	uint64_t frame = (uint64_t)page, index = index_of(frame);

	(void)size;
	if (!__atomic_exchange_n(&is_free[index], 0, __ATOMIC_ACQ_REL))
		world_fail("reclaim: frame %llu was given, and is not free",
			   (unsigned long long)index);
	play_given(frame);
	play_point();
}

void tracing_empty(uint64_t gpa, uint64_t size)
{
	play_empty(gpa, size);
}

/* --- the guest --- */

void world_tlb(const struct s2_tlb_op *ops, size_t n, unsigned int cpu)
{
	for (unsigned int c = 0; c < WORLD_CPUS; c++) {
		for (size_t i = 0; i < n; i++) {
			uint64_t first = (ops[i].gpa.gpa - hyp_frames.base) / FRAME_SIZE_4K;
			uint64_t end = first + ops[i].size / FRAME_SIZE_4K;

			if (ops[i].kind == S2_TLB_PUBLISH ||
			    (ops[i].flags & S2_TLB_LOCAL && c != cpu))
				continue;
			if (ops[i].kind == S2_TLB_ALL) {
				first = 0;
				end = hyp_frames.npages;
			}
			spin(&cpus[c]);
			for (; first < end && first < hyp_frames.npages; first++)
				cpus[c].tlb[first].frame = NO_FRAME;
			unspin(&cpus[c]);
		}
	}
}

static int fill(unsigned int cpu, uint64_t n, struct tlb *tlb)
{
	uint64_t hpa;
	int ret = play_walk(cpu, frames_gpa(n), &hpa, &tlb->prot);

	tlb->frame = ret == ALLOWED ? hpa : NO_FRAME;
	return ret;
}

void world_prefetch(unsigned int cpu, uint64_t n)
{
	spin(&cpus[cpu]);
	(void)fill(cpu, n, &cpus[cpu].tlb[n]);
	unspin(&cpus[cpu]);
}

/* A word of a page: where, whose, and what becomes of it. */
struct access {
	uint64_t n;
	unsigned int word, owner;
	enum s2_access access;
	uint64_t value;
};

static unsigned int place_of(unsigned int owner, unsigned int word)
{
	return owner * 8 + word * WORD_STEP;
}

static void touch(const struct access *a, uint64_t frame)
{
	uint64_t *at = (uint64_t *)frame + place_of(a->owner, a->word), found;
	uint64_t *value = &cpus[a->owner].value[a->n][a->word], index = index_of(frame);

	if (__atomic_load_n(&is_free[index], __ATOMIC_ACQUIRE))
		world_fail("reclaim: page %llu leads to frame %llu, which was taken",
			   (unsigned long long)a->n, (unsigned long long)index);
	found = __atomic_load_n(at, __ATOMIC_RELAXED);
	if (found != *value)
		world_fail("reclaim: page %llu, word %u of CPU %u: 0x%llx was written, 0x%llx is "
			   "there",
			   (unsigned long long)a->n, a->word, a->owner, (unsigned long long)*value,
			   (unsigned long long)found);
	if (a->access != S2_ACCESS_WRITE)
		return;
	if (__atomic_load_n(&hyp_frames.shares[index], __ATOMIC_ACQUIRE))
		world_fail("reclaim: page %llu is written, and others show its frame",
			   (unsigned long long)a->n);
	__atomic_store_n(at, a->value, __ATOMIC_RELAXED);
	*value = a->value;
}

static int attempt(unsigned int cpu, const struct access *a)
{
	struct tlb *tlb = &cpus[cpu].tlb[a->n];
	int ret = ALLOWED;

	spin(&cpus[cpu]);
	if (tlb->frame == NO_FRAME)
		ret = fill(cpu, a->n, tlb);
	if (ret == ALLOWED && a->access == S2_ACCESS_WRITE && !(tlb->prot & S2_W))
		ret = S2_FAULT_PERMISSION;
	if (ret == ALLOWED)
		touch(a, tlb->frame);
	unspin(&cpus[cpu]);
	return ret;
}

static void perform(unsigned int cpu, const struct access *a)
{
	struct hyp_cpu *self = &hyp_cpus[cpu];
	struct s2_fault fault = { .gpa = s2_gpa(frames_gpa(a->n)), .access = (uint8_t)a->access };
	int kind, error;

	for (unsigned int i = 0; i < TRIES; i++) {
		play_point();
		kind = attempt(cpu, a);
		if (kind == ALLOWED)
			return;
		fault.kind = (uint8_t)kind;
		error = s2_fault(self->vm, self->walker, &fault, &self->exit);
		if (error || self->exit.reason != S2_EXIT_RESUME)
			world_fail("reclaim: fault of page %llu: %s, exit %u",
				   (unsigned long long)a->n, s2_strerror(error), self->exit.reason);
		reclaim_turn(self);
		if (i >= PATIENT)
			play_wait();
	}
	world_fail("reclaim: page %llu faults for ever", (unsigned long long)a->n);
}

void world_write(unsigned int cpu, uint64_t n, unsigned int word, uint64_t value)
{
	const struct access a = {
		.n = n, .word = word, .owner = cpu, .access = S2_ACCESS_WRITE, .value = value
	};

	perform(cpu, &a);
}

void world_read(unsigned int cpu, uint64_t n, unsigned int word, unsigned int owner)
{
	const struct access a = { .n = n, .word = word, .owner = owner, .access = S2_ACCESS_READ };

	perform(cpu, &a);
}

uint64_t world_value(unsigned int owner, uint64_t n, unsigned int word)
{
	return cpus[owner].value[n][word];
}

/* --- up and down --- */

static void vm_up(const struct world_config *config)
{
	struct hyp_guest *guest = &hyp_guest;
	struct s2_vm_config vm = { .pt = { .format = S2_FORMAT_ARM64_4K,
					   .ipa_bits = 48,
					   .block_level = (uint8_t)config->block_level,
					   .cpu = config->cpu } };

	guest->port.port = *config->port;
	guest->port.cpu = config->cpu;
	guest->slots[0] = (struct s2_memslot){ .gpa = s2_gpa(guest->ram_base),
					       .hva = s2_hva(guest->ram_base),
					       .size = guest->ram_size };
	if (s2_vm_init(&guest->vm, &vm, &guest->port.port) ||
	    s2_vm_slot_add(&guest->vm, &guest->slots[0]))
		abort();
	for (unsigned int c = 0; c < WORLD_CPUS; c++) {
		struct hyp_cpu *cpu = &hyp_cpus[c];

		memset(cpu, 0, sizeof(*cpu));
		cpu->index = c;
		cpu->percpu = &world_report.percpu[c];
		cpu->walker = &cpu->percpu->walker;
		cpu->vm = &guest->vm;
		memset(cpu->percpu, 0, sizeof(*cpu->percpu));
		s2_walker_init(cpu->walker, &guest->vm.pt);
	}
}

void world_up(const struct world_config *config)
{
	uint64_t bytes = WORLD_PAGES * FRAME_SIZE_4K + TAIL;
	struct hyp_guest *guest = &hyp_guest;

	if (!memory) {
		void *found = mmap(NULL, bytes + ALIGN, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (found == MAP_FAILED)
			abort();
		memory = ((uint64_t)found + ALIGN - 1) & ~(ALIGN - 1);
	}
	used = config->used;
	memset(guest, 0, sizeof(*guest));
	memset(&hyp_frames, 0, sizeof(hyp_frames));
	memset(cpus, 0, sizeof(cpus));
	memset(is_free, 0, sizeof(is_free));
	memset((void *)memory, 0, used * FRAME_SIZE_4K);
	world_report.timer_hz = 1000;
	world_report.pages_out_peak = 0;
	guest->ram_base = memory;
	guest->ram_size = config->pages * FRAME_SIZE_4K;
	guest->tail = TAIL;
	guest->reclaim = config->reclaim;
	guest->merge = config->merge;
	guest->block_level = config->block_level;
	native_reset();
	vm_up(config);
	is_up = 0;
	frames_start(guest);
	is_up = 1;
}

void world_down(void)
{
	for (unsigned int c = 0; c < WORLD_CPUS; c++)
		s2_walker_fini(hyp_cpus[c].walker);
	s2_vm_fini(&hyp_guest.vm);
}

/* --- the audit --- */

/* What a page must have: all but the CPUs' words are zero. */
static void expect(uint64_t n, uint64_t *page)
{
	memset(page, 0, FRAME_SIZE_4K);
	for (unsigned int c = 0; c < WORLD_CPUS; c++)
		for (unsigned int word = 0; word < WORLD_WORDS; word++)
			page[place_of(c, word)] = world_value(c, n, word);
}

static void audit_page(uint64_t n, uint16_t *shown, uint8_t *slot_used)
{
	uint64_t word = frames_word(n), at = word & ~(uint64_t)WHERE_BITS, slot, mask = 0;
	uint64_t page[FRAME_SIZE_4K / 8];
	const uint64_t *is;

	if (word == WHERE_HOME || (word & WHERE_BITS) == WHERE_HERE) {
		at = frames_of(n, word);
		shown[index_of(at)]++;
	} else if ((word & WHERE_BITS) == WHERE_AWAY) {
		slot = (at - hyp_frames.store) / FRAME_SIZE_4K;
		if (slot >= hyp_frames.limit || slot_used[slot]++)
			world_fail("reclaim: page %llu is in slot %llu, which is another's",
				   (unsigned long long)n, (unsigned long long)slot);
		mask = ~0ull;
	} else if (word != WHERE_ZERO) {
		world_fail("reclaim: page %llu is 0x%llx at the end", (unsigned long long)n,
			   (unsigned long long)word);
	}
	if (n >= used)
		return;
	expect(n, page);
	is = (const uint64_t *)at;
	for (unsigned int i = 0; i < FRAME_SIZE_4K / 8; i++)
		if (page[i] != (word == WHERE_ZERO ? 0 : is[i] ^ mask))
			world_fail("reclaim: page %llu, word %u: 0x%llx was written, 0x%llx is "
				   "there",
				   (unsigned long long)n, i, (unsigned long long)page[i],
				   (unsigned long long)(word == WHERE_ZERO ? 0 : is[i] ^ mask));
}

static void audit_frames(const uint16_t *shown)
{
	static uint8_t free_once[FRAMES];

	memset(free_once, 0, sizeof(free_once));
	for (uint64_t i = hyp_frames.ring_tail; i < hyp_frames.ring_head; i++)
		if (free_once[hyp_frames.ring[i % hyp_frames.nframes]]++)
			world_fail("reclaim: frame %u is free twice",
				   hyp_frames.ring[i % hyp_frames.nframes]);
	for (uint64_t i = 0; i < hyp_frames.nframes; i++) {
		if ((shown[i] != 0) == free_once[i] || free_once[i] != is_free[i])
			world_fail("reclaim: frame %llu: %u pages show it, free %u",
				   (unsigned long long)i, shown[i], free_once[i]);
		if (hyp_frames.shares[i] != (shown[i] ? shown[i] - 1u : 0))
			world_fail("reclaim: frame %llu: %u pages show it, shares %u",
				   (unsigned long long)i, shown[i], hyp_frames.shares[i]);
	}
}

void world_audit(void)
{
	static uint16_t shown[FRAMES];
	static uint8_t slot_used[WORLD_PAGES];
	uint64_t away = 0, zero = 0;

	memset(shown, 0, sizeof(shown));
	memset(slot_used, 0, sizeof(slot_used));
	for (uint64_t n = 0; n < hyp_frames.npages; n++) {
		audit_page(n, shown, slot_used);
		away += (frames_word(n) & WHERE_BITS) == WHERE_AWAY;
		zero += frames_word(n) == WHERE_ZERO;
	}
	audit_frames(shown);
	for (uint32_t i = 0; i < hyp_frames.nslots; i++)
		if (slot_used[hyp_frames.slots[i]]++)
			world_fail("reclaim: slot %u is free, and is not", hyp_frames.slots[i]);
	if (away + hyp_frames.nslots != hyp_frames.limit || away + zero != hyp_frames.out)
		world_fail("reclaim: %llu pages are away, %llu zero, %u slots free, %llu out",
			   (unsigned long long)away, (unsigned long long)zero, hyp_frames.nslots,
			   (unsigned long long)hyp_frames.out);
}
