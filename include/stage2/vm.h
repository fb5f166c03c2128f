/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest's address space: memslots on top of a tree, the fault path, and the protocol by which the
 * host takes memory away. docs/locking.md holds the argument why no stale mapping can appear.
 *
 * Context of all functions, unless stated otherwise: outside any walker section; may sleep when the
 * port does. Each thread brings its own walker of vm->pt. Slots are changed by several threads at
 * will; the engine serialises those changes among themselves, never against faults.
 */
#ifndef STAGE2_VM_H
#define STAGE2_VM_H

#include <stage2/pgtable.h>

#ifdef __cplusplus
extern "C" {
#endif

#define S2_MAX_SLOTS     32767
#define S2_SLOT_HEIGHT   8  /* of the slots' skip list: 4^8 = 65536 */
#define S2_INVAL_BUCKETS 64 /* sequences, each for the 2 MiB regions that hash to it */
#define S2_INVAL_RANGES  32 /* invalidations whose exact ranges are known */
#define S2_CLAIMS        8  /* faults that may insist at once */
#define S2_PATIENCE      4  /* how often a fault is sent away before it insists */

enum s2_slot_flag {
	S2_SLOT_READONLY = 1u << 0, /* a guest's write exits as MMIO */
	S2_SLOT_PRIVATE = 1u << 1,  /* pages may be private: priv is good, attrs is needed */
};

/* What is said of a single page of guest memory, in its slot's attrs. */
enum s2_page_attr {
	S2_PAGE_PRIVATE = 1u << 0, /* backed by the slot's priv instead of hva */
	S2_PAGE_NOWRITE = 1u << 1, /* a write exits: S2_EXIT_MEMORY, S2_EPERM */
	S2_PAGE_NOEXEC = 1u << 2,  /* so does execution */
	S2_PAGE_ATTRS = 7,
};

/* A slot's place in the index by hva (src/vm/names.h). Private. */
struct s2_name {
	struct s2_name *child[2];
	struct s2_memslot *slot;
	uint64_t first, last; /* what it names */
	uint64_t max;         /* the highest `last` of itself and of those below */
};

/*
 * A range of guest memory and what backs it. The caller owns it, fills in the first six fields and
 * must leave them alone while it is in use; s2_vm_slot_*() change it. gpa, size, hva and priv are
 * multiples of the page size.
 */
struct s2_memslot {
	s2_gpa_t gpa;
	s2_hva_t hva;
	uint64_t size;
	uint32_t flags; /* enum s2_slot_flag */
	s2_hva_t priv;  /* S2_SLOT_PRIVATE: the host's name of the private memory */
	uint8_t *attrs; /* a byte a page, enum s2_page_attr, the caller's memory; NULL: all 0 */
	/* Private. */
	uint32_t height;
	struct s2_memslot *next[S2_SLOT_HEIGHT];
	struct s2_name name[2]; /* by hva, by priv */
};

enum s2_vm_flag {
	/*
	 * What an instruction fetch from a device or from no slot does: an abort in the guest, or
	 * with this flag an exit to the VMM.
	 */
	S2_VM_EXEC_EXIT = 1u << 0,
	/*
	 * Grant execution only on an instruction fault, so that memory which is never executed
	 * never pays for instruction cache maintenance. Without it, execution comes with the first
	 * mapping.
	 */
	S2_VM_LAZY_EXEC = 1u << 1,
};

struct s2_vm_config {
	struct s2_pt_config pt;
	uint32_t flags; /* enum s2_vm_flag */
};

struct s2_inval_bucket {
	uint64_t sequence;
	uint64_t running;
};

/* A published range of guest memory. Private, as what follows. */
struct s2_range {
	uint64_t state; /* counts up: of four, 0 is free, 1 being written, 2 good */
	uint64_t gpa, last;
};

/* A fault that was sent away too often by what did not concern it. */
struct s2_claim {
	struct s2_range range __attribute__((aligned(S2_CACHE_LINE)));
	uint64_t disturbed; /* an invalidation of it has ended */
};

struct s2_hold;
struct s2_host_change;

/*
 * A guest address space. The caller owns the memory; the fields are private. The tree is there to
 * be looked at: a fault may undo what is changed in it behind the vm's back, and an invalidation
 * relies on it that whoever takes mappings or rights there has flushed.
 */
struct s2_vm {
	struct s2_pt pt;

	/* What every fault reads, and only a change of slots writes. */
	uint64_t generation __attribute__((aligned(S2_CACHE_LINE))); /* of the slots */
	uint32_t flags;
	uint32_t nslots;
	struct s2_memslot *slots[S2_SLOT_HEIGHT];
	struct s2_name *names; /* the same slots, by hva */

	/* What invalidations write, and only faults that are sent away read. */
	struct s2_inval_bucket inval_all __attribute__((aligned(S2_CACHE_LINE))); /* all count */
	uint32_t slots_lock; /* owned by changes of slots, shared by s2_vm_host_*() */
	uint32_t lists_lock; /* of changes and holds; innermost, for a few instructions */
	struct s2_host_change *changes;
	struct s2_hold *holds;
	uint64_t unranged; /* running invalidations that found no place in ranges */
	struct s2_range ranges[S2_INVAL_RANGES]; /* what exactly is running */

	/* Where each invalidation counts, by region. */
	struct s2_inval_bucket inval[S2_INVAL_BUCKETS] __attribute__((aligned(S2_CACHE_LINE)));

	uint64_t claimed __attribute__((aligned(S2_CACHE_LINE))); /* claims in use */
	struct s2_claim claims[S2_CLAIMS];
};

/* As s2_pt_init() and s2_pt_fini(). s2_vm_fini() forgets the slots, whose memory is the caller's.
 */
S2_MUST_CHECK int s2_vm_init(struct s2_vm *vm, const struct s2_vm_config *config,
			     const struct s2_port *port);
void s2_vm_fini(struct s2_vm *vm);

/*
 * Adds a slot. Nothing is mapped, and what backs it is not looked at: s2_vm_prefault() checks or
 * maps it by the same code as a fault. Errors: S2_EALIGN, S2_ERANGE, S2_EINVAL (unknown flags or
 * attrs, S2_SLOT_PRIVATE without attrs), S2_EOVERLAP, S2_ESLOTS; S2_EAGAIN (the host is between
 * s2_vm_host_begin() and _end() for some of this hva: nothing was done, try again).
 */
S2_MUST_CHECK int s2_vm_slot_add(struct s2_vm *vm, struct s2_memslot *slot);
/*
 * Removes a slot and unmaps it. On return no fault uses it any more and the memory of *slot is the
 * caller's again. Errors: S2_ENOENT (it is not a slot of this address space), S2_EAGAIN (as above).
 */
S2_MUST_CHECK int s2_vm_slot_del(struct s2_vm *vm, struct s2_memslot *slot,
				 struct s2_walker *walker);
/*
 * Moves, resizes, re-backs or re-flags a slot: *slot becomes as *to in its first six fields, all
 * at once for every vCPU, and what was mapped through it is unmapped. Errors: those of add and del;
 * after any error the slot is as before.
 */
S2_MUST_CHECK int s2_vm_slot_change(struct s2_vm *vm, struct s2_memslot *slot,
				    const struct s2_memslot *to, struct s2_walker *walker);
/*
 * Copies the slot that holds gpa. Where there is none it waits for a s2_vm_slot_change() to finish,
 * for nothing else. Errors: S2_ENOENT.
 */
S2_MUST_CHECK int s2_vm_slot_find(struct s2_vm *vm, s2_gpa_t gpa, struct s2_walker *walker,
				  struct s2_memslot *copy);

/*
 * How the guest meant the page, where its CPU tells private memory from shared. Compared where
 * something is to be mapped; not for an access-flag fault.
 */
enum s2_view {
	S2_VIEW_ANY, /* as it is */
	S2_VIEW_SHARED,
	S2_VIEW_PRIVATE,
};

/* A guest's fault as the CPU reported it. s2_arm64_decode_abort() fills one in for Arm. */
struct s2_fault {
	s2_gpa_t gpa;   /* exact where known, else the page; nothing for a conflict */
	uint8_t access; /* enum s2_access */
	uint8_t kind;   /* enum s2_fault_kind */
	uint8_t walk;   /* met while the guest's own tables were walked (Arm: S1PTW) */
	uint8_t user;   /* the guest ran unprivileged */
	uint8_t view;   /* enum s2_view */
	uint8_t pad[3];
};

enum s2_exit_reason {
	S2_EXIT_RESUME, /* run the guest again: mapped, or to be tried again */
	S2_EXIT_MMIO,   /* a device is to be emulated: no slot, or a write to a read-only one */
	S2_EXIT_ABORT,  /* give the guest an external abort at its own vector */
	S2_EXIT_MEMORY, /* the slot is there but no page for this access: the VMM decides */
	S2_EXIT_EXEC,   /* execution from a device or from no slot, with S2_VM_EXEC_EXIT */
};

struct s2_exit {
	uint8_t reason; /* enum s2_exit_reason */
	uint8_t access; /* enum s2_access */
	uint8_t walk;   /* as in the fault */
	uint8_t has_slot;
	int32_t error; /* S2_EXIT_MEMORY: what resolve() said; S2_EPERM: attributes, or the view */
	s2_gpa_t gpa;
	uint64_t size;  /* S2_EXIT_RESUME: so much around gpa, aligned, is mapped now; 0: nothing */
	uint32_t attrs; /* S2_EXIT_MEMORY: of the page (enum s2_page_attr), as they are by now */
	uint32_t pad;
};

/*
 * Handles a guest's fault. Returns 0 and says in *exit what to do next. A TLB conflict may come
 * where CPUs have FEAT_BBM: while a block is split in place, or from the guest's own stage 1. This
 * CPU, which must be the one that met it, forgets all that it cached of the guest, by the port, and
 * the guest goes on (DDI 0487, D8, TLB conflict aborts). Errors: S2_ENOMEM and S2_EQUOTA (no table:
 * free some and run the guest again), S2_EPORT (resolve() answered nonsense), S2_EINVAL (*fault is
 * nonsense). After an error nothing was changed.
 */
S2_MUST_CHECK int s2_fault(struct s2_vm *vm, struct s2_walker *walker, const struct s2_fault *fault,
			   struct s2_exit *exit);

/*
 * Maps [gpa, gpa + size) as if the guest had touched every page with `access`, by the same code.
 * Resumable at progress->done. Errors: S2_ENOENT (no slot there), S2_EPERM (read-only slot), what
 * resolve() says, and those of s2_fault(). Waits for the end of invalidations there, so it is not
 * for who is between his own begin and end.
 */
S2_MUST_CHECK int s2_vm_prefault(struct s2_vm *vm, s2_gpa_t gpa, uint64_t size,
				 enum s2_access access, struct s2_walker *walker,
				 struct s2_progress *progress);

/*
 * Sets and clears attributes (enum s2_page_attr) of [gpa, gpa + size), all or nothing; what was
 * mapped there is unmapped. Errors: S2_EALIGN, S2_ERANGE; S2_EINVAL (unknown attributes, or both
 * set and cleared); S2_ENOENT (a page has no slot, its slot no attrs, or, for S2_PAGE_PRIVATE, no
 * priv).
 */
S2_MUST_CHECK int s2_vm_set_attrs(struct s2_vm *vm, s2_gpa_t gpa, uint64_t size, unsigned int set,
				  unsigned int clear, struct s2_walker *walker);

enum s2_inval {
	S2_INVAL_UNMAP, /* what is there goes or becomes something else: nothing stays mapped */
	S2_INVAL_WRITE, /* it must not be written (copy-on-write, merging): it may still be read */
};

/*
 * The host is about to change what is behind [gpa, gpa + size): from the return of begin until end,
 * nothing there is mapped, or nothing of it may be written (enum s2_inval), and no TLB says
 * otherwise. Pairs may overlap and nest; each begin needs its end with the same range. A leaf on
 * the edge of the range suffers as a whole, so that no memory is ever needed. Waits for holds in
 * use there (stage2/hold.h). Slots that lead to the same memory by other addresses are the
 * caller's matter (s2_vm_host_begin() takes care of them), also that none comes meanwhile. Errors
 * of begin (then no end): S2_EALIGN, S2_ERANGE, S2_EINVAL.
 */
S2_MUST_CHECK int s2_vm_invalidate_begin(struct s2_vm *vm, s2_gpa_t gpa, uint64_t size,
					 enum s2_inval how, struct s2_walker *walker);
void s2_vm_invalidate_end(struct s2_vm *vm, s2_gpa_t gpa, uint64_t size);

/* A change of the host's own memory on its way. The caller owns it; the fields are private. */
struct s2_host_change {
	struct s2_host_change *next, **link;
	uint64_t first, last;
};

/*
 * The same for all guest memory that is backed by [hva, hva + size), whichever slots lead there.
 * From begin to end no slot with such backing comes, goes or changes. Begin waits for a change of
 * slots that is under way; it does not wait for other host changes. Errors of begin (then no end):
 * S2_EALIGN, S2_ERANGE, S2_EINVAL.
 */
S2_MUST_CHECK int s2_vm_host_begin(struct s2_vm *vm, struct s2_host_change *change, s2_hva_t hva,
				   uint64_t size, enum s2_inval how, struct s2_walker *walker);
void s2_vm_host_end(struct s2_vm *vm, struct s2_host_change *change);

#ifdef __cplusplus
}
#endif
#endif
