// SPDX-License-Identifier: BSD-2-Clause
/*
 * The command: which operations on which subjects, and where the results go. Leaves with 0, with 1
 * when a subject fails or does something wrong, with 2 when it was called wrongly.
 *
 * A build without Linux's source has us and the floor only.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "pages.h"
#include "run.h"

#define TABLE_PAGES 8192
#define SECONDS     3.0 /* a row */
#define MAX_ROWS    128

static const struct bench_subject *const all[] = {
	&bench_ours,
#ifdef BENCH_LINUX
	&bench_kvm,   &bench_kvm_locked, &bench_iopgtable,
#endif
	&bench_floor,
};

#define NSUBJECTS (sizeof(all) / sizeof(all[0]))

struct options {
	const struct bench_op *ops[64];
	size_t nops; /* 0: all */
	const struct bench_subject *subjects[NSUBJECTS];
	size_t nsubjects;
	size_t rounds;
	const char *json;
	const struct bench_op *once;
};

static void usage(FILE *out)
{
	fputs("usage: stage2-bench [--op NAME...] [--subjects NAME,...] [--rounds N]\n"
	      "                    [--hardware-af] [--json FILE]\n"
	      "       stage2-bench [--hardware-af] --once NAME\n"
	      "       stage2-bench --list | --help\n"
	      "\n"
	      "Times operations on second-stage tables, ours and others' side by side.\n"
	      "  --op NAME...     these only, alone and (some) by two threads\n"
	      "  --subjects LIST  of: ours, kvm, kvm-locked, io-pgtable, floor\n"
	      "  --rounds N       instead of what fits three seconds a row\n"
	      "  --hardware-af    a CPU that sets access flags itself (matters to ours)\n"
	      "  --json FILE      write all results (docs/bench.md), too\n"
	      "  --once NAME      set up and run once, ours only; under callgrind with\n"
	      "                   --instr-atstart=no only the operation is counted\n"
	      "  --list           the operations\n",
	      out);
}

static void __attribute__((noreturn)) wrong(const char *what, const char *which)
{
	fprintf(stderr, "stage2-bench: %s: %s\n", what, which);
	usage(stderr);
	exit(2);
}

static const struct bench_op *op_named(const char *name)
{
	const struct bench_op *op = bench_op_find(name);

	if (!op)
		wrong("no such operation", name);
	return op;
}

static void add_op(struct options *o, const char *name)
{
	if (o->nops == sizeof(o->ops) / sizeof(o->ops[0]))
		wrong("too many operations", name);
	o->ops[o->nops++] = op_named(name);
}

static void choose_subjects(struct options *o, char *list)
{
	o->nsubjects = 0;
	for (char *name = strtok(list, ","); name; name = strtok(NULL, ",")) {
		size_t i = 0;

		while (i < NSUBJECTS && strcmp(all[i]->name, name))
			i++;
		if (i == NSUBJECTS)
			wrong("no such subject in this build", name);
		if (o->nsubjects == NSUBJECTS)
			wrong("too many subjects", name);
		o->subjects[o->nsubjects++] = all[i];
	}
	if (!o->nsubjects)
		wrong("no subjects", list);
}

static size_t number(const char *text)
{
	unsigned long value;
	char *end;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno || end == text || *end || *text == '-' || value < 1 || value > BENCH_MAX_ROUNDS)
		wrong("not a number of rounds", text);
	return value;
}

static void list_ops(void)
{
	for (size_t i = 0; i < bench_nops; i++)
		printf("%s\n", bench_ops[i].name);
}

static void parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{ "op", required_argument, NULL, 'o' },
		{ "subjects", required_argument, NULL, 's' },
		{ "rounds", required_argument, NULL, 'r' },
		{ "json", required_argument, NULL, 'j' },
		{ "once", required_argument, NULL, '1' },
		{ "hardware-af", no_argument, NULL, 'a' },
		{ "list", no_argument, NULL, 'l' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (option) {
		case 'o':
			add_op(o, optarg);
			break;
		case 's':
			choose_subjects(o, optarg);
			break;
		case 'r':
			o->rounds = number(optarg);
			break;
		case 'j':
			o->json = optarg;
			break;
		case '1':
			o->once = op_named(optarg);
			break;
		case 'a':
			bench_hardware_af = 1;
			break;
		case 'l':
			list_ops();
			exit(0);
		case 'h':
			usage(stdout);
			exit(0);
		default:
			usage(stderr);
			exit(2);
		}
	}
	if (optind < argc && !o->nops)
		wrong("not an option", argv[optind]);
	for (; optind < argc; optind++)
		add_op(o, argv[optind]);
}

static int wanted(const struct options *o, const struct bench_op *op)
{
	for (size_t i = 0; i < o->nops; i++)
		if (o->ops[i] == op)
			return 1;
	return !o->nops;
}

static void print_row(const struct bench_plan *plan, const struct bench_row *row)
{
	printf("%-16s %-11s", row->op->name, bench_sharing_names[row->sharing]);
	for (size_t i = 0; i < plan->nsubjects; i++) {
		const struct bench_cell *cell = &row->cells[i];

		if (!cell->there)
			continue;
		printf("  %s %.4g", plan->subjects[i]->name, cell->ns);
		if (cell->speedup > 0)
			printf(" (%.2fx)", cell->speedup);
	}
	printf("  ns per %s, %zu rounds\n", bench_op_unit(row->op), row->rounds);
	fflush(stdout);
}

static void __attribute__((noreturn)) cannot_write(const char *path)
{
	fprintf(stderr, "stage2-bench: %s: %s\n", path, strerror(errno));
	exit(2);
}

static void run_all(const struct options *o)
{
	static struct bench_row rows[MAX_ROWS];
	static struct bench_cell cells[MAX_ROWS][NSUBJECTS];
	struct bench_plan plan = { .subjects = o->subjects,
				   .nsubjects = o->nsubjects,
				   .rounds = o->rounds,
				   .seconds = SECONDS };
	FILE *json = o->json ? fopen(o->json, "w") : NULL;
	size_t n = 0;

	if (o->json && !json)
		cannot_write(o->json);
	for (size_t i = 0; i < bench_nops; i++) {
		const struct bench_op *op = &bench_ops[i];
		unsigned int sharings = op->two ? BENCH_SHARINGS : BENCH_ALONE + 1;

		for (unsigned int sharing = 0; sharing < sharings && wanted(o, op); sharing++) {
			if (n == MAX_ROWS)
				wrong("too many rows", op->name);
			rows[n] = (struct bench_row){ .op = op,
						      .sharing = (enum bench_sharing)sharing,
						      .cells = cells[n] };
			bench_run_row(&plan, &rows[n]);
			print_row(&plan, &rows[n]);
			n++;
		}
	}
	if (json) {
		bench_json(json, &plan, rows, n);
		if (ferror(json) | fclose(json))
			cannot_write(o->json);
	}
}

int main(int argc, char **argv)
{
	struct options o = { .nsubjects = NSUBJECTS };
	unsigned int cpus;

	memcpy(o.subjects, all, sizeof(all));
	parse(argc, argv, &o);
	bench_pages_init(TABLE_PAGES);
	cpus = bench_start();
	if (o.once) {
		bench_run_once(&bench_ours, o.once);
		return 0;
	}
	if (cpus < BENCH_THREADS)
		fprintf(stderr,
			"stage2-bench: one CPU only: the figures of two threads say nothing\n");
	run_all(&o);
	return 0;
}
