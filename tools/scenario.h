/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `stage2 scenario`, between its parts: scenario.c is the command line and what is printed,
 * scenario_parse.c reads the language (docs/scenarios.md), scenario_run.c carries out the steps and
 * compares what is expected, scenario_world.c is the machine and the host that all happens on.
 */
#ifndef STAGE2_SCENARIO_H
#define STAGE2_SCENARIO_H

#include <setjmp.h>
#include <stdio.h>

#include <stage2/hold.h>

#include "../ports/sim/sim.h"

enum scn_exit {
	SCN_AS_SAID = 0,
	SCN_OTHERWISE = 1,
	SCN_BAD = 2,
};

enum scn_verb {
	SCN_TITLE,
	SCN_PART,
	SCN_SAY,
	SCN_POLICY,
	SCN_AREA,
	SCN_SLOT,
	SCN_VCPU,
	SCN_PREFAULT,
	SCN_HOST_UNMAPS,
	SCN_HOST_MAPS,
	SCN_HOST_MOVES,
	SCN_PT_PROTECT,
	SCN_PT_SPLIT,
	SCN_PT_MAP,
	SCN_HOLD,
	SCN_USE,
	SCN_DONE,
	SCN_POINTER,
	SCN_DEREFERENCE,
	SCN_RAW_BREAK,
	SCN_RAW_MAKE,
	SCN_RAW_TLBI,
	SCN_RAW_DSB,
	SCN_SHOW,
	SCN_EXPECT_EXIT,
	SCN_EXPECT_ERROR,
	SCN_EXPECT_UNMAPPED,
	SCN_EXPECT_LEAF,
	SCN_EXPECT_ALIKE,
	SCN_EXPECT_CACHES,
	SCN_EXPECT_COUNT,
	SCN_EXPECT_STALE,
	SCN_EXPECT_TLB_NONE,
	SCN_EXPECT_TLB,
	SCN_EXPECT_PROGRESS,
	SCN_EXPECT_VIOLATION,
	SCN_VERBS
};

/* Where somebody else may get in between: the blocks that a step may have. */
enum scn_point {
	SCN_LOOKUP, /* between lookup and insertion: */
	SCN_BREAK,  /* between break and make: */
	SCN_CHANGE, /* between begin and end: */
	SCN_WAIT,   /* while it waits: */
	SCN_POINTS
};
extern const char *const scn_point_name[SCN_POINTS];

/* What a step is, as people write it: the words of docs/scenarios.md. */
struct scn_form {
	const char *pattern;
	unsigned int points; /* 1 << enum scn_point */
};
extern const struct scn_form scn_form[SCN_VERBS];

#define SCN_VMID 7
#define SCN_ARGS 6
#define SCN_EACH 8 /* areas, holds, or pointers */
#define SCN_NAME 24

/* A rule of the scenario's own, beside those of the checker. */
#define SCN_USE_AFTER_FREE "use-after-free"

struct scn_arg {
	const char *word;
	uint64_t number;    /* address: the offset; choice: its index */
	unsigned int index; /* of an area, a hold or a pointer */
	int is_address;
};

struct scn_step {
	struct scn_step *next;
	struct scn_step *block[SCN_POINTS];
	const char *text;
	unsigned int line;
	enum scn_verb verb;
	unsigned int nargs;
	struct scn_arg arg[SCN_ARGS];
};

/* A part happens on a machine of its own. */
struct scn_part {
	struct scn_part *next;
	const char *title;
	unsigned int line;
	struct scn_step *steps;
};

struct scn_file {
	const char *name, *title;
	char *text; /* of the file, cut into words; what is named above points into it */
	struct scn_step *before; /* what all parts begin with */
	struct scn_part *parts;
	void **memory; /* all else, to be freed */
	size_t nmemory;
};

/* Returns 0, or SCN_BAD after saying what is wrong, where, and what would be right. */
int scn_parse(const char *name, struct scn_file *file);
void scn_free(struct scn_file *file);

/* scenario_forms.c: prints all forms, and what their words in capitals stand for. */
void scn_print_forms(void);

/* scenario.c: what is printed */
#define SCN_COLUMNS 100
#define SCN_RESULTS 60 /* columns for what came of a step */
enum scn_print {
	SCN_PRINT_TITLE,
	SCN_PRINT_PART,
	SCN_PRINT_SAY,
	SCN_PRINT_STEP,      /* a step, and in `more` what came of it (or NULL: follows) */
	SCN_PRINT_POINT,     /* here somebody gets in between */
	SCN_PRINT_RESULT,    /* more of what came of it */
	SCN_PRINT_TLB,       /* ... what TLBs may hold */
	SCN_PRINT_VIOLATION, /* a rule was broken: said in red */
	SCN_PRINT_FAILED,    /* the scenario says otherwise */
	SCN_PRINT_EXPECTED, /* it is as the scenario says: for programs, people see it at the end */
	SCN_PRINTS
};

struct scn_out {
	const char *file;
	unsigned int json, colour, depth, line;
	unsigned int quiet; /* steps are not shown: they were shown before */
	unsigned int parts; /* so far */
	/* sums of a file */
	unsigned int steps, expected, violations, failed;
};
void scn_print(struct scn_out *out, enum scn_print kind, const char *more, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* scenario_world.c */

enum scn_kind {
	SCN_PAGES,  /* the host has it page by page */
	SCN_BLOCKS, /* ... and in blocks of 2M where alignment allows */
	SCN_DAX,    /* the same on a device's memory: nobody counts references */
	SCN_DEVICE,
};

/* What backs one page of 4K of an area. */
struct scn_page {
	uint64_t hpa; /* 0: nothing */
	uint8_t kind; /* enum scn_kind */
	uint8_t pad[7];
};

struct scn_area {
	uint64_t hva, size;
	struct scn_page *page;
	struct s2_memslot slot;
	unsigned int in_guest;
};

/* A step that is being carried out, and the one that it stands in the midst of. */
struct scn_frame {
	struct scn_frame *up;
	const struct scn_step *step;
	struct s2_walker *walker;
	unsigned int cpu;
	unsigned int ran;   /* blocks, 1 << enum scn_point */
	unsigned int shown; /* how far the step itself is printed */
	unsigned int waits; /* turns of waiting */
	unsigned int revoked;
	unsigned int counted; /* its result says how many old entries there are */
	char came[300];       /* of it, not printed yet */
	char tlb[96];         /* invalidations that the engine asked for */
	uint64_t cleaned[2];  /* bytes: data, instructions */
};

struct scn_pointer {
	uint64_t hpa;
	unsigned int area;
	uint64_t offset;
};

#define SCN_HELD_LINES 6

/* Old entries that some CPU may still have. */
struct scn_held {
	uint64_t old;      /* so many: pages, blocks, and ... */
	uint64_t tables;   /* ... of these, pointers to tables */
	uint64_t current;  /* what the tables say may be held, too: so many entries */
	unsigned int most; /* the line that most memory is in */
	char brief[60];    /* ... in short: "0x80001000 r-x -> nothing" */
	/* Those that are alike in a line: what a TLB may say -> what the tables say. Or "". */
	char line[SCN_HELD_LINES][120];
};

#define SCN_DEPTH 8

struct scn_world {
	struct sim sim; /* first: the port's ctx */
	struct s2_vm vm;
	struct s2_walker vcpu[SIM_CPUS];
	struct s2_walker manager[SCN_DEPTH];
	void (*tlb)(void *ctx, const struct s2_tlb_op *ops, size_t n); /* of the simulation */
	void (*sync)(void *ctx, s2_hpa_t hpa, uint64_t size, unsigned int kind);
	struct scn_area area[SCN_EACH];
	struct s2_hold hold[SCN_EACH];
	struct scn_pointer pointer[SCN_EACH];
	struct scn_frame *frame;
	struct scn_out *out;
	/* A rule was broken, or entries were written behind the engine's back. */
	unsigned int spoilt;
	jmp_buf stuck;        /* where a part ends that would wait for ever */
	char violation[32];   /* the rule, if that was not expected yet; or "" */
	struct scn_held told; /* what was last shown of TLBs */
	/* what came of the last step */
	int error;
	struct s2_exit exit;
	struct s2_progress progress;
	uint64_t cleaned;
};

/* Switches a machine on; `flags` are enum s2_vm_flag. */
struct scn_world *scn_world_new(struct scn_out *out, unsigned int flags);
/* Everything is given back; sim.failures says what the engine still owed. */
void scn_world_stop(struct scn_world *world);
void scn_world_free(struct scn_world *world);

/* An area whose addresses are aligned like hpa's, as mmap() does for blocks. */
void scn_area_init(struct scn_world *world, unsigned int area, uint64_t size, uint64_t hpa);
/* Pages come, of this kind from hpa on, or go (hpa 0): the checker is told. */
void scn_area_set(struct scn_world *world, unsigned int area, uint64_t offset, uint64_t size,
		  uint64_t hpa, enum scn_kind kind);
/* Something that hardware or its host does, on this frame's CPU. */
void scn_tell(struct scn_world *world, unsigned int kind, unsigned int op, uint64_t address,
	      uint64_t value);
/* Writes an entry as others do. Returns 0: no table leads to this level. */
int scn_write_entry(struct scn_world *world, uint64_t gpa, unsigned int level, uint64_t value);
/* A descriptor. */
uint64_t scn_leaf(unsigned int level, uint64_t hpa, unsigned int prot);
/* The way through the tables to gpa: "L2 > L1 block 0x80000000 rwx", in one of a few buffers. */
const char *scn_path(struct scn_world *world, uint64_t gpa);
/* What TLBs may hold now. */
void scn_held(struct scn_world *world, struct scn_held *held);
/* Are the old entries other ones than were last shown, or does this step ask for them? */
int scn_held_news(struct scn_world *world);
/* Shows them, a line each run. */
void scn_show_held(struct scn_world *world);
/* The word that fits this number: `1 entry`, `2 entries`. */
static inline const char *scn_plural(uint64_t n, const char *one, const char *more)
{
	return n == 1 ? one : more;
}
/* "4K", in one of a few buffers. */
const char *scn_size(uint64_t bytes);

/* scenario_run.c: carries out a part, and `before` it what all parts begin with. */
void scn_run_part(struct scn_out *out, const struct scn_step *before, const struct scn_part *part);
/* The block that stands at this point of the step under way, once. Returns whether there was one.
 */
int scn_meanwhile(struct scn_world *world, enum scn_point point);

/* scenario_expect.c */
void scn_expect(struct scn_world *world, const struct scn_step *step);
/* Tells the rule that was broken by what just happened, if any was. */
void scn_condemn(struct scn_world *world);
/* A rule was broken, and what comes now is not its expectation. */
void scn_unexpected(struct scn_world *world);

#endif
