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

enum s2_slot_flag {
	S2_SLOT_READONLY = 1u << 0, /* a guest's write exits as MMIO */
};

/*
 * A range of guest memory and what backs it. The caller owns it, fills in the first four fields and
 * must leave them alone while it is in use; s2_vm_slot_*() change it. gpa, size and hva are
 * multiples of the page size.
 */
struct s2_memslot {
	s2_gpa_t gpa;
	s2_hva_t hva;
	uint64_t size;
	uint32_t flags;                          /* enum s2_slot_flag */
	uint32_t height;                         /* private */
	struct s2_memslot *next[S2_SLOT_HEIGHT]; /* private */
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

/*
 * A guest address space. The caller owns the memory; the fields are private. The tree is there to
 * be looked at: a fault may undo what is changed in it behind the vm's back.
 */
struct s2_vm {
	struct s2_pt pt;
	uint32_t flags;
	uint32_t nslots;
	uint32_t slots_lock;
	uint32_t pad;
	uint64_t generation; /* of the slots */
	struct s2_memslot *slots[S2_SLOT_HEIGHT];
	struct s2_inval_bucket inval_all;               /* every invalidation counts here ... */
	struct s2_inval_bucket inval[S2_INVAL_BUCKETS]; /* ... and where it touches */
};

/* As s2_pt_init() and s2_pt_fini(). s2_vm_fini() forgets the slots, whose memory is the caller's.
 */
S2_MUST_CHECK int s2_vm_init(struct s2_vm *vm, const struct s2_vm_config *config,
			     const struct s2_port *port);
void s2_vm_fini(struct s2_vm *vm);

/*
 * Adds a slot. Nothing is mapped, and what backs it is not looked at: s2_vm_prefault() checks or
 * maps it by the same code as a fault. Errors: S2_EALIGN, S2_ERANGE, S2_EINVAL (unknown flags),
 * S2_EOVERLAP, S2_ESLOTS.
 */
S2_MUST_CHECK int s2_vm_slot_add(struct s2_vm *vm, struct s2_memslot *slot);
/*
 * Removes a slot and unmaps it. On return no fault uses it any more and the memory of *slot is the
 * caller's again. Errors: S2_ENOENT (it is not a slot of this address space).
 */
S2_MUST_CHECK int s2_vm_slot_del(struct s2_vm *vm, struct s2_memslot *slot,
				 struct s2_walker *walker);
/*
 * Moves, resizes, re-backs or re-flags a slot: *slot becomes as *to in its first four fields, all
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

enum s2_fault_kind {
	S2_FAULT_TRANSLATION,
	S2_FAULT_PERMISSION,
	S2_FAULT_ACCESS, /* access flag */
};

/* A guest's fault as the CPU reported it. s2_arm64_decode_abort() fills one in for Arm. */
struct s2_fault {
	s2_gpa_t gpa;   /* exact where known, else the page */
	uint8_t access; /* enum s2_access */
	uint8_t kind;   /* enum s2_fault_kind */
	uint8_t walk;   /* met while the guest's own tables were walked (Arm: S1PTW) */
	uint8_t user;   /* the guest ran unprivileged */
	uint8_t pad[4];
};

enum s2_exit_reason {
	S2_EXIT_RESUME, /* run the guest again: mapped, or to be tried again */
	S2_EXIT_MMIO,   /* a device is to be emulated: no slot, or a write to a read-only one */
	S2_EXIT_ABORT,  /* give the guest an external abort at its own vector */
	S2_EXIT_MEMORY, /* the slot is there but the host has no page for it: the VMM decides */
	S2_EXIT_EXEC,   /* execution from a device or from no slot, with S2_VM_EXEC_EXIT */
};

struct s2_exit {
	uint8_t reason; /* enum s2_exit_reason */
	uint8_t access; /* enum s2_access */
	uint8_t walk;   /* as in the fault */
	uint8_t has_slot;
	int32_t error; /* S2_EXIT_MEMORY: what resolve() said */
	s2_gpa_t gpa;
	uint64_t size; /* S2_EXIT_RESUME: of the leaf that serves gpa now, 0 if none */
};

/*
 * Handles a guest's fault. Returns 0 and says in *exit what to do next. Errors: S2_ENOMEM and
 * S2_EQUOTA (no table: free some and run the guest again), S2_EPORT (resolve() answered nonsense),
 * S2_EINVAL (*fault is nonsense). After an error nothing was changed.
 */
S2_MUST_CHECK int s2_fault(struct s2_vm *vm, struct s2_walker *walker, const struct s2_fault *fault,
			   struct s2_exit *exit);

/*
 * Maps [gpa, gpa + size) as if the guest had touched every page with `access`, by the same code.
 * Resumable at progress->done. Errors: S2_ENOENT (no slot there), S2_EPERM (read-only slot), what
 * resolve() says, and those of s2_fault().
 */
S2_MUST_CHECK int s2_vm_prefault(struct s2_vm *vm, s2_gpa_t gpa, uint64_t size,
				 enum s2_access access, struct s2_walker *walker,
				 struct s2_progress *progress);

/*
 * The host is about to change what is behind [gpa, gpa + size): from the return of begin until end,
 * nothing there is mapped and nothing will be; no translation of it is left in any TLB. Pairs may
 * overlap and nest; each begin needs its end with the same range. A block on the edge of the range
 * is removed whole, so that no memory is ever needed. Errors of begin (then no end): S2_EALIGN,
 * S2_ERANGE.
 */
S2_MUST_CHECK int s2_vm_invalidate_begin(struct s2_vm *vm, s2_gpa_t gpa, uint64_t size,
					 struct s2_walker *walker);
void s2_vm_invalidate_end(struct s2_vm *vm, s2_gpa_t gpa, uint64_t size);

#ifdef __cplusplus
}
#endif
#endif
