/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What unit tests stand on: a simulated machine, a guest address space on it, two walkers. Each
 * test builds its own; the parameters that matter are visible in the test.
 */
#ifndef TEST_FIXTURE_H
#define TEST_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stage2/arm64.h>

#include "sim.h"

#define KIB   1024ull
#define MIB   (1024 * KIB)
#define GIB   (1024 * MIB)
#define PAGE  (4 * KIB)
#define BLOCK (2 * MIB)

struct fixture {
	struct sim sim;
	struct s2_vm vm;
	struct s2_walker walker;
	struct s2_walker other;
	struct s2_gather gather;
	struct s2_progress progress;
	struct s2_leaf leaf;
	struct s2_exit exit;
};

/* 40 bits of IPA, blocks of 2M, no CPU features; change what the test is about. */
struct s2_vm_config fixture_config(void);
void fixture_up(struct fixture *f, const struct s2_vm_config *config);
/* The same with a host that is told how to be: seed, CPU and chunks are as ever. */
void fixture_up_sim(struct fixture *f, const struct s2_vm_config *config,
		    const struct sim_config *host);
/* Checks that nothing is stale and nothing leaks. */
void fixture_down(struct fixture *f);

/* 16 chunks of normal memory in 2 MiB blocks: hva chunk n is at this hpa. */
uint64_t fixture_hpa(unsigned int chunk);

struct s2_attr fixture_attr(unsigned int prot, unsigned int type);
/* s2_pt_map() and a flush. */
int fixture_map(struct fixture *f, uint64_t gpa, uint64_t hpa, uint64_t size, unsigned int prot,
		unsigned int flags);
/* Fills in and adds a slot. */
int fixture_slot(struct fixture *f, struct s2_memslot *slot, uint64_t gpa, uint64_t size,
		 uint64_t hva, unsigned int flags);
/* A translation fault (or another), handled; returns the exit reason, negative: the error. */
int fixture_fault(struct fixture *f, uint64_t gpa, enum s2_access access, enum s2_fault_kind kind);
/* Level of the leaf at gpa, -1: none. */
int fixture_level(struct fixture *f, uint64_t gpa);

#endif
