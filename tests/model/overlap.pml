/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Model of invalidations that overlap (docs/locking.md, invariants 5 and 9), for spin.
 *
 * Two pages of one region, each mapped or not, and what one CPU's TLB holds of them. Two
 * invalidators: one takes both pages away, the other page 1 only. A vCPU faults page 1 in and uses
 * both. Each invalidator counts itself, waits for the vCPU's section, removes what it finds, flushes
 * what it removed, or all of its range if another one is running; then the range must be empty
 * until its end, whatever the others do.
 *
 * -DBUG_OVERLAP leaves the look at the others out, -DBUG_LATE_COUNT counts after the removal:
 * tests/model/run demands that both are found.
 */
#define NONE 0
#define OURS 1

byte entry[2] = OURS;
byte tlb[2] = OURS;
byte running = 0, sequence = 0, section = 0;

/* From the return of begin until end: nothing there is mapped, nothing is cached. */
#define EMPTY(first) \
	assert(entry[1] == NONE && tlb[1] == NONE); \
	assert(first == 1 || (entry[0] == NONE && tlb[0] == NONE))

/* first: 0 takes both pages, 1 the second only */
proctype invalidator(byte first) {
	byte p, s;
	bool removed[2], others;

#ifndef BUG_LATE_COUNT
	running++;
#endif
	s = section;
	(s % 2 == 0 || section != s);	/* synchronize */
	p = first;
	do
	:: p < 2 ->
		atomic {
			if
			:: entry[p] != NONE -> entry[p] = NONE; removed[p] = true
			:: else
			fi
		};
		p++
	:: else -> break
	od;
#ifdef BUG_LATE_COUNT
	running++;
#endif
#ifndef BUG_OVERLAP
	others = running > 1;
#endif
	p = first;
	do
	:: p < 2 ->
		if
		:: removed[p] || others -> tlb[p] = NONE
		:: else
		fi;
		p++
	:: else -> break
	od;
	/* begin has returned */
	EMPTY(first);
	/* the host changes its mind about the memory */
	EMPTY(first);
	sequence++;
	running--
}

proctype vcpu() {
	byte sample, round = 0, p;

	do
	:: round < 2 ->
		sample = sequence;
		section++;
		if
		:: running == 0 && sequence == sample ->
			atomic { if :: entry[1] == NONE -> entry[1] = OURS :: else fi }
		:: else
		fi;
		section++;
		/* hardware walks */
		p = 0;
		do
		:: p < 2 ->
			atomic { if :: entry[p] != NONE -> tlb[p] = entry[p] :: else fi };
			p++
		:: else -> break
		od;
		round++
	:: else -> break
	od
}

init {
	atomic { run invalidator(0); run invalidator(1); run vcpu() }
	(_nr_pr == 1);
	/* What is cached is mapped: else the next invalidation would not find it. */
	assert(tlb[0] == NONE || entry[0] == tlb[0]);
	assert(tlb[1] == NONE || entry[1] == tlb[1])
}
