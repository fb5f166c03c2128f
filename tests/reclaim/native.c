// SPDX-License-Identifier: BSD-2-Clause
/*
 * hyp/arm64/reclaim.c itself, compiled into the test: with points before each step that others can
 * see (beside those of the port, and of the frames that are given and taken: tracing.h), and with
 * names for what is static in it.
 */
#include <string.h>

#include "world.h"

static int claim_at_point(uint64_t n, uint64_t word)
{
	play_point();
	return frames_claim(n, word);
}

static void set_at_point(uint64_t n, uint64_t word)
{
	play_point();
	frames_set(n, word);
}

static void copy_at_point(uint64_t to, uint64_t from)
{
	play_point();
	frames_copy(to, from);
}

static int equal_at_point(uint64_t a, uint64_t b)
{
	play_point();
	return frames_equal(a, b);
}

static uint64_t store_at_point(uint64_t frame)
{
	play_point();
	return frames_store(frame);
}

static void fetch_at_point(uint64_t slot, uint64_t frame)
{
	play_point();
	frames_fetch(slot, frame);
}

#define frames_claim claim_at_point
#define frames_set   set_at_point
#define frames_copy  copy_at_point
#define frames_equal equal_at_point
#define frames_store store_at_point
#define frames_fetch fetch_at_point

#include "../../hyp/arm64/reclaim.c" /* as it is: NOLINT(bugprone-suspicious-include) */

void native_reset(void)
{
	memset(&scan, 0, sizeof(scan));
}

void native_hush(void)
{
	scan.not_before = ~0ull;
}

void native_take(struct hyp_cpu *cpu, uint64_t n, unsigned int pages)
{
	(void)take(cpu, n, pages);
}

void native_move(struct hyp_cpu *cpu, uint64_t n)
{
	move(cpu, n);
}

void native_merge(struct hyp_cpu *cpu, uint64_t n, uint64_t other)
{
	merge_with(cpu, n, other);
}

void native_offer(struct hyp_cpu *cpu, uint64_t n)
{
	merge(cpu, n);
}

/* One step of the scanner, on the first window. */
void native_pass(struct hyp_cpu *cpu)
{
	scan.next = 0;
	scan.not_before = 0;
	(void)scan_on(cpu, 1);
	native_hush();
}
