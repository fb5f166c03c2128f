/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stage2: the words that all parts share.
 *
 * Three kinds of address exist and the compiler keeps them apart: gpa (guest physical; Arm: IPA),
 * hpa (host physical) and hva (host virtual: whatever the host names its memory by; the engine
 * only ever adds offsets to one and hands it to the port). Addresses and sizes are in bytes.
 * `last` is inclusive, `end` is exclusive.
 *
 * Levels count upwards from the smallest page: level 0 is the page, a leaf above level 0 is a
 * block. Each format documents how this maps to its manual's numbers.
 */
#ifndef STAGE2_TYPES_H
#define STAGE2_TYPES_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
	uint64_t gpa;
} s2_gpa_t;

typedef struct {
	uint64_t hpa;
} s2_hpa_t;

typedef struct {
	uint64_t hva;
} s2_hva_t;

static inline s2_gpa_t s2_gpa(uint64_t addr)
{
	s2_gpa_t gpa = { addr };

	return gpa;
}

static inline s2_hpa_t s2_hpa(uint64_t addr)
{
	s2_hpa_t hpa = { addr };

	return hpa;
}

static inline s2_hva_t s2_hva(uint64_t addr)
{
	s2_hva_t hva = { addr };

	return hva;
}

/* Every function that can fail returns 0 or one of these, negative. One meaning each. */
enum s2_error {
	S2_OK = 0,
	S2_EALIGN = -1,    /* an address or size is not a multiple of the page size */
	S2_ERANGE = -2,    /* a range is empty, wraps, or leaves the address space */
	S2_EINVAL = -3,    /* arguments contradict each other or name something unknown */
	S2_ENOMEM = -4,    /* the port has no memory for a table; nothing more was changed */
	S2_EQUOTA = -5,    /* the tree has reached its quota of tables; nothing more was changed */
	S2_EEXIST = -6,    /* something else is mapped there, and replacing was not asked for */
	S2_ENOENT = -7,    /* nothing is there: no mapping, no slot, no backing page */
	S2_EOVERLAP = -8,  /* a memslot would overlap another */
	S2_ESLOTS = -9,    /* the address space has all the memslots it may have */
	S2_EPERM = -10,    /* the slot or the backing page does not permit this access */
	S2_EAGAIN = -11,   /* the host is taking this memory away just now: try again */
	S2_EPORT = -12,    /* the port answered nonsense (unaligned page, contradictory type) */
	S2_EVERSION = -13, /* the port was written for another version of this interface */
	S2_ECORRUPT = -14, /* an invariant of the tables does not hold (s2_pt_audit) */
	S2_EPOISON = -15,  /* the backing page is broken (a memory error) */
	S2_EPENDING = -16, /* the backing page is on its way */
};

/* The name of an error ("S2_EALIGN"), or "unknown error". Any context. */
const char *s2_strerror(int error);

#define S2_MUST_CHECK __attribute__((warn_unused_result))

/* Rights. Execution is split by the guest's privilege where the CPU can (Arm FEAT_XNX, x86 MBEC).
 */
enum s2_prot {
	S2_R = 1u << 0,
	S2_W = 1u << 1,
	S2_XP = 1u << 2, /* execute, privileged */
	S2_XU = 1u << 3, /* execute, unprivileged */
	S2_X = S2_XP | S2_XU,
	S2_RW = S2_R | S2_W,
	S2_RX = S2_R | S2_X,
	S2_RWX = S2_R | S2_W | S2_X,
};

/* What memory is. Device kinds are never executable and never get cache maintenance. */
enum s2_memtype {
	S2_MEM_NORMAL,        /* write-back cacheable, inner shareable */
	S2_MEM_NC,            /* normal, non-cacheable */
	S2_MEM_DEVICE,        /* Arm nGnRE: the usual kind for registers */
	S2_MEM_DEVICE_nGnRnE, /* strongest */
	S2_MEM_DEVICE_nGRE,
	S2_MEM_DEVICE_GRE, /* weakest */
	S2_MEM_TYPES
};

static inline int s2_memtype_is_device(enum s2_memtype type)
{
	return type >= S2_MEM_DEVICE && type < S2_MEM_TYPES;
}

/* What a leaf gives: compared as a whole when a mapping is met again. */
struct s2_attr {
	uint8_t prot; /* enum s2_prot */
	uint8_t type; /* enum s2_memtype */
	uint8_t sw;   /* software bits, 0..15: stored in the leaf, meaning nothing to the engine */
	uint8_t pad;
};

/* What the guest did. */
enum s2_access {
	S2_ACCESS_READ,
	S2_ACCESS_WRITE,
	S2_ACCESS_EXEC,
};

/* What its CPU met. */
enum s2_fault_kind {
	S2_FAULT_TRANSLATION,
	S2_FAULT_PERMISSION,
	S2_FAULT_ACCESS,   /* access flag */
	S2_FAULT_CONFLICT, /* TLB conflict: it holds two entries for the address */
	S2_FAULT_KINDS
};

/*
 * What the CPUs can do: data, filled in by the port from its ID registers (or by a test at will).
 * The engine never asks the machine itself. Where CPUs differ, state what all of them can do.
 */
enum s2_cpu_feature {
	S2_CPU_FWB = 1u << 0,       /* stage 2 forces write-back: no data cache maintenance owed */
	S2_CPU_DIC = 1u << 1,       /* no instruction cache maintenance owed */
	S2_CPU_TLB_RANGE = 1u << 2, /* invalidation by range */
	S2_CPU_TLB_LEVEL = 1u << 3, /* invalidation takes a level hint */
	S2_CPU_XNX = 1u << 4,       /* execute rights by privilege */
	S2_CPU_HA = 1u << 5,        /* hardware sets the access flag: a CPU, or a device's MMU */
	S2_CPU_MTE = 1u << 6,       /* the guest uses allocation tags: they are owed S2_SYNC_TAGS */
};

struct s2_cpu {
	uint32_t features; /* enum s2_cpu_feature */
	uint8_t pa_bits;   /* size of physical addresses */
	uint8_t bbm; /* FEAT_BBM level, 0 to 2 (say 2 for more): from 1 on blocks are split in place
		      */
	uint8_t pad[2];
};

#ifdef __cplusplus
}
#endif
#endif
