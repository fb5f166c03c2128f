/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One tree of second-stage tables: map, unmap, protect, relax, age, split, look up.
 *
 * Every function may be called by many threads at once, each with its own walker; there is no lock.
 * Entries change by compare-and-swap only. One rule is the caller's: between an unmap or protect
 * and the flush of its gather, nobody may map that same range (s2_vm keeps this by its invalidation
 * protocol; a single-threaded user keeps it by flushing). docs/locking.md has the argument.
 *
 * Range operations are resumable: `progress->done` is the number of bytes from the start that are
 * finished, also when an error is returned; everything beyond is as it was. Ranges are multiples of
 * the page size; misaligned, empty or wrapping ones are refused before anything changes.
 *
 * Context, unless stated otherwise: outside any walker section; may sleep when the port's
 * table_alloc() or relax() does; the walker belongs to the calling thread and to this tree.
 */
#ifndef STAGE2_PGTABLE_H
#define STAGE2_PGTABLE_H

#include <stage2/port.h>

#ifdef __cplusplus
extern "C" {
#endif

#define S2_CACHE_LINE    64
#define S2_LEVELS        5 /* no format has more */
#define S2_WALKER_TABLES 8 /* a walker's own stock of tables */
#define S2_GATHER_RANGES 8
#define S2_GATHER_TABLES 16
#define S2_HINTS         2  /* levels of which a walker remembers the last table */
#define S2_LIMBO_TABLES  16 /* where the port has a barrier(): freed together at that number */

enum s2_format {
	/*
	 * Arm stage 2, 4K granule (DDI 0487, chapter D8): our level 0 is the manual's level 3. 32
	 * to 48 bits of IPA; start level and concatenation follow from the size.
	 */
	S2_FORMAT_ARM64_4K,
	S2_FORMATS
};

struct s2_pt_config {
	uint8_t format;      /* enum s2_format */
	uint8_t ipa_bits;    /* size of the guest physical address space */
	uint8_t block_level; /* highest level at which leaves are made; 0: pages only */
	uint8_t pad;
	uint32_t table_quota; /* pages of tables at most, the root's included; 0: no limit */
	struct s2_cpu cpu;
};

/*
 * Counters, kept per walker so that counting shares no cache line, and summed by s2_pt_stats().
 * They only grow. Units: events, unless named otherwise.
 */
struct s2_stats {
	uint64_t leaves_made[S2_LEVELS];
	uint64_t leaves_removed[S2_LEVELS];
	uint64_t tables_linked;
	uint64_t tables_unlinked;
	uint64_t breaks;            /* break-before-make sequences */
	uint64_t lost_races;        /* somebody else had made the same change first */
	uint64_t busy;              /* met an entry that another was just changing */
	uint64_t tlb[S2_TLB_KINDS]; /* operations handed to the port, by enum s2_tlb_kind */
	uint64_t tlb_local;         /* of these, those with S2_TLB_LOCAL */
	uint64_t cache_sync_bytes;
	uint64_t fault[S2_FAULT_KINDS];  /* by enum s2_fault_kind */
	uint64_t fault_level[S2_LEVELS]; /* by the level of the leaf that the fault left behind */
	uint64_t fault_walk;             /* faults on a walk of the guest's own tables */
	uint64_t fault_spurious;         /* the mapping was already there */
	uint64_t fault_retry;            /* the host was taking the memory away */
	uint64_t fault_precise;          /* after retries: came through by insisting */
	uint64_t exit_mmio;
	uint64_t exit_abort;
	uint64_t exit_memory;
};

struct s2_pt_ops;
struct s2_walker;

/* A tree. The caller owns the memory; the fields are private. */
struct s2_pt {
	const struct s2_pt_ops *ops;
	const struct s2_port *port;
	uint64_t *root;
	struct s2_cpu cpu;
	uint32_t table_quota;
	uint8_t ipa_bits;
	uint8_t page_shift;
	uint8_t root_level;
	uint8_t root_order;
	uint8_t block_level;
	uint8_t format;
	uint8_t barrier;              /* the port has one */
	uint16_t prots[S2_MEM_TYPES]; /* bit n: memory of this type may have the rights n */

	/* Shared and written, but only by management, never by a fault on a page; who enters a
	 * section reads the first. */
	uint64_t epoch __attribute__((aligned(S2_CACHE_LINE))); /* src/pgtable/walker.h */
	struct s2_walker *walkers __attribute__((aligned(S2_CACHE_LINE)));
	uint32_t walkers_lock;
	uint32_t waiters; /* who waits for somebody that holds the tree for himself */
	struct s2_stats departed;
	/* Held from the port: root, linked, in walkers' stocks, detached. A line of its own. */
	uint32_t tables __attribute__((aligned(S2_CACHE_LINE)));
};

/*
 * A thread's licence to work on a tree: its section flag on a cache line of its own, its stock of
 * tables, its counters. The caller owns the memory; the fields are private, but the owner may read
 * its stats.
 */
struct s2_walker {
	uint64_t section __attribute__((aligned(S2_CACHE_LINE))); /* odd: inside */
	struct s2_pt *pt;
	struct s2_walker *next;
	uint64_t epoch;              /* of the tree, when the hints were taken */
	uint64_t hint_gpa[S2_HINTS]; /* which table of each level was met last: gpa of its start, */
	uint64_t *hint[S2_HINTS];    /* plus 1 (0: none); and where it is */
	/* What was found out for one page mostly holds for the next (src/pgtable/engine_near.h). */
	uint64_t leaf;      /* a page at address 0 with the attributes ... */
	uint32_t leaf_attr; /* ... of this number (0: none), */
	uint32_t leaf_sync; /* and the cache maintenance that must come first (enum s2_sync_kind) */
	uint32_t edit;      /* the number of a revision (0: none), and for leaves ... */
	uint64_t edit_rest; /* ... that are so but for their output ... */
	uint64_t edit_flip; /* ... the bits that it changes */
	/* src/vm: the last page found to have no slot, plus 1, as of this generation of the slots;
	 */
	uint64_t mmio_page;
	uint64_t mmio_generation;
	/* and the last slot found, as it was at this one. */
	uint64_t slot_generation;
	uint64_t slot_gpa;
	uint64_t slot_size;
	uint64_t slot_hva;
	uint64_t slot_flags;
	uint64_t slot_priv;
	uint64_t retry_page; /* the page from which a fault was sent away last, plus 1, ... */
	uint64_t retries;    /* ... and how often in a row */
	uint32_t ntables;
	void *tables[S2_WALKER_TABLES];
	uint64_t *limbo; /* tables detached and invalidated, but others may still be in there; */
	uint32_t limbos; /* how many; linked as a gather's chain is */
	uint32_t pad;
	struct s2_stats stats;
};

/*
 * Invalidations that are owed, and detached tables that may be freed after them. Lives on the
 * caller's stack. s2_gather_flush() pays; a gather may collect over many calls before that.
 */
struct s2_gather {
	struct s2_pt *pt;
	uint64_t *chain; /* detached tables of level 0, linked through their first entries */
	uint32_t nranges;
	uint32_t chained; /* tables in the chain */
	uint32_t publish; /* entries became valid */
	uint32_t ntables; /* detached tables of other levels */
	uint32_t all;     /* too many ranges: invalidate everything */
	uint32_t pad;
	struct s2_tlb_op ops[1 + S2_GATHER_RANGES]; /* the first: room for a S2_TLB_PUBLISH */
	void *tables[S2_GATHER_TABLES];
	uint8_t table_levels[S2_GATHER_TABLES];
};

/* What a range operation did, in bytes of guest address space. */
struct s2_progress {
	uint64_t done;    /* finished, counted from the start of the range */
	uint64_t changed; /* of that: newly mapped, protected, ...; unmap: a whole table counts
			     whole */
	uint64_t equal;   /* map, relax: was already so (perhaps another thread was faster) */
};

struct s2_leaf {
	s2_gpa_t gpa; /* start of the leaf (or of the hole, when nothing is mapped) */
	s2_hpa_t hpa;
	uint64_t size;
	struct s2_attr attr;
	uint8_t level;
	uint8_t young;
	uint8_t pad[2];
};

/*
 * Prepares an empty tree. Errors: S2_EVERSION; S2_EINVAL (unknown format, impossible ipa_bits,
 * block_level or CPU); S2_EQUOTA (less than the root needs); S2_ENOMEM. After an error nothing is
 * held and s2_pt_fini() is harmless.
 */
S2_MUST_CHECK int s2_pt_init(struct s2_pt *pt, const struct s2_pt_config *config,
			     const struct s2_port *port);

/*
 * Frees every table. No walker may be left, and no CPU may use the tree any more: the caller has
 * switched away from it and invalidated it (a S2_TLB_ALL is issued here to be sure).
 */
void s2_pt_fini(struct s2_pt *pt);

/* Registers a walker of the calling thread. Cannot fail; allocates nothing. */
void s2_walker_init(struct s2_walker *walker, struct s2_pt *pt);
/* Gives back its tables. Harmless on a zeroed walker. */
void s2_walker_fini(struct s2_walker *walker);

/* Starts an empty gather. Any context. */
void s2_gather_init(struct s2_gather *gather, struct s2_pt *pt);
/*
 * Issues the invalidations, waits until every walker that could still see a detached table has
 * left, frees the tables. Afterwards the gather is empty and nothing stale is left anywhere. Where
 * the port has a barrier(), which makes waiting dear, up to S2_LIMBO_TABLES - 1 tables stay with
 * the walker, as its stock does, until there are more, or memory or quota run out for this walker.
 * (Their leaves are counted as removed when they are freed.)
 */
void s2_gather_flush(struct s2_gather *gather, struct s2_walker *walker);

enum s2_map_flag {
	S2_MAP_REPLACE = 1u << 0, /* an existing different mapping is replaced, not refused */
	S2_MAP_WIDEN = 1u << 1,   /* same output and type: rights are united instead of compared */
	S2_MAP_PAGES = 1u << 2,   /* no blocks */
};

/*
 * Maps [gpa, gpa + size) to hpa onwards with the largest leaves that alignment allows. Equal
 * mappings are passed over (progress->equal). A table in the way of a block is detached and covered
 * by one invalidation of all that was below it before the block is made. Invalidations between
 * break and make are done here; the gather gets the rest.
 * Errors: S2_EALIGN, S2_ERANGE, S2_EINVAL (attr), S2_ENOMEM, S2_EQUOTA, S2_EEXIST: resumable at
 * gpa + progress->done.
 */
S2_MUST_CHECK int s2_pt_map(struct s2_pt *pt, s2_gpa_t gpa, s2_hpa_t hpa, uint64_t size,
			    struct s2_attr attr, unsigned int flags, struct s2_walker *walker,
			    struct s2_gather *gather, struct s2_progress *progress);

/*
 * Removes whatever is mapped in [gpa, gpa + size). A block that is only partly inside is split, its
 * rest stays mapped as it was; tables that become empty are detached.
 * Errors: S2_EALIGN, S2_ERANGE; S2_ENOMEM, S2_EQUOTA (only where a block must be split).
 */
S2_MUST_CHECK int s2_pt_unmap(struct s2_pt *pt, s2_gpa_t gpa, uint64_t size,
			      struct s2_walker *walker, struct s2_gather *gather,
			      struct s2_progress *progress);

/*
 * Takes rights away (prot: enum s2_prot bits to clear; S2_W write-protects). Blocks partly inside
 * that have such rights are split. What is not mapped is passed over. Errors: as s2_pt_unmap();
 * S2_EINVAL (no right named; S2_R, for which there is unmap; half of S2_X where the CPU cannot).
 */
S2_MUST_CHECK int s2_pt_protect(struct s2_pt *pt, s2_gpa_t gpa, uint64_t size, unsigned int prot,
				struct s2_walker *walker, struct s2_gather *gather,
				struct s2_progress *progress);

/*
 * Adds rights to every leaf that touches [gpa, gpa + size); leaves are not split. Only the calling
 * CPU's TLB is invalidated: others may take a spurious fault, which s2_fault() filters. Instruction
 * cache maintenance is done where execution is added. Errors: S2_EALIGN, S2_ERANGE, S2_EINVAL (a
 * right that the memory type cannot have).
 */
S2_MUST_CHECK int s2_pt_relax(struct s2_pt *pt, s2_gpa_t gpa, uint64_t size, unsigned int prot,
			      struct s2_walker *walker, struct s2_gather *gather,
			      struct s2_progress *progress);

enum s2_age {
	S2_AGE_TEST,  /* count young leaves */
	S2_AGE_CLEAR, /* count them and make them old */
	S2_AGE_SET,   /* make all of them young */
};

/*
 * Access flags of all leaves that touch [gpa, gpa + size); progress->changed counts the bytes that
 * were young (TEST, CLEAR) or became so (SET). The caller decides whether old entries may linger
 * in TLBs: flush the gather, or drop it with s2_gather_init(). Errors: S2_EALIGN, S2_ERANGE.
 */
S2_MUST_CHECK int s2_pt_age(struct s2_pt *pt, s2_gpa_t gpa, uint64_t size, enum s2_age age,
			    struct s2_walker *walker, struct s2_gather *gather,
			    struct s2_progress *progress);

/*
 * The same, and says which pages they were: bit n of `bitmap` (n / 64 its word; not NULL) is set
 * for page n of the range if its leaf was young, a block's for all its pages in the range; no bit
 * is cleared. For S2_AGE_TEST and S2_AGE_CLEAR. Bits are set for exactly the pages that
 * progress->changed counts: who makes a leaf old tells of it, so of several at once one does. Words
 * are changed by plain stores: no two threads may share one. Errors: as s2_pt_age(); S2_EINVAL
 * (S2_AGE_SET).
 */
S2_MUST_CHECK int s2_pt_young(struct s2_pt *pt, s2_gpa_t gpa, uint64_t size, enum s2_age age,
			      uint64_t *bitmap, struct s2_walker *walker, struct s2_gather *gather,
			      struct s2_progress *progress);

/*
 * Splits every leaf in [gpa, gpa + size) that is above `level`; output, rights, type, age and
 * software bits carry over. Errors: S2_EALIGN, S2_ERANGE, S2_EINVAL (level), S2_ENOMEM, S2_EQUOTA.
 */
S2_MUST_CHECK int s2_pt_split(struct s2_pt *pt, s2_gpa_t gpa, uint64_t size, unsigned int level,
			      struct s2_walker *walker, struct s2_gather *gather,
			      struct s2_progress *progress);

/*
 * The leaf that translates gpa (any alignment). Never waits. Errors: S2_ERANGE; S2_ENOENT, and
 * then *leaf describes the hole (gpa, size, level). What another thread is just changing is a hole.
 */
S2_MUST_CHECK int s2_pt_lookup(struct s2_pt *pt, s2_gpa_t gpa, struct s2_walker *walker,
			       struct s2_leaf *leaf);

/* The first leaf that ends after gpa: for dumps. Errors: S2_ENOENT (none), S2_ERANGE. */
S2_MUST_CHECK int s2_pt_next(struct s2_pt *pt, s2_gpa_t gpa, struct s2_walker *walker,
			     struct s2_leaf *leaf);

struct s2_census {
	uint64_t tables[S2_LEVELS]; /* linked tables (the root counts as its number of pages) */
	uint64_t leaves[S2_LEVELS];
	uint64_t empty;  /* linked tables without any valid entry, the root apart */
	uint64_t busy;   /* entries that somebody was just changing */
	uint64_t stocks; /* tables in walkers' stocks, or waiting with them to be freed */
	uint64_t held;   /* all that the port handed out and did not get back */
};

/*
 * Counts and checks the whole tree: every entry legal at its level, every table reached once,
 * held = linked + stocks. Exact only while nobody changes the tree. Errors: S2_ECORRUPT, with
 * *where (may be NULL) at the first offender.
 */
S2_MUST_CHECK int s2_pt_audit(struct s2_pt *pt, struct s2_walker *walker, struct s2_census *census,
			      s2_gpa_t *where);

/* Sums the counters of all walkers, past ones included. Any context outside a section. */
void s2_pt_stats(struct s2_pt *pt, struct s2_stats *stats);

/* Size of the level's leaf in bytes; 0 if the format has no such level. Any context. */
uint64_t s2_pt_level_size(const struct s2_pt *pt, unsigned int level);

#ifdef __cplusplus
}
#endif
#endif
