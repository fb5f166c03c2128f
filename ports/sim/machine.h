/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside of the simulation: what its files share. Nothing here is for tests.
 */
#ifndef SIM_MACHINE_H
#define SIM_MACHINE_H

#include "sim.h"

/* arena.c */
#define SIM_POISON 0x5bad5bad5bad5bafull

void sim_arena_init(struct sim *sim);
void sim_arena_fini(struct sim *sim);
void *sim_arena_alloc(struct sim *sim, unsigned int order);
void sim_arena_free(struct sim *sim, void *table, unsigned int order);
/* The frame that holds this physical address; NULL if it is not memory of tables. */
struct sim_frame *sim_frame(struct sim *sim, uint64_t pa);
static inline uint64_t *sim_entry(struct sim *sim, uint64_t pa)
{
	return (uint64_t *)(void *)(sim->arena.va + (pa - sim->arena.pa));
}

/* host.c */
void sim_host_init(struct sim *sim);
void sim_host_fini(struct sim *sim);
int sim_host_resolve(struct sim *sim, uint64_t hva, enum s2_access access, struct s2_page *page);
void sim_host_sync(struct sim *sim, uint64_t hpa, uint64_t size, unsigned int kind);

/* toy.c: the toy layout */
struct chk_desc sim_toy_decode(const struct chk_regime *regime, unsigned int level, uint64_t raw);
uint64_t sim_toy_with_af(uint64_t raw);

/* watch.c: events for the model. All with sim->lock held; nothing happens when blind. */
void sim_watch_init(struct sim *sim);
/* Nobody may hold anything of the tree that was here: another one gets its VMID. */
void sim_watch_fini(struct sim *sim);
/* Something happened on this thread's processor; `op` and so on as struct s2c_event has them. */
void sim_tell(struct sim *sim, unsigned int kind, unsigned int op, uint64_t address,
	      uint64_t value);
/* An entry has a new value: flags as enum s2c_write_flag. */
void sim_tell_write(struct sim *sim, uint64_t pa, uint64_t value, unsigned int flags);
void sim_tell_tlb(struct sim *sim, const struct s2_tlb_op *ops, size_t n);
/* Is this entry's table linked? Then where it stands. */
int sim_place(struct sim *sim, uint64_t pa, uint64_t *gpa, unsigned int *level);
/* Processors walk around here: hardware may set access flags. */
void sim_stir(struct sim *sim, uint64_t gpa);

/* Who is running: one a thread, and one for each actor of it (second.c). */
struct sim_self {
	const struct s2_walker *walker;
	uint32_t cpu;
	uint32_t waits; /* turns of waiting since anybody did something: ... */
	uint64_t seen;  /* ... sim->progress, when it last looked */
};
extern _Thread_local struct sim_self sim_self;

/* second.c: where another actor may come first. All outside sim->lock. */
void sim_meet(struct sim *sim, enum sim_where where, uint64_t gpa);
/* Who decides at the points of a simulation who goes on. */
struct sim_turns {
	void (*at)(struct sim_turns *turns, struct sim *sim, enum sim_where where, uint64_t gpa);
};
void sim_second_fini(struct sim *sim);

/* A point of somebody's own, as sim_point() and relax() have it. */
enum sim_point {
	SIM_MAY,
	SIM_MUST,
};
static inline void sim_second_point(struct sim *sim, uint64_t gpa, enum sim_point point)
{
	sim_meet(sim, point == SIM_MAY ? SIM_AT_OWN : SIM_AT_WAIT, gpa);
}

/* second.c: a thread (member 0) and its coroutines (members 1 to SIM_ACTORS). */
struct sim_crew;
struct sim_role {
	void (*fn)(void *ctx);
	unsigned int (*next)(void *ctx); /* fn has returned: who goes on? */
	void *ctx;
	const struct s2_walker *walker;
	unsigned int cpu;
};
struct sim_crew *sim_crew_new(void);
/* Whoever has not finished is forgotten. */
void sim_crew_free(struct sim_crew *crew);
/* Makes `n` ready to begin with a new role, whatever became of its last one. */
void sim_crew_cast(struct sim_crew *crew, unsigned int n, const struct sim_role *role);
/* Lets `to` go on; returns when the caller's turn has come again. */
void sim_crew_go(struct sim_crew *crew, unsigned int to);

#endif
