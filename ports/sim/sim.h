/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ports/sim: a simulated host and a simulated machine, both hostile, for tests on any computer.
 *
 * The host side is a port like any other: tables come from an arena (arena.c), backing pages from
 * a table of chunks (host.c), and both can be told to fail. The machine side is libstage2check
 * (docs/checker.md): SIM_CPUS processors that run the guest all the time, and may hold whatever the
 * architecture permits of every entry that ever stood in the tables, until an invalidation that
 * really covers it. The engine must be built with S2_HOOKS: then every change of an entry is an
 * event for the model, as is what the port is asked to do (watch.c), and each is judged at once.
 *
 * A model watches; what it cannot do is act. That is done here: hardware sets access flags at the
 * worst moment (watch.c), a second walker gets in between (second.c), and whole races are played in
 * every order (actors.c). And what the engine promises to its port, not to the architecture, is
 * checked here (port.c): those rules are named port-..., the model's as in docs/rules.md. A failure
 * reads "RULE: what happened".
 *
 * Deterministic: all chance comes from config.seed (threads apart).
 *
 * Concurrency: one lock a simulation, taken by every hook and port function. A build of the engine
 * without S2_HOOKS runs on the same port unwatched (SIM_BLIND), for the thread sanitizer's sake.
 * Each thread should have a processor of its own: barriers are a processor's.
 */
#ifndef SIM_H
#define SIM_H

#include <pthread.h>
#include <stage2/pgtable.h>

#include "../../check/format.h"

#define SIM_CPUS   8
#define SIM_RECENT 64
#define SIM_EVENTS 64
#define SIM_ACTORS 4

/* Host memory is described in chunks of 2 MiB, counted from SIM_HVA_BASE. */
#define SIM_CHUNK_SHIFT 21
#define SIM_HVA_BASE    0x7f0000000000ull

enum sim_reuse {
	SIM_REUSE_LATE, /* a freed table comes back only when all memory was used once */
	SIM_REUSE_NOW,  /* the table freed last is the next one handed out */
};

enum sim_watch {
	SIM_WATCH, /* judge every event */
	SIM_BLIND, /* only serve as a port */
};

struct sim_config {
	uint64_t seed;
	struct s2_cpu cpu;  /* what the processors can do; the engine should be told the same */
	uint32_t frames;    /* arena, in tables; 0: a default */
	uint32_t chunks;    /* host memory, in chunks */
	uint8_t page_shift; /* granule; 0: 12 */
	uint8_t reuse;      /* enum sim_reuse */
	uint8_t watch;      /* enum sim_watch */
	uint8_t barrier;    /* the port has a barrier(): for a single thread */
};

/* What backs one chunk of host memory. */
struct sim_chunk {
	uint64_t hpa;  /* of its first byte */
	uint8_t shift; /* largest block that the host would call contiguous */
	uint8_t prot;
	uint8_t type;
	int16_t error; /* resolve() says this instead */
};

/* May change or replace what resolve() answers: returns the new result. Runs without locks. */
typedef int sim_resolve_fn(void *ctx, uint64_t hva, enum s2_access access, struct s2_page *page,
			   int result);

enum sim_state {
	SIM_NEVER, /* not handed out yet */
	SIM_OUT,   /* the engine's */
	SIM_FREED, /* poisoned */
};

/* One page of the arena. */
struct sim_frame {
	const struct s2_walker *detached_by; /* who took the last link to it away */
	uint32_t next;                       /* in the queue of freed ones; 0: last */
	uint8_t state;                       /* enum sim_state */
	uint8_t order;
	uint8_t head; /* first page of an allocation */
	uint8_t pad;
};

struct sim_queue {
	uint32_t first, last; /* frame numbers; 0: empty */
};

struct sim_arena {
	uint8_t *mapping;
	size_t bytes;
	uint8_t *va; /* of frame 0, aligned to the largest allocation */
	uint64_t pa;
	struct sim_frame *frames;
	uint32_t nframes;
	uint32_t zone;  /* frames of a red zone */
	uint32_t fresh; /* first frame never handed out */
	struct sim_queue freed[6];
	uint32_t outstanding; /* pages handed out and not returned */
	uint32_t peak;
	uint64_t allocs;        /* successful and failed */
	uint64_t fail_at;       /* this allocation (counted as `allocs`) fails; 0: none */
	uint32_t fail_of_65536; /* probability that one fails */
};

/* How descriptors look. The toy's layout is stated in toy.c. */
enum sim_layout {
	SIM_ARM64,
	SIM_TOY,
};

struct sim {
	struct s2_port port; /* give this to s2_pt_init() or s2_vm_init() */
	struct sim_config config;
	pthread_mutex_t lock;
	uint64_t rng;
	struct sim_arena arena;
	struct s2c *model;        /* the judge; NULL: blind */
	struct s2c_cpu cpu;       /* what it was told that the processors can do */
	struct chk_regime regime; /* that the processors are programmed with */
	uint8_t layout;           /* enum sim_layout */
	uint8_t running;
	uint8_t detached_level;
	uint8_t nrecent;
	uint64_t detached;           /* a table taken away, and nothing invalidated since; or 0 */
	uint64_t recent[SIM_RECENT]; /* where entries changed */

	struct sim_chunk *chunks;
	sim_resolve_fn *on_resolve;
	void *on_resolve_ctx;
	uint64_t resolves;
	uint64_t sync_bytes[2];

	uint64_t tlb_ops[S2_TLB_KINDS];
	uint64_t tlb_local;
	uint64_t barriers;
	uint64_t changes;        /* entries that became valid, changed or became invalid */
	uint64_t progress;       /* things done, by anybody */
	uint64_t af_updates;     /* by hardware */
	struct sim_turns *turns; /* who decides at points who goes on; NULL: nobody else is there */
	struct sim_second *second;
	struct s2c_event events[SIM_EVENTS]; /* the last ones */
	uint64_t nevents;

	/* Called once with the message, then abort(). If `keep` is set, only counts and keeps. */
	void (*on_fail)(void *ctx, const char *message);
	void *on_fail_ctx;
	uint32_t keep;
	uint32_t failures;
	char failure[256]; /* the first */
};

/* Prepares host and machine; aborts when the test machine itself has no memory. */
void sim_init(struct sim *sim, const struct sim_config *config);
/* Gives everything back; fails if tables are outstanding. */
void sim_fini(struct sim *sim);

/* Programs all processors with these registers and lets them walk. */
void sim_start(struct sim *sim, uint64_t vtcr, uint64_t vttbr);
/* The same for processors that walk the toy layout. */
void sim_start_toy(struct sim *sim, uint64_t root, unsigned int ipa_bits, unsigned int top);
/*
 * They leave the guest, but keep what they cached: sim_fini() gives the VMID to another root, so
 * all of it must have been invalidated by then.
 */
void sim_stop(struct sim *sim);

/* This thread runs on `cpu` (what S2_TLB_LOCAL means) and uses `walker` (NULL: unknown). */
void sim_thread(unsigned int cpu, const struct s2_walker *walker);

/*
 * A second walker that gets in between: while armed, it starts `fn` at one of the points where this
 * thread is about to change an entry or a slot or to invalidate (at `gpa`), and from then on both
 * take turns at such points, by chance, and whenever one of them waits. It runs as a coroutine of
 * this thread, so a seed replays it. `odds` (of 65536) is the probability of a turn at each point.
 */
typedef void sim_second_fn(void *ctx, uint64_t gpa);
struct sim_second_config {
	sim_second_fn *fn;
	void *ctx;
	const struct s2_walker *walker;
	uint32_t odds;
};
void sim_second_arm(struct sim *sim, const struct sim_second_config *config);
/* Lets it run to its end, and disarms it. Returns whether it ran at all. */
int sim_second_finish(struct sim *sim);

/*
 * Points: where one actor may go on in place of another, if there are others (the second walker, or
 * those of actors.h): always before what others can see.
 */
enum sim_where {
	SIM_AT_CAS,      /* an entry is about to change */
	SIM_AT_TLB,      /* invalidations are about to be made, or entries published */
	SIM_AT_SLOT,     /* the slots are about to change */
	SIM_AT_BARRIER,  /* the port's barrier() */
	SIM_AT_RESOLVE,  /* the host is about to be asked */
	SIM_AT_RESOLVED, /* it was */
	SIM_AT_ALLOC,    /* table_alloc() */
	SIM_AT_FREE,     /* table_free() */
	SIM_AT_SYNC,     /* cache_sync() */
	SIM_AT_OWN,      /* sim_point() */
	SIM_AT_WAIT,     /* relax(): the actor waits, others must go on */
	SIM_PLACES
};
/* A point of an actor's own code (a host's, a device's). Outside sim->lock. */
void sim_point(struct sim *sim, uint64_t gpa);

/* What the tables say about gpa, according to the simulation's own walker. */
struct sim_leaf {
	uint64_t hpa; /* of gpa itself */
	uint8_t mapped;
	uint8_t level;
	uint8_t prot;
	uint8_t type;
	uint8_t sw;
	uint8_t young;
};
void sim_translate(struct sim *sim, uint64_t gpa, struct sim_leaf *leaf);

/* The last descriptor on the way to gpa, according to the model's walker. */
void sim_walk(struct sim *sim, uint64_t gpa, struct s2c_leaf *leaf);

/*
 * Nothing is owed for [gpa, gpa + size) now: fails unless all that processors may have cached of it
 * is implied by the tables and everything that this thread's processor made valid was published.
 */
void sim_idle(struct sim *sim, uint64_t gpa, uint64_t size);
/*
 * This thread's processor has just been given these rights: fails if its TLB may still deny what
 * the tables permit, so that it would fault for ever.
 */
void sim_idle_local(struct sim *sim, uint64_t gpa, uint64_t size, unsigned int rights);
/* Nothing of the range is mapped, nor cached anywhere. */
void sim_idle_empty(struct sim *sim, uint64_t gpa, uint64_t size);
/* Processors drop all they cached by themselves (as time may bring about). */
void sim_forget(struct sim *sim);

/* The host wrote to these pages: cache maintenance is owed before they are mapped again. */
void sim_host_wrote(struct sim *sim, uint64_t hpa, uint64_t size);
uint64_t sim_hva(uint64_t chunk);
/*
 * Backs a chunk by something else (while other threads may resolve it). What was there is taken
 * back from the guest: it must not be mapped, or cached, any more.
 */
void sim_set_chunk(struct sim *sim, uint64_t n, const struct sim_chunk *chunk);

/* Reports that the simulated world was violated (printf: "RULE: ..."). Tests may call it too. */
void sim_fail(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* xorshift64*: never 0 as a state. */
static inline uint64_t sim_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dull;
}

#endif
