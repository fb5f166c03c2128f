// SPDX-License-Identifier: BSD-2-Clause
/*
 * Our events in the trace format of casemate (rems-project/casemate, doc "Offline trace-checker
 * format"), so that an independent checker can judge the same run:
 *
 *     stage2 check --convert casemate -o run.log TRACE; casemate-check -R run.log
 *
 * With -R (--racy), because our events tell nothing of locks: it judges break-before-make alone.
 * Each record's source is "PC:EVENT" or "trace:EVENT": the number that our reports give.
 *
 * What has a counterpart:
 *   write          mem-write of the whole 8-byte word, with mem-order release after DMB as well
 *   init, alloc    mem-init of the page when it is first seen, mem-write of what is not 0
 *   dc zva         mem-write of the words that were not 0
 *   sysreg         sysreg-write (vtcr_el2 and hcr_el2 are not in its manual, but in its reader)
 *   dsb, isb       barrier; all that reaches inner shareable CPUs is ish or ishst
 *   tlbi           tlbi; outer shareable is is
 *   first use of a root                  hint set_root_lock, the root standing for the lock
 *   root freed, VMID given to another    hint release_table, if no CPU has the root loaded
 * What is written as more than happened, as casemate has nothing narrower: last-level TLBIs become
 * ipas2e1is; ranges and `inval` become vmalls12e1is (one ipas2e1is a page would hit a block twice,
 * which casemate takes for a bug of its own). So it finds less there, never something false.
 * What is dropped, and counted: local invalidation by IPA or of `inval` (casemate wants broadcasts,
 * so that it counts for nothing is right), barriers for loads, walkers' own updates, all other
 * cache maintenance, all other hints. run and exit have no counterpart and are no loss.
 *
 * Casemate walks trees of 4K pages with one table at the root, and takes its level from T0SZ alone:
 * 48, 39 or 30 bits. Anything else is refused when it is first used. Its limits on CPUs, memory and
 * roots are its own affair.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "trace.h"

#define PAGE    4096u
#define WORDS   (PAGE / 8)
#define MAX_ZVA 2048u
#define NO_ROOT UINT64_MAX

struct page {
	uint64_t words[WORDS];
};

struct slot {
	uint64_t address;
	struct page *page; /* NULL: free */
};

struct cpu {
	uint64_t vttbr, vtcr;
	uint64_t root; /* that it has loaded, or NO_ROOT */
	int ordered;   /* a DMB since its last store */
};

struct s2c_casemate {
	FILE *out;
	uint64_t id;     /* of the next record */
	uint64_t number; /* of this event */
	uint64_t dropped;
	const struct s2c_event *event;
	/* Pages that casemate knows: a hash table, always less than half full. */
	struct slot *slots;
	size_t npages, nslots;
	/* Roots as casemate has them, by VMID up to the highest that ever had one. */
	uint64_t *roots;
	unsigned int vmids;
	struct cpu cpus[S2C_CPUS];
	char error[200];
};

__attribute__((format(printf, 2, 3))) static int refuse(struct s2c_casemate *casemate,
							const char *format, ...)
{
	va_list args;
	int n;

	n = snprintf(casemate->error, sizeof(casemate->error), "event %" PRIu64 ": ",
		     casemate->number);
	va_start(args, format);
	vsnprintf(casemate->error + n, sizeof(casemate->error) - (size_t)n, format, args);
	va_end(args);
	return -1;
}

/* One record: its name, and what stands between the thread and the source. */
__attribute__((format(printf, 3, 4))) static int record(struct s2c_casemate *casemate,
							const char *name, const char *format, ...)
{
	const struct s2c_event *event = casemate->event;
	va_list args;

	fprintf(casemate->out, "(%s (id %" PRIu64 ") (tid %u) ", name, casemate->id++, event->cpu);
	va_start(args, format);
	vfprintf(casemate->out, format, args);
	va_end(args);
	if (event->pc)
		fprintf(casemate->out, " (src \"0x%" PRIx64 ":%" PRIu64 "\"))\n", event->pc,
			casemate->number);
	else
		fprintf(casemate->out, " (src \"trace:%" PRIu64 "\"))\n", casemate->number);
	return 0;
}

/* Pages. */

static struct slot *slot_of(const struct s2c_casemate *casemate, uint64_t address)
{
	size_t at = (size_t)(address / PAGE * 0x9e3779b97f4a7c15ull >> 20) % casemate->nslots;

	while (casemate->slots[at].page && casemate->slots[at].address != address)
		at = (at + 1) % casemate->nslots;
	return &casemate->slots[at];
}

static struct page *find_page(const struct s2c_casemate *casemate, uint64_t address)
{
	return casemate->nslots ? slot_of(casemate, address & ~(PAGE - 1ull))->page : NULL;
}

static int grow(struct s2c_casemate *casemate)
{
	struct slot *old = casemate->slots;
	size_t n = casemate->nslots;

	if (casemate->npages * 2 < n)
		return 0;
	casemate->slots = calloc(n ? n * 2 : 1024, sizeof(*casemate->slots));
	if (!casemate->slots) {
		casemate->slots = old;
		return -1;
	}
	casemate->nslots = n ? n * 2 : 1024;
	for (size_t i = 0; i < n; i++)
		if (old[i].page)
			*slot_of(casemate, old[i].address) = old[i];
	free(old);
	return 0;
}

/* The page of this address; casemate gets to know it if it does not. NULL: no memory. */
static struct page *get_page(struct s2c_casemate *casemate, uint64_t address)
{
	struct page *page = find_page(casemate, address);

	if (page)
		return page;
	if (grow(casemate))
		return NULL;
	page = calloc(1, sizeof(*page));
	if (!page)
		return NULL;
	address &= ~(PAGE - 1ull);
	*slot_of(casemate, address) = (struct slot){ .address = address, .page = page };
	casemate->npages++;
	record(casemate, "mem-init", "(address 0x%" PRIx64 ") (size 0x%x)", address, PAGE);
	return page;
}

static int no_memory(struct s2c_casemate *casemate)
{
	return refuse(casemate, "no memory for %zu pages of tables: convert a shorter trace",
		      casemate->npages);
}

static int put_word(struct s2c_casemate *casemate, uint64_t address, uint64_t value,
		    const char *order)
{
	return record(casemate, "mem-write",
		      "(mem-order %s) (address 0x%" PRIx64 ") (value 0x%" PRIx64 ")", order,
		      address, value);
}

/* Events. */

static int write_event(struct s2c_casemate *casemate, struct cpu *cpu)
{
	const struct s2c_event *event = casemate->event;
	unsigned int shift = (event->address & 7) * 8;
	uint64_t mask = event->size == 3 ? UINT64_MAX : (1ull << (8u << event->size)) - 1;
	struct page *page = get_page(casemate, event->address);
	int ordered = cpu->ordered || (event->flags & S2C_RELEASE);
	uint64_t *word;

	if (!page)
		return no_memory(casemate);
	if (event->address & ((1u << event->size) - 1))
		return refuse(casemate, "a write of %u bytes to 0x%" PRIx64 " is not aligned",
			      1u << event->size, event->address);
	word = &page->words[event->address % PAGE / 8];
	*word = (*word & ~(mask << shift)) | (event->value & mask) << shift;
	if (event->flags & S2C_HARDWARE) {
		casemate->dropped++;
		return 0;
	}
	cpu->ordered = 0;
	return put_word(casemate, event->address & ~7ull, *word, ordered ? "release" : "plain");
}

static int init_event(struct s2c_casemate *casemate)
{
	const struct s2c_event *event = casemate->event;
	struct page *page = get_page(casemate, event->address);

	if (!page)
		return no_memory(casemate);
	if (page->words[event->address % PAGE / 8] == event->value)
		return 0;
	page->words[event->address % PAGE / 8] = event->value;
	return put_word(casemate, event->address & ~7ull, event->value, "plain");
}

/* Its contents are unknown, to casemate they are 0 until the trace says otherwise. */
static int alloc_event(struct s2c_casemate *casemate)
{
	const struct s2c_event *event = casemate->event;

	if (event->value > S2C_TRACE_RANGE || event->address > UINT64_MAX - S2C_TRACE_RANGE) {
		casemate->dropped++; /* no table: what is written in it will be seen */
		return 0;
	}
	for (uint64_t done = 0; done < event->value; done += PAGE)
		if (!get_page(casemate, event->address + done))
			return no_memory(casemate);
	return 0;
}

static int zva_event(struct s2c_casemate *casemate)
{
	const struct s2c_event *event = casemate->event;
	uint64_t n = event->value < MAX_ZVA ? event->value : MAX_ZVA;

	for (uint64_t done = 0; done < n; done += 8) {
		uint64_t at = (event->address & ~7ull) + done;
		struct page *page = find_page(casemate, at);
		uint64_t *word = page ? &page->words[at % PAGE / 8] : NULL;

		if (!word || !*word)
			continue;
		*word = 0;
		put_word(casemate, at, 0, "plain");
	}
	return 0;
}

static int is_loaded(const struct s2c_casemate *casemate, uint64_t root)
{
	for (unsigned int i = 0; i < S2C_CPUS; i++)
		if (casemate->cpus[i].root == root)
			return 1;
	return 0;
}

static uint64_t root_of(const struct s2c_casemate *casemate, unsigned int vmid)
{
	return vmid < casemate->vmids ? casemate->roots[vmid] : NO_ROOT;
}

static int grow_roots(struct s2c_casemate *casemate, unsigned int vmid)
{
	uint64_t *roots = casemate->roots;

	if (vmid < casemate->vmids)
		return 0;
	roots = realloc(roots, (vmid + 1) * sizeof(*roots));
	if (!roots)
		return -1;
	memset(roots + casemate->vmids, 0xff, (vmid + 1 - casemate->vmids) * sizeof(*roots));
	casemate->roots = roots;
	casemate->vmids = vmid + 1;
	return 0;
}

static void release(struct s2c_casemate *casemate, unsigned int vmid)
{
	uint64_t root = root_of(casemate, vmid);

	if (root == NO_ROOT || is_loaded(casemate, root))
		return;
	record(casemate, "hint", "(kind release_table) (location 0x%" PRIx64 ") (value 0x0)", root);
	casemate->roots[vmid] = NO_ROOT;
}

static int free_event(struct s2c_casemate *casemate)
{
	const struct s2c_event *event = casemate->event;
	uint64_t id = casemate->id;

	for (unsigned int vmid = 0; vmid < casemate->vmids; vmid++)
		if (casemate->roots[vmid] != NO_ROOT &&
		    casemate->roots[vmid] - event->address < event->value)
			release(casemate, vmid);
	casemate->dropped += id == casemate->id;
	return 0;
}

static void put_vttbr(struct s2c_casemate *casemate, uint64_t value)
{
	record(casemate, "sysreg-write", "(sysreg vttbr_el2) (value 0x%" PRIx64 ")", value);
}

static int vttbr_event(struct s2c_casemate *casemate, struct cpu *cpu)
{
	uint64_t value = casemate->event->value;
	uint64_t root = value & 0x0000fffffffff000ull;
	unsigned int vmid = (unsigned int)(value >> 48);

	cpu->vttbr = value;
	if (root_of(casemate, vmid) != root) {
		release(casemate, vmid);
		for (unsigned int i = 0; i < casemate->vmids; i++)
			if (casemate->roots[i] == root)
				release(casemate, i);
		if (!get_page(casemate, root) || grow_roots(casemate, vmid))
			return no_memory(casemate);
		record(casemate, "hint",
		       "(kind set_root_lock) (location 0x%" PRIx64 ") (value 0x%" PRIx64 ")", root,
		       root);
		casemate->roots[vmid] = root;
	}
	cpu->root = root;
	put_vttbr(casemate, value);
	return 0;
}

static int sysreg_event(struct s2c_casemate *casemate, struct cpu *cpu)
{
	const struct s2c_event *event = casemate->event;

	if (event->op == S2C_VTTBR_EL2)
		return vttbr_event(casemate, cpu);
	if (event->op == S2C_VTCR_EL2)
		cpu->vtcr = event->value;
	return record(casemate, "sysreg-write", "(sysreg %s) (value 0x%" PRIx64 ")",
		      event->op == S2C_VTCR_EL2 ? "vtcr_el2" : "hcr_el2", event->value);
}

/* The shape of tree that casemate walks: TG0 and DS are 0, SL0 fits T0SZ, no concatenation. */
static int run_event(struct s2c_casemate *casemate, const struct cpu *cpu)
{
	unsigned int bits = 64 - (unsigned int)(cpu->vtcr & 0x3f);
	unsigned int sl0 = (unsigned int)(cpu->vtcr >> 6 & 3);

	if ((cpu->vtcr >> 14 & 3) || (cpu->vtcr >> 32 & 1) ||
	    !((bits == 48 && sl0 == 2) || (bits == 39 && sl0 == 1) || (bits == 30 && sl0 == 0)))
		return refuse(casemate,
			      "VTCR_EL2 is 0x%" PRIx64
			      " here: casemate knows only 4K pages with one "
			      "table at the root, for 48, 39 or 30 bits",
			      cpu->vtcr);
	return 0;
}

static int dsb_event(struct s2c_casemate *casemate)
{
	static const char *const kinds[S2C_BARRIERS] = {
		[S2C_NSH] = "nsh", [S2C_NSHST] = "nsh",   [S2C_ISH] = "ish", [S2C_ISHST] = "ishst",
		[S2C_OSH] = "ish", [S2C_OSHST] = "ishst", [S2C_SY] = "ish",  [S2C_ST] = "ishst",
	};
	const char *kind = kinds[casemate->event->op];

	if (!kind) {
		casemate->dropped++;
		return 0;
	}
	return record(casemate, "barrier", "dsb (kind %s)", kind);
}

static int tlbi_event(struct s2c_casemate *casemate)
{
	static const char *const kinds[S2C_TLBIS] = {
		[S2C_IPAS2E1IS] = "ipas2e1is",
		[S2C_IPAS2E1OS] = "ipas2e1is",
		[S2C_IPAS2LE1IS] = "ipas2e1is",
		[S2C_IPAS2LE1OS] = "ipas2e1is",
		[S2C_RIPAS2E1IS] = "vmalls12e1is",
		[S2C_RIPAS2E1OS] = "vmalls12e1is",
		[S2C_RIPAS2LE1IS] = "vmalls12e1is",
		[S2C_RIPAS2LE1OS] = "vmalls12e1is",
		[S2C_VMALLE1] = "vmalle1",
		[S2C_VMALLE1IS] = "vmalle1is",
		[S2C_VMALLE1OS] = "vmalle1is",
		[S2C_VMALLS12E1] = "vmalls12e1",
		[S2C_VMALLS12E1IS] = "vmalls12e1is",
		[S2C_VMALLS12E1OS] = "vmalls12e1is",
		[S2C_ALLE1] = "alle1",
		[S2C_ALLE1IS] = "alle1is",
		[S2C_ALLE1OS] = "alle1is",
	};
	const char *kind = kinds[casemate->event->op];

	if (!kind) {
		casemate->dropped++;
		return 0;
	}
	if (casemate->event->op < S2C_RIPAS2E1)
		return record(casemate, "tlbi", "%s (value 0x%" PRIx64 ")", kind,
			      casemate->event->address);
	return record(casemate, "tlbi", "%s", kind);
}

/* `inval` names its VMID; a TLBI acts on the one that is loaded. */
static int inval_event(struct s2c_casemate *casemate, const struct cpu *cpu)
{
	const struct s2c_event *event = casemate->event;
	uint64_t root = root_of(casemate, event->id);
	int other = cpu->root == NO_ROOT || cpu->vttbr >> 48 != event->id;

	if ((event->flags & S2C_INVAL_LOCAL) || root == NO_ROOT) {
		casemate->dropped++;
		return 0;
	}
	if (other)
		put_vttbr(casemate, root | (uint64_t)event->id << 48);
	record(casemate, "tlbi", "vmalls12e1is");
	if (other && cpu->root != NO_ROOT)
		put_vttbr(casemate, cpu->vttbr);
	return 0;
}

int s2c_casemate_event(struct s2c_casemate *casemate, const struct s2c_event *event)
{
	const char *why = s2c_trace_check(event);
	struct cpu *cpu;

	casemate->number++;
	casemate->event = event;
	if (why)
		return refuse(casemate, "%s", why);
	cpu = &casemate->cpus[event->cpu];
	switch (event->kind) {
	case S2C_WRITE:
		return write_event(casemate, cpu);
	case S2C_INIT:
		return init_event(casemate);
	case S2C_SYSREG:
		return sysreg_event(casemate, cpu);
	case S2C_TLBI:
		return tlbi_event(casemate);
	case S2C_INVAL:
		return inval_event(casemate, cpu);
	case S2C_DSB:
		return dsb_event(casemate);
	case S2C_DMB:
		if (event->op != S2C_LD && event->op != S2C_NSHLD && event->op != S2C_ISHLD &&
		    event->op != S2C_OSHLD)
			cpu->ordered = 1;
		return 0;
	case S2C_ISB:
		return record(casemate, "barrier", "isb");
	case S2C_RUN:
		return run_event(casemate, cpu);
	case S2C_EXIT:
		return 0;
	case S2C_ALLOC:
		return alloc_event(casemate);
	case S2C_FREE:
		return free_event(casemate);
	case S2C_DC:
		if (event->op == S2C_ZVA)
			return zva_event(casemate);
		break;
	default:
		break;
	}
	casemate->dropped++;
	return 0;
}

struct s2c_casemate *s2c_casemate_new(FILE *out)
{
	struct s2c_casemate *casemate = calloc(1, sizeof(*casemate));

	if (!casemate)
		return NULL;
	for (unsigned int i = 0; i < S2C_CPUS; i++)
		casemate->cpus[i].root = NO_ROOT;
	casemate->out = out;
	return casemate;
}

void s2c_casemate_free(struct s2c_casemate *casemate)
{
	if (!casemate)
		return;
	for (size_t i = 0; i < casemate->nslots; i++)
		free(casemate->slots[i].page);
	free(casemate->slots);
	free(casemate->roots);
	free(casemate);
}

const char *s2c_casemate_error(const struct s2c_casemate *casemate)
{
	return casemate->error;
}

uint64_t s2c_casemate_dropped(const struct s2c_casemate *casemate)
{
	return casemate->dropped;
}
