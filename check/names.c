// SPDX-License-Identifier: BSD-2-Clause
/*
 * Names of the numbers in events, as traces and reports write them: the manual's in lower case, or
 * ours for hints. One table an enum, indexed by it; constant, so nothing to lock. Numbers that are
 * in no enum have no name (NULL). How an event is written and read is text.c's business.
 */
#include "stage2check.h"

static const char *const kinds[S2C_KINDS] = {
	[S2C_WRITE] = "write",   [S2C_INIT] = "init",       [S2C_SYSREG] = "sysreg",
	[S2C_TLBI] = "tlbi",     [S2C_INVAL] = "inval",     [S2C_DSB] = "dsb",
	[S2C_DMB] = "dmb",       [S2C_ISB] = "isb",         [S2C_DC] = "dc",
	[S2C_IC] = "ic",         [S2C_RUN] = "run",         [S2C_EXIT] = "exit",
	[S2C_ALLOC] = "alloc",   [S2C_FREE] = "free",       [S2C_TAKE] = "take",
	[S2C_GIVE] = "give",     [S2C_WROTE] = "wrote",     [S2C_DEVICE] = "device",
	[S2C_SAME] = "same",     [S2C_DONE] = "done",       [S2C_EMPTY] = "empty",
	[S2C_LOCAL] = "local",   [S2C_HARVEST] = "harvest", [S2C_OWN] = "own",
	[S2C_DISOWN] = "disown",
};

static const char *const tlbis[S2C_TLBIS] = {
	[S2C_IPAS2E1] = "ipas2e1",
	[S2C_IPAS2E1IS] = "ipas2e1is",
	[S2C_IPAS2E1OS] = "ipas2e1os",
	[S2C_IPAS2LE1] = "ipas2le1",
	[S2C_IPAS2LE1IS] = "ipas2le1is",
	[S2C_IPAS2LE1OS] = "ipas2le1os",
	[S2C_RIPAS2E1] = "ripas2e1",
	[S2C_RIPAS2E1IS] = "ripas2e1is",
	[S2C_RIPAS2E1OS] = "ripas2e1os",
	[S2C_RIPAS2LE1] = "ripas2le1",
	[S2C_RIPAS2LE1IS] = "ripas2le1is",
	[S2C_RIPAS2LE1OS] = "ripas2le1os",
	[S2C_VMALLE1] = "vmalle1",
	[S2C_VMALLE1IS] = "vmalle1is",
	[S2C_VMALLE1OS] = "vmalle1os",
	[S2C_VMALLS12E1] = "vmalls12e1",
	[S2C_VMALLS12E1IS] = "vmalls12e1is",
	[S2C_VMALLS12E1OS] = "vmalls12e1os",
	[S2C_ALLE1] = "alle1",
	[S2C_ALLE1IS] = "alle1is",
	[S2C_ALLE1OS] = "alle1os",
	[S2C_TLBI_OTHER] = "other",
};

static const char *const barriers[S2C_BARRIERS] = {
	[S2C_NSH] = "nsh",     [S2C_NSHLD] = "nshld", [S2C_NSHST] = "nshst", [S2C_ISH] = "ish",
	[S2C_ISHLD] = "ishld", [S2C_ISHST] = "ishst", [S2C_OSH] = "osh",     [S2C_OSHLD] = "oshld",
	[S2C_OSHST] = "oshst", [S2C_SY] = "sy",       [S2C_LD] = "ld",       [S2C_ST] = "st",
};

static const char *const sysregs[S2C_SYSREGS] = {
	[S2C_VTTBR_EL2] = "vttbr_el2",
	[S2C_VTCR_EL2] = "vtcr_el2",
	[S2C_HCR_EL2] = "hcr_el2",
};

static const char *const dcs[S2C_DCS] = {
	[S2C_CVAC] = "cvac", [S2C_CIVAC] = "civac", [S2C_CVAU] = "cvau",
	[S2C_IVAC] = "ivac", [S2C_ZVA] = "zva",
};

const char *s2c_kind_name(unsigned int kind)
{
	return kind < S2C_KINDS ? kinds[kind] : NULL;
}

const char *s2c_tlbi_name(unsigned int op)
{
	return op < S2C_TLBIS ? tlbis[op] : NULL;
}

const char *s2c_barrier_name(unsigned int op)
{
	return op < S2C_BARRIERS ? barriers[op] : NULL;
}

const char *s2c_sysreg_name(unsigned int op)
{
	return op < S2C_SYSREGS ? sysregs[op] : NULL;
}

const char *s2c_dc_name(unsigned int op)
{
	return op < S2C_DCS ? dcs[op] : NULL;
}
