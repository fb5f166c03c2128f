/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Model of unlinked tables as a chain, and of limbo (docs/locking.md, invariants 2, 3 and 7), for
 * spin. walker.inc has the CPUs.
 *
 * One thread unlinks two tables. The first entry of each becomes, by compare-and-swap, a link: busy
 * and where the next table is; if that entry is busy already the table goes to an array. A flush
 * hangs the tables in limbo behind the chain and puts all of it into limbo, or, if there is
 * something in the array, synchronizes and frees everything; at the end so it does with limbo. Two
 * walkers meanwhile, each in a table of its choice, insert in the first entry, or break it and make
 * it, or freeze the table and unlink it as empty.
 *
 * Asserted: nobody touches a freed table; who made an entry busy finds it as he left it; what is
 * unlinked is freed, once. Everybody finishes.
 *
 * -DBUG_... leaves one step out; tests/model/run demands that each of these is found.
 */
#define NCPU 2
#define NTABLE 2
#define NONE   0
#define BUSY   100		/* an entry; more is a link: see LINK */
#define NIL    0		/* ends a chain; tables are counted from 1 there */

#define LINK(table) (BUSY + (table))
#define NEXT(value) ((value) - BUSY)

#include "walker.inc"

typedef table_t { byte entry[2] };
table_t table[NTABLE];
byte parent[NTABLE] = 1;	/* 1: linked, NONE or BUSY */
bool freed[NTABLE];

#define TOUCH(t) assert(!freed[t])

/* ok: whether entry i of t was `old`. */
#define CAS(t, i, old, new) \
	atomic { \
		locked(me); \
		TOUCH(t); \
		ok = (table[t].entry[i] == (old)); \
		if :: ok -> table[t].entry[i] = (new) :: else fi \
	}

inline synchronize(self)
{
#ifndef BUG_NO_SYNCHRONIZE
	epoch = epoch + 2;
#ifndef BUG_NO_BARRIER
	barrier();
#endif
	sections_wait(self)
#else
	skip
#endif
}

inline free(t)
{
	atomic { TOUCH(t); freed[t] = true }
}

inline insert(me, t)
{
	TOUCH(t);
	if
	:: table[t].entry[0] == NONE -> CAS(t, 0, NONE, 1)
	:: else
	fi
}

inline break_and_make(me, t)
{
	TOUCH(t);
	value = table[t].entry[0];
	if
	:: value != NONE && value < BUSY ->
		CAS(t, 0, value, BUSY);
		if
		:: ok -> CAS(t, 0, BUSY, 2); assert(ok)
		:: else
		fi
	:: else
	fi
}

inline thaw(me, t, n)
{
	CAS(t, 0, BUSY, NONE);
	assert(ok);
	if
	:: n == 2 -> CAS(t, 1, BUSY, NONE); assert(ok)
	:: else
	fi
}

/* unlinked: by me, and it is in a chain of its own. */
inline reclaim(me, t)
{
	CAS(t, 0, NONE, BUSY);
	if
	:: ok ->
		CAS(t, 1, NONE, BUSY);
		if
		:: ok ->
			atomic {
				locked(me);
				if
				:: parent[t] == 1 -> parent[t] = BUSY; unlinked = true
				:: else
				fi
			};
			if
			:: unlinked ->
				parent[t] = NONE;
				epoch = epoch + 2;
				CAS(t, 0, BUSY, LINK(NIL));
				assert(ok)
			:: else -> thaw(me, t, 2)
			fi
		:: else -> thaw(me, t, 1)
		fi
	:: else
	fi
}

proctype walker(byte me)
{
	WALKER;
	byte t, value;
	bool ok, unlinked;

	if
	:: t = 0
	:: t = 1
	fi;
	open(me);
	if
	:: parent[t] == 1 ->
		if
		:: insert(me, t)
		:: break_and_make(me, t)
		:: reclaim(me, t)
		fi
	:: else
	fi;
	leave(me);
	if
	:: unlinked -> synchronize(me); free(t)
	:: else
	fi;
	finished++
}

/* Here tables are counted from 1. */
inline detach(t)
{
	epoch = epoch + 2;
	do
	:: true ->
		TOUCH(t - 1);
		value = table[t - 1].entry[0];
#ifndef BUG_STEAL_BUSY
		if
		:: value >= BUSY -> array[t - 1] = true; arrays++; break
		:: else
		fi;
#endif
#ifdef BUG_PLAIN_LINK
		table[t - 1].entry[0] = LINK(chain);
		ok = true;
#else
		atomic {
			ok = (table[t - 1].entry[0] == value);
			if
			:: ok -> table[t - 1].entry[0] = LINK(chain)
			:: else
			fi
		}
#endif
		if
		:: ok -> chain = t; break
		:: else
		fi
	od;
	value = 0
}

inline join()
{
	at = chain;
	do
	:: true ->
		TOUCH(at - 1);
		value = table[at - 1].entry[0];
		assert(value >= BUSY);
		if
		:: NEXT(value) != NIL -> at = NEXT(value)
		:: else -> break
		fi
	od;
	atomic {
		assert(table[at - 1].entry[0] == LINK(NIL));
		table[at - 1].entry[0] = LINK(limbo)
	};
	at = NIL; value = 0
}

inline free_limbo()
{
	do
	:: limbo != NIL ->
		TOUCH(limbo - 1);
		assert(table[limbo - 1].entry[0] >= BUSY);
		at = NEXT(table[limbo - 1].entry[0]);
		free(limbo - 1);
		limbo = at
	:: else -> break
	od;
	at = NIL
}

inline flush()
{
	if
	:: chain != NIL && limbo != NIL -> join()
	:: else
	fi;
	if
	:: chain != NIL -> limbo = chain; chain = NIL
	:: else
	fi;
	if
	:: arrays > 0 ->
#ifdef BUG_FREE_FIRST
		free_limbo();
#endif
		synchronize(NCPU);
		free_limbo();
		if
		:: array[0] -> free(0); array[0] = false
		:: else
		fi;
		if
		:: array[1] -> free(1); array[1] = false
		:: else
		fi;
		arrays = 0
	:: else
	fi
}

proctype unlinker()
{
	byte cpu_at, t = 1, value, at, chain = NIL, limbo = NIL, arrays;
	bool array[NTABLE], ok;

	do
	:: t <= NTABLE ->
		atomic {
			ok = (parent[t - 1] == 1);
			if
			:: ok -> parent[t - 1] = NONE
			:: else
			fi
		};
		if
		:: ok -> detach(t)
		:: else
		fi;
		if
		:: flush()
		:: true		/* later, with the next one */
		fi;
		t++
	:: else -> break
	od;
	flush();
	if
	:: limbo != NIL ->
#ifdef BUG_FREE_FIRST
		free_limbo();
#endif
		synchronize(NCPU);
		free_limbo()
	:: else
	fi;
	finished++
}

init {
	byte t;

	atomic {
		registered[0] = true; registered[1] = true; known[0] = true; known[1] = true;
		do
		:: t < NTABLE -> table[t].entry[0] = 1; t++
		:: t < NTABLE -> t++
		:: t == NTABLE -> break
		od;
		run cpu(0); run cpu(1); run walker(0); run walker(1); run unlinker()
	}
	(finished == 3);
	t = 0;
	do
	:: t < NTABLE -> assert(freed[t] == (parent[t] == NONE)); t++
	:: else -> break
	od
}
