// SPDX-License-Identifier: BSD-2-Clause
/*
 * What the subjects made of Linux's code share: see peer.h. Nothing here is ever timed. Bits of an
 * entry of stage 2: DDI 0487, chapter D8, translation table descriptors.
 */
#include <insn.h>

#include <linux/bits.h>
#include <linux/bug.h>
#include <linux/mm.h>

#include "peer.h"

#define ENTRY_VALID   BIT_ULL(0)
#define ENTRY_TABLE   BIT_ULL(1) /* at the last level: a page, and required */
#define ENTRY_WRITE   BIT_ULL(7)
#define ENTRY_AF      BIT_ULL(10)
#define ENTRY_ADDRESS GENMASK_ULL(47, 12)

#define BITS_PER_LEVEL 9
#define ROOT_SHIFT     (PAGE_SHIFT + 3 * BITS_PER_LEVEL)

__thread unsigned int linux_warnings;

void linux_warn(void)
{
	linux_warnings++;
}

void peer_read(const uint64_t *root, uint64_t gpa, struct bench_leaf *leaf)
{
	const uint64_t *table = root;

	*leaf = (struct bench_leaf){ 0 };
	for (unsigned int shift = ROOT_SHIFT;; shift -= BITS_PER_LEVEL) {
		uint64_t entry = table[gpa >> shift & (BIT_ULL(BITS_PER_LEVEL) - 1)];
		uint64_t size = BIT_ULL(shift);

		if (!(entry & ENTRY_VALID))
			return;
		if (shift != PAGE_SHIFT && entry & ENTRY_TABLE) {
			table = __va(entry & ENTRY_ADDRESS);
			continue;
		}
		if (shift == PAGE_SHIFT && !(entry & ENTRY_TABLE))
			return;
		leaf->valid = 1;
		leaf->size = size;
		leaf->hpa = (entry & ENTRY_ADDRESS & ~(size - 1)) | (gpa & (size - 1));
		leaf->writable = !!(entry & ENTRY_WRITE);
		leaf->young = !!(entry & ENTRY_AF);
		return;
	}
}

void peer_add(struct bench_count *a, const struct bench_count *b)
{
	a->tlbi_entry += b->tlbi_entry;
	a->tlbi_range += b->tlbi_range;
	a->tlbi_all += b->tlbi_all;
	a->tlbi_stage1 += b->tlbi_stage1;
	a->dsb_ishst += b->dsb_ishst;
	a->dsb_ish += b->dsb_ish;
	a->dsb_other += b->dsb_other;
	a->cache += b->cache;
	a->tables += b->tables;
}
