/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Model of VMIDs by generations (docs/locking.md, invariant 14; src/vm/vmid.c), for spin.
 *
 * Two CPUs load three guests; there are two numbers, of which one is free at first. Each CPU has a
 * TLB with one translation a number: whose it is, and of guest 0 whether it is older than the
 * change that a host makes to guest 0's entries: change, read the current number, invalidate that.
 * What only who holds the lock looks at changes with the step before. With NO_ORDER the new id of a
 * guest, and with it the lock's release, goes through a store buffer; else the CPU waits until it is
 * in memory (the seq_cst store).
 *
 * Asserted: no CPU uses another guest's translation; no guest runs under two numbers, nor two
 * guests under one; after its invalidation nothing old is cached of guest 0, under any number.
 * Everybody finishes.
 *
 * -DBUG_... leaves one step out; tests/model/run demands that each of these is found.
 */
#define NCPU	 2
#define NGUEST	 3
#define NUMBERS	 2
#define TAKEN	 1
#define NONE	 255		/* in a TLB, or running */
#define OLD	 100		/* guest 0, before the change */

#define NUMBER(i) ((i) % 4)
#define GENERATION(i) ((i) / 4)
#define ID(g, n) ((g) * 4 + (n))
#define TLB(cpu, n) tlb[(cpu) * NUMBERS + (n) - 1]
#define WALK(guest) ((guest) == 0 && !changed -> OLD : (guest))
#define drained(me) empty(buffer[me])

chan buffer[NCPU] = [1] of { byte, byte };	/* guest, id */
byte id[NGUEST];
byte loaded[NCPU], reserved[NCPU];
byte generation = 1, next = NUMBERS;
bool kept[NUMBERS + 1];		/* the bitmap */
bool lock;

byte tlb[NCPU * NUMBERS] = NONE;
byte runs[NCPU] = NONE;
byte under[NCPU];
bool changed;			/* guest 0's entries */
byte finished;

proctype drain(byte me)
{
	byte guest, value;

end:	do
	:: atomic {
		buffer[me]?guest, value ->
		id[guest] = value;
		lock = false;
		guest = 0; value = 0
	}
	od
}

inline flush_all(me)
{
	atomic { TLB(me, 1) = NONE; TLB(me, 2) = NONE };
	atomic { TLB(1 - me, 1) = NONE; TLB(1 - me, 2) = NONE }
}

/* A look at one CPU. */
inline take(cpu)
{
	was = loaded[cpu];
#ifndef BUG_NO_TAKEN
	loaded[cpu] = TAKEN;
#endif
	if
	:: was != TAKEN -> reserved[cpu] = was
	:: else
	fi;
#ifdef BUG_NO_RESERVED
	reserved[cpu] = 0;
#endif
	kept[NUMBER(reserved[cpu])] = true;
	was = 0
}

inline begin_generation(me)
{
	generation++;
#ifdef BUG_FLUSH_EARLY
	flush_all(me);
#endif
	atomic { kept[1] = false; kept[2] = false; loaded[me] = 0; take(me) };
	atomic { take(1 - me) };
#if !defined(BUG_NO_FLUSH) && !defined(BUG_FLUSH_EARLY)
	flush_all(me);
#endif
}

inline find_free()
{
	do
	:: next <= NUMBERS && kept[next] -> next++
	:: else -> break
	od
}

inline find_reserved()
{
	at = 0;
	do
	:: at < NCPU && i != 0 && reserved[at] == i ->
		found = true;
#ifndef BUG_NO_UPDATE
		reserved[at] = ID(generation, NUMBER(i));
#endif
		at++
	:: at < NCPU && (i == 0 || reserved[at] != i) -> at++
	:: at == NCPU -> break
	od;
	at = 0
}

/* The guest runs, and walks later. */
inline run_under(me, guest, n)
{
	assert(runs[1 - me] == NONE || (runs[1 - me] == guest) == (under[1 - me] == n));
	runs[me] = guest;
	under[me] = n;
	i = 0; old = 0
}

inline load_locked(me, guest)
{
	atomic {
		drained(me) && !lock -> lock = true;
		i = id[guest];
		find_reserved();
		find_free()
	};
	if
	:: GENERATION(i) != generation && !found && next > NUMBERS ->
		begin_generation(me);
		atomic { next = 1; find_free() }
	:: else
	fi;
	atomic {
		if
		:: GENERATION(i) == generation
		:: GENERATION(i) != generation && found -> i = ID(generation, NUMBER(i))
		:: GENERATION(i) != generation && !found ->
			assert(next <= NUMBERS);
			i = ID(generation, next);
			next++
		fi;
		found = false;
		loaded[me] = i;
#ifdef BUG_NO_ORDER
		buffer[me]!guest, i;
#else
		id[guest] = i;
		lock = false;
#endif
		run_under(me, guest, NUMBER(i))
	}
}

inline load(me, guest)
{
	old = loaded[me];
	atomic { drained(me); i = id[guest] }	/* nobody loads what is in his own buffer */
	if
	:: old != TAKEN && GENERATION(i) == generation ->
		atomic {
#ifdef BUG_PLAIN_STORE
			old = loaded[me];
#endif
			if
			:: loaded[me] == old -> loaded[me] = i; run_under(me, guest, NUMBER(i))
			:: else
			fi
		}
	:: else
	fi;
	if
	:: runs[me] == NONE -> load_locked(me, guest)
	:: else
	fi
}

proctype cpu(byte me; byte rounds)
{
	byte i, old, at, was, guest;
	bool found;

	do
	:: rounds > 0 ->
		if
		:: guest = 0
		:: guest = 1
		:: me == 1 -> guest = 2
		fi;
		load(me, guest);
		atomic {	/* uses what is there, or walks */
			if
			:: TLB(me, under[me]) == NONE -> TLB(me, under[me]) = WALK(guest)
			:: else -> assert(TLB(me, under[me]) % OLD == guest)
			fi;
			runs[me] = NONE; under[me] = 0; guest = 0;
			rounds--
		};
		if
		:: loaded[me] = 0
		:: skip		/* the next load says so, too */
		fi
	:: else -> break
	od;
	finished++
}

proctype host()
{
	byte n, at;

#ifdef BUG_READ_EARLY
	n = NUMBER(id[0]);
#endif
	changed = true;
#ifndef BUG_READ_EARLY
	n = NUMBER(id[0]);
#endif
	do
	:: at < NCPU && n != 0 -> TLB(at, n) = NONE; at++
	:: else -> break
	od;
	atomic {
		assert(tlb[0] != OLD && tlb[1] != OLD && tlb[2] != OLD && tlb[3] != OLD);
		finished++
	}
}

init {
	byte rounds;

	atomic {
#ifdef BUG_NO_ORDER
		run drain(0); run drain(1);
#endif
		if	/* with a host, or more generations */
		:: rounds = 2; run host()
		:: rounds = 4; finished++
		fi;
		run cpu(0, 2); run cpu(1, rounds);
		rounds = 0
	}
	(finished == NCPU + 1)
}
