// SPDX-License-Identifier: BSD-2-Clause
/*
 * Writes the trace that the hypervisor records: from the ring in the machine's memory
 * (hyp/arm64/ring.h) into the file, in the binary form of docs/checker.md.
 *
 * A thread of its own, since the hypervisor stands still while the ring is full: it takes whatever
 * is there, and sleeps for a moment when there is nothing. It alone touches the file and the ring
 * between drain_start() and drain_close(); `state` is what the two threads tell each other. Where
 * the file cannot be written it stops, and the hypervisor soon stands still, until the run is ended
 * for that reason.
 *
 * The first bytes are written before the machine starts, so that a place that takes none is found
 * at once. The file may be a pipe.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "drain.h"
#include "ring.h"
#include "trace.h"

#define NAP_NS   300000
#define MAGIC    8 /* bytes of the head that are always the same */
#define NO_TRACE (-1)

enum drain_state {
	DRAIN_RUNS,
	DRAIN_LAST, /* the machine is gone: take the rest and end */
	DRAIN_FAILED,
};

struct drain {
	const struct run_options *options;
	struct hyp_ring *ring;
	const struct hyp_report *report;
	pthread_t thread;
	int file;
	int started;
	int state; /* enum drain_state */
	int error; /* errno, or NO_TRACE: the hypervisor is one that records none */
};

static int put(struct drain *drain, const void *bytes, size_t n)
{
	const char *at = bytes;

	while (n) {
		ssize_t done = write(drain->file, at, n);

		if (done < 0 && errno != EINTR) {
			drain->error = errno;
			return -1;
		}
		if (done > 0) {
			at += done;
			n -= (size_t)done;
		}
	}
	return 0;
}

/* CLIDR_EL1 can say what CTR_EL0.IDC does: that no cache lies before unification. */
static int put_head(struct drain *drain)
{
	const struct hyp_ring *ring = drain->ring;
	struct s2c_cpu cpu = s2c_cpu_from_id(ring->mmfr0, ring->mmfr1, ring->mmfr2, ring->ctr);
	uint8_t head[S2C_TRACE_START];

	if (!(ring->clidr >> 24 & 7) || !(ring->clidr >> 21 & 7 || ring->clidr >> 27 & 7))
		cpu.features |= S2C_IDC;
	s2c_trace_binary_start(head, &cpu);
	return put(drain, head + MAGIC, sizeof(head) - MAGIC);
}

/* Returns 1 if there was something, 0 if not, -1 if it cannot be written. */
static int take(struct drain *drain)
{
	struct hyp_ring *ring = drain->ring;
	uint64_t tail = ring->tail;
	uint64_t n = __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE) - tail;
	uint64_t first = tail % HYP_RING_EVENTS;

	if (!n)
		return 0;
	if (n > HYP_RING_EVENTS - first)
		n = HYP_RING_EVENTS - first;
	if (put(drain, &ring->events[first], n * sizeof(ring->events[0])))
		return -1;
	__atomic_store_n(&ring->tail, tail + n, __ATOMIC_RELEASE);
	return 1;
}

static int speaks(const struct drain *drain)
{
	return __atomic_load_n(&drain->ring->magic, __ATOMIC_ACQUIRE) == HYP_RING_MAGIC;
}

/* The hypervisor's report is long there before the guest runs, and the ring before the report. */
static int wait_for_ring(struct drain *drain)
{
	const struct timespec nap = { .tv_nsec = NAP_NS };

	while (!speaks(drain)) {
		if (__atomic_load_n(&drain->report->state, __ATOMIC_ACQUIRE) >= HYP_STATE_RUNNING) {
			drain->error = NO_TRACE;
			return -1;
		}
		if (__atomic_load_n(&drain->state, __ATOMIC_ACQUIRE) == DRAIN_LAST)
			return 1;
		nanosleep(&nap, NULL);
	}
	return put_head(drain);
}

static void *work(void *ctx)
{
	const struct timespec nap = { .tv_nsec = NAP_NS };
	struct drain *drain = ctx;
	int result = wait_for_ring(drain);

	while (!result) {
		int last = __atomic_load_n(&drain->state, __ATOMIC_ACQUIRE) == DRAIN_LAST;
		int taken = take(drain);

		if (taken < 0)
			result = -1;
		else if (!taken && last)
			break;
		else if (!taken)
			nanosleep(&nap, NULL);
	}
	if (result < 0)
		__atomic_store_n(&drain->state, DRAIN_FAILED, __ATOMIC_RELEASE);
	return NULL;
}

static const char *why(const struct drain *drain)
{
	return drain->error == EPIPE ? "nobody reads it any more" : strerror(drain->error);
}

int drain_open(const struct run_options *options, struct drain **drain)
{
	struct s2c_cpu none = { 0 };
	uint8_t head[S2C_TRACE_START];
	struct drain *d;

	*drain = NULL;
	if (!options->trace)
		return 0;
	d = calloc(1, sizeof(*d));
	if (!d)
		abort();
	d->options = options;
	d->file = open(options->trace, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	s2c_trace_binary_start(head, &none);
	if (d->file < 0)
		d->error = errno;
	if (d->error || put(d, head, MAGIC)) {
		complain("cannot write trace '%s': %s", options->trace, why(d));
		if (d->file >= 0)
			close(d->file);
		free(d);
		return EXIT_USAGE;
	}
	*drain = d;
	return 0;
}

static void *window(int memory, uint64_t address, size_t size, int protection)
{
	void *at =
		mmap(NULL, size, protection, MAP_SHARED, memory, (off_t)(address - HYP_RAM_BASE));

	return at == MAP_FAILED ? NULL : at;
}

int drain_start(struct drain *drain, int memory)
{
	int error;

	if (!drain)
		return 0;
	drain->ring = window(memory, HYP_RING_BASE, sizeof(*drain->ring), PROT_READ | PROT_WRITE);
	drain->report = window(memory, HYP_REPORT_BASE, sizeof(*drain->report), PROT_READ);
	if (!drain->ring || !drain->report)
		return complain("cannot map the guest's memory: %s", strerror(errno));
	error = pthread_create(&drain->thread, NULL, work, drain);
	if (error)
		return complain("cannot start the thread that writes the trace: %s",
				strerror(error));
	drain->started = 1;
	return 0;
}

int drain_failed(const struct drain *drain)
{
	return drain && __atomic_load_n(&drain->state, __ATOMIC_ACQUIRE) == DRAIN_FAILED;
}

int drain_close(struct drain *drain, uint64_t *events)
{
	int running = DRAIN_RUNS;
	int failed = 0;

	*events = 0;
	if (!drain)
		return 0;
	__atomic_compare_exchange_n(&drain->state, &running, DRAIN_LAST, 0, __ATOMIC_ACQ_REL,
				    __ATOMIC_ACQUIRE);
	if (drain->started) {
		pthread_join(drain->thread, NULL);
		*events = drain->ring->tail;
	}
	if (close(drain->file) && !drain->error)
		drain->error = errno;
	if (drain->error == NO_TRACE) {
		failed = EXIT_USAGE;
		complain("hypervisor '%s' records no trace: --trace needs "
			 "stage2-hyp-trace.bin",
			 drain->options->hyp);
	} else if (drain->error) {
		failed = EXIT_GUEST;
		complain("cannot write trace '%s': %s", drain->options->trace, why(drain));
	}
	if (drain->ring)
		munmap(drain->ring, sizeof(*drain->ring));
	if (drain->report)
		munmap((void *)drain->report, sizeof(*drain->report));
	free(drain);
	return failed;
}
