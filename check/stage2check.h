/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libstage2check: judges every change of a second-stage page table, and every invalidation, by the
 * rules of the architecture. docs/checker.md is its manual: the model, its rules, their limits.
 *
 * It is told what happened, one event at a time in the order in which it became visible: stores,
 * system registers, TLBI, barriers, entries into the guest. It knows nothing else: the tables are
 * found from VTTBR_EL2. It does not imitate a TLB: it keeps for every entry what any CPU could
 * still have cached of it, and complains when that breaks a rule. Events beyond the hardware's
 * ("hints") say what the software promises: a page is taken back, an operation is complete. All are
 * optional.
 *
 * Hosted C. A model is used by one thread at a time; several models are independent. Levels are
 * ours: 0 is the smallest page, so Arm's level 3. Addresses are physical unless named gpa.
 */
#ifndef STAGE2CHECK_H
#define STAGE2CHECK_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define S2C_CPUS 64 /* processors that a model can tell apart */

enum s2c_kind {
	/* what hardware does or sees */
	S2C_WRITE,  /* address: pa, value, size: log2 of bytes (0 to 3, aligned), flags */
	S2C_INIT,   /* address: pa, value: 8 bytes that were there before the first event */
	S2C_SYSREG, /* op: enum s2c_sysreg, value */
	S2C_TLBI,   /* op: enum s2c_tlbi, address: the operand register (0 where there is none) */
	/*
	 * An invalidation of a machine that is not Arm's (or of a port above instructions): id:
	 * VMID, address: gpa, value: bytes (0: all), op: level of all leaves or S2C_LEVEL_ANY,
	 * flags: enum s2c_inval_flag. Combined entries go with it. Complete at the DSB, like a
	 * TLBI.
	 */
	S2C_INVAL,
	S2C_DSB, /* op: enum s2c_barrier */
	S2C_DMB, /* op: enum s2c_barrier */
	S2C_ISB,
	S2C_DC,   /* op: enum s2c_dc, address: pa, value: bytes */
	S2C_IC,   /* address: pa, value: bytes; 0 bytes: all of the instruction cache */
	S2C_RUN,  /* ERET to the guest: from here on, this CPU walks (VTTBR, VTCR, HCR as they are)
		   */
	S2C_EXIT, /* back in the hypervisor: walks no more */

	/* hints: what software means */
	S2C_ALLOC,  /* address: pa, value: bytes. Memory for tables; its contents are unknown */
	S2C_FREE,   /* the same, given back: no walker may reach it */
	S2C_TAKE,   /* address: pa, value: bytes. No guest may reach these pages from now on */
	S2C_GIVE,   /* the same: they may be mapped again */
	S2C_WROTE,  /* address: pa, value: bytes. Someone wrote data here through his own mapping */
	S2C_DEVICE, /* address: pa, value: bytes. This is no memory */
	S2C_SAME,   /* address: pa, value: pa of another page with the same contents */
	S2C_DONE,   /* id: VMID, address: gpa, value: bytes. Nothing is owed for this range */
	S2C_EMPTY,  /* ... and nothing of it can be reached */
	S2C_LOCAL,  /* ... and this CPU itself can use the rights in `op` (enum s2c_rights) there */
	S2C_HARVEST, /* id, address: gpa, value: bytes. Dirty log read: writes must fault from here
		      */
	S2C_OWN, /* address: pa, value: bytes, id: new owner; refused while another one owns it */
	S2C_DISOWN, /* address: pa, value: bytes, id: its owner gives it up */
	S2C_KINDS
};

enum s2c_write_flag {
	S2C_ATOMIC = 1u << 0,   /* a compare-and-swap or exchange: its writer saw the old value */
	S2C_RELEASE = 1u << 1,  /* ordered after all earlier stores of its CPU */
	S2C_HARDWARE = 1u << 2, /* a walker's own update of access flag or dirty state */
};

#define S2C_LEVEL_ANY 0xff

enum s2c_inval_flag {
	S2C_INVAL_LEAF = 1u << 0,  /* pointers to tables stay */
	S2C_INVAL_LOCAL = 1u << 1, /* on this CPU only */
};

enum s2c_sysreg {
	S2C_VTTBR_EL2,
	S2C_VTCR_EL2,
	S2C_HCR_EL2,
	S2C_SYSREGS
};

/* Names are the manual's in lower case; s2c_tlbi_name() gives them. nXS forms count as these. */
enum s2c_tlbi {
	S2C_IPAS2E1,
	S2C_IPAS2E1IS,
	S2C_IPAS2E1OS,
	S2C_IPAS2LE1,
	S2C_IPAS2LE1IS,
	S2C_IPAS2LE1OS,
	S2C_RIPAS2E1,
	S2C_RIPAS2E1IS,
	S2C_RIPAS2E1OS,
	S2C_RIPAS2LE1,
	S2C_RIPAS2LE1IS,
	S2C_RIPAS2LE1OS,
	S2C_VMALLE1,
	S2C_VMALLE1IS,
	S2C_VMALLE1OS,
	S2C_VMALLS12E1,
	S2C_VMALLS12E1IS,
	S2C_VMALLS12E1OS,
	S2C_ALLE1,
	S2C_ALLE1IS,
	S2C_ALLE1OS,
	S2C_TLBI_OTHER, /* any other: it does nothing to what stage 2 cached */
	S2C_TLBIS
};

/* Domains by what they reach; a domain with LD orders loads only, with ST stores only. */
enum s2c_barrier {
	S2C_NSH,
	S2C_NSHLD,
	S2C_NSHST,
	S2C_ISH,
	S2C_ISHLD,
	S2C_ISHST,
	S2C_OSH,
	S2C_OSHLD,
	S2C_OSHST,
	S2C_SY,
	S2C_LD,
	S2C_ST,
	S2C_BARRIERS
};

enum s2c_dc {
	S2C_CVAC,  /* clean to the point of coherency */
	S2C_CIVAC, /* clean and invalidate to it */
	S2C_CVAU,  /* clean to the point of unification */
	S2C_IVAC,
	S2C_ZVA, /* writes zeros, too (the model does that) */
	S2C_DCS
};

enum s2c_rights {
	S2C_R = 1u << 0,
	S2C_W = 1u << 1,
	S2C_X = 1u << 2,  /* EL0, and EL1 as well without FEAT_XNX */
	S2C_XP = 1u << 3, /* EL1 */
};

/* Also the record of a binary trace: 32 bytes, little-endian. */
struct s2c_event {
	uint8_t kind; /* enum s2c_kind */
	uint8_t op;
	uint8_t flags; /* enum s2c_write_flag */
	uint8_t size;
	uint16_t cpu;
	uint16_t id;
	uint64_t address;
	uint64_t value;
	uint64_t pc; /* of the instruction; 0: not known */
};

enum s2c_feature {
	S2C_FWB_IMPLEMENTED = 1u << 0, /* HCR_EL2.FWB means something */
	S2C_IDC = 1u << 1,             /* CTR_EL0: no data cache maintenance for instructions */
	S2C_DIC = 1u << 2,             /* CTR_EL0: no instruction cache maintenance */
	S2C_XNX = 1u << 3,
	S2C_TTL = 1u << 4,     /* FEAT_TTL: level hints are read */
	S2C_VMID16 = 1u << 5,  /* VTCR_EL2.VS means something */
	S2C_HA_IMPL = 1u << 6, /* VTCR_EL2.HA means something */
	S2C_HD_IMPL = 1u << 7, /* VTCR_EL2.HD means something */
	S2C_LPA2_4K = 1u << 8, /* VTCR_EL2.DS means something with this granule */
	S2C_LPA2_16K = 1u << 9,
	S2C_COHERENT = 1u << 10, /* data caches need no maintenance, whatever a guest maps */
};

/* What the CPUs can do (all alike). */
struct s2c_cpu {
	uint32_t features; /* enum s2c_feature */
	uint8_t bbm;       /* FEAT_BBM: 0, 1, 2 */
	uint8_t pa_bits;   /* 32 to 52 */
	uint8_t pad[2];
};

/* From the values of ID_AA64MMFR0/1/2_EL1 and CTR_EL0. */
struct s2c_cpu s2c_cpu_from_id(uint64_t mmfr0, uint64_t mmfr1, uint64_t mmfr2, uint64_t ctr);

/*
 * A rule. `id` names it everywhere: reports, tests, docs. The table of all of them is the
 * documentation's, too (docs/rules.md is made from it).
 */
struct s2c_rule {
	const char *id;
	const char *title;  /* what must hold, one sentence */
	const char *manual; /* document and rule or chapter */
	const char *advice; /* what would have been right */
};
extern const struct s2c_rule s2c_rules[];
extern const size_t s2c_nrules;
const struct s2c_rule *s2c_rule(const char *id); /* NULL: none of that name */

/* Who did something, and when: the number of an event (from 1), its CPU and program counter. */
struct s2c_who {
	uint64_t event; /* 0: before the first event */
	uint64_t pc;
	uint16_t cpu;
	uint16_t pad[3];
};

/* What could still be cached, of which entry. Masks have one bit a CPU. */
struct s2c_cached {
	uint64_t gpa, size; /* what it translates */
	uint64_t entry;     /* address of the descriptor */
	uint64_t value;     /* as it was */
	uint64_t leaf;      /* CPUs that may hold it as a leaf of stage 2 ... */
	uint64_t combined;  /* ... as a combined entry of stages 1 and 2 ... */
	uint64_t table;     /* ... as a pointer to a table */
	struct s2c_who made, broken;
	uint8_t level;
	uint8_t pad[7];
};

#define S2C_HISTORY 24

struct s2c_violation {
	const struct s2c_rule *rule;
	struct s2c_who now;   /* the event that broke it */
	struct s2c_who cause; /* the nearest culprit, if another one: a late or narrow TLBI; or 0 */
	uint16_t vmid;
	uint8_t level;
	uint8_t has_cached;
	uint32_t nhistory;
	uint64_t root;       /* of the tree concerned; 0: none */
	uint64_t gpa;        /* concerned */
	uint64_t entry;      /* address of the descriptor; 0: none */
	uint64_t old, value; /* of the descriptor */
	struct s2c_cached cached;
	char text[240]; /* what happened here, a sentence with numbers */
	/* Events that concern this entry, oldest first, with their numbers. */
	struct s2c_event history[S2C_HISTORY];
	uint64_t number[S2C_HISTORY];
};

enum s2c_option {
	/*
	 * Without hints: an entry that was removed must be invalidated before the CPU that removed
	 * it enters the same guest again.
	 */
	S2C_OWED_AT_RUN = 1u << 0,
};

struct s2c_config {
	struct s2c_cpu cpu;
	uint32_t options; /* enum s2c_option */
	void *ctx;
	/* Called at once, from within s2c_event(). */
	void (*report)(void *ctx, const struct s2c_violation *violation);
	/*
	 * Reads memory as it is now (n bytes at pa, within a page of 4K). Return 0, or -1: no such
	 * memory. NULL: the model remembers every S2C_WRITE and S2C_INIT, and all else is unknown.
	 */
	int (*read)(void *ctx, uint64_t pa, void *buffer, size_t n);
	/* The page of 4K at pa became (or is no longer) one whose stores the model wants. Or NULL.
	 */
	void (*watch)(void *ctx, uint64_t pa, int on);
};

struct s2c; /* the model */

/* NULL: no memory. */
struct s2c *s2c_new(const struct s2c_config *config);
void s2c_free(struct s2c *model);

/*
 * Tells the model what happened. Returns 0, or -1 if the event makes no sense (s2c_error() says
 * why; nothing has changed). Violations are no error: they are reported and judging goes on.
 */
int s2c_event(struct s2c *model, const struct s2c_event *event);
const char *s2c_error(const struct s2c *model);

/* Counts since s2c_new(). */
struct s2c_stats {
	uint64_t events;
	uint64_t entries; /* changes of entries judged */
	uint64_t tlbis, dsbs, runs;
	uint64_t tables;     /* linked now */
	uint64_t cached;     /* entries that could be stale somewhere now */
	uint64_t trees;      /* address spaces seen */
	uint64_t violations; /* reported */
	uint64_t suspended;  /* found in tables that no CPU used any more (docs/checker.md) */
};
void s2c_stats(const struct s2c *model, struct s2c_stats *stats);

/* The golden walker: what the tables say of gpa under this VMID, as of now. */
struct s2c_leaf {
	uint64_t pa;    /* of gpa itself */
	uint64_t entry; /* address of the last descriptor read ... */
	uint64_t value; /* ... and its value */
	uint8_t mapped;
	uint8_t level;
	uint8_t rights;  /* enum s2c_rights; S2C_XP equals S2C_X without FEAT_XNX */
	uint8_t memattr; /* MemAttr[3:0] */
	uint8_t fault;   /* enum s2c_fault, if not mapped */
	uint8_t af;
	uint8_t dirty; /* DBM and writable: hardware or software wrote here */
	uint8_t contiguous;
};
enum s2c_fault {
	S2C_FAULT_NONE,
	S2C_FAULT_TRANSLATION,
	S2C_FAULT_ADDRESS_SIZE,
	S2C_FAULT_ACCESS_FLAG,
	S2C_FAULT_RESERVED, /* a descriptor that the manual reserves */
};
/* Returns 0, or -1: this VMID never ran, or gpa is beyond its size. */
int s2c_translate(struct s2c *model, unsigned int vmid, uint64_t gpa, struct s2c_leaf *leaf);

/*
 * What TLBs may hold. Nothing ever falls out of one by itself: what stood in the tables while a CPU
 * ran the guest may be there until a TLBI of it is complete.
 */
enum s2c_held_kind {
	S2C_HELD_NOW = 1u << 0,     /* it stands in the tables */
	S2C_HELD_WIDENED = 1u << 1, /* stood there; the same does now, with more rights, say */
	S2C_HELD_NARROWED =
		1u << 2,         /* ... with fewer rights: who holds it has rights that are gone */
	S2C_HELD_GONE = 1u << 3, /* stood there; something else does now, or nothing */
	S2C_HELD_OLD = S2C_HELD_WIDENED | S2C_HELD_NARROWED | S2C_HELD_GONE,
};

/* One entry. Masks have one bit a CPU. A CPU that is in none of them does not hold it. */
struct s2c_held {
	uint64_t gpa, size; /* what it translates */
	uint64_t pa;        /* where it leads: of its first byte; or the table that it points to */
	uint64_t entry;     /* address of the descriptor ... */
	uint64_t value;     /* ... and what it is, or was */
	uint64_t leaf;      /* CPUs that may hold it as a leaf of stage 2 ... */
	uint64_t combined;  /* ... as a combined entry of stages 1 and 2 ... */
	uint64_t table;     /* ... as a pointer to a table */
	/*
	 * CPUs that lose it when a TLBI which was issued is complete: at a DSB of its issuer. The
	 * first is of `leaf` and `table`.
	 */
	uint64_t issued, issued_combined;
	struct s2c_who made;   /* the last store to it */
	struct s2c_who broken; /* the store that made it old; event 0: none, it stands there */
	uint8_t kind;          /* enum s2c_held_kind, one of them */
	uint8_t is_table;      /* a pointer to a table: `rights` and `memattr` mean nothing */
	uint8_t level;
	uint8_t rights;  /* enum s2c_rights */
	uint8_t memattr; /* MemAttr[3:0] */
	uint8_t pad[3];
};

/* Where one is in a range. The caller's; all of it is s2c_held_begin()'s business. */
struct s2c_held_walk {
	struct s2c *model;
	const void *node, *stale;
	uint64_t gpa, last, index;
	uint64_t event;
	unsigned int which, stage;
};

/*
 * Begins to look at what TLBs may hold of [gpa, gpa + size) under this VMID: of those kinds that
 * are in `which`. Returns 0, or -1: the VMID never ran, gpa is beyond its size, or the range is
 * empty or wraps. (What of it is beyond the size, nothing translates.)
 */
int s2c_held_begin(struct s2c *model, unsigned int vmid, uint64_t gpa, uint64_t size,
		   unsigned int which, struct s2c_held_walk *walk);
/*
 * Returns 1 and fills in *held: the next one, by address, the larger before what lies in it; at
 * one place what stands there first, then the newest of what stood there. Returns 0: there is no
 * more. Returns -1: the model was told of an event since s2c_held_begin(), so begin again.
 *
 * No memory is allocated. All of a walk costs as much as going once through those tables of the
 * range that stand there (if `which` has S2C_HELD_NOW) or had entries that may be held still.
 */
int s2c_held_next(struct s2c_held_walk *walk, struct s2c_held *held);

const char *s2c_kind_name(unsigned int kind);
const char *s2c_tlbi_name(unsigned int op);
const char *s2c_barrier_name(unsigned int op);
const char *s2c_sysreg_name(unsigned int op);
const char *s2c_dc_name(unsigned int op);

#ifdef __cplusplus
}
#endif

#endif
