/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Model of sections, invalidation by sequence, busy entries and reclaim of an empty table
 * (docs/locking.md, invariants 1 to 7), for spin.
 *
 * One parent entry, tables of two pages from a pool, two vCPUs that fault on both pages and use what
 * they mapped, one invalidator that takes page 0 away from the host's side and gives another back.
 * The vCPUs' TLBs keep leaves and the table pointer until they are invalidated.
 *
 * Asserted: nobody touches a freed table; a make never happens while a TLB holds something else for
 * that entry; between begin and end nobody maps or uses the page; the guest never uses a frame that
 * the host has taken back; what a TLB holds is in the tables. Progress: everybody finishes (no invalid end state).
 *
 * -DBUG_... leaves one step out; tests/model/run demands that each of these is found.
 */
#define NCPU   2
#define NTABLE 5
#define NONE   255
#define BUSY   254

byte parent = NONE;		/* table index, NONE or BUSY */
typedef table_t { byte leaf[2] };	/* frame, NONE or BUSY */
table_t table[NTABLE];
bool freed[NTABLE];		/* never reused within a run: any touch of a freed one is an error */
byte next_table = 0;

typedef tlb_t { byte leaf[2]; byte walk };
tlb_t tlb[NCPU];

byte section[NCPU];		/* odd: inside; counters are kept small */
byte running = 0;		/* of page 0's region; page 1 is another region */
byte sequence = 0;
byte frame[2];			/* what the host has behind each page: frames differ by generation */
bool taken[8];			/* frames that the host took back */

inline enter(c) { section[c] = (section[c] + 1) % 250 }
inline leave(c) { section[c] = (section[c] + 1) % 250 }

/* Hardware: CPU c uses page p; it may use what it has cached, and caches what it walks. */
inline use(c, p) {
	atomic {
		if
		:: tlb[c].leaf[p] != NONE -> assert(!taken[tlb[c].leaf[p]])
		:: else ->
			if
			:: tlb[c].walk == NONE && parent < NTABLE -> tlb[c].walk = parent
			:: else
			fi;
			if
			:: tlb[c].walk != NONE ->
				assert(!freed[tlb[c].walk]);
				if
				:: table[tlb[c].walk].leaf[p] < BUSY ->
					tlb[c].leaf[p] = table[tlb[c].walk].leaf[p];
					assert(!taken[tlb[c].leaf[p]])
				:: else
				fi
			:: else
			fi
		fi
	}
}

proctype vcpu(byte c; byte p) {
	byte sample, f, t, round = 0;
	bool ok;

	do
	:: round < 2 ->
		sample = sequence;
		f = frame[p];		/* resolve() */
		enter(c);
		ok = (p == 1) || (running == 0 && sequence == sample);
		if
		:: ok ->
			t = parent;
			if
			:: t == NONE ->	/* build aside, then link */
				atomic {
					t = next_table; next_table++;
					assert(t < NTABLE);
					table[t].leaf[0] = NONE; table[t].leaf[1] = NONE;
					table[t].leaf[p] = f
				}
				atomic {
					if
					:: parent == NONE ->
						assert(tlb[0].walk == NONE || tlb[0].walk == t);
						assert(tlb[1].walk == NONE || tlb[1].walk == t);
						assert(tlb[0].leaf[p] == NONE || tlb[0].leaf[p] == f);
						assert(tlb[1].leaf[p] == NONE || tlb[1].leaf[p] == f);
						parent = t
					:: else	/* lost; the table is not used again, to keep the pool simple */
					fi
				}
			:: t < NTABLE ->
				atomic {
					assert(!freed[t]);
					if
					:: table[t].leaf[p] == NONE ->
						assert(tlb[0].leaf[p] == NONE || tlb[0].leaf[p] == f);
						assert(tlb[1].leaf[p] == NONE || tlb[1].leaf[p] == f);
						table[t].leaf[p] = f
					:: else		/* equal, or busy: retry */
					fi
				}
			:: else		/* busy: retry */
			fi
		:: else
		fi;
		leave(c);
		use(c, p);
		round++
	:: round >= 2 -> break
	od
}

/* Takes page 0's frame away: begin (count, wait, unmap, reclaim, invalidate), change, end. */
proctype host() {
	byte t, s, gone = NONE;
	byte i;

	running++;
#ifdef BUG_SEQUENCE_AT_BEGIN
	sequence++;
#endif
#ifndef BUG_NO_SYNCHRONIZE
	i = 0;
	do
	:: i < NCPU ->
		s = section[i];
		(s % 2 == 0 || section[i] != s);	/* synchronize */
		i++
	:: else -> break
	od;
#endif

	/* unmap, in a section of its own that nobody needs to wait for */
	t = parent;
	if
	:: t < NTABLE ->
		atomic { if :: table[t].leaf[0] < BUSY -> table[t].leaf[0] = NONE :: else fi };
		/* reclaim: freeze both entries */
		if
		:: table[t].leaf[0] == NONE && table[t].leaf[1] == NONE ->
			table[t].leaf[0] = BUSY;	/* nobody maps page 0 now */
			atomic {
				if
#ifdef BUG_NO_FREEZE
				:: true -> gone = t
#endif
				:: table[t].leaf[1] == NONE -> table[t].leaf[1] = BUSY; gone = t
				:: else -> table[t].leaf[0] = NONE	/* thaw */
				fi
			};
			if
			:: gone != NONE ->
#ifdef BUG_NOT_BUSY
				atomic { assert(parent == t); parent = NONE };
#else
				atomic { assert(parent == t); parent = BUSY };
#endif
				atomic { tlb[0].walk = NONE };	/* invalidation reaches one by one */
				atomic { tlb[1].walk = NONE };
#ifndef BUG_NOT_BUSY
				parent = NONE
#endif
			:: else
			fi
		:: else
		fi
	:: else
	fi;
	/* flush: leaves of page 0, on each CPU in turn */
	tlb[0].leaf[0] = NONE;
	tlb[1].leaf[0] = NONE;
	if
	:: gone != NONE ->
#ifndef BUG_FREE_EARLY
		i = 0;
		do
		:: i < NCPU ->
			s = section[i];
			(s % 2 == 0 || section[i] != s);
			i++
		:: else -> break
		od;
#endif
		freed[gone] = true
	:: else
	fi;

	/* the host's change: the old frame is somebody else's now */
	atomic { taken[frame[0]] = true; frame[0] = 3 };
	assert(parent >= BUSY || table[parent].leaf[0] != 1);
#ifndef BUG_SEQUENCE_AT_BEGIN
	sequence++;
#endif
	running--
}

init {
	atomic {
		frame[0] = 1; frame[1] = 2;
		tlb[0].leaf[0] = NONE; tlb[0].leaf[1] = NONE; tlb[0].walk = NONE;
		tlb[1].leaf[0] = NONE; tlb[1].leaf[1] = NONE; tlb[1].walk = NONE;
		run vcpu(0, 0); run vcpu(1, 1); run host()
	}
	(_nr_pr == 1);
	/* What is cached is in the tables: else the next invalidation of it would not find it. */
	byte c = 0, p;
	do
	:: c < NCPU ->
		p = 0;
		do
		:: p < 2 ->
			assert(tlb[c].leaf[p] == NONE ||
			       (parent < BUSY && tlb[c].leaf[p] == table[parent].leaf[p]));
			p++
		:: else -> break
		od;
		c++
	:: else -> break
	od
}
