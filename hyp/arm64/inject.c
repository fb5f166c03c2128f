// SPDX-License-Identifier: BSD-2-Clause
/*
 * Gives the guest an exception at its own vector, as if its CPU had taken it to EL1
 * (DDI 0487, chapter D1 for the vector and the new PSTATE, ESR_EL1 for the syndrome).
 *
 * All state is that of the calling CPU, between exit and entry.
 */
#include "hyp.h"
#include "reclaim.h"
#include "sysreg.h"

/* PSTATE on entry to EL1, from what the guest had and what it asked for in SCTLR_EL1. */
static uint64_t new_pstate(uint64_t old)
{
	uint64_t sctlr = sysreg_read(sctlr_el1);
	uint64_t pfr1 = id_read(ID_AA64PFR1);
	uint64_t pstate = PSR_EL1H | PSR_DAIF | (old & (PSR_NZCV | PSR_PAN));

	if (old & PSR_AARCH32)
		pstate |= old & PSR_DIT_A32 ? PSR_DIT : 0;
	else
		pstate |= old & PSR_DIT;
	if (id_field(id_read(ID_AA64MMFR1), ID_AA64MMFR1_PAN) && !(sctlr & SCTLR_EL1_SPAN))
		pstate |= PSR_PAN;
	if (id_field(pfr1, ID_AA64PFR1_SSBS) && sctlr & SCTLR_EL1_DSSBS)
		pstate |= PSR_SSBS;
	if (id_field(pfr1, ID_AA64PFR1_MTE))
		pstate |= PSR_TCO;
	if (id_field(pfr1, ID_AA64PFR1_NMI) && !(sctlr & SCTLR_EL1_SPINTMASK))
		pstate |= PSR_ALLINT;
	return pstate;
}

static int same_level(uint64_t spsr)
{
	return !(spsr & PSR_AARCH32) && (spsr & 0xc) == 4;
}

static void enter_vector(uint64_t esr)
{
	uint64_t spsr = sysreg_read(spsr_el2);
	uint64_t vector = sysreg_read(vbar_el1);

	if (!same_level(spsr))
		vector += spsr & PSR_AARCH32 ? 0x600 : 0x400;
	else if (spsr & 1)
		vector += 0x200;
	sysreg_write(esr_el1, esr);
	sysreg_write(elr_el1, sysreg_read(elr_el2));
	sysreg_write(spsr_el1, spsr);
	sysreg_write(elr_el2, vector);
	sysreg_write(spsr_el2, new_pstate(spsr));
}

/*
 * Which of the guest's stage-1 tables lies in the page gpa? A walk that faulted says only the level
 * of stage 2, but the guest is to be told the level of its own. So its walk is made again, by hand,
 * up to that page. Tables above it are in RAM, or the walk would have faulted there.
 */
struct walk {
	uint64_t table;
	unsigned int page_shift;
	unsigned int va_bits;
};

static int walk_start(uint64_t far, struct walk *walk)
{
	static const uint8_t shift0[] = { 12, 16, 14, 0 };
	static const uint8_t shift1[] = { 0, 14, 12, 16 };
	uint64_t tcr = sysreg_read(tcr_el1);
	unsigned int upper = far >> 55 & 1;
	unsigned int size = tcr >> (upper ? 16 : 0) & 63;
	uint64_t ttbr = upper ? sysreg_read(ttbr1_el1) : sysreg_read(ttbr0_el1);

	walk->page_shift = upper ? shift1[tcr >> 30 & 3] : shift0[tcr >> 14 & 3];
	walk->va_bits = 64 - size;
	walk->table = ttbr & 0x0000fffffffffffeull;
	return walk->page_shift && size >= 12 && size <= 48;
}

static unsigned int walk_level(uint64_t far, uint64_t gpa)
{
	struct walk walk;
	unsigned int bits;

	if (!walk_start(far, &walk))
		return 0;
	bits = walk.page_shift - 3;
	for (unsigned int level = 0; level < 4; level++) {
		unsigned int shift = walk.page_shift + (3 - level) * bits;
		uint64_t va = far & (~0ull >> (64 - walk.va_bits));
		uint64_t index = va >> shift;
		uint64_t entry;

		if (walk.va_bits <= shift)
			continue; /* the walk starts further down */
		if (walk.va_bits > shift + bits)
			index &= (1ull << bits) - 1;
		entry = walk.table + index * 8;
		if (entry >> 12 == gpa >> 12)
			return level;
		if (entry - hyp_guest.ram_base >= hyp_guest.ram_size)
			break;
		if (hyp_guest.tail)
			entry = reclaim_frame(entry);
		if (!entry)
			break;
		walk.table = *(volatile uint64_t *)entry & 0x0000ffffffffffffull &
			     ~((1ull << walk.page_shift) - 1);
	}
	return 0;
}

/*
 * A synchronous external abort in place of the stage-2 abort that esr, far and gpa describe: a data
 * or instruction abort, from the same or a lower level, on the access itself or on a walk. WnR and
 * CM carry over; ISV and what hangs on it exist for stage 2 only.
 */
void inject_abort(uint64_t esr, uint64_t far, uint64_t gpa)
{
	unsigned int insn = ESR_EC(esr) == EC_INSN_LOWER;
	unsigned int same = (unsigned int)same_level(sysreg_read(spsr_el2));
	uint64_t ec = insn ? EC_INSN_LOWER + same : EC_DATA_LOWER + same;
	uint64_t fsc = FSC_EXTERNAL;

	if (esr & ESR_S1PTW)
		fsc = FSC_EXT_WALK + walk_level(far, gpa);
	sysreg_write(far_el1, far);
	enter_vector(ec << 26 | (esr & ESR_IL) | (insn ? 0 : esr & (ESR_WNR | ESR_CM)) | fsc);
}

/* What esr trapped is undefined for the guest. */
void inject_undefined(uint64_t esr)
{
	enter_vector((uint64_t)EC_UNKNOWN << 26 | (esr & ESR_IL) | ESR_IL);
}

/* Goes past the instruction that trapped and was emulated: 4 bytes, EL1 has no other. */
void inject_skip(void)
{
	sysreg_write(elr_el2, sysreg_read(elr_el2) + 4);
	sysreg_write(spsr_el2, sysreg_read(spsr_el2) & ~(PSR_BTYPE | PSR_SS));
}
