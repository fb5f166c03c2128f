/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Model of precise faults: claims and the table of running ranges (docs/host.md, docs/locking.md
 * invariants 5 and 11), for spin.
 *
 * Two pages whose regions share one pair of counters. A vCPU faults on page 0: as everybody at
 * first, then precisely, with a claim that it keeps until it is through. Invalidators take page 0
 * or page 1 away, for a while at the same time; the table has one place, so that the second finds
 * it full and is counted. Each CPU has a store buffer: a plain store reaches memory some time
 * later, in order, a compare-and-swap or atomic addition waits until the buffer is empty. Loads
 * are in program order, as acquire makes them. A TLB is not in it: what is mapped is at once
 * cached and an invalidation takes both away (overlap.pml looks at what is between them).
 *
 * Asserted: from the return of begin to end page 0 is not mapped; in the end it is not mapped, or
 * to the frame that the host has there. -DPROGRESS: one of the invalidators takes page 1 away
 * again and again for ever; under weak fairness the fault finally gets its page. Without store
 * buffers.
 *
 * -DBUG_... leaves one step out; tests/model/run demands that each of these is found.
 */
#define NCPU 3			/* of the vCPU, of the two invalidators */

#define SECTION	  0		/* addresses of plain stores */
#define FRAME	  1
#define CLAIM	  2
#define DISTURBED 3
#define PLACE	  4
#define PAGE	  5

#ifdef PROGRESS
#define SEQUENCES 2
#else
#define SEQUENCES 8
#endif

#define FREE	0		/* the place in the table */
#define WRITING	1
#define GOOD	2

chan buffer[NCPU] = [3] of { byte, byte };
byte section;			/* 1: the vCPU is inside */
bool waits[NCPU];		/* for the section that was open to be left */
byte running, sequence;		/* of both pages */
byte place, place_page;
byte unranged;			/* invalidations that found no place */
byte claim, disturbed;		/* of page 0 */
byte frame = 1;			/* what the host has at page 0 */
byte next_frame = 2;
byte entry;			/* page 0: frame, or 0 */
bool mapped;
byte finished;

/* A store reaches memory. */
inline reach(address, value)
{
	if
	:: address == SECTION -> section = value; waits[1] = false; waits[2] = false
	:: address == FRAME -> frame = value
	:: address == CLAIM -> claim = value
	:: address == DISTURBED -> disturbed = value
	:: address == PLACE -> place = value
	:: address == PAGE -> place_page = value
	fi
}

#ifdef PROGRESS
#define locked(me) true
#define store(me, address, value) d_step { reach(address, value) }
#else
#define locked(me) empty(buffer[me])
#define store(me, address, value) buffer[me]!address, value
#endif

inline drain(me)
{
	buffer[me]?at, what;
	reach(at, what);
	at = 0; what = 0
}

/* Takes the buffer's stores to memory. */
proctype cpu(byte me)
{
	byte at, what;

end:	do
	:: d_step { nempty(buffer[me]) -> drain(me) }
	od
}

/* Sets ok: nothing that could have made what was learnt stale touches page 0. */
inline look_at_ranges(me)
{
	if
	:: place == GOOD ->
		if
		:: place_page == 0 -> ok = false
		:: else
		fi
	:: else			/* whoever is still writing waits for this section */
	fi;
#ifndef BUG_UNRANGED
	if
	:: unranged > 0 -> ok = false
	:: else
	fi
#endif
}

inline look_at_claim(me)
{
	if
	:: disturbed == 1 -> ok = false
	:: else
	fi
}

/* What the counters say. */
inline look_at_counters()
{
	if
	:: running > 0 -> ok = false
	:: else
	fi;
	if
	:: sequence != sample -> ok = false
	:: else
	fi
}

inline publish(me)
{
	if
	:: !claimed -> store(me, CLAIM, 1); claimed = true
	:: else
	fi;
	store(me, DISTURBED, 0);
#ifndef BUG_PUBLISH_UNFENCED
	locked(me)
#endif
}

inline fault(me)
{
	sample = sequence;
#ifndef BUG_PUBLISH_LATE
	if
	:: precise -> publish(me)
	:: else
	fi;
#endif
	found = frame;		/* resolve() */
#ifdef BUG_PUBLISH_LATE
	if
	:: precise -> publish(me)
	:: else
	fi;
#endif
	count = 1 - count;
	store(me, SECTION, count);	/* who synchronizes has the barrier for it */
	ok = true;
	if
	:: precise ->
#ifdef BUG_CLAIM_FIRST
		look_at_claim(me);
		look_at_ranges(me)
#else
		look_at_ranges(me);
		look_at_claim(me)
#endif
#ifdef BUG_COUNTERS_TOO
		look_at_counters();
#endif
	:: else -> look_at_counters()
	fi;
	if
	:: ok ->
		atomic { locked(me); assert(entry == 0); entry = found; mapped = true }
	:: else
	fi;
	count = 1 - count;
	store(me, SECTION, count);
	found = 0; sample = 0
}

proctype vcpu(byte me; byte rounds)
{
	byte count, sample, found;
	bool precise, claimed, ok;

	do
	:: !mapped && rounds > 0 ->
		fault(me);
#ifdef PROGRESS
#ifndef BUG_NO_CLAIMS
		precise = true
#endif
#else
		rounds--;
#endif
	:: !mapped && !precise && rounds > 0 -> precise = true
	:: mapped || rounds == 0 -> break
	od;
	atomic { ok = false; precise = false; count = 0 };
	if
	:: claimed -> store(me, CLAIM, 0)
	:: else
	fi;
	finished++
}

inline mark(me)
{
	if
	:: page == 0 && claim == 1 -> store(me, DISTURBED, 1)
	:: else
	fi
}

inline enlist(me)
{
	atomic {
		locked(me);
		ranged = (place == FREE);
		if
		:: ranged -> place = WRITING
		:: else -> unranged++
		fi
	};
	if
	:: ranged -> store(me, PAGE, page); store(me, PLACE, GOOD)
	:: else
	fi
}

inline delist(me)
{
	if
	:: ranged -> store(me, PLACE, FREE)
	:: else -> atomic { locked(me); unranged-- }
	fi
}

inline synchronize(me)
{
	byte at, what;

	locked(me);		/* adds to the epoch */
	d_step {		/* barrier() */
		do
		:: nempty(buffer[0]) -> drain(0)
		:: else -> break
		od
	};
	waits[me] = (section == 1);
	!waits[me]
}

inline begin(me)
{
#ifndef BUG_RANGE_LATE
	enlist(me);
#endif
	atomic { locked(me); running++ };
#ifndef BUG_NO_SYNCHRONIZE
	synchronize(me);
#endif
#ifdef BUG_RANGE_LATE
	enlist(me);
#endif
	if
	:: page == 0 -> atomic { locked(me); entry = 0 }
	:: else
	fi;
	assert(page != 0 || entry == 0)
}

/* The host's change is before the addition to the sequence, so in memory before the look. */
inline end_(me)
{
#ifdef BUG_END_UNFENCED
	mark(me);
#endif
	atomic { locked(me); sequence = (sequence + 1) % SEQUENCES };
	atomic { locked(me); running-- };
#ifdef BUG_DELIST_FIRST
	delist(me);
#endif
#if !defined(BUG_NO_MARK) && !defined(BUG_END_UNFENCED)
	mark(me);
#endif
#ifndef BUG_DELIST_FIRST
	delist(me)
#endif
}

inline invalidate(me)
{
	begin(me);
	if
	:: page == 0 -> atomic { store(me, FRAME, next_frame); next_frame++ }
	:: else
	fi;
	assert(page != 0 || entry == 0);
	end_(me)
}

proctype invalidator(byte me; byte rounds)
{
	byte page;
	bool ranged;

	do
	:: rounds > 0 ->
		if
		:: page = 0
#ifndef PROGRESS
		:: page = 1
#endif
		fi;
		invalidate(me);
		rounds--;
		page = 0; ranged = false
	:: rounds == 0 -> break
	od;
	finished++
}

#ifdef PROGRESS
/* Of the other page, for ever. */
proctype stream(byte me)
{
	byte page = 1;
	bool ranged;

end:	do
	:: invalidate(me)
	od
}

ltl progress { <> mapped }

init {
	atomic { run vcpu(0, 1); run stream(1); run invalidator(2, 1) }
}
#else
init {
	atomic {
		run cpu(0); run cpu(1); run cpu(2);
		run vcpu(0, 2); run invalidator(1, 1); run invalidator(2, 1)
	}
	(finished == 3 && empty(buffer[0]) && empty(buffer[1]) && empty(buffer[2]));
	assert(running == 0 && unranged == 0 && place == FREE);
	assert(entry == 0 || entry == frame)
}
#endif
