/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Model of hints (docs/locking.md, invariants 2 and 7), for spin. walker.inc has the CPUs.
 *
 * A walker goes straight to the table where it was last, as long as the epoch has not moved; the
 * epoch moves after each unlinking, before who unlinked returns, and the table is freed later. One
 * table of two entries. A user maps and unmaps one page of it, with hints; another maps the same
 * page once, without; who finds no table links a new one. A third thread either unlinks the table
 * whole (say, for a block), or removes the other page, freezes the table and unlinks it because it
 * is empty, and then frees it. The first entry of an unlinked table says busy (it is the link of a
 * chain, chain.pml).
 *
 * Asserted: nobody touches a freed table; an operation during which nobody else worked on the page
 * has done what it says when it returns, if the table is unlinked meanwhile for want of other
 * pages, or was unlinked whole before the operation began. Everybody finishes.
 *
 * -DBUG_... leaves one step out; tests/model/run demands that each of these is found.
 */
#define NCPU 1
#define NONE   255
#define BUSY   254

#include "walker.inc"

typedef table_t { byte entry[2] };	/* 0, 1 (mapped) or BUSY */
table_t table[3];		/* linked by: init, the user, the other */
byte parent = 0;		/* table linked there, NONE or BUSY */
bool freed;			/* table 0; the others stay linked */
byte page;			/* of the users */
byte started, working;		/* operations on the page: of the users, and unlinking as a whole */

#define MAPPED (parent < BUSY && table[parent].entry[page] == 1)
#define TOUCH(t) assert(t != 0 || !freed)

/* Sets done, or not: look again. */
inline step(me)
{
	if
	:: t == NONE && unmap -> done = true
	:: t == NONE && !unmap ->
		atomic {
			locked(me);
			if
			:: parent == NONE ->
				parent = me + 1;
				table[me + 1].entry[page] = 1;
				done = true
			:: else
			fi
		}
	:: t == BUSY
	:: t < BUSY ->
		TOUCH(t);
		value = table[t].entry[page];
		if
		:: value == BUSY
		:: value < BUSY && value != unmap -> done = true	/* as it should be */
		:: value < BUSY && value == unmap ->
			atomic {
				locked(me);
				TOUCH(t);
				if
				:: table[t].entry[page] == value ->
					table[t].entry[page] = 1 - value;
					done = true
				:: else
				fi
			}
		fi;
		value = 0
	fi
}

proctype user(byte me; byte rounds; byte hint)
{
	WALKER;
	byte kept, t, value, alone;
	bool unmap, done;

	do
	:: rounds > 0 ->
		if
		:: unmap = false
		:: unmap = true
		fi;
		atomic {
			started++; working++;
			alone = (working == 1 -> started : 0)
		};
		do
		:: !done ->
			open(me);
#ifndef BUG_NO_COMPARE
			if
			:: seen != kept -> hint = NONE
			:: else
			fi;
#endif
			kept = seen;
			t = hint;
			if
			:: t == NONE ->
				t = parent;
				if
				:: t < BUSY -> hint = t
				:: else
				fi
			:: else
			fi;
			step(me);
			leave(me);
			if	/* relax() */
			:: !done && t < BUSY -> (table[t].entry[page] != BUSY || epoch != kept)
			:: !done && t == BUSY -> (parent != BUSY)
			:: else
			fi;
			t = 0
		:: done -> break
		od;
		atomic {
			assert(alone != started || MAPPED != unmap);
			working--;
			done = false
		};
		rounds--
	:: rounds == 0 -> break
	od;
	finished++
}

/* At once: what may come between is the user's part. */
proctype other()
{
	atomic {
		parent != BUSY && (parent == NONE || table[parent].entry[page] != BUSY);
		if
		:: parent == NONE -> parent = 2; table[2].entry[page] = 1
		:: else -> table[parent].entry[page] = 1
		fi;
		started++;
		finished++
	}
}

inline detached()
{
#ifdef BUG_NO_MOVE
	skip
#else
	epoch = epoch + 2
#endif
}

/* Changes an entry of table 0, or parent, if it is as expected; else ok becomes false. */
#define CAS(what, old, new) \
	atomic { if :: ok && what == old -> what = new :: else -> ok = false fi }

inline unlink_whole()
{
	atomic { started++; working++ };
	CAS(parent, 0, NONE);
	detached();
	CAS(table[0].entry[0], 0, BUSY);
	if
	:: !ok -> ok = true; CAS(table[0].entry[0], 1, BUSY)
	:: else
	fi;
	ok = true;
	working--
}

inline unlink_empty()
{
	CAS(table[0].entry[1 - page], 1, 0);
	CAS(table[0].entry[0], 0, BUSY);	/* freeze */
	if
	:: ok ->
		CAS(table[0].entry[1], 0, BUSY);
		if
		:: ok ->
			CAS(parent, 0, BUSY);	/* and walk caches are invalidated */
#ifdef BUG_THAW
			CAS(table[0].entry[0], BUSY, 0);
#endif
			detached();
			parent = NONE;
			unlinked = true
		:: else -> ok = true; CAS(table[0].entry[0], BUSY, 0)
		fi
	:: else -> ok = true
	fi;
	assert(ok)
}

proctype unlinker(bool whole)
{
	byte cpu_at;
	bool ok = true, unlinked;

	if
	:: whole -> unlink_whole(); unlinked = true
	:: else -> unlink_empty()
	fi;
	if
	:: unlinked ->
		epoch = epoch + 2;	/* synchronize */
#ifndef BUG_NO_BARRIER
		barrier();
#endif
#ifndef BUG_NO_WAIT
		sections_wait(NCPU);
#endif
		freed = true
	:: else
	fi;
	finished++
}

init {
	bool whole;

	atomic {
		registered[0] = true; known[0] = true;
		if
		:: page = 0
		:: page = 1
		fi;
		if
		:: whole = true
		:: whole = false
		fi;
		table[0].entry[1 - page] = 1;
		run cpu(0); run user(0, 2, 0); run other(); run unlinker(whole)
	}
	(finished == 3)
}
