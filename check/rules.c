// SPDX-License-Identifier: BSD-2-Clause
/*
 * The rules, as people read them. What a rule means exactly is said by its tests in tests/rules:
 * good_* must pass, bad_* must be caught by this rule and no other. judge.c and cached.c find the
 * violations. DDI 0487 is the Arm Architecture Reference Manual; R..., I... are its rules.
 */
#include <string.h>

#include "stage2check.h"

#define D8_BBM  "DDI 0487, D8, break-before-make: RWHZWS, RDDMVT"
#define D8_TLBI "DDI 0487, D8, TLB maintenance: ordering and completion"
#define D8_DESC "DDI 0487, D8, VMSAv8-64 stage 2 descriptors"
#define D8_WALK "DDI 0487, D8, caching of table descriptors; RDDMVT"

const struct s2c_rule s2c_rules[] = {
	/* A valid entry becomes another valid entry. */
	{ "bbm-output", "A live entry changes its output address only through an invalid one",
	  D8_BBM, "write 0; DSB; TLBI; DSB; write the new entry; DSB" },
	{ "bbm-memtype", "A live entry changes its memory type only through an invalid one", D8_BBM,
	  "write 0; DSB; TLBI; DSB; write the new entry; DSB" },
	{ "bbm-shareability", "A live entry changes its shareability only through an invalid one",
	  D8_BBM, "write 0; DSB; TLBI; DSB; write the new entry; DSB" },
	{ "bbm-size",
	  "A block becomes a table, or a table a block, only through an invalid entry, "
	  "unless FEAT_BBM allows more",
	  D8_BBM "; FEAT_BBM",
	  "break first; with FEAT_BBM 1 set nT first; with 2 change nothing but the size" },
	{ "bbm-table", "An entry points to another table only after it was invalid", D8_BBM,
	  "write 0; DSB; TLBI (not last-level-only); DSB; link the new table" },
	{ "bbm-contiguous",
	  "The contiguous bit changes only through invalid entries, unless FEAT_BBM "
	  "is 1 or more",
	  D8_BBM "; RNGLXZ, contiguous bit", "break the whole run; TLBI all of it; write it anew" },
	{ "contiguous-run",
	  "All valid entries of a contiguous run agree in everything but the page",
	  D8_DESC ", contiguous bit",
	  "clear the bit in all entries of the run before one changes" },

	/* Something stale is cached: why its invalidation did not count. */
	{ "tlbi-missing",
	  "What was cached of an old entry is invalidated before a new one may meet it", D8_BBM,
	  "DSB; TLBI of the range; DSB; then go on" },
	{ "tlbi-early", "A DSB stands between the store and the TLBI that is to act on it", D8_TLBI,
	  "DSB ISHST after the store, before the TLBI" },
	{ "tlbi-incomplete", "A TLBI is complete at a DSB of the CPU that issued it", D8_TLBI,
	  "DSB ISH after the TLBI, on the same CPU" },
	{ "tlbi-range", "The invalidation covers all that was changed", D8_TLBI,
	  "widen the range, or invalidate the VMID" },
	{ "tlbi-level", "A level hint is true for every entry that is to go", D8_TLBI "; FEAT_TTL",
	  "give no hint (TTL 0) where levels are mixed or a table was removed" },
	{ "tlbi-leaf-only", "A last-level invalidation does not serve where a table was removed",
	  D8_TLBI, "use IPAS2E1IS or RIPAS2E1IS, not their L forms" },
	{ "tlbi-local", "An invalidation reaches all CPUs that may have cached the entry", D8_TLBI,
	  "use the IS form" },
	{ "tlbi-vmid", "An invalidation acts on the VMID that is in VTTBR_EL2", D8_TLBI,
	  "load the VTTBR_EL2 of the guest that was changed, ISB, then TLBI" },
	{ "tlbi-stage1", "After an invalidation by IPA, combined entries of stages 1 and 2 go, too",
	  "DDI 0487, D8: ILRXYX", "TLBI IPAS2...; DSB; TLBI VMALLE1IS; DSB; ISB" },
	{ "tlbi-operand", "A TLBI operand says what it means: granule, level, base in units",
	  D8_TLBI,
	  "address >> 12, range base in units of the granule, TG the granule of VTCR_EL2" },
	{ "isb-missing", "A new VTTBR_EL2 is synchronised before a TLBI relies on it",
	  "DDI 0487, D19, synchronization requirements for System registers",
	  "ISB between the write of VTTBR_EL2 and the TLBI" },
	{ "publish-missing",
	  "New entries are made visible to the walkers before others rely on them", D8_TLBI,
	  "DSB ISHST after the stores" },
	{ "local-stale", "Who gains rights drops what his own TLB knows of the old ones",
	  D8_TLBI "; RGPPYH", "TLBI of the page, at least on this CPU" },

	/* Tables. */
	{ "table-free", "A table is given back only when no walker can reach it", D8_WALK,
	  "unlink; DSB; TLBI (not last-level-only); DSB; then free" },
	{ "table-write", "A table that a walker can reach is written only as a table", D8_WALK,
	  "unlink; DSB; TLBI; DSB; then use the page for something else" },
	{ "table-reuse",
	  "A table is linked in one place, and only there can walk caches point to it", D8_WALK,
	  "finish the invalidation of the old place before linking the table again" },
	{ "table-unfilled", "A table is complete before it is linked", D8_DESC,
	  "write all entries (0 where nothing is), then link" },
	{ "table-order", "The contents of a table are visible before the link to it",
	  "DDI 0487, B2, ordering; D8, RDDMVT", "store-release or DMB ISHST before the link" },
	{ "table-mapped", "No guest can reach a page that holds a table", D8_DESC,
	  "unmap the page from all guests before it becomes a table" },
	{ "reserved", "No valid descriptor uses what the manual reserves", D8_DESC,
	  "see the field named" },
	{ "output-size", "No descriptor names an address that the CPU does not have", D8_DESC,
	  "at most ID_AA64MMFR0_EL1.PARange and VTCR_EL2.PS" },

	/* Pages. */
	{ "taken-mapped", "No valid entry leads to a page that was taken back",
	  "promise of the software", "unmap and invalidate before the page goes" },
	{ "taken-cached", "Nothing cached leads to a page that was taken back", D8_TLBI,
	  "complete the invalidation (DSB) before the page goes" },
	{ "empty-mapped", "A range that was announced empty is empty", "promise of the software",
	  "unmap all of it, and keep faults out meanwhile" },
	{ "dirty-store", "An entry that hardware may mark dirty is changed by an atomic operation",
	  "DDI 0487, D8, hardware management of dirty state", "compare-and-swap or exchange" },
	{ "dirty-dropped", "Dirty state is carried over when an entry is split, merged or replaced",
	  "DDI 0487, D8, hardware management of dirty state",
	  "keep S2AP[1] in every leaf that succeeds a dirty one, or log the pages" },
	{ "dirty-stale", "After a harvest no stale entry lets writes through unlogged",
	  D8_TLBI "; RGPPYH", "write-protect; DSB; TLBI; DSB; then read the log" },
	{ "harvest-writable", "After a harvest every write faults or marks its page",
	  "promise of the software", "write-protect or clean all entries of the range first" },
	{ "cache-data",
	  "Memory is clean to the point of coherency before a guest reads it uncached",
	  "DDI 0487, B2 and D7, caches; FEAT_S2FWB", "DC CIVAC over the page before it is mapped" },
	{ "cache-insn", "Instruction caches know a page's contents before it becomes executable",
	  "DDI 0487, B2, instruction caches; CTR_EL0.DIC, IDC",
	  "DC CVAU over the page (unless IDC), IC (unless DIC), before it is mapped" },
	{ "cache-device", "No cache maintenance is done on a device", "DDI 0487, B2, Device memory",
	  "ask what a page is before you clean it" },
	{ "device-exec", "A device is never executable",
	  D8_DESC ", XN; DDI 0487, B2, Device memory", "set XN in entries with Device attributes" },
	{ "device-normal", "A device is mapped as Device, and nothing beside it is",
	  D8_DESC ", MemAttr", "choose the largest block that is all device" },

	/* Address spaces. */
	{ "vmid-shared", "At any time a VMID belongs to one tree",
	  "DDI 0487, D8, VMID; VTTBR_EL2.CnP", "one VMID an address space" },
	{ "vmid-reuse", "A VMID changes hands only after all of it was invalidated",
	  "DDI 0487, D8, VMID",
	  "TLBI VMALLS12E1IS (or ALLE1IS); DSB; then use it for another root" },
	{ "regime-change", "VTCR_EL2 and HCR_EL2.FWB of a VMID change only after its invalidation",
	  "DDI 0487, D8, System registers permitted to be cached in a TLB",
	  "TLBI VMALLS12E1IS; DSB; ISB" },
	{ "regime-reserved", "VTCR_EL2 and VTTBR_EL2 hold a combination that the manual defines",
	  "DDI 0487, D8 and D19, VTCR_EL2, VTTBR_EL2", "see the field named" },
	{ "owner-double", "A page has one owner", "promise of the software",
	  "its owner gives it up before another one gets it" },
	{ "owner-foreign", "Only its owner gives a page up", "promise of the software",
	  "check the owner in the annotation before changing it" },
	{ "owner-mapped", "A guest maps no page that someone else owns", "promise of the software",
	  "donate or share the page first" },
};

const size_t s2c_nrules = sizeof(s2c_rules) / sizeof(s2c_rules[0]);

const struct s2c_rule *s2c_rule(const char *id)
{
	for (size_t i = 0; i < s2c_nrules; i++) {
		if (!strcmp(s2c_rules[i].id, id))
			return &s2c_rules[i];
	}
	return NULL;
}
