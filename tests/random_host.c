// SPDX-License-Identifier: BSD-2-Clause
/*
 * Random host events: a guest that reads, writes and executes while the host does everything to its
 * memory that hosts do (ports/sim/mm.h), and slots come and go.
 *
 *   random_host [--seed N] [--events N] [--runs N] [--threads] [--blind] [--all]
 *
 * Without --threads it is deterministic: a second walker gets in between at any point of engine and
 * host, and strikes where it hurts; a failure prints the command that replays it. What an access
 * must lead to is predicted whenever nobody was there. After each event all reference counts are
 * balanced, and now and then all leaves compared with what the host has.
 *
 * With --threads (random_host_threads.c) two vCPUs, two hosts and a changer of slots run at once.
 * With --blind nobody judges the tables, for the thread sanitizer's sake and for speed; the guest's
 * checksums and the host's counts are checked all the same. With --all it fails unless every kind
 * of thing has happened.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "random_host.h"

static struct host_world world;
static struct host_options options = { .seed = 1, .events = 200000, .runs = 8 };
static int all;
static uint64_t ops[MM_OP_KINDS], events[MM_EVENTS];
static uint64_t accesses, faults, exits, tired, strikes, slots, again, checked;

static void on_fail(void *ctx, const char *message)
{
	struct host_world *w = ctx;

	fprintf(stderr, "random_host: seed %llu, event %llu: %s\n", (unsigned long long)w->seed,
		(unsigned long long)w->event, message);
	fprintf(stderr, "replay: random_host --runs 1 --seed %llu --events %llu%s%s\n",
		(unsigned long long)w->seed,
		(unsigned long long)(options.threads ? options.events : w->event + 1),
		options.threads ? " --threads" : "", options.blind ? " --blind" : "");
	fflush(stderr);
	_Exit(1);
}

static void on_signal(int signal)
{
	on_fail(&world, strsignal(signal));
}

/* A page that has to come from its file. */
static int predict_file(const struct mm_area *area, const struct mm_file_page *page)
{
	if (page - area->file->page >= area->file->size)
		return S2_ENOENT;
	return page->poison ? S2_EPOISON : 0;
}

/* What the host would say to an access that nobody disturbs: MM_DONE, or how the guest leaves. */
static enum mm_result predict(struct host_world *w, uint64_t gpa, enum s2_access access,
			      struct s2_exit *exit)
{
	struct sim_mm *mm = &w->mm;
	struct s2_memslot slot;
	const struct mm_file_page *file;
	struct mm_area *area;
	struct mm_page *page;
	uint64_t hva;

	*exit = (struct s2_exit){ .reason =
					  access == S2_ACCESS_EXEC ? S2_EXIT_ABORT : S2_EXIT_MMIO };
	if (access == S2_ACCESS_EXEC && w->vm.flags & S2_VM_EXEC_EXIT)
		exit->reason = S2_EXIT_EXEC;
	if (s2_vm_slot_find(&w->vm, s2_gpa(gpa), &mm->cpu[0].host, &slot))
		return MM_EXIT;
	if (access == S2_ACCESS_WRITE && slot.flags & S2_SLOT_READONLY)
		return MM_EXIT;
	hva = slot.hva.hva + (gpa - slot.gpa.gpa);
	area = mm_area_at(mm, hva);
	page = &mm->pages[area->first + ((hva - area->hva) >> MM_SHIFT)];
	file = mm_file_page(mm, page);
	if (!page->mapped || !area->open)
		exit->error = S2_ENOENT;
	else if (!page->prot || (access == S2_ACCESS_WRITE && !(page->prot & S2_W)))
		exit->error = S2_EPERM;
	else if (page->poison)
		exit->error = S2_EPOISON;
	else if (file && page->frame == MM_NONE)
		exit->error = predict_file(area, file);
	if (exit->error)
		exit->reason = S2_EXIT_MEMORY;
	else if (access != S2_ACCESS_EXEC || page->prot & S2_XP)
		return MM_DONE;
	return MM_EXIT;
}

static void do_access(struct host_world *w)
{
	static const uint8_t kinds[] = { S2_ACCESS_READ, S2_ACCESS_READ, S2_ACCESS_WRITE,
					 S2_ACCESS_WRITE, S2_ACCESS_EXEC };
	uint64_t gpa = host_gpa(w, &w->rng), begun = w->mm.begun;
	enum s2_access access = (enum s2_access)kinds[mm_random(&w->rng, sizeof(kinds))];
	struct s2_exit should, is = { 0 };
	enum mm_result will = predict(w, gpa, access, &should), did;

	did = host_access(w, gpa, access, &w->rng, &is);
	w->accesses[access]++;
	if (did == MM_EXIT)
		w->reasons[is.reason]++;
	if (w->ran || begun != w->mm.begun || did == MM_TIRED)
		return;
	if (did == MM_EXIT && (is.error == S2_ENOMEM || is.error == S2_EPENDING))
		return;
	w->checked++;
	if (did != will ||
	    (did == MM_EXIT && (is.reason != should.reason ||
				(is.reason == S2_EXIT_MEMORY && is.error != should.error))))
		sim_fail(&w->sim,
			 "access %u at 0x%llx: result %u reason %u error %d; should be %u %u %d",
			 access, (unsigned long long)gpa, did, is.reason, is.error, will,
			 should.reason, should.error);
}

/* The second walker: another vCPU, another host, where the first one just is; or slots. */
static void strike(void *ctx, uint64_t gpa)
{
	struct host_world *w = ctx;
	struct s2_memslot slot;
	struct s2_exit exit;

	w->ran = 1;
	w->strikes++;
	switch (mm_random(&w->rng2, 5)) {
	case 0:
		(void)host_access(w, mm_random(&w->rng2, 4) ? gpa : host_gpa(w, &w->rng2),
				  (enum s2_access)mm_random(&w->rng2, 3), &w->rng2, &exit);
		break;
	case 1:
		host_slot_op(w, &w->mm.cpu[1].host, &w->rng2);
		break;
	case 2:
		(void)mm_random_op(&w->mm, &w->mm.cpu[1].host, &w->rng2);
		break;
	default:
		if (!s2_vm_slot_find(&w->vm, s2_gpa(gpa), &w->mm.cpu[1].host, &slot))
			mm_random_op_at(&w->mm, slot.hva.hva + (gpa - slot.gpa.gpa),
					&w->mm.cpu[1].host, &w->rng2);
		break;
	}
}

static void one_event(struct host_world *w)
{
	const struct sim_second_config second = {
		.fn = strike, .ctx = w, .walker = &w->mm.cpu[1].walker, .odds = w->odds
	};
	uint64_t dice = mm_random(&w->rng, 100);

	w->ran = 0;
	if (w->odds && mm_random(&w->rng, 2))
		sim_second_arm(&w->sim, &second);
	if (dice < 66)
		do_access(w);
	else if (dice < 92)
		(void)mm_random_op(&w->mm, &w->mm.cpu[0].host, &w->rng);
	else if (dice < 97)
		host_slot_op(w, &w->mm.cpu[0].host, &w->rng);
	else
		host_age(w, &w->mm.cpu[0].host, &w->rng);
	(void)sim_second_finish(&w->sim);
	mm_audit(&w->mm);
	if (w->event % 64 == 0)
		mm_audit_guest(&w->mm, &w->mm.cpu[0].host);
}

static void one_run(uint64_t seed, uint64_t n)
{
	struct host_world *w = &world;

	host_up(w, seed, &options);
	w->sim.on_fail = on_fail;
	w->sim.on_fail_ctx = w;
	if (options.threads)
		host_threads(w, n);
	else
		for (w->event = 0; w->event < n; w->event++)
			one_event(w);
	for (int i = 0; i < MM_OP_KINDS; i++)
		ops[i] += w->mm.done[i];
	for (int i = 0; i < MM_EVENTS; i++)
		events[i] += w->mm.events[i];
	accesses += w->mm.accesses;
	faults += w->mm.faults;
	exits += w->mm.exits;
	tired += w->mm.tired;
	strikes += w->strikes;
	slots += w->slot_ops;
	again += w->slot_again;
	host_down(w);
	checked += w->checked;
}

/* Prints what happened. Returns how many kinds of things never did. */
static int report(double seconds)
{
	int missing = 0;

	printf("random_host: seed %llu, %llu events in %llu runs, %.0f a second\n",
	       (unsigned long long)options.seed, (unsigned long long)options.events,
	       (unsigned long long)options.runs, (double)options.events / seconds);
	printf("  accesses %llu faults %llu exits %llu gave-up %llu predicted %llu strikes %llu "
	       "slots %llu (%llu later)\n ",
	       (unsigned long long)accesses, (unsigned long long)faults, (unsigned long long)exits,
	       (unsigned long long)tired, (unsigned long long)checked, (unsigned long long)strikes,
	       (unsigned long long)slots, (unsigned long long)again);
	for (int i = 0; i < MM_OP_KINDS; i++) {
		printf(" %s %llu", mm_op_name[i], (unsigned long long)ops[i]);
		missing += !ops[i];
	}
	printf("\n ");
	for (int i = 0; i < MM_EVENTS; i++) {
		printf(" %s %llu", mm_event_name[i], (unsigned long long)events[i]);
		missing += !events[i];
	}
	printf("\n");
	return missing;
}

static void catch_signals(void)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGTRAP };
	struct sigaction is, ours = { .sa_handler = on_signal };

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		if (!sigaction(signals[i], NULL, &is) && is.sa_handler == SIG_DFL)
			sigaction(signals[i], &ours, NULL); /* a sanitizer knows more */
}

int main(int argc, char **argv)
{
	struct timespec from, to;
	int i, missing;

	for (i = 1; i < argc; i++) {
		uint64_t *number = strcmp(argv[i], "--seed") == 0     ? &options.seed
				   : strcmp(argv[i], "--events") == 0 ? &options.events
				   : strcmp(argv[i], "--runs") == 0   ? &options.runs
								      : NULL;

		if (strcmp(argv[i], "--threads") == 0)
			options.threads = 1;
		else if (strcmp(argv[i], "--blind") == 0)
			options.blind = 1;
		else if (strcmp(argv[i], "--all") == 0)
			all = 1;
		else if (number && i + 1 < argc)
			*number = strtoull(argv[++i], NULL, 0);
		else
			break;
	}
	if (i < argc || !options.runs) {
		fprintf(stderr, "usage: random_host [--seed N] [--events N] [--runs N] [--threads] "
				"[--blind] [--all]\n");
		return 2;
	}
	catch_signals();
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (uint64_t n = 0; n < options.runs; n++)
		one_run(options.seed + n * 1000003, options.events / options.runs);
	clock_gettime(CLOCK_MONOTONIC, &to);
	missing = report((double)(to.tv_sec - from.tv_sec) +
			 (double)(to.tv_nsec - from.tv_nsec) / 1e9);
	if (missing && all) {
		fprintf(stderr, "random_host: %d kinds of things never happened\n", missing);
		return 1;
	}
	return 0;
}
