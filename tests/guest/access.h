/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The single accesses of access.S, to be run by probe_enter() or called where they cannot fault.
 */
#ifndef TESTS_GUEST_ACCESS_H
#define TESTS_GUEST_ACCESS_H

#include "guest.h"

#define ACCESS(name) uint64_t name(uint64_t addr, uint64_t b, uint64_t c)
ACCESS(ld1);
ACCESS(ld2);
ACCESS(ld4);
ACCESS(ld8);
ACCESS(ld1_sw);
ACCESS(ld1_sx);
ACCESS(ld2_sw);
ACCESS(ld2_sx);
ACCESS(ld4_sx);
ACCESS(ld8_xzr);
ACCESS(ld4_wzr);
ACCESS(ld8_acquire);
ACCESS(ld4_acquire);
ACCESS(ld8_unscaled); /* of addr - 8 */
ACCESS(ld8_indexed);  /* of addr + b */
ACCESS(st1);
ACCESS(st2);
ACCESS(st4);
ACCESS(st8);
ACCESS(st1_wzr);
ACCESS(st2_wzr);
ACCESS(st4_wzr);
ACCESS(st8_xzr);
ACCESS(st8_release);
ACCESS(st4_release);
ACCESS(ld8_post);
ACCESS(ld_pair);
ACCESS(st8_pre);
ACCESS(st_pair);
ACCESS(ld_exclusive);
ACCESS(ldadd8);
ACCESS(ldadd4);
ACCESS(swp8);
ACCESS(swp1);
ACCESS(cas_pair);
ACCESS(dc_zva);
ACCESS(dc_civac);
ACCESS(dc_cvac);
ACCESS(dc_ivac);
ACCESS(dc_cvau);
ACCESS(ic_ivau);
ACCESS(at_s1e1r);
ACCESS(at_s1e1w);
ACCESS(prefetch);
ACCESS(cas8);               /* expected, new */
ACCESS(exclusive_add8);     /* value */
ACCESS(exclusive_pair_add); /* values */
ACCESS(flags_then_load);
ACCESS(flags_load); /* the load in flags_then_load */
ACCESS(mmio_store_all);
ACCESS(mmio_load_all); /* array of 31 */
#undef ACCESS

/* EL0: addresses in user_page, to be offset to where that is mapped for EL0. */
extern char u_ld8[], u_st8[], u_branch[], u_end[];

/* Runs one at EL0 through window 0; `taken` as probe_enter() does, and SVC is no abort. */
static inline int user_access(struct probe *p, const char *what, uint64_t a, uint64_t b)
{
	uint64_t page = window(0, (uint64_t)user_page, WINDOW_USER | WINDOW_READONLY);
	uint64_t pc = page + (uint64_t)(what - user_page);

	return probe_enter(p, user_enter, pc, a, b);
}

/* Where a user access's abort should come from. */
static inline uint64_t user_elr(const char *what)
{
	return window(0, (uint64_t)user_page, WINDOW_USER | WINDOW_READONLY) +
	       (uint64_t)(what - user_page);
}

#define ESR_IS_SVC(esr) ((esr) >> 26 == 0x15)

#endif
