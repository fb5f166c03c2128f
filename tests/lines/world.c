/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The world and its names. Nothing here is instrumented: what the port does is its author's matter.
 *
 * Tables come from an arena and never go back into it while the world lasts, so that a line has one
 * meaning. Where a table stands in the tree is found by reading the descriptors, by hand (DDI 0487,
 * D8.3: bits 1:0 are 3 for a table, 47:12 are its address).
 */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_PAGES 128

static uint64_t arena[ARENA_PAGES][512] __attribute__((aligned(8192)));
static unsigned int arena_used;

void must(int ok, const char *what, uint64_t gpa)
{
	if (ok)
		return;
	printf("Bail out! %s failed at 0x%llx\n", what, (unsigned long long)gpa);
	exit(1);
}

static void *table_alloc(void *ctx, unsigned int order)
{
	unsigned int n = 1u << order;
	unsigned int at = __atomic_fetch_add(&arena_used, n, __ATOMIC_RELAXED);

	(void)ctx;
	return at % n == 0 && at + n <= ARENA_PAGES ? arena[at] : NULL;
}

static void table_free(void *ctx, void *table, unsigned int order)
{
	(void)ctx;
	(void)table;
	(void)order;
}

/* All of it is memory, in pages. */
static int resolve(void *ctx, s2_hva_t hva, enum s2_access access, struct s2_page *page)
{
	(void)ctx;
	(void)access;
	*page = (struct s2_page){
		.hpa = s2_hpa(hva.hva), .size = PAGE, .prot = S2_RWX, .type = S2_MEM_NORMAL
	};
	return 0;
}

static void tlb(void *ctx, const struct s2_tlb_op *ops, size_t n)
{
	(void)ctx;
	(void)ops;
	(void)n;
}

static void relax(void *ctx)
{
	(void)ctx;
	__asm__ volatile("" ::: "memory");
}

void world_up(struct world *w)
{
	static const struct s2_vm_config config = {
		.pt = { .format = S2_FORMAT_ARM64_4K,
			.ipa_bits = 48,
			.block_level = 1,
			.cpu = { .features = S2_CPU_FWB | S2_CPU_DIC, .pa_bits = 48 } },
	};

	memset(w, 0, sizeof(*w));
	memset(arena, 0, sizeof(arena));
	arena_used = 0;
	w->port = (struct s2_port){ .version = S2_PORT_VERSION,
				    .table_alloc = table_alloc,
				    .table_free = table_free,
				    .resolve = resolve,
				    .tlb = tlb,
				    .relax = relax };
	w->slot = (struct s2_memslot){ .gpa = s2_gpa(BASE), .hva = s2_hva(BASE), .size = SIZE };
	must(!s2_vm_init(&w->vm, &config, &w->port), "s2_vm_init", 0);
	must(!s2_vm_slot_add(&w->vm, &w->slot), "s2_vm_slot_add", BASE);
	for (unsigned int i = 0; i < WORKERS; i++)
		s2_walker_init(&w->walkers[i], &w->vm.pt);
}

void world_down(struct world *w)
{
	for (unsigned int i = 0; i < WORKERS; i++)
		s2_walker_fini(&w->walkers[i]);
	s2_vm_fini(&w->vm);
}

/* By offset; each reaches to the next, so what lies between two goes by the first one's name. */
struct field {
	const char *name;
	size_t offset;
};

#define FIELD(of, name)                               \
	{                                             \
#name, offsetof(struct s2_##of, name) \
	}
#define END(of)                              \
	{                                    \
		NULL, sizeof(struct s2_##of) \
	}

static const struct field vm_fields[] = {
	FIELD(vm, pt.ops),     FIELD(vm, pt.epoch),
	FIELD(vm, pt.walkers), FIELD(vm, pt.walkers_lock),
	FIELD(vm, pt.tables),  FIELD(vm, pt.departed),
	FIELD(vm, flags),      FIELD(vm, nslots),
	FIELD(vm, slots_lock), FIELD(vm, generation),
	FIELD(vm, slots),      FIELD(vm, inval_all),
	FIELD(vm, inval),      END(vm),
};
static const struct field walker_fields[] = {
	FIELD(walker, section), FIELD(walker, pt),
	FIELD(walker, next),    FIELD(walker, mmio_page),
	FIELD(walker, ntables), FIELD(walker, tables),
	FIELD(walker, stats),   END(walker),
};
static const struct field shared_fields[] = {
	{ "all", 0 },
	{ NULL, sizeof(struct shared) },
};

/* Do these bytes touch the line? */
static int in_line(uintptr_t address, uintptr_t start, size_t size)
{
	return start < address + LINE_SIZE && address < start + size;
}

/* Is something of this object in the line? Then name it by its fields there. */
static int in_object(uintptr_t address, const char *name, const void *object,
		     const struct field *field, char text[192])
{
	uintptr_t start = (uintptr_t)object;
	size_t used = (size_t)snprintf(text, 192, "%s%+td:", name, (ptrdiff_t)(address - start));
	int found = 0;

	for (; field->name; field++) {
		if (!in_line(address, start + field->offset, field[1].offset - field->offset))
			continue;
		used += (size_t)snprintf(text + used, 192 - used, " %s", field->name);
		found = 1;
	}
	return found;
}

/* Looks for the table that the line is in, below this one; says what its entries translate. */
static int find_table(const uint64_t *table, unsigned int level, uint64_t gpa, uintptr_t address,
		      struct line_name *name)
{
	unsigned int shift = 12 + 9 * level;

	if (address - (uintptr_t)table < PAGE) {
		name->kind = LINE_TABLE;
		name->level = level;
		gpa += (address - (uintptr_t)table) / sizeof(*table) << shift;
		snprintf(name->text, sizeof(name->text), "table of level %u, for 0x%llx", level,
			 (unsigned long long)gpa);
		return 1;
	}
	for (unsigned int i = 0; i < 512 && level > 0; i++)
		if ((table[i] & 3) == 3 &&
		    find_table((const uint64_t *)(uintptr_t)(table[i] & 0xfffffffff000), level - 1,
			       gpa + ((uint64_t)i << shift), address, name))
			return 1;
	return 0;
}

void name_line(const struct world *w, uintptr_t address, struct line_name *name)
{
	static const char *const walkers[] = { "walker A", "walker B", "the manager's walker" };
	const struct s2_vm *vm = &w->vm;

	*name = (struct line_name){ .kind = LINE_OTHER };
	if (find_table(vm->pt.root, vm->pt.root_level, 0, address, name))
		return;
	if (address - (uintptr_t)arena < sizeof(arena)) {
		snprintf(name->text, sizeof(name->text), "table that is not linked");
		return;
	}
	if (in_object(address, "vm", vm, vm_fields, name->text)) {
		if (in_line(address, (uintptr_t)&vm->pt.tables, sizeof(vm->pt.tables)))
			name->kind = LINE_COUNT;
		return;
	}
	for (unsigned int i = 0; i < WORKERS; i++)
		if (in_object(address, walkers[i], &w->walkers[i], walker_fields, name->text))
			return;
	if (in_object(address, "shared", &w->shared, shared_fields, name->text))
		name->kind = LINE_SHARED;
	else
		snprintf(name->text, sizeof(name->text), "0x%llx", (unsigned long long)address);
}
