/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Model of sections whose beginning is a plain store, and of the barrier that makes up for it
 * (docs/locking.md, invariants 1, 2 and 5), for spin. walker.inc has the CPUs.
 *
 * Two vCPUs look at one page of one table, or fault on it; the second registers its walker while
 * all is going on, and the port's barrier does not reach its CPU before it said so. An invalidator
 * counts itself, synchronizes, unlinks the table, synchronizes, frees it, lets the host change its
 * mind, ends.
 *
 * Asserted: nobody touches the freed table; between begin and end nothing is mapped; what the host
 * took back is not mapped afterwards. Everybody finishes.
 *
 * -DBUG_... leaves one step out; tests/model/run demands that each of these is found.
 */
#define NCPU 2
#define NONE 255

#include "walker.inc"

byte parent = 0;		/* the table linked there, or NONE */
byte leaf[NCPU + 1];		/* one entry a table: frame, or 0 */
bool freed[NCPU + 1];
byte running, sequence;
byte frame = 1;			/* what the host has there; taken back: the smaller ones */

#define EMPTY assert(parent == NONE || leaf[parent] == 0)

inline register(me)
{
	store(me, KNOWN, 1);
#ifdef BUG_REGISTER_UNLOCKED
	store(me, REGISTERED, 1)
#else
	atomic { locked(me) && lock == 0 -> lock = 1 };
	store(me, REGISTERED, 1);
	store(me, LOCK, 0)
#endif
}

proctype vcpu(byte me; byte rounds)
{
	WALKER;
	byte sample, found, t;

	if
	:: me == 1 -> register(me)
	:: else
	fi;
	do
	:: rounds > 0 ->	/* to look only */
		open(me);
		t = parent;
		if
		:: t != NONE -> assert(!freed[t])
		:: else
		fi;
		leave(me);
		rounds--
	:: rounds > 0 ->
		sample = sequence;
		found = frame;		/* resolve() */
		open(me);
		if
		:: running == 0 ->
			if
			:: sequence == sample ->
				t = parent;
				if
				:: t == NONE ->	/* a new table, filled and then linked */
					atomic {
						locked(me);
						if
						:: parent == NONE ->
							leaf[me + 1] = found;
							parent = me + 1
						:: else
						fi
					}
				:: else ->
					assert(!freed[t]);	/* a look */
					atomic {
						locked(me);
						assert(!freed[t]);
						if
						:: leaf[t] == 0 -> leaf[t] = found
						:: else
						fi
					}
				fi
			:: else
			fi
		:: else
		fi;
		leave(me);
		rounds--
	:: else -> break
	od;
	finished++
}

proctype host()
{
	byte cpu_at, t;

#ifndef BUG_COUNT_LATE
	running++;
#endif
	epoch = epoch + 2;
	list_lock();
#if !defined(BUG_NO_BARRIER_AT_BEGIN) && !defined(BUG_BARRIER_LATE)
	barrier();
#endif
#ifdef BUG_COUNT_LATE
	running++;
#endif
	sections_wait(NCPU);
#ifdef BUG_BARRIER_LATE
	barrier();
#endif
	list_unlock();
	atomic { t = parent; parent = NONE };
	epoch = epoch + 2;		/* detach */
	epoch = epoch + 2;		/* synchronize */
	list_lock();
#ifndef BUG_NO_BARRIER_AT_FREE
	barrier();
#endif
#ifndef BUG_NO_WAIT_AT_FREE
	sections_wait(NCPU);
#endif
	list_unlock();
	freed[t] = true;
	EMPTY;				/* begin returns */
	frame = 2;
	EMPTY;
	sequence++;
	running--;
	finished++
}

init {
	atomic {
		registered[0] = true; known[0] = true;
		run cpu(0); run cpu(1);
		run vcpu(0, 2); run vcpu(1, 1); run host()
	}
	(finished == 3);
	assert(parent == NONE || leaf[parent] != 1)
}
