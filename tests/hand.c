// SPDX-License-Identifier: BSD-2-Clause
/*
 * In the place of the engine: see hand.h.
 */
#include <string.h>

#include "hand.h"

struct fixture hand;
uint64_t *page_entry, *block_entry;

static struct fixture *const f = &hand;

void up_sim(const struct sim_config *host)
{
	struct s2_vm_config config = fixture_config();
	struct s2c_leaf leaf;

	config.pt.cpu.bbm = host->cpu.bbm;
	config.pt.cpu.features = host->cpu.features;
	fixture_up_sim(f, &config, host);
	assert_int_equal(fixture_map(f, 0, 0x1000, PAGE, S2_RWX, 0), 0);
	assert_int_equal(fixture_map(f, BLOCK, BLOCK, BLOCK, S2_RWX, 0), 0);
	sim_walk(&f->sim, 0, &leaf);
	page_entry = sim_entry(&f->sim, leaf.entry);
	sim_walk(&f->sim, BLOCK, &leaf);
	block_entry = sim_entry(&f->sim, leaf.entry);
	f->sim.keep = 1;
	assert_int_equal(f->sim.failures, 0);
}

void up_with(uint8_t bbm, uint32_t features)
{
	const struct sim_config host = { .cpu = { .bbm = bbm, .features = features } };

	up_sim(&host);
}

/* A tree with page 0 mapped to hpa 0x1000, and the block at 2 MiB to hpa 2 MiB. */
void up(uint8_t bbm)
{
	up_with(bbm, S2_CPU_FWB | S2_CPU_DIC);
}

void down(void)
{
	/* The tree is not the engine's any more: everything goes with the machine. */
	f->sim.arena.outstanding = 0;
	sim_thread(0, NULL);
	sim_fini(&f->sim);
}

/* The first thing found is a violation of this rule. */
void found(const char *rule)
{
	size_t n = strlen(rule);

	if (strncmp(f->sim.failure, rule, n) != 0 || f->sim.failure[n] != ':')
		print_error("found %u, first \"%s\", expected \"%s\"\n", f->sim.failures,
			    f->sim.failure, rule);
	assert_true(f->sim.failures && strncmp(f->sim.failure, rule, n) == 0 &&
		    f->sim.failure[n] == ':');
	down();
}

void nothing_found(void)
{
	sim_idle(&f->sim, 0, 1ull << 40);
	if (f->sim.failures)
		print_error("found \"%s\"\n", f->sim.failure);
	assert_int_equal(f->sim.failures, 0);
	down();
}

void change(uint64_t *entry, uint64_t value)
{
	uint64_t old = *entry;

	assert_int_equal(s2_hook_cas(entry, &old, value), 1);
}

void tlb(unsigned int kind, uint64_t gpa, uint64_t size, unsigned int level, unsigned int flags)
{
	struct s2_tlb_op op = { .kind = (uint8_t)kind,
				.flags = (uint8_t)flags,
				.level = (uint8_t)level,
				.page_shift = 12,
				.gpa = s2_gpa(gpa),
				.size = size };

	f->sim.port.tlb(&f->sim, &op, 1);
}

void publish(void)
{
	tlb(S2_TLB_PUBLISH, 0, 0, S2_LEVEL_ANY, 0);
}

uint64_t *new_table(void)
{
	return f->sim.port.table_alloc(&f->sim, 0);
}

uint64_t pa_of(const uint64_t *table)
{
	return (uint64_t)(uintptr_t)table - f->sim.port.table_offset;
}

/* The table that page_entry is in. */
uint64_t *page_table(void)
{
	return (uint64_t *)((uintptr_t)page_entry & ~(uintptr_t)4095);
}

/* The level-1 entry that points to the table of page 0. */
uint64_t *parent(void)
{
	return block_entry - 1;
}
