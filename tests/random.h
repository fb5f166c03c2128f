/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random tests: what their parts share. A run is one simulated machine with one tree or VM of
 * randomly chosen parameters; all choices come from the run's seed, so that a failure is replayed
 * by the command line that it prints.
 */
#ifndef TEST_RANDOM_H
#define TEST_RANDOM_H

#include <stage2/arm64.h>

#include "formats.h"
#include "ref.h"
#include "sim.h"

#define RUN_LOG 12

/* One page in each of many tables, then all of them at once: more tables than a gather holds. */
struct teeth {
	uint64_t gpa; /* start of the range */
	unsigned int n, left;
};

/* An operation on a tree (random_op.c): drawn, carried out on the engine, on the reference. */
enum op_kind {
	OP_MAP,
	OP_UNMAP,
	OP_PROTECT,
	OP_RELAX,
	OP_AGE,
	OP_SPLIT,
	OP_KINDS
};

struct op {
	enum op_kind kind;
	uint64_t gpa, size, hpa;
	struct s2_attr attr;
	unsigned int how; /* flags, rights, age, level */
};

struct run {
	const char *part; /* "pt" or "vm" */
	uint64_t seed;
	uint64_t rng;
	uint64_t op;   /* number of the operation under way */
	uint64_t near; /* where the last operation was */
	uint32_t fail_of_65536;
	uint32_t strikes; /* a second walker gets in between */
	struct sim sim;
	struct s2_vm vm; /* part "pt" uses only vm.pt */
	struct s2_walker walker;
	struct s2_gather gather;
	struct ref ref;
	struct s2_pt_config config;
	const struct test_format *format;
	struct teeth teeth;
	struct op last; /* drawn */
	char log[RUN_LOG][480];
};

extern const char *const op_name[OP_KINDS];

void op_draw(struct run *run, struct op *op);
/* The same again on a page next to where `last` was: what a walker remembers. 0: it is nowhere. */
int op_draw_again(struct run *run, const struct op *last, struct op *op);
/* Now and then the next of a series (struct teeth); returns 0 if there is none. */
int op_draw_teeth(struct run *run, struct op *op);
uint64_t op_draw_hpa(struct run *run, uint64_t gpa);
int op_on_engine(struct run *run, const struct op *op, struct s2_walker *walker,
		 struct s2_gather *gather, struct s2_progress *progress);
int op_on_reference(struct run *run, const struct op *op, struct ref_op *done);
int op_overlap(const struct op *a, const struct op *b);

/* What was done since the gather was flushed last; the last one is under way. */
#define OWED 16
struct owed {
	struct op op[OWED];
	unsigned int n;
};

/* A second walker's operation in the midst of the first's (strike.c). */
struct strike {
	struct run *run;
	const struct owed *owed;
	struct op op;
	struct op last; /* the strike before */
	struct s2_walker walker;
	struct s2_gather gather;
	struct s2_progress progress;
	int ret;
	int done;
	uint64_t count;
};

/* Arms one for the operation that is about to start. */
void strike_arm(struct strike *strike, const struct owed *owed);
/* Lets it end. Returns whether there was one: then strike_judge() is the judge of both. */
int strike_end(struct strike *strike);
void strike_judge(struct strike *strike, const struct op *op, int ret,
		  const struct s2_progress *progress);

static inline uint64_t run_random(struct run *run, uint64_t below)
{
	return (sim_random(&run->rng) >> 16) % below;
}

/* Notes what is done, for the report of a failure. */
void run_log(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A gpa (page-aligned, in a window) and a size, log-uniform, that stays in the window. */
void run_range(struct run *run, uint64_t *gpa, uint64_t *size);

/* Parameters of machine and tree from the seed; then the machine, ready for init. */
void run_config(struct run *run, struct sim_config *sim);

/*
 * The walker leaves and comes back. So the tables that wait with it are freed, and with them the
 * leaves in them are counted.
 */
void run_renew(struct run *run, struct s2_walker *walker);

/* What a failing simulation calls: prints how to replay and exits. */
void run_on_fail(void *ctx, const char *message);

/* Each does `ops` operations in a world of its own. */
void random_pt(struct run *run, uint64_t ops);
void random_vm(struct run *run, uint64_t ops);

#endif
