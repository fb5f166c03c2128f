/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Model of holding a tree exclusively (docs/locking.md, invariant 10), for spin. walker.inc has the
 * CPUs.
 *
 * The lowest bit of the epoch says that somebody holds the tree. Two threads want to; who holds it
 * adds to an entry by a load and a plain store. A walker looks, in a section that does not wait for
 * holders and leaves no hint under an epoch with that bit; or he waits. Then he adds by compare-
 * and-swap: by the short way if he has a hint under the epoch as it is, or in a section that waits
 * for holders. A fourth thread unlinks a table, synchronizes and frees it meanwhile. One of the
 * holders uses that table, too, without a section.
 *
 * Asserted: no addition is lost, no move of the epoch is lost, nobody touches the freed table.
 * Everybody finishes.
 *
 * -DBUG_... leaves one step out; tests/model/run demands that each of these is found.
 */
#define NCPU 2

byte entry;
byte additions, moves;
bool unlinked, freed;		/* the table that the hints are of */

#include "walker.inc"

#define EXCLUSIVE 1
#define STEP 2
#define NEVER 255		/* not an epoch */

inline enter_looking(me)
{
	open(me);
#ifndef BUG_NO_COMPARE
	if
	:: seen != kept -> hint = false
	:: else
	fi;
#endif
#ifdef BUG_KEEP_ODD
	kept = seen
#else
	kept = (seen & EXCLUSIVE -> NEVER : seen)
#endif
}

inline enter(me)
{
	enter_looking(me);
#ifndef BUG_NO_TEST
	do
	:: seen & EXCLUSIVE ->
		leave(me);
		!(epoch & EXCLUSIVE);	/* relax() */
		enter_looking(me)
	:: else -> break
	od
#endif
}

/* Goes to the table by its hint, or from the root, if it is there. */
inline touch()
{
	if
	:: !hint -> hint = !unlinked
	:: else
	fi;
	assert(!hint || !freed)
}

inline add(me)
{
	value = entry;
	atomic {
		locked(me);
		if
		:: entry == value -> entry++; additions++; added = true
		:: else
		fi;
		value = 0
	}
}

proctype walker(byte me)
{
	WALKER;
	byte kept, value;
	bool hint, added;

	if
	:: true ->			/* to look only */
		enter_looking(me);
		touch();
		leave(me)
	:: true ->
		enter(me);
		touch();
		leave(me)
	fi;
	open(me);			/* the short way */
	if
	:: seen == kept && hint ->
		touch();
		add(me)
	:: else
	fi;
	leave(me);
	do
	:: !added ->
		enter(me);
		touch();
		add(me);
		leave(me)
	:: else -> break
	od;
	finished++
}

/*
 * Tries, and one of them may lose patience while he waits for sections. His store is not buffered:
 * nobody can tell, for the end drains the buffer.
 */
proctype holder(bool patient)
{
	byte cpu_at, value;
	bool hint, held;

#ifdef BUG_TWO_HOLDERS
	held = !(epoch & EXCLUSIVE);
	if
	:: held -> atomic { epoch = (epoch | EXCLUSIVE) + STEP; moves++ }
	:: else
	fi;
#else
	atomic {
		held = !(epoch & EXCLUSIVE);
		if
		:: held -> epoch = epoch + (STEP | EXCLUSIVE); moves++
		:: else
		fi
	};
#endif
	if
	:: held
	:: else -> goto out
	fi;
	if
	:: true ->
#ifndef BUG_NO_BARRIER
		barrier();
#endif
#ifndef BUG_NO_WAIT
		sections_wait(NCPU);
#endif
		value = entry;
		if
		:: patient -> touch()
		:: else
		fi;
		atomic { entry = value + 1; additions++; value = 0; hint = false }
	:: !patient
	fi;
#ifdef BUG_END_STORES
	value = epoch;
	epoch = value - EXCLUSIVE;
#else
	epoch = epoch - EXCLUSIVE;
#endif
out:
	atomic { held = false; finished++ }
}

/* The other walker of the list; his sections are not buffered. */
proctype unlinker()
{
	byte cpu_at;

	section[1] = 1;
	do
	:: epoch & EXCLUSIVE ->
		section[1] = (section[1] + 1) % 4;
		!(epoch & EXCLUSIVE);	/* relax() */
		section[1] = (section[1] + 1) % 4
	:: else -> break
	od;
	unlinked = true;
	atomic { epoch = epoch + STEP; moves++ };
	section[1] = (section[1] + 1) % 4;
	atomic { epoch = epoch + STEP; moves++ };	/* synchronize */
	barrier();
	sections_wait(1);
	atomic { freed = true; finished++ }
}

init {
	atomic {
		registered[0] = true; known[0] = true; registered[1] = true;
		run cpu(0); run walker(0);
		run unlinker(); run holder(true); run holder(false)
	}
	(finished == 4);
	assert(entry == additions);
	assert(epoch == moves * STEP)
}
