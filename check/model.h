/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside of the model: what its files share. docs/checker.md tells the story.
 *
 * A tree is an address space: a root with a VMID and registers. Its positions (nodes of slots) have
 * the shape of the translation tree and outlive the tables that are linked at them. A slot holds
 * the descriptor that stands there now and the stale records of what stood there before. Memory is
 * known in units of 1 KiB (the smallest table of any format), found by physical address; a unit
 * that is part of a linked table knows its node.
 *
 * Memory of the model grows with what the guest uses and is given back when a tree goes. Running
 * out of it ends the program: a judge that forgets is worse than none.
 */
#ifndef CHK_MODEL_H
#define CHK_MODEL_H

#include "format.h"

#define CHK_UNIT_SHIFT 10
#define CHK_UNIT_WORDS 128
#define CHK_RING       4096
#define CHK_SUSPENDED  4

struct chk_tree;
struct chk_node;

enum chk_stale_kind {
	CHK_REMOVED,  /* it is gone: nothing may meet it any more */
	CHK_NARROWED, /* the same translation stays, with fewer rights */
	CHK_WIDENED,  /* the same with more rights, or only stricter (nT, no access flag): owed to
		       * nobody, but faults where it should not, and in the way of what comes next
		       */
};

/* Why an invalidation was not enough; the first that applies is told. */
enum chk_note {
	CHK_NOTE_INCOMPLETE = 1u << 0, /* it would be, but no DSB followed yet */
	CHK_NOTE_EARLY = 1u << 1,
	CHK_NOTE_LOCAL = 1u << 2,
	CHK_NOTE_LEVEL = 1u << 3,
	CHK_NOTE_LEAF_ONLY = 1u << 4,
	CHK_NOTE_OPERAND = 1u << 5,
	CHK_NOTE_RANGE = 1u << 6,
	CHK_NOTE_VMID = 1u << 7,
};

/* What CPUs may still hold of an entry that has changed. Never freed before its tree: `id` tells
 * one use from the next. */
struct chk_stale {
	struct chk_stale *next;           /* in the slot */
	struct chk_stale *before, *after; /* in the tree: those that are owed */
	struct chk_stale *via; /* reachable only through this pointer to a removed table ... */
	uint64_t via_id;
	uint64_t id;
	struct chk_tree *tree;
	struct chk_node *node;
	uint64_t index;
	uint64_t entry, value;
	struct chk_desc desc;
	struct s2c_who made, broken, culprit;
	uint64_t leaf, combined, table; /* CPUs */
	uint64_t issued,
		issued_combined;    /* CPUs: goes there when a TLBI that was issued is complete */
	uint64_t struck, struck_at; /* pointer: what the invalidation of that event takes */
	uint64_t pending;           /* index among those of the CPU that struck it last */
	uint8_t kind;               /* enum chk_stale_kind */
	uint8_t notes;              /* enum chk_note */
	uint8_t in_use;
	uint8_t listed; /* among those of the tree that are owed, or half gone */
	uint8_t pad[5];
};

struct chk_slot {
	struct chk_node *below;
	struct chk_stale *stale;
	uint64_t value; /* 0 unless the node is linked */
	struct s2c_who made;
	uint64_t since; /* event from which on it has led where it leads now */
	uint64_t dirty; /* output + 1 of a dirty leaf that was removed and not logged yet; or 0 */
};

struct chk_node {
	struct chk_node *up;
	uint64_t up_index;
	uint64_t gpa;
	uint64_t table; /* physical address, if `linked` */
	uint64_t live;  /* stale records here and below */
	uint32_t n;
	uint8_t level;
	uint8_t linked;
	uint8_t contiguous; /* a leaf with this bit ever stood here */
	uint8_t pad;
	struct chk_node *next_linked, *prev_linked; /* all of the model's */
	struct chk_tree *tree;
	struct chk_slot slot[];
};

struct chk_unit {
	struct chk_unit *next; /* of the hash chain */
	uint64_t pa;
	struct chk_node *node; /* linked there; or NULL */
	uint64_t first;        /* index of word 0 in that node */
	struct chk_stale *via; /* was linked, and walkers may still come this way ... */
	uint64_t via_id;
	struct chk_node *was;   /* ... to this place */
	struct s2c_who written; /* the last store before it was linked */
	uint64_t known[2];      /* words whose value is known */
	uint64_t word[CHK_UNIT_WORDS];
};

/* A violation that waits for trees to be run again: those that nobody ran when it was found. */
struct chk_suspended {
	struct chk_suspended *next;
	struct chk_tree *tree, *other; /* NULL: waits for no such */
	uint8_t curable;               /* by an invalidation: it is about what is cached */
	uint8_t cured;                 /* ... there was one: does it still stand in the table? */
	uint8_t pad[6];
	struct s2c_violation violation;
};

/* An address space number: which CPUs may hold anything under it. */
struct chk_vmid {
	struct chk_tree *tree;
	uint64_t running;           /* CPUs */
	uint64_t ran[S2C_CPUS];     /* event at which it left last (running: see there) */
	uint64_t cleared[S2C_CPUS]; /* event of the last complete invalidation of everything */
	uint16_t number;
};

struct chk_tree {
	struct chk_tree *next;
	struct chk_regime regime;
	struct chk_vmid *vmid;
	struct chk_node *root;
	struct chk_stale *stale; /* those that are owed */
	/* By CPU: the last invalidation that did not reach all that was owed, and why: enum
	 * chk_note. */
	struct s2c_who missed_by[S2C_CPUS];
	uint8_t missed[S2C_CPUS];
	uint32_t suspended; /* violations that wait for it */
	uint8_t dead;       /* its tables were used for something else while nobody looked */
	uint8_t pad[2];
};

struct chk_pending {
	struct chk_stale *stale; /* or NULL: ... */
	uint64_t id;
	uint64_t leaf, combined, table; /* ... then `leaf` are CPUs that ... */
	struct chk_vmid *vmid;          /* ... hold nothing of this VMID (NULL: of any) ... */
	uint64_t event;                 /* ... since then */
};

struct chk_cpu {
	uint64_t reg[S2C_SYSREGS];
	uint8_t unsynced; /* VTTBR_EL2 was written since the last context synchronisation */
	uint8_t runs;
	uint8_t unpublished; /* made an entry valid since its last DSB */
	uint8_t pad[5];
	uint64_t dsb_ish, dsb_any; /* events of the last DSB that orders stores */
	uint64_t ordered;          /* event of the last barrier at all that orders stores */
	struct chk_vmid *vmid;     /* ... and under which number */
	struct chk_pending *pending;
	size_t npending, room;
};

/* Sorted, disjoint ranges with a value each; what is in none has value 0 (map.c). */
struct chk_range {
	uint64_t start, last;
	uint64_t value;
};

#define CHK_MAP_BLOCK 256

struct chk_block {
	size_t n;
	struct chk_range range[CHK_MAP_BLOCK];
};

struct chk_map {
	struct chk_block **block;
	size_t n, room;
};

void chk_map_set(struct chk_map *map, uint64_t start, uint64_t size, uint64_t value);
/* The first part of [start, start + size): its value; *end is the address behind it. */
uint64_t chk_map_get(const struct chk_map *map, uint64_t start, uint64_t size, uint64_t *end);
void chk_map_free(struct chk_map *map);

enum chk_property {
	CHK_TAKEN,
	CHK_IS_DEVICE,
	CHK_CLEAN_POC, /* data, to the point of coherency ... */
	CHK_CLEAN_POU, /* ... of unification */
	CHK_CLEAN_INSN,
	CHK_OWNER, /* id + 1 */
	CHK_SAME,  /* pa of the twin + 1 */
	CHK_PROPERTIES
};

/* How many leaves, valid or stale, lead to an address (outputs.c). */
struct chk_output {
	uint64_t key;
	uint32_t valid, stale;
};

struct s2c {
	struct s2c_config config;
	struct s2c_stats stats;
	char error[160];
	uint64_t now; /* number of the event that is being judged */
	struct s2c_event event;
	struct chk_cpu cpu[S2C_CPUS];
	struct chk_vmid *vmid[65536];
	unsigned int nvmids; /* of these, not NULL */
	struct chk_tree *trees;
	struct chk_suspended *suspended;
	struct chk_node *linked;
	struct chk_unit **unit; /* hash by address */
	uint64_t units, unit_mask;
	struct chk_output *output;
	uint64_t outputs, output_mask;
	struct chk_stale *free_stale;
	struct chk_stale **slab; /* all memory of records */
	size_t nslabs;
	uint64_t next_id;
	struct chk_map property[CHK_PROPERTIES];
	uint8_t reported; /* something, for this event */
	uint8_t pad[7];
	struct s2c_event ring[CHK_RING];
	uint64_t ring_number[CHK_RING];
	uint64_t nring;
};

void *chk_alloc(size_t n, size_t size) __attribute__((returns_nonnull)); /* zeroed */
struct s2c_who chk_who(const struct s2c *model);

/* tree.c: positions and pages */
struct chk_unit *chk_unit_find(struct s2c *model, uint64_t pa);
struct chk_unit *chk_unit_get(struct s2c *model, uint64_t pa);
/* The tree of this regime, its tables found and linked; made when it was not there. */
struct chk_tree *chk_tree_get(struct s2c *model, const struct chk_regime *regime);
void chk_tree_free(struct s2c *model, struct chk_tree *tree);
/* Forgets its tables: they are other things now. */
void chk_tree_bury(struct s2c *model, struct chk_tree *tree);
void chk_tree_revive(struct s2c *model, struct chk_tree *tree);
struct chk_node *chk_node_below(struct chk_node *node, uint64_t index);
/* The table that this descriptor, just written to the slot, points to can now be walked. */
void chk_link(struct s2c *model, struct chk_node *node, uint64_t index,
	      const struct chk_desc *desc);
/* The table linked below the slot cannot be reached any more but through `via` (or at all: NULL).
 */
void chk_unlink(struct s2c *model, struct chk_node *node, uint64_t index, struct chk_stale *via);
uint64_t chk_slot_gpa(const struct chk_node *node, uint64_t index);
struct chk_desc chk_slot_desc(const struct chk_node *node, uint64_t index);
/* Nothing of this unit matters any more. */
void chk_unwatch(struct s2c *model, uint64_t pa);
int chk_read_word(struct s2c *model, uint64_t pa, uint64_t *value);

/* outputs.c */
void chk_output_add(struct s2c *model, const struct chk_regime *regime, unsigned int level,
		    uint64_t pa, int valid, int stale);
/* Does any leaf, valid (or else stale), lead into [pa, pa + size)? */
enum chk_which {
	CHK_VALID,
	CHK_STALE
};
int chk_output_any(const struct s2c *model, uint64_t pa, uint64_t size, enum chk_which which);

/* cached.c: stale records */
/* CPUs that may have cached, under the tree's VMID, what was there since `made`. */
uint64_t chk_holders(const struct chk_tree *tree, uint64_t made);
/* CPUs that may have cached what stands in the slot now. */
uint64_t chk_held(const struct chk_node *node, uint64_t index);
/* What stands in the slot changes now. NULL if no CPU can hold it. */
struct chk_stale *chk_stale_new(struct s2c *model, struct chk_node *node, uint64_t index,
				enum chk_stale_kind kind, struct chk_stale *via);
/* An entry was made where only `via` leads to: stale from the beginning. NULL as above. */
struct chk_stale *chk_stale_lost(struct s2c *model, struct chk_node *node, uint64_t index,
				 uint64_t value, struct chk_stale *via);
void chk_stale_drop(struct s2c *model, struct chk_stale *stale);
void chk_stale_drop_all(struct s2c *model, struct chk_tree *tree);
int chk_stale_alive(const struct chk_stale *stale, uint64_t id);
/* Calls fn for each record in [gpa, gpa + size); fn may drop the record. 0 from fn: go on. */
typedef int chk_stale_fn(struct s2c *model, struct chk_stale *stale, void *ctx);
int chk_each_stale(struct s2c *model, struct chk_tree *tree, uint64_t gpa, uint64_t size,
		   chk_stale_fn *fn, void *ctx);
/* The same for records below a slot. */
int chk_each_below(struct s2c *model, struct chk_node *node, uint64_t index, chk_stale_fn *fn,
		   void *ctx);
/* A TLBI of this kind is issued, on the VMID (all of them: NULL). */
void chk_tlbi(struct s2c *model, unsigned int cpu, struct chk_vmid *vmid,
	      const struct chk_kill *kill, const char *nonsense);
void chk_dsb(struct s2c *model, unsigned int cpu, unsigned int op);

/* judge.c: the rules */
/* A word of a linked table has a new value, by the event that is being judged. */
void chk_change(struct s2c *model, struct chk_unit *unit, uint64_t pa, uint64_t value);
/* An entry has come into reach by a link, or was written: does it meet anything? */
void chk_judge_made(struct s2c *model, struct chk_node *node, uint64_t index,
		    const struct chk_desc *desc, const struct chk_desc *old);

/* A leaf was made where only a removed table leads to: has another leaf taken the table's place? */
void chk_judge_lost(struct s2c *model, struct chk_stale *stale);

/* lost.c */
/* A word of a table that was unlinked has a new value; walkers may still come to it. */
void chk_store_elsewhere(struct s2c *model, struct chk_unit *unit, uint64_t pa, uint64_t value);

/* hints.c */
int chk_hint(struct s2c *model, const struct s2c_event *event);
/* A table of this size was linked here: can a guest reach its memory? */
void chk_table_page(struct s2c *model, const struct chk_node *node, uint64_t size);
void chk_owed_at_run(struct s2c *model, struct chk_tree *tree, unsigned int cpu);

/* verdict.c: saying it */
struct chk_about {
	struct chk_tree *tree;
	struct chk_tree *other; /* it takes two: the tree that had the page before */
	struct chk_node *node;  /* with index: the entry concerned */
	uint64_t index;
	const struct chk_stale *stale;
	uint64_t old, value;
};
void chk_violation(struct s2c *model, const char *rule, const struct chk_about *about,
		   const char *format, ...) __attribute__((format(printf, 4, 5)));
/* Why this record is still there: the rule; `missing` if nothing was even tried. */
const char *chk_cause(const struct chk_stale *stale, const char *missing);
void chk_resume(struct s2c *model, struct chk_tree *tree);
/* What was found in this tree while nobody ran it cannot matter any more. */
enum chk_why {
	CHK_CURED, /* all that was cached is invalidated: what was about that, is well */
	CHK_GONE,  /* the tree is another one, or none */
};
void chk_forgive(struct s2c *model, const struct chk_tree *tree, enum chk_why why);
/*
 * VMID 0, and memory is where it is: by convention a host under its own hypervisor (as pKVM's). It
 * has filled these pages itself, and among them are the tables of its guests.
 */
int chk_is_host(const struct chk_about *about, const struct chk_desc *desc);

#endif
