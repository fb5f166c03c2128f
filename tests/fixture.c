// SPDX-License-Identifier: BSD-2-Clause
/*
 * What unit tests stand on: see fixture.h.
 */
#include <string.h>

#include "fixture.h"

struct s2_vm_config fixture_config(void)
{
	struct s2_vm_config config = { .pt = { .format = S2_FORMAT_ARM64_4K,
					       .ipa_bits = 40,
					       .block_level = 1,
					       .cpu.pa_bits = 48 } };

	return config;
}

uint64_t fixture_hpa(unsigned int chunk)
{
	return 4 * GIB + chunk * BLOCK;
}

void fixture_up(struct fixture *f, const struct s2_vm_config *config)
{
	const struct sim_config host = { .watch = SIM_WATCH };

	fixture_up_sim(f, config, &host);
}

void fixture_up_sim(struct fixture *f, const struct s2_vm_config *config,
		    const struct sim_config *host)
{
	struct sim_config sim = *host;

	sim.seed = 1;
	sim.cpu = config->pt.cpu;
	sim.chunks = 16;
	memset(f, 0, sizeof(*f));
	sim_init(&f->sim, &sim);
	for (unsigned int i = 0; i < 16; i++)
		f->sim.chunks[i] =
			(struct sim_chunk){ .hpa = fixture_hpa(i), .shift = 21, .prot = S2_RWX };
	assert_int_equal(s2_vm_init(&f->vm, config, &f->sim.port), 0);
	s2_walker_init(&f->walker, &f->vm.pt);
	s2_walker_init(&f->other, &f->vm.pt);
	s2_gather_init(&f->gather, &f->vm.pt);
	sim_thread(0, &f->walker);
	sim_start(&f->sim, s2_arm64_vtcr(&f->vm.pt), s2_arm64_vttbr(&f->vm.pt, 7));
}

void fixture_down(struct fixture *f)
{
	struct s2_census census;

	s2_gather_flush(&f->gather, &f->walker);
	sim_idle(&f->sim, 0, 1ull << f->vm.pt.ipa_bits);
	assert_int_equal(s2_pt_audit(&f->vm.pt, &f->walker, &census, NULL), 0);
	assert_int_equal(census.held, f->sim.arena.outstanding);
	assert_int_equal(census.busy, 0);
	sim_stop(&f->sim);
	s2_walker_fini(&f->other);
	s2_walker_fini(&f->walker);
	sim_thread(0, NULL);
	s2_vm_fini(&f->vm);
	assert_int_equal(f->sim.arena.outstanding, 0);
	sim_fini(&f->sim);
}

struct s2_attr fixture_attr(unsigned int prot, unsigned int type)
{
	struct s2_attr attr = { .prot = (uint8_t)prot, .type = (uint8_t)type };

	return attr;
}

int fixture_map(struct fixture *f, uint64_t gpa, uint64_t hpa, uint64_t size, unsigned int prot,
		unsigned int flags)
{
	int ret = s2_pt_map(&f->vm.pt, s2_gpa(gpa), s2_hpa(hpa), size,
			    fixture_attr(prot, S2_MEM_NORMAL), flags, &f->walker, &f->gather,
			    &f->progress);

	s2_gather_flush(&f->gather, &f->walker);
	return ret;
}

int fixture_slot(struct fixture *f, struct s2_memslot *slot, uint64_t gpa, uint64_t size,
		 uint64_t hva, unsigned int flags)
{
	memset(slot, 0, sizeof(*slot));
	slot->gpa = s2_gpa(gpa);
	slot->hva = s2_hva(hva);
	slot->size = size;
	slot->flags = flags;
	return s2_vm_slot_add(&f->vm, slot);
}

int fixture_fault(struct fixture *f, uint64_t gpa, enum s2_access access, enum s2_fault_kind kind)
{
	struct s2_fault fault = { .gpa = s2_gpa(gpa),
				  .access = (uint8_t)access,
				  .kind = (uint8_t)kind };
	int ret = s2_fault(&f->vm, &f->walker, &fault, &f->exit);

	return ret ? ret : f->exit.reason;
}

int fixture_level(struct fixture *f, uint64_t gpa)
{
	return s2_pt_lookup(&f->vm.pt, s2_gpa(gpa), &f->walker, &f->leaf) ? -1 : f->leaf.level;
}
