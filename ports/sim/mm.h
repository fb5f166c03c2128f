/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A host's memory manager, simulated, and more hostile than a real one: areas of host addresses
 * (hva) with rights and kinds, frames of 4K with reference counts, and all that a host does to the
 * memory of a running guest. Attached to a struct sim it is what resolve() asks.
 *
 *   area -> page (one each 4K of hva) -> frame <- page cache of a file, blocks of a DAX device
 *
 * What is checked, always:
 *   mm-refs	a frame's count is the number of its holders: pages, cache, lookups under way; pages
 *		without references never get any
 *   mm-freed	what is freed is not mapped by any page
 *   mm-guest	what the guest's tables (or a CPU's TLB) say of an address is what slots, areas and
 *		frames say: the frame is alive, and writable if it is written
 *   mm-sum	the guest reads what it wrote: the reference is a word for each page of hva (or of a
 *		file), in `expect`
 *   mm-hold	while a hold is in use, its page stays what it is: the frame, and the right to write
 * Under the checker (SIM_WATCH) a frame that is freed is taken back (S2C_TAKE), which condemns
 * whatever still leads there.
 *
 * Guest CPUs (mm_guest.c) have a small TLB each, which obeys the port's tlb(): so a missing
 * invalidation is seen by the guest's checksums without the checker, too. An access is atomic
 * against invalidations, as in hardware. Each CPU has holds, too (mm_hold.c): what a device, or the
 * hypervisor itself, does in guest memory.
 *
 * Concurrency: one lock (mm->lock), held for short pieces of work, never while the engine is
 * called. Who changes a page that the guest may have mapped claims it first (`busy`; nobody waits
 * for a claim, he gives up), then begins, changes, ends. Lookups do not care for claims: what
 * they say may be stale, and is the engine's to throw away. Contents are plain memory, so the
 * thread sanitizer sees who touches them too early or too late.
 */
#ifndef SIM_MM_H
#define SIM_MM_H

#include <stage2/hold.h>

#include "sim.h"

#define MM_SHIFT  12
#define MM_SIZE   (1ull << MM_SHIFT)
#define MM_IN_2M  512 /* pages of 2M */
#define MM_2M     (MM_SIZE * MM_IN_2M)
#define MM_AREAS  24
#define MM_FILES  8
#define MM_NONE   0xffffffffu
#define MM_CLAIMS 10
#define MM_BEGUN  20
#define MM_TLB    16
#define MM_SHARED 8 /* so many pages share a frame at most (zero page apart) */
#define MM_HOLDS  12
#define MM_WORK   3 /* holds in use at once, at most */

enum mm_kind {
	MM_ANON,
	MM_THP,     /* anonymous, in blocks where possible */
	MM_HUGETLB, /* anonymous, in blocks only */
	MM_FILE,    /* page cache, shared */
	MM_DAX,     /* a file on a device's memory: shared, blocks, not freed by references */
	MM_PFN,     /* a driver's RAM in blocks, without references */
	MM_NOREF,   /* the same page by page, on demand */
	MM_DEVICE,  /* a region of a device, open or closed */
	MM_KINDS
};

enum mm_zone_id {
	MM_ZONE_RAM,
	MM_ZONE_HUGETLB,
	MM_ZONE_DAX,
	MM_ZONE_NOREF,
	MM_ZONE_ZERO, /* 2M of zeros that everybody may share: no references */
	MM_ZONES
};

enum mm_state {
	MM_FREE,
	MM_NEW, /* allocated, nobody holds it yet */
	MM_USED,
	MM_OFFLINE, /* unplugged */
	MM_BROKEN,  /* poisoned */
};

struct mm_frame {
	uint64_t contents; /* stands for all 4K */
	uint32_t refs;
	uint32_t looks; /* of these: lookups under way */
	uint32_t maps;  /* first page that maps it, linked by page->next */
	uint32_t nmaps;
	uint8_t zone;
	uint8_t state;
	uint8_t cached; /* a file has it */
	uint8_t pad;
};

struct mm_zone {
	uint64_t hpa;
	uint32_t first, n; /* in mm->frames */
	uint32_t last;     /* freed last: comes back first, now and then */
	uint32_t used;
};

struct mm_page {
	uint64_t expect;     /* what the guest must read (of a file's pages: in the file) */
	uint32_t frame;      /* or MM_NONE */
	uint32_t swap;       /* slot of the swap plus 1, or 0 */
	uint32_t next, prev; /* pages of the same frame */
	uint8_t area;
	uint8_t mapped;   /* else a hole */
	uint8_t prot;     /* of the area there */
	uint8_t writable; /* without asking again */
	uint8_t huge;     /* one of a block */
	uint8_t poison;
	uint8_t busy; /* claimed */
	uint8_t pad;
	uint32_t held; /* holds in use: counted without the lock */
	uint32_t pad2;
};

struct mm_file_page {
	uint64_t expect;
	uint64_t disk;
	uint32_t frame; /* in the cache; or MM_NONE */
	uint8_t poison;
};

struct mm_file {
	uint32_t npages; /* that there is room for */
	uint32_t size;   /* that it has */
	uint8_t zone;
	struct mm_file_page *page;
};

struct mm_area {
	uint64_t hva;
	uint32_t first, npages; /* in mm->pages */
	uint8_t kind;
	uint8_t type; /* enum s2_memtype */
	uint8_t prot; /* what a page is given at most */
	uint8_t open; /* MM_DEVICE */
	struct mm_file *file;
	uint32_t file_page; /* of its first page */
	uint32_t moves;     /* MM_DEVICE: it was opened so often */
	uint64_t hpa;       /* MM_DEVICE: of its first byte, while open */
};

struct mm_swap {
	uint64_t contents;
	uint32_t refs;     /* pages */
	uint32_t reserved; /* somebody is about to fill it */
};

/* What hosts do. */
enum mm_what {
	MM_OP_UNMAP,
	MM_OP_MAP,
	MM_OP_REMAP, /* something else at the same address, at once */
	MM_OP_PROTECT,
	MM_OP_FORK,
	MM_OP_MERGE,
	MM_OP_MIGRATE,
	MM_OP_COLLAPSE,
	MM_OP_SPLIT,
	MM_OP_TRUNCATE,
	MM_OP_CLEAN, /* write-protected to be written back */
	MM_OP_SWAP_OUT,
	MM_OP_SWAP_IN,
	MM_OP_POISON,
	MM_OP_REPAIR,
	MM_OP_UNPLUG,
	MM_OP_PLUG,
	MM_OP_CLOSE,
	MM_OP_OPEN,
	MM_OP_MOVE, /* a driver moves what has no references */
	MM_OP_KINDS
};
extern const char *const mm_op_name[MM_OP_KINDS];

/* What happens within resolve(). */
enum mm_event {
	MM_FAULT_IN,
	MM_FAULT_HUGE,
	MM_FAULT_SWAP,
	MM_FAULT_ZERO,
	MM_COW_COPY,
	MM_COW_REUSE,
	MM_COW_SPLIT,
	MM_MKWRITE,
	MM_AMBUSH, /* the host struck between lookup and answer */
	MM_RECLAIM,
	MM_EVENTS
};
extern const char *const mm_event_name[MM_EVENTS];

/* What happens to holds. */
enum mm_hold_event {
	MM_HOLD_AIMED, /* at another page */
	MM_HOLD_USED,
	MM_HOLD_MOVED,  /* used again, and the page is elsewhere now */
	MM_HOLD_DENIED, /* there is no such page */
	MM_HOLD_TRIED,  /* used while another was in use */
	MM_HOLD_STALE,  /* not so: the host had to be asked first */
	MM_HOLD_ASKED,  /* revoke() was called */
	MM_HOLD_CUT,    /* ended early, because somebody waited */
	MM_HOLD_EVENTS
};
extern const char *const mm_hold_name[MM_HOLD_EVENTS];

struct mm_config {
	uint32_t chunks[MM_ZONES]; /* of 2M; 0: as many as it takes, MM_ZONE_ZERO has one */
	uint32_t swap;             /* slots; 0: 512 */
	uint32_t ambush;           /* of 65536: an operation within resolve() */
	uint32_t pending;          /* of 65536: swapping in is said to take time (S2_EPENDING) */
	uint32_t threads;          /* real ones */
};

struct mm_tlb {
	uint64_t gpa, size, hpa; /* of the leaf; size 0: empty */
	uint8_t prot;
	uint8_t type;
};

struct mm_hold {
	struct s2_hold hold;
	uint64_t gpa;    /* of the page */
	uint64_t was;    /* where it was, when it was used last; 0: nowhere */
	uint32_t offset; /* of the hold, within */
	uint8_t access;
	uint8_t live;
	uint8_t pad[2];
	struct mm_page *page; /* while it is in use */
};

/* A CPU of the guest: the one of sim_thread(). */
struct mm_cpu {
	uint32_t lock; /* an access under way, or an invalidation */
	uint32_t present;
	struct mm_tlb tlb[MM_TLB];
	uint64_t rng;
	struct s2_walker walker; /* its faults */
	struct s2_walker host;   /* the host's work within these */
	struct mm_hold hold[MM_HOLDS];
};

struct sim_mm {
	struct sim *sim;
	struct s2_vm *vm;
	struct mm_config config;
	pthread_mutex_t lock;
	struct mm_zone zone[MM_ZONES];
	struct mm_frame *frames;
	uint32_t nframes;
	struct mm_page *pages;
	uint32_t npages, room;
	struct mm_swap *swap;
	struct mm_area area[MM_AREAS];
	unsigned int nareas;
	struct mm_file file[MM_FILES];
	unsigned int nfiles;
	struct mm_cpu cpu[SIM_CPUS];
	uint64_t taken, taken_size; /* not told to the model yet */
	uint32_t guest_lock[64];    /* the guest's own, by page */
	int (*resolve)(void *ctx, s2_hva_t hva, enum s2_access access, struct s2_page *page);
	void (*tlb)(void *ctx, const struct s2_tlb_op *ops, size_t n);
	uint64_t last_gpa;
	uint32_t active; /* operations under way */
	uint64_t begun;  /* ever */
	uint64_t did;    /* operations done, also those that need no beginning */
	uint64_t tried[MM_OP_KINDS], done[MM_OP_KINDS];
	uint64_t events[MM_EVENTS];
	uint64_t held[MM_HOLD_EVENTS];
	uint64_t accesses, faults, exits, tired;
	uint64_t privately; /* accesses to private pages */
};

/* mm.c: life, areas */

/*
 * Attaches a memory manager to a simulation, before s2_vm_init(); areas come next. Aborts when the
 * test machine has no memory.
 */
void mm_init(struct sim_mm *mm, struct sim *sim, struct s2_vm *vm, const struct mm_config *config);
/* Everything is given back; all counts must fall to nothing. No slot is left, nor a CPU. */
void mm_fini(struct sim_mm *mm);
/* A file of so many pages, in this zone (MM_ZONE_RAM: page cache). */
struct mm_file *mm_file(struct sim_mm *mm, enum mm_zone_id zone, uint32_t npages);
/* An area; `file` (or NULL) from its page `file_page` on. */
struct mm_area *mm_area(struct sim_mm *mm, enum mm_kind kind, uint64_t hva, uint32_t npages,
			unsigned int prot, struct mm_file *file, uint32_t file_page);
/* A device's region or framebuffer: hpa moves with every opening, `type` as the area's. */
struct mm_area *mm_device(struct sim_mm *mm, uint64_t hva, uint32_t npages, uint64_t hpa,
			  enum s2_memtype type);
/* This thread is CPU n from now on; it has walkers of its own after the first time. */
void mm_cpu_on(struct sim_mm *mm, unsigned int n);
void mm_cpus_off(struct sim_mm *mm);
/* This thread's. */
struct mm_cpu *mm_self(struct sim_mm *mm);

/* Something that disturbs faults begins (1) or ends (-1): operations say so themselves. */
void mm_disturb(struct sim_mm *mm, int by);

/* All reference counts and lists are as they must be. Any time. */
void mm_audit(struct sim_mm *mm);
/* Every leaf of the guest's is what slots and areas say. Not while other threads run. */
void mm_audit_guest(struct sim_mm *mm, struct s2_walker *walker);

/* mm_op.c: what a host does. All with a walker that this thread does not use just now. */

/* Does it to this address. Returns 1: done; 0: nothing was to be done, or somebody was there. */
int mm_do(struct sim_mm *mm, enum mm_what what, uint64_t hva, struct s2_walker *walker,
	  uint64_t *rng);
/* Anything anywhere. Returns what it was. */
enum mm_what mm_random_op(struct sim_mm *mm, struct s2_walker *walker, uint64_t *rng);
/* Anything, here. */
void mm_random_op_at(struct sim_mm *mm, uint64_t hva, struct s2_walker *walker, uint64_t *rng);

/* mm_guest.c: the guest's accesses, on this thread's CPU */
enum mm_result {
	MM_DONE,
	MM_EXIT, /* the guest left: *exit */
	/* Tried for long, others were always there first: exit->error is 0. Or there was no table:
	   it is S2_ENOMEM or S2_EQUOTA. */
	MM_TIRED,
};
struct mm_access {
	uint64_t gpa;
	uint64_t value; /* S2_ACCESS_WRITE: to be written */
	uint8_t access; /* enum s2_access */
	uint8_t view;   /* enum s2_view: how the guest means the page */
	uint8_t pad[6];
};
enum mm_result mm_guest_access(struct sim_mm *mm, const struct mm_access *access,
			       struct s2_exit *exit);
enum mm_result mm_guest_read(struct sim_mm *mm, uint64_t gpa, struct s2_exit *exit);
enum mm_result mm_guest_write(struct sim_mm *mm, uint64_t gpa, uint64_t value,
			      struct s2_exit *exit);
enum mm_result mm_guest_exec(struct sim_mm *mm, uint64_t gpa, struct s2_exit *exit);
/* This thread's CPU empties its TLB, as it may at any time. */
void mm_guest_forget(struct sim_mm *mm);

/* mm_hold.c: work in guest memory through holds of this thread's CPU */

/* Points hold n at this page, for reading or writing. No hold is in use. */
void mm_hold_aim(struct sim_mm *mm, unsigned int n, uint64_t gpa, enum s2_access access);
/*
 * Uses which[0], and tries the others while it is in use: reads there, or writes `value`. What
 * could not be tried is used afterwards, alone. Returns what s2_hold_use() said of the first.
 */
int mm_hold_work(struct sim_mm *mm, const unsigned int *which, unsigned int n, uint64_t value);

/* --- What the files of the memory manager share. --- */

void mm_lock(struct sim_mm *mm);
void mm_unlock(struct sim_mm *mm);
void mm_spin(struct sim_mm *mm, uint32_t *lock);
void mm_unspin(uint32_t *lock);
/* Here others may come first. Never with the lock held. */
void mm_point(struct sim_mm *mm);

static inline uint64_t mm_random(uint64_t *rng, uint64_t below)
{
	return (sim_random(rng) >> 16) % below;
}

struct mm_area *mm_area_at(struct sim_mm *mm, uint64_t hva);
static inline struct mm_area *mm_area_of(struct sim_mm *mm, const struct mm_page *page)
{
	return &mm->area[page->area];
}
static inline uint32_t mm_index(const struct sim_mm *mm, const struct mm_page *page)
{
	return (uint32_t)(page - mm->pages);
}
static inline uint64_t mm_hva(struct sim_mm *mm, uint32_t index)
{
	const struct mm_area *area = mm_area_of(mm, &mm->pages[index]);

	return area->hva + (uint64_t)(index - area->first) * MM_SIZE;
}
/* The file's page behind a page of the area; NULL: it has no file. */
struct mm_file_page *mm_file_page(struct sim_mm *mm, const struct mm_page *page);
static inline uint64_t *mm_expect(struct sim_mm *mm, struct mm_page *page)
{
	struct mm_file_page *file = mm_file_page(mm, page);

	return file ? &file->expect : &page->expect;
}
/* The first of 2M that lie in the area, around this page; MM_NONE: they do not. */
uint32_t mm_block_of(struct sim_mm *mm, uint32_t index);
/* Is this a page of anonymous memory? */
int mm_is_anon(struct sim_mm *mm, const struct mm_page *page);

/* mm_frame.c. With the lock held. MM_NONE: there is none. */
void mm_frames_init(struct sim_mm *mm);
uint64_t mm_hpa(const struct sim_mm *mm, uint32_t frame);
uint32_t mm_frame_at(const struct sim_mm *mm, uint64_t hpa);
uint32_t mm_alloc(struct sim_mm *mm, enum mm_zone_id zone, uint64_t *rng);
uint32_t mm_alloc_block(struct sim_mm *mm, enum mm_zone_id zone, uint64_t *rng);
/* The host writes the contents. */
void mm_fill(struct sim_mm *mm, uint32_t frame, uint64_t contents);
void mm_look(struct sim_mm *mm, uint32_t frame);
void mm_unlook(struct sim_mm *mm, uint32_t frame);
void mm_map(struct sim_mm *mm, struct mm_page *page, uint32_t frame);
void mm_unmap(struct sim_mm *mm, struct mm_page *page);
/* A file takes or gives up a frame. */
void mm_cache(struct sim_mm *mm, struct mm_file_page *page, uint32_t frame);
void mm_uncache(struct sim_mm *mm, struct mm_file_page *page);
uint32_t mm_swap_slot(struct sim_mm *mm); /* reserved; plus 1, or 0: there is none */
void mm_swap_put(struct sim_mm *mm, struct mm_page *page);
/* Nothing is behind the page any more: frame, swap, poison. */
void mm_zap(struct sim_mm *mm, struct mm_page *page);
/* Tells the model what was freed. */
void mm_tell_taken(struct sim_mm *mm);

/* mm_resolve.c */
int mm_resolve(void *ctx, s2_hva_t hva, enum s2_access access, struct s2_page *page);

/* An operation: claimed pages, and what has begun. */
struct mm_op {
	struct sim_mm *mm;
	struct s2_walker *walker;
	uint64_t *rng;
	unsigned int nclaims, nbegun;
	struct {
		uint32_t first, n;
	} claim[MM_CLAIMS];
	struct s2_host_change change[MM_BEGUN];
};

/* mm_op.c */
void mm_op_init(struct mm_op *op, struct sim_mm *mm, struct s2_walker *walker, uint64_t *rng);
/* With the lock held. Blocks in part go as a whole. Returns 0: done, -1: somebody has it. */
int mm_claim(struct mm_op *op, uint32_t first, uint32_t n);
/* All pages that map this frame, or could because it is a file's. */
int mm_claim_frame(struct mm_op *op, uint32_t frame);
int mm_claim_file(struct mm_op *op, const struct mm_file *file, uint32_t first, uint32_t n);
/* The engine is told about claims [from, to); without the lock. */
void mm_begin(struct mm_op *op, unsigned int from, unsigned int to, enum s2_inval how);
static inline void mm_begin_all(struct mm_op *op, enum s2_inval how)
{
	mm_begin(op, 0, op->nclaims, how);
}
/* Ends all that has begun, and gives the claims back. */
void mm_end(struct mm_op *op);
/* Gives the claims back; with the lock held, nothing begun. */
void mm_unclaim(struct mm_op *op);
/* Blocks of which a part is about to change become pages. */
void mm_unhuge(struct mm_op *op, unsigned int claim);

/* mm_page.c, mm_move.c, mm_device.c: the operations, at this page */
int mm_op_unmap(struct mm_op *op, struct mm_page *page);
int mm_op_map(struct mm_op *op, struct mm_page *page);
int mm_op_remap(struct mm_op *op, struct mm_page *page);
int mm_op_protect(struct mm_op *op, struct mm_page *page);
int mm_op_fork(struct mm_op *op, struct mm_page *page);
int mm_op_merge(struct mm_op *op, struct mm_page *page);
int mm_op_migrate(struct mm_op *op, struct mm_page *page);
int mm_op_collapse(struct mm_op *op, struct mm_page *page);
int mm_op_split(struct mm_op *op, struct mm_page *page);
int mm_op_truncate(struct mm_op *op, struct mm_page *page);
int mm_op_clean(struct mm_op *op, struct mm_page *page);
int mm_op_swap_out(struct mm_op *op, struct mm_page *page);
int mm_op_swap_in(struct mm_op *op, struct mm_page *page);
int mm_op_poison(struct mm_op *op, struct mm_page *page);
int mm_op_repair(struct mm_op *op, struct mm_page *page);
int mm_op_unplug(struct mm_op *op, struct mm_page *page);
int mm_op_plug(struct mm_op *op, struct mm_page *page);
int mm_op_close(struct mm_op *op, struct mm_page *page);
int mm_op_open(struct mm_op *op, struct mm_page *page);
int mm_op_move(struct mm_op *op, struct mm_page *page);

/* mm_guest.c */
void mm_tlb_op(void *ctx, const struct s2_tlb_op *ops, size_t n);

/* What an access to gpa, or a leaf there, reaches. */
struct mm_reached {
	uint64_t gpa, hpa;
	struct mm_area *area;
	struct mm_page *page;
	uint8_t prot, type; /* of the leaf */
	uint8_t attrs;      /* of the page: enum s2_page_attr */
	uint8_t deny;       /* what slot and attributes forbid */
};
/*
 * Which page of the host's stands behind r->gpa? 0: it has no slot, or the slot leads nowhere.
 * While the page cannot go: within an access, with a hold in use, or when nobody else is there.
 */
int mm_reach(struct sim_mm *mm, struct s2_walker *walker, struct mm_reached *r);
/* What leads there is what the host has now. Returns the frame, MM_NONE for a device. */
uint32_t mm_check_reached(struct sim_mm *mm, const struct mm_reached *r);
/* The contents are what was written last; S2_ACCESS_WRITE: they are `value` now. */
void mm_word(struct sim_mm *mm, const struct mm_reached *r, uint32_t frame, enum s2_access access,
	     uint64_t value);

#endif
