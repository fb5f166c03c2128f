// SPDX-License-Identifier: BSD-2-Clause
/*
 * Random host events: a guest that reads, writes and executes while the host does everything to its
 * memory that hosts do (ports/sim/mm.h), slots come and go, pages are converted between shared and
 * private, devices work through holds, and tables run out.
 *
 *   random_host [--seed N] [--events N] [--runs N] [--threads] [--blind] [--all]
 *
 * Without --threads it is deterministic: a second walker gets in between at any point of engine and
 * host, and strikes where it hurts; a failure prints the command that replays it. What an access,
 * a hold, a prefault must lead to is predicted whenever nobody was there. After each event all
 * reference counts are balanced, and now and then all leaves compared with what the host has.
 *
 * With --threads (random_host_threads.c) two vCPUs, two hosts, a device and a VMM run at once.
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
static uint64_t ops[MM_OP_KINDS], events[MM_EVENTS], held[MM_HOLD_EVENTS], vmm[HOST_EVENTS];
static uint64_t accesses, privately, faults, exits, tired, strikes, slots, again, checked;

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

static void do_access(struct host_world *w)
{
	const struct mm_access access = host_draw(host_gpa(w, &w->rng), &w->rng);
	uint64_t begun = w->mm.begun;
	struct s2_exit should, is = { 0 };
	enum mm_result will = host_predict(w, &access, &should), did;

	did = host_access(w, &access, &w->rng, &is);
	w->accesses[access.access]++;
	if (did == MM_EXIT)
		w->reasons[is.reason]++;
	if (w->ran || begun != w->mm.begun || did == MM_TIRED)
		return;
	if (did == MM_EXIT && host_passes(is.error))
		return;
	w->checked++;
	if (did != will ||
	    (did == MM_EXIT && (is.reason != should.reason ||
				(is.reason == S2_EXIT_MEMORY &&
				 (is.error != should.error || is.attrs != should.attrs)))))
		sim_fail(&w->sim,
			 "access %u at 0x%llx: result %u reason %u error %d; should be %u %u %d",
			 access.access, (unsigned long long)access.gpa, did, is.reason, is.error,
			 will, should.reason, should.error);
}

/* The host does something to the page that the first one is busy with. */
static void strike_at(struct host_world *w, uint64_t gpa)
{
	struct mm_reached r = { .gpa = gpa & ~(MM_SIZE - 1) };

	if (mm_reach(&w->mm, &w->mm.cpu[1].host, &r))
		mm_random_op_at(&w->mm, mm_hva(&w->mm, mm_index(&w->mm, r.page)),
				&w->mm.cpu[1].host, &w->rng2);
}

/* The second walker: another vCPU, device, host or VMM, where the first one just is; or slots. */
static void strike(void *ctx, uint64_t gpa)
{
	struct host_world *w = ctx;
	struct mm_access access;
	struct s2_exit exit;

	w->ran = 1;
	w->strikes++;
	switch (mm_random(&w->rng2, 16)) {
	case 0:
	case 1:
	case 2:
		access = host_draw(mm_random(&w->rng2, 4) ? gpa : host_gpa(w, &w->rng2), &w->rng2);
		(void)host_access(w, &access, &w->rng2, &exit);
		break;
	case 3:
	case 4:
		host_slot_op(w, gpa, &w->rng2);
		break;
	case 5:
	case 6:
		(void)mm_random_op(&w->mm, &w->mm.cpu[1].host, &w->rng2);
		break;
	case 7:
	case 8:
		host_hold(w, gpa, &w->rng2);
		break;
	case 9:
		host_convert(w, gpa, &w->rng2);
		break;
	case 10:
		host_split(w, gpa, &w->rng2);
		break;
	case 11:
		if (mm_random(&w->rng2, 2))
			host_prefault(w, gpa, &w->rng2);
		else
			host_withdraw(w, gpa, &w->rng2);
		break;
	default:
		strike_at(w, gpa);
		break;
	}
}

/* What the VMM and devices do. */
static void do_vmm(struct host_world *w, uint64_t dice)
{
	uint64_t gpa = host_gpa(w, &w->rng);

	if (dice < 50)
		host_hold(w, gpa, &w->rng);
	else if (dice < 70)
		host_convert(w, gpa, &w->rng);
	else if (dice < 78)
		host_prefault(w, gpa, &w->rng);
	else if (dice < 86)
		host_young(w, gpa, &w->rng);
	else if (dice < 92)
		host_split(w, gpa, &w->rng);
	else if (dice < 96)
		host_withdraw(w, gpa, &w->rng);
	else
		host_age(w, &w->rng);
}

static void one_event(struct host_world *w)
{
	const struct sim_second_config second = {
		.fn = strike, .ctx = w, .walker = &w->mm.cpu[1].walker, .odds = w->odds
	};
	uint64_t dice = mm_random(&w->rng, 100);

	w->ran = 0;
	if (w->odds && dice && mm_random(&w->rng, 2))
		sim_second_arm(&w->sim, &second);
	if (!dice)
		host_take(w, host_gpa(w, &w->rng), &w->rng);
	else if (dice < 60)
		do_access(w);
	else if (dice < 82)
		(void)mm_random_op(&w->mm, &w->mm.cpu[0].host, &w->rng);
	else if (dice < 87)
		host_slot_op(w, 0, &w->rng);
	else
		do_vmm(w, mm_random(&w->rng, 100));
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
	for (int i = 0; i < MM_HOLD_EVENTS; i++)
		held[i] += w->mm.held[i];
	for (int i = 0; i < HOST_EVENTS; i++)
		vmm[i] += w->events[i];
	accesses += w->mm.accesses;
	privately += w->mm.privately;
	faults += w->mm.faults;
	exits += w->mm.exits;
	tired += w->mm.tired;
	strikes += w->strikes;
	slots += w->slot_ops;
	again += w->slot_again;
	host_down(w);
	checked += w->checked;
}

static int report_kinds(const char *const *name, const uint64_t *n, int kinds)
{
	int missing = 0;

	for (int i = 0; i < kinds; i++) {
		printf(" %s %llu", name[i], (unsigned long long)n[i]);
		missing += !n[i];
	}
	return missing;
}

/* Prints what happened. Returns how many kinds of things never did. */
static int report(double seconds)
{
	int missing;

	printf("random_host: seed %llu, %llu events in %llu runs, %.0f a second\n",
	       (unsigned long long)options.seed, (unsigned long long)options.events,
	       (unsigned long long)options.runs, (double)options.events / seconds);
	printf("  accesses %llu faults %llu exits %llu gave-up %llu predicted %llu strikes %llu "
	       "slots %llu (%llu later)\n ",
	       (unsigned long long)accesses, (unsigned long long)faults, (unsigned long long)exits,
	       (unsigned long long)tired, (unsigned long long)checked, (unsigned long long)strikes,
	       (unsigned long long)slots, (unsigned long long)again);
	missing = report_kinds(mm_op_name, ops, MM_OP_KINDS);
	printf("\n ");
	missing += report_kinds(mm_event_name, events, MM_EVENTS);
	printf("\n  holds:");
	missing += report_kinds(mm_hold_name, held, MM_HOLD_EVENTS);
	printf("\n  vmm: private %llu", (unsigned long long)privately);
	missing += report_kinds(host_event_name, vmm, options.threads ? HOST_ALONE : HOST_EVENTS);
	printf("\n");
	return missing + !privately;
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
