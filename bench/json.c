// SPDX-License-Identifier: BSD-2-Clause
/*
 * Writes the results: an object with the machine's name, the compiler's, Linux's package, and a
 * list of rows, one a line. What a subject lacks is null. Keys are the same in every row.
 */
#include <string.h>

#include "json.h"

static const struct {
	const char *key, *name;
} subjects[] = {
	{ "ours", "ours" },
	{ "kvm", "kvm" },
	{ "kvm_locked", "kvm-locked" },
	{ "iopgtable", "io-pgtable" },
	{ "floor", "floor" },
};

static void put_string(FILE *out, const char *text)
{
	fputc('"', out);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', out);
		if ((unsigned char)*text >= 0x20)
			fputc(*text, out);
	}
	fputc('"', out);
}

static void put_machine(FILE *out)
{
	FILE *info = fopen("/proc/cpuinfo", "r");
	char line[256], name[256] = "unknown";

	while (info && fgets(line, sizeof(line), info)) {
		if (sscanf(line, "model name : %255[^\n]", name) == 1)
			break;
	}
	if (info)
		fclose(info);
	put_string(out, name);
}

/* The cell of a subject in a row, NULL where there is nothing to tell. */
static const struct bench_cell *cell_of(const struct bench_plan *plan, const struct bench_row *row,
					const char *name)
{
	for (size_t i = 0; i < plan->nsubjects; i++)
		if (!strcmp(plan->subjects[i]->name, name))
			return row->cells[i].there ? &row->cells[i] : NULL;
	return NULL;
}

static void put_number(FILE *out, const char *key, const char *suffix, int there, double value)
{
	fprintf(out, ", \"%s%s\": ", key, suffix);
	if (there)
		fprintf(out, "%.4g", value);
	else
		fputs("null", out);
}

/* How many times as long the second takes. */
static void put_ratio(FILE *out, const char *key, const struct bench_cell *one,
		      const struct bench_cell *other)
{
	int there = one && other && one->ns > 0;

	put_number(out, key, "", there, there ? other->ns / one->ns : 0);
}

static void put_count(FILE *out, const char *name, const struct bench_cell *cell)
{
	static const struct bench_count none;
	const struct bench_count *c = cell ? &cell->count : &none;
	const struct {
		const char *suffix;
		uint64_t value;
	} counts[] = {
		{ "_tlbi", c->tlbi_entry + c->tlbi_range + c->tlbi_all },
		{ "_tlbi_entry", c->tlbi_entry },
		{ "_tlbi_range", c->tlbi_range },
		{ "_tlbi_all", c->tlbi_all },
		{ "_tlbi_stage1", c->tlbi_stage1 },
		{ "_dsb", c->dsb_ishst + c->dsb_ish + c->dsb_other },
		{ "_dsb_ishst", c->dsb_ishst },
		{ "_dsb_ish", c->dsb_ish },
		{ "_dsb_other", c->dsb_other },
		{ "_cache", c->cache },
		{ "_tables", c->tables },
	};

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		fprintf(out, ", \"%s%s\": ", name, counts[i].suffix);
		if (cell)
			fprintf(out, "%llu", (unsigned long long)counts[i].value);
		else
			fputs("null", out);
	}
}

static void put_row(FILE *out, const struct bench_plan *plan, const struct bench_row *row)
{
	const struct bench_cell *ours = cell_of(plan, row, "ours"), *kvm, *cell;
	int alone = row->sharing == BENCH_ALONE;

	fprintf(out, "    {\"op\": \"%s\", \"threads\": %d, \"sharing\": \"%s\", \"unit\": \"%s\"",
		row->op->name, alone ? 1 : BENCH_THREADS, bench_sharing_names[row->sharing],
		bench_op_unit(row->op));
	fprintf(out, ", \"calls\": %u, \"units\": %llu, \"rounds\": %zu", row->op->calls,
		(unsigned long long)(bench_op_bytes(row->op) / row->op->unit), row->rounds);
	for (size_t i = 0; i < sizeof(subjects) / sizeof(subjects[0]); i++) {
		cell = cell_of(plan, row, subjects[i].name);
		put_number(out, subjects[i].key, "_ns", cell != NULL, cell ? cell->ns : 0);
	}
	kvm = cell_of(plan, row, "kvm");
	cell = cell_of(plan, row, "kvm-locked");
	put_ratio(out, "ratio", ours, kvm ? kvm : cell);
	put_ratio(out, "ratio_locked", ours, cell);
	put_ratio(out, "ratio_iopgtable", ours, cell_of(plan, row, "io-pgtable"));
	put_ratio(out, "ratio_floor", cell_of(plan, row, "floor"), ours);
	for (size_t i = 0; i < sizeof(subjects) / sizeof(subjects[0]); i++) {
		cell = cell_of(plan, row, subjects[i].name);
		put_number(out, subjects[i].key, "_speedup", cell && cell->speedup > 0,
			   cell ? cell->speedup : 0);
	}
	fprintf(out, ", \"min_tables\": %llu", (unsigned long long)bench_op_min_tables(row->op));
	for (size_t i = 0; i < sizeof(subjects) / sizeof(subjects[0]) - 1; i++)
		put_count(out, subjects[i].key, cell_of(plan, row, subjects[i].name));
	fputc('}', out);
}

void bench_json(FILE *out, const struct bench_plan *plan, const struct bench_row *rows,
		size_t nrows)
{
	fputs("{\n  \"machine\": ", out);
	put_machine(out);
	fputs(",\n  \"compiler\": ", out);
#ifdef __clang__
	put_string(out, __VERSION__);
#else
	put_string(out, "gcc " __VERSION__);
#endif
	fputs(",\n  \"packages\": ", out);
#ifdef BENCH_PACKAGES
	put_string(out, BENCH_PACKAGES);
#else
	fputs("null", out);
#endif
	fprintf(out, ",\n  \"hardware_af\": %s", bench_hardware_af ? "true" : "false");
	fputs(",\n  \"ops\": [\n", out);
	for (size_t i = 0; i < nrows; i++) {
		put_row(out, plan, &rows[i]);
		fputs(i + 1 < nrows ? ",\n" : "\n", out);
	}
	fputs("  ]\n}\n", out);
}
