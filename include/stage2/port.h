/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The port: the functions through which the engine reaches the world, cache_sync, barrier and trace
 * being optional. A hypervisor author writes these and nothing else. docs/porting.md walks through
 * an example.
 *
 * All functions get `ctx` back as it was given. Unless said otherwise they may be called on any
 * CPU, on several at once. One port serves one address space (its ctx knows the VMID or root that
 * an invalidation is for); ports of several address spaces may share what they like.
 */
#ifndef STAGE2_PORT_H
#define STAGE2_PORT_H

#include <stage2/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define S2_PORT_VERSION 3

/*
 * What backs a host address, as the port answers it in resolve(). `size` is the largest
 * power-of-two block around the address, aligned to its size in hva and in hpa alike, in which the
 * memory is contiguous, exclusively this kind and has these rights; at least a page. `hpa` is the
 * address that corresponds to the hva asked for.
 */
struct s2_page {
	s2_hpa_t hpa;
	uint64_t size;
	uint8_t prot; /* enum s2_prot: what the host permits at most */
	uint8_t type; /* enum s2_memtype */
	uint8_t pad[6];
};

enum s2_tlb_kind {
	/*
	 * Entries have become valid that were invalid: make them visible to the walkers of all
	 * CPUs before returning (Arm: DSB ISHST; x86: nothing; RISC-V: maybe a fence).
	 */
	S2_TLB_PUBLISH,
	/* What translates gpa: its leaf, at `level`; unless S2_TLB_LEAF, the tables above it too.
	 */
	S2_TLB_ENTRY,
	/* The same for all of [gpa, gpa + size), whatever the number of pages. */
	S2_TLB_RANGE,
	/* Everything of this address space. */
	S2_TLB_ALL,
	S2_TLB_KINDS
};

enum s2_tlb_flag {
	S2_TLB_LEAF = 1u << 0,  /* no table was removed: walk caches may stay */
	S2_TLB_LOCAL = 1u << 1, /* the calling CPU suffices: rights were only widened; or, with
				 * S2_TLB_ALL, its TLB is in conflict with itself */
};

#define S2_LEVEL_ANY 0xff

struct s2_tlb_op {
	uint8_t kind;  /* enum s2_tlb_kind */
	uint8_t flags; /* enum s2_tlb_flag */
	uint8_t level; /* of all leaves concerned, or S2_LEVEL_ANY when unknown or mixed */
	uint8_t page_shift;
	uint32_t pad;
	s2_gpa_t gpa;
	uint64_t size; /* bytes; a multiple of the page size */
};

enum s2_sync_kind {
	S2_SYNC_DATA = 1u << 0, /* clean data caches to the point of coherency */
	S2_SYNC_INSN = 1u << 1, /* make the contents executable: instruction caches */
	/*
	 * With S2_CPU_MTE, before normal memory becomes visible: pages whose tags were never set
	 * get some. A page that the guest had before keeps its own: the port knows its pages.
	 */
	S2_SYNC_TAGS = 1u << 2,
};

/* What src/vm did: see trace() below. The tree's doings show in the other functions. */
enum s2_trace_kind {
	S2_TRACE_FAULT,  /* handled: detail: access; result: exit; addr: gpa; size: of the leaf */
	S2_TRACE_AWAY,   /* sent away: detail: access; addr: gpa */
	S2_TRACE_INSIST, /* insists from now on (docs/host.md); addr: gpa */
	S2_TRACE_INVAL_BEGIN, /* detail: enum s2_inval; addr: gpa; size */
	S2_TRACE_INVAL_END,   /* addr: gpa; size */
	S2_TRACE_HOST_BEGIN,  /* detail: enum s2_inval; addr: hva; size */
	S2_TRACE_HOST_END,    /* addr: hva; size */
	S2_TRACE_SLOT_ADD,    /* of this and the next two: addr: gpa; size; result: error */
	S2_TRACE_SLOT_DEL,
	S2_TRACE_SLOT_CHANGE,
	S2_TRACE_ATTRS,    /* detail: set; result: error; addr: gpa; size */
	S2_TRACE_REVOKE,   /* a hold in use is in somebody's way; addr: gpa; size */
	S2_TRACE_CONFLICT, /* a TLB conflict */
	S2_TRACE_KINDS
};

struct s2_trace {
	uint8_t kind; /* enum s2_trace_kind */
	uint8_t detail;
	uint8_t pad[2];
	int32_t result;
	uint64_t addr;
	uint64_t size;
};

struct s2_port {
	uint32_t version; /* S2_PORT_VERSION */
	uint32_t pad;
	void *ctx;

	/* Virtual address of a table = its physical address + table_offset (may wrap). */
	uint64_t table_offset;

	/*
	 * Memory for 2^order contiguous pages of tables, zeroed, aligned to its whole size; NULL
	 * when there is none. Never called inside a walker section; may sleep.
	 */
	void *(*table_alloc)(void *ctx, unsigned int order);
	/* Takes it back. Any context outside a section. The contents are not zero. */
	void (*table_free)(void *ctx, void *table, unsigned int order);

	/*
	 * What is behind hva? Fill in *page and return 0; or S2_ENOENT (nothing), S2_EPERM (not for
	 * this access), S2_EPOISON (broken), S2_EPENDING (on its way), S2_EAGAIN (not now),
	 * S2_ENOMEM; all else is S2_EPORT. May sleep; called outside any section. What it says may
	 * become stale at once: the host then calls s2_vm_host_begin() or
	 * s2_vm_invalidate_begin(). A size that reaches beyond the slot is no lie: it is cut.
	 */
	int (*resolve)(void *ctx, s2_hva_t hva, enum s2_access access, struct s2_page *page);

	/*
	 * Carries out n operations in order. They are complete when it returns, on all CPUs (save
	 * S2_TLB_LOCAL) and in every agent that shares these tables. May be called inside a walker
	 * section: must not wait for other walkers, allocate, or call back.
	 */
	void (*tlb)(void *ctx, const struct s2_tlb_op *ops, size_t n);

	/*
	 * Cache maintenance of normal memory, and its tags (enum s2_sync_kind). NULL where caches
	 * are coherent and there are no tags.
	 */
	void (*cache_sync)(void *ctx, s2_hpa_t hpa, uint64_t size, unsigned int kind);

	/*
	 * Called while waiting for another walker: pause, yield or sleep a little. What tlb() and
	 * barrier() of others need of this CPU (interrupts) must get through.
	 */
	void (*relax)(void *ctx);

	/*
	 * A full memory barrier on every CPU where somebody may be inside a walker section (an IPI
	 * to all; membarrier(2) in a Linux process), complete on return. With it, entering a
	 * section costs no barrier of its own, which pays where that is dear (x86); NULL where it
	 * is cheap (Arm) or where there is no such thing. Called outside any section: by management
	 * mostly, by a fault only where it frees tables. May sleep. A thread that it shall reach
	 * must be known to it before it calls s2_walker_init().
	 */
	void (*barrier)(void *ctx);

	/*
	 * Is told what src/vm does, by the thread that does it: for tracepoints and logs. Must not
	 * wait or call back. NULL: nobody asks, and it costs nothing; with it every fault takes a
	 * longer way.
	 */
	void (*trace)(void *ctx, const struct s2_trace *event);
};

#ifdef __cplusplus
}
#endif
#endif
