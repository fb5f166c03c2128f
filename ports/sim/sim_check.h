/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The events by which the simulation tells its judge what happens: everything that a checker of
 * second-stage tables can know. check.c is the judge; another one takes its place by implementing
 * these functions. They are called with sim->lock held, in the order in which things happen; all
 * addresses are physical unless named gpa. A judge reports through sim_fail().
 */
#ifndef SIM_CHECK_H
#define SIM_CHECK_H

#include "sim.h"

/* The processors were programmed (sim->regime); the tree at its root is live from now on. */
void sim_check_start(struct sim *sim);
/* Memory for tables was handed out (zeroed), or is about to be poisoned. */
void sim_check_alloc(struct sim *sim, uint64_t table, unsigned int order);
void sim_check_free(struct sim *sim, uint64_t table, unsigned int order);
/* A plain store, said to be to a table that no walker reaches. */
void sim_check_store(struct sim *sim, uint64_t entry, uint64_t value);
/* A compare-and-swap is about to replace `old`, which is there now. */
void sim_check_before(struct sim *sim, uint64_t entry, uint64_t old);
/* It did. */
void sim_check_change(struct sim *sim, uint64_t entry, uint64_t old, uint64_t new_entry);
/* One operation of the port's tlb(), said on `cpu`. */
void sim_check_tlb(struct sim *sim, const struct s2_tlb_op *op, unsigned int cpu);
/* The engine says that for this range nothing is owed; cpus that cached it are asked. */
void sim_check_idle(struct sim *sim, uint64_t gpa, uint64_t size);
/* ... and that `cpu` itself can use these rights everywhere there, where the tables give them. */
void sim_check_local(struct sim *sim, uint64_t gpa, uint64_t size, unsigned int cpu,
		     unsigned int rights);
/* ... and that nothing is mapped. */
void sim_check_empty(struct sim *sim, uint64_t gpa, uint64_t size);

#endif
