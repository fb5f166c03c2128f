// SPDX-License-Identifier: BSD-2-Clause
/*
 * Rounds. In each, every subject runs the operation once, in turn, beginning with another one each
 * time, so that a slow spell of the machine hits all of them. The first round is to warm up: in it
 * the tree is read back and the instructions are counted; its times are thrown away. The result is
 * the median.
 *
 * The second thread lives as long as the process and sleeps unless it is needed: a process of one
 * thread would get some of its barriers for nothing. Two threads start together from a spin, both
 * awake. Their time is processor time, of which a neighbour on the machine takes little; only the
 * speedup needs the wall, and is measured against one thread of the same subject in the same round.
 * Rounds of two do not count in which a thread lost its CPU to somebody else: the wall then tells
 * how busy the machine is, and who waits for a lock burns the time of who has lost it. If that
 * leaves too few a row takes longer; in the end it has no speedup, and the time of all rounds.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else /* without its headers there is no callgrind to talk to */
#define CALLGRIND_START_INSTRUMENTATION ((void)0)
#define CALLGRIND_STOP_INSTRUMENTATION  ((void)0)
#endif

#include "pages.h"
#include "run.h"

#define MIN_ROUNDS 5
#define MIN_QUIET  3
#define PATIENCE   2 /* times the time of a row, until there are enough quiet rounds */

/* A thread's part of one run. */
struct part {
	const struct bench_subject *subject;
	const struct bench_op *op;
	void *tree;
	struct bench_job job;
	unsigned int threads; /* that start together */
	int ret;
	double cpu_ns, begin_ns, end_ns;
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct part *part; /* of the second thread, until it is done */
	unsigned int arrived;
	unsigned int cpus[BENCH_THREADS];
	double clock_ns; /* what reading the clock costs */
} team = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static double now_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static void pin(unsigned int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		perror("bench: cannot be pinned");
}

static void run_part(struct part *part)
{
	double begin;

	__atomic_fetch_add(&team.arrived, 1, __ATOMIC_ACQ_REL);
	while (__atomic_load_n(&team.arrived, __ATOMIC_ACQUIRE) < part->threads)
		;
	part->begin_ns = now_ns(CLOCK_MONOTONIC);
	begin = now_ns(CLOCK_THREAD_CPUTIME_ID);
	part->ret = part->subject->run[part->op->verb](part->tree, &part->job);
	part->cpu_ns = now_ns(CLOCK_THREAD_CPUTIME_ID) - begin - team.clock_ns;
	part->end_ns = now_ns(CLOCK_MONOTONIC);
}

static void *second(void *unused)
{
	struct part *part;

	(void)unused;
	pin(team.cpus[1]);
	bench_pages_thread(1);
	pthread_mutex_lock(&team.lock);
	for (;;) {
		while (!team.part)
			pthread_cond_wait(&team.changed, &team.lock);
		part = team.part;
		pthread_mutex_unlock(&team.lock);
		run_part(part);
		pthread_mutex_lock(&team.lock);
		team.part = NULL;
		pthread_cond_broadcast(&team.changed);
	}
	return NULL;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *values, size_t n)
{
	qsort(values, n, sizeof(*values), by_value);
	return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

unsigned int bench_start(void)
{
	double costs[101], begin;
	pthread_t thread;
	unsigned int n = 0;
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set))
		CPU_ZERO(&set);
	for (unsigned int cpu = 0; cpu < CPU_SETSIZE && n < BENCH_THREADS; cpu++)
		if (CPU_ISSET(cpu, &set))
			team.cpus[n++] = cpu;
	if (n == 1)
		team.cpus[1] = team.cpus[0];
	bench_pages_thread(0);
	if (pthread_create(&thread, NULL, second, NULL)) {
		fprintf(stderr, "bench: cannot start a thread\n");
		exit(2);
	}
	pin(team.cpus[0]);
	for (size_t i = 0; i < 101; i++) {
		begin = now_ns(CLOCK_THREAD_CPUTIME_ID);
		costs[i] = now_ns(CLOCK_THREAD_CPUTIME_ID) - begin;
	}
	team.clock_ns = median(costs, 101);
	return n;
}

static void fail(const struct bench_subject *subject, const struct bench_op *op, const char *what,
		 long long value)
{
	fprintf(stderr, "bench: %s: %s: %s (%lld)\n", subject->name, op->name, what, value);
	exit(1);
}

/* Runs the parts of all threads at once. */
static void run_parts(struct part *parts, unsigned int threads)
{
	__atomic_store_n(&team.arrived, 0, __ATOMIC_RELEASE);
	if (threads > 1) {
		pthread_mutex_lock(&team.lock);
		team.part = &parts[1];
		pthread_cond_broadcast(&team.changed);
		pthread_mutex_unlock(&team.lock);
	}
	run_part(&parts[0]);
	pthread_mutex_lock(&team.lock);
	while (team.part)
		pthread_cond_wait(&team.changed, &team.lock);
	pthread_mutex_unlock(&team.lock);
}

/* A tree as it is before the operation. */
static void *set_up(const struct bench_subject *subject, const struct bench_op *op,
		    const struct bench_job *jobs, unsigned int threads)
{
	void *tree = subject->open(BENCH_THREADS);
	int ret;

	if (op->before.piece) {
		struct bench_job before = bench_job_before(op);

		if (subject->prepare)
			subject->prepare(tree, &before);
		ret = subject->run[BENCH_MAP](tree, &before);
		if (ret)
			fail(subject, op, "cannot be set up", ret);
	}
	for (unsigned int t = 0; t < threads && subject->prepare; t++)
		subject->prepare(tree, &jobs[t]);
	return tree;
}

static void take_down(const struct bench_subject *subject, const struct bench_op *op, void *tree)
{
	subject->close(tree);
	if (bench_pages_used())
		fail(subject, op, "pages of tables are lost", (long long)bench_pages_used());
	bench_pages_reset();
}

static void count_between(struct bench_count *count, const struct bench_count *before)
{
	count->tlbi_entry -= before->tlbi_entry;
	count->tlbi_range -= before->tlbi_range;
	count->tlbi_all -= before->tlbi_all;
	count->tlbi_stage1 -= before->tlbi_stage1;
	count->dsb_ishst -= before->dsb_ishst;
	count->dsb_ish -= before->dsb_ish;
	count->dsb_other -= before->dsb_other;
	count->cache -= before->cache;
}

/*
 * One run of `threads` jobs. Returns 0 if the subject cannot do it. With `cell` the tree is
 * verified and the instructions are counted.
 */
static int run_jobs(const struct bench_subject *subject, const struct bench_op *op,
		    const struct bench_job *jobs, struct part *parts, unsigned int threads,
		    struct bench_cell *cell)
{
	struct bench_count before = { 0 };
	void *tree = set_up(subject, op, jobs, threads);
	int there = 1;

	for (unsigned int t = 0; t < threads; t++)
		parts[t] = (struct part){ .subject = subject,
					  .op = op,
					  .tree = tree,
					  .job = jobs[t],
					  .threads = threads };
	if (cell)
		subject->count(tree, &before);
	run_parts(parts, threads);
	for (unsigned int t = 0; t < threads; t++) {
		if (parts[t].ret == BENCH_UNSUPPORTED)
			there = 0;
		else if (parts[t].ret)
			fail(subject, op, "error", parts[t].ret);
	}
	if (there && cell) {
		subject->count(tree, &cell->count);
		count_between(&cell->count, &before);
		if (op->verb != BENCH_DESTROY)
			bench_op_verify(op, subject, tree);
		else if (cell->count.tables)
			fail(subject, op, "tables are left", (long long)cell->count.tables);
	}
	take_down(subject, op, tree);
	return there;
}

/* Calls a second on the wall. */
static double rate(const struct part *parts, unsigned int threads)
{
	double begin = parts[0].begin_ns, end = parts[0].end_ns, calls = 0;

	for (unsigned int t = 0; t < threads; t++) {
		begin = parts[t].begin_ns < begin ? parts[t].begin_ns : begin;
		end = parts[t].end_ns > end ? parts[t].end_ns : end;
		calls += parts[t].job.n;
	}
	return calls / (end - begin);
}

/* Was one of the threads off its CPU for more than a tenth of the time? */
static int disturbed(const struct part *parts, unsigned int threads)
{
	double begin = parts[0].begin_ns;

	for (unsigned int t = 0; t < threads; t++)
		begin = parts[t].begin_ns < begin ? parts[t].begin_ns : begin;
	for (unsigned int t = 0; t < threads; t++)
		if (parts[t].end_ns - begin > 1.1 * parts[t].cpu_ns)
			return 1;
	return 0;
}

/* Two threads: the first `nquiet` are of quiet rounds. */
struct samples {
	double ns[BENCH_MAX_ROUNDS];
	double speedup[BENCH_MAX_ROUNDS];
	size_t n, nquiet;
};

/* One subject's turn in a round. */
static void take_turn(const struct bench_subject *subject, const struct bench_row *row,
		      const struct bench_job *jobs, const struct bench_job *alone,
		      struct bench_cell *cell, struct samples *samples, size_t round)
{
	unsigned int threads = row->sharing == BENCH_ALONE ? 1 : BENCH_THREADS;
	struct part parts[BENCH_THREADS], one;
	int warm = round == 0;
	double ns = 0;

	cell->there = run_jobs(subject, row->op, jobs, parts, threads, warm ? cell : NULL);
	if (!cell->there || warm)
		return;
	for (unsigned int t = 0; t < threads; t++)
		ns += parts[t].cpu_ns / threads / parts[t].job.n *
		      ((double)row->op->unit / (double)row->op->piece);
	samples->ns[samples->n++] = ns;
	if (threads == 1)
		return;
	run_jobs(subject, row->op, alone, &one, 1, NULL);
	if (disturbed(parts, threads) || disturbed(&one, 1))
		return;
	samples->ns[samples->n - 1] = samples->ns[samples->nquiet];
	samples->ns[samples->nquiet] = ns;
	samples->speedup[samples->nquiet++] = rate(parts, threads) / rate(&one, 1);
}

/* KVM's tables without KVM's lock are not for two threads. */
static int can_run(const struct bench_subject *subject, const struct bench_row *row)
{
	return subject->run[row->op->verb] &&
	       (row->sharing == BENCH_ALONE || strcmp(subject->name, "kvm") != 0);
}

static int enough(const struct bench_plan *plan, const struct bench_row *row,
		  const struct samples *samples, double spent_ns)
{
	double planned_ns = plan->seconds * 1e9;

	for (size_t i = 0; i < plan->nsubjects && row->sharing != BENCH_ALONE; i++)
		if (row->cells[i].there && samples[i].nquiet < MIN_QUIET)
			return spent_ns > PATIENCE * planned_ns;
	return spent_ns > planned_ns;
}

static void conclude(struct bench_cell *cell, struct samples *samples)
{
	if (samples->nquiet >= MIN_QUIET) {
		cell->ns = median(samples->ns, samples->nquiet);
		cell->speedup = median(samples->speedup, samples->nquiet);
	} else if (samples->n) {
		cell->ns = median(samples->ns, samples->n);
	}
}

void bench_run_row(const struct bench_plan *plan, struct bench_row *row)
{
	struct samples *samples = calloc(plan->nsubjects, sizeof(*samples));
	struct bench_job jobs[BENCH_THREADS], alone = bench_job_make(row->op, BENCH_ALONE, 0);
	size_t rounds = plan->rounds ? plan->rounds : BENCH_MAX_ROUNDS, round;
	double begin = now_ns(CLOCK_MONOTONIC);

	if (!samples) {
		fprintf(stderr, "bench: no memory\n");
		exit(2);
	}
	for (unsigned int t = 0; t < BENCH_THREADS; t++)
		jobs[t] = bench_job_make(row->op, row->sharing, t);
	for (size_t i = 0; i < plan->nsubjects; i++)
		row->cells[i].there = can_run(plan->subjects[i], row);
	for (round = 0; round <= rounds; round++) {
		if (!plan->rounds && round > MIN_ROUNDS &&
		    enough(plan, row, samples, now_ns(CLOCK_MONOTONIC) - begin))
			break;
		for (size_t i = 0; i < plan->nsubjects; i++) {
			size_t s = (i + round) % plan->nsubjects;

			if (row->cells[s].there)
				take_turn(plan->subjects[s], row, jobs, &alone, &row->cells[s],
					  &samples[s], round);
		}
	}
	row->rounds = round - 1;
	for (size_t i = 0; i < plan->nsubjects; i++)
		conclude(&row->cells[i], &samples[i]);
	for (unsigned int t = 0; t < BENCH_THREADS; t++)
		bench_job_free(&jobs[t]);
	bench_job_free(&alone);
	free(samples);
}

void bench_run_once(const struct bench_subject *subject, const struct bench_op *op)
{
	struct bench_job job = bench_job_make(op, BENCH_ALONE, 0);
	void *tree = set_up(subject, op, &job, 1);
	int ret;

	CALLGRIND_START_INSTRUMENTATION;
	ret = subject->run[op->verb](tree, &job);
	CALLGRIND_STOP_INSTRUMENTATION;
	if (ret)
		fail(subject, op, "error", ret);
	if (op->verb != BENCH_DESTROY)
		bench_op_verify(op, subject, tree);
	take_down(subject, op, tree);
	printf("%s: %u calls, %llu units of one %s\n", op->name, job.n,
	       (unsigned long long)(bench_op_bytes(op) / op->unit), bench_op_unit(op));
	bench_job_free(&job);
}
