// SPDX-License-Identifier: BSD-2-Clause
/*
 * Random tests, main program: options, parameters, report of failures.
 *
 *   random [--part pt|vm] [--seed N] [--ops N] [--runs N]
 *
 * Runs 0, 1, 2... of a seed each have a machine and a tree of other parameters; run n of seed s is
 * run 0 of a seed derived from both, which is what a failure prints.
 */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "random.h"

static struct run run;

void run_log(struct run *r, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(r->log[r->op % RUN_LOG], sizeof(r->log[0]), format, args);
	va_end(args);
}

void run_on_fail(void *ctx, const char *message)
{
	struct run *r = ctx;
	uint64_t first = r->op < RUN_LOG - 1 ? 0 : r->op - (RUN_LOG - 1);

	fprintf(stderr, "random %s: seed %llu, operation %llu: %s\n", r->part,
		(unsigned long long)r->seed, (unsigned long long)r->op, message);
	fprintf(stderr,
		"%s ipa_bits %u block_level %u bbm %u features 0x%x quota %u reuse %u "
		"barrier %u strikes %u\n",
		r->format->name, r->config.ipa_bits, r->config.block_level, r->config.cpu.bbm,
		r->config.cpu.features, r->config.table_quota, r->sim.config.reuse,
		r->sim.config.barrier, r->strikes);
	for (uint64_t op = first; op <= r->op; op++)
		fprintf(stderr, "  %llu: %s\n", (unsigned long long)op, r->log[op % RUN_LOG]);
	fprintf(stderr, "replay: random --part %s --runs 1 --seed %llu --ops %llu\n", r->part,
		(unsigned long long)r->seed, (unsigned long long)r->op + 1);
	exit(1);
}

void run_config(struct run *r, struct sim_config *sim)
{
	static const uint8_t ipa_bits[] = { 0, 36, 39, 40, 42, 44, 64 };
	const struct test_format *format = &test_formats[run_random(r, TEST_FORMATS)];
	uint8_t bits = ipa_bits[run_random(r, sizeof(ipa_bits))];
	static const uint32_t fail[] = { 0, 0, 3000, 20000 };

	r->config = (struct s2_pt_config){ .format = S2_FORMAT_ARM64_4K,
					   .block_level = (uint8_t)run_random(
						   r, format->block_levels + 1u),
					   .cpu.features = (uint32_t)run_random(r, 128),
					   .cpu.pa_bits = format->max_bits,
					   .cpu.bbm = (uint8_t)run_random(r, 3) };
	r->format = format;
	r->strikes = (uint32_t)run_random(r, 3);
	r->config.ipa_bits = bits < format->min_bits ? format->min_bits : bits;
	if (bits > format->max_bits)
		r->config.ipa_bits = format->max_bits;
	if (!run_random(r, 4))
		r->config.table_quota = 20 + (uint32_t)run_random(r, run_random(r, 2) ? 60 : 6);
	r->fail_of_65536 = fail[run_random(r, 4)];
	*sim = (struct sim_config){ .seed = r->rng,
				    .cpu = r->config.cpu,
				    .chunks = 128,
				    .frames = 4096u >> (format->page_shift > 14 ? 2 : 0),
				    .page_shift = format->page_shift,
				    .reuse = (uint8_t)run_random(r, 2),
				    .barrier = (uint8_t)run_random(r, 2) };
}

/* Most ranges are small; a few are larger than a block; very few span a table of them. */
static uint64_t random_size(struct run *r)
{
	uint64_t page = 1ull << r->ref.page_shift, entries = 1ull << r->ref.stride;
	unsigned int a = (unsigned int)run_random(r, r->ref.stride + 2);
	unsigned int b = (unsigned int)run_random(r, r->ref.stride + 2);
	uint64_t pages = 1ull << (a < b ? a : b);

	pages += run_random(r, pages);
	if (!run_random(r, 3) && pages > entries / 2)
		pages = pages / entries * entries + entries;
	if (r->ref.block_level > 1 && !run_random(r, 4000))
		return ref_level_size(&r->ref, 2) + run_random(r, 3) * page;
	/* A table with tables below it, where a window is large enough. */
	if (ref_level_size(&r->ref, 2) <= r->ref.window[0].size && !run_random(r, 800))
		return ref_level_size(&r->ref, 2);
	/* What needs no split must not be split. */
	if (!run_random(r, entries / 16))
		return entries * page;
	return pages * page;
}

/* A few pages next to the last operation's: what it left behind is met there. */
static int near_range(struct run *r, uint64_t *gpa, uint64_t *size)
{
	uint64_t page = 1ull << r->ref.page_shift;

	*size = (1 + run_random(r, 3)) * page;
	*gpa = (r->near & ~(page - 1)) + run_random(r, 17) * page - 8 * page;
	return ref_at(&r->ref, *gpa) && ref_at(&r->ref, *gpa + *size - page);
}

void run_range(struct run *r, uint64_t *gpa, uint64_t *size)
{
	const struct ref_window *window = &r->ref.window[run_random(r, REF_WINDOWS)];
	uint64_t page = 1ull << r->ref.page_shift, block = page << r->ref.stride;
	uint64_t hot = 4 * block, offset;

	if (!run_random(r, 4) && near_range(r, gpa, size))
		return;
	*size = random_size(r);
	if (*size > window->size)
		*size = window->size;
	offset = run_random(r, (window->size - *size) / page + 1) * page;
	switch (run_random(r, 8)) {
	case 0: /* anywhere */
		break;
	case 1: /* the window's end */
		offset = window->size - *size;
		break;
	case 2: /* the middle, where the largest blocks meet */
		offset = REF_PAGES * page - 2 * block + offset % hot;
		break;
	default:
		offset %= hot;
		break;
	}
	if (!run_random(r, 3))
		offset &= ~(block - 1);
	if (*size >= ref_level_size(&r->ref, 2))
		offset = offset % hot ? offset : REF_PAGES * page;
	if (*size == ref_level_size(&r->ref, 2)) /* the table as a whole */
		offset &= ~(*size - 1);
	if (offset > window->size - *size)
		offset = window->size - *size;
	*gpa = r->near = window->gpa + offset;
}

void run_renew(struct run *r, struct s2_walker *walker)
{
	s2_walker_fini(walker);
	s2_walker_init(walker, &r->vm.pt);
}

/* The engine trapped, or ran into a red zone: a failure like any other, and the last. */
static void run_on_signal(int signal)
{
	run_on_fail(&run, strsignal(signal));
}

static void catch_signals(void)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGTRAP };
	struct sigaction is, ours = { .sa_handler = run_on_signal };

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		if (!sigaction(signals[i], NULL, &is) && is.sa_handler == SIG_DFL)
			sigaction(signals[i], &ours, NULL); /* a sanitizer knows more */
}

static void one_run(uint64_t seed, const char *part, uint64_t ops)
{
	memset(&run, 0, sizeof(run));
	run.part = part;
	run.seed = seed;
	run.rng = seed * 0x9e3779b97f4a7c15ull + 1;
	run.rng |= 1;
	sim_random(&run.rng);
	if (strcmp(part, "vm") == 0)
		random_vm(&run, ops);
	else
		random_pt(&run, ops);
}

int main(int argc, char **argv)
{
	uint64_t seed = 1, ops = 100000, runs = 20;
	const char *part = "pt";

	for (int i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--seed") == 0)
			seed = strtoull(argv[i + 1], NULL, 0);
		else if (strcmp(argv[i], "--ops") == 0)
			ops = strtoull(argv[i + 1], NULL, 0);
		else if (strcmp(argv[i], "--runs") == 0)
			runs = strtoull(argv[i + 1], NULL, 0);
		else if (strcmp(argv[i], "--part") == 0)
			part = argv[i + 1];
		else
			argc = 0;
	}
	if (argc % 2 == 0 || !runs || (strcmp(part, "pt") != 0 && strcmp(part, "vm") != 0)) {
		fprintf(stderr, "usage: random [--part pt|vm] [--seed N] [--ops N] [--runs N]\n");
		return 2;
	}
	catch_signals();
	for (uint64_t n = 0; n < runs; n++)
		one_run(seed + n * 1000003, part, ops / runs);
	printf("random %s: seed %llu, %llu operations in %llu runs\n", part,
	       (unsigned long long)seed, (unsigned long long)ops / runs * runs,
	       (unsigned long long)runs);
	return 0;
}
