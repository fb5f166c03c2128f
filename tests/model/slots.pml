/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Model of host changes against changes of slots (docs/host.md, "Taking away"; docs/locking.md,
 * invariant 13), for spin.
 *
 * The host has two pages of memory. Two slots may lead to them: slot 0 is there from the beginning
 * and backed by page 0; slot 1 comes, or slot 0 goes or gets page 1 instead, as a management
 * thread decides, twice. It owns the slots' lock; where the host is between begin and end for what
 * backs the slot before or after, nothing is done (S2_EAGAIN). A host thread, which shares that
 * lock within begin and end, changes page 0, with a change of page 1 nested into it; another
 * changes page 0 only. A vCPU faults on both slots; each has counters of its own.
 *
 * Sections and TLBs are as in protocol.pml, but coarser: the wait of an invalidation is one step,
 * its unmapping with the flush of all pieces another.
 *
 * Asserted: between begin and end nothing that leads to the page is mapped; the slots that end
 * finds are those that begin has counted; in the end all counts are 0, and what is mapped is what
 * the host has there. Everybody finishes.
 *
 * -DBUG_... leaves one step out; tests/model/run demands that each of these is found.
 */
#define NSLOT 2
#define NPAGE 2
#define NONE  255

#ifndef FAULTS
#define FAULTS 1
#endif

byte backing[NSLOT] = NONE;	/* of each slot in the list: page of the host, or NONE */
byte running[NSLOT], sequence[NSLOT];
byte entry[NSLOT];		/* what is mapped there: frame, or 0 */
byte frame[NPAGE];		/* what the host has at its page */
byte next_frame = 1;
byte listed[NPAGE];		/* changes between begin and end of that page */
byte lock;			/* of the slots: 1 owned or announced, 2 each sharing */
bool section;			/* of the vCPU */
bool waits[3];			/* who synchronizes: the hosts and the manager */
byte finished;

/* Nothing leads to this page. */
#define UNMAPPED(page) \
	((backing[0] != (page) || entry[0] == 0) && (backing[1] != (page) || entry[1] == 0))

inline share()
{
	atomic { lock % 2 == 0 -> lock = lock + 2 }
}

inline unshare()
{
	lock = lock - 2
}

inline own()
{
	atomic { lock % 2 == 0 -> lock++ };	/* nobody comes in any more */
	lock == 1
}

inline synchronize(who)
{
	atomic { waits[who] = section; !waits[who] }
}

inline list(page)
{
	listed[page]++
}

/* All pieces of guest memory that this page backs. */
inline host_begin(who, page, counted)
{
	share();
#ifndef BUG_LIST_LATE
	list(page);
#endif
	atomic {
		if
		:: backing[0] == page -> running[0]++; counted = counted + 1
		:: else
		fi
	};
	atomic {
		if
#ifdef BUG_FIRST_ONLY
		:: backing[0] != page && backing[1] == page ->
#else
		:: backing[1] == page ->
#endif
			running[1]++;
			counted = counted + 2
		:: else
		fi
	};
#ifndef BUG_NO_SYNCHRONIZE
	synchronize(who);
#endif
	atomic {
		if
		:: counted % 2 -> entry[0] = 0
		:: else
		fi;
		if
		:: counted / 2 -> entry[1] = 0
		:: else
		fi
	};
	unshare();
#ifdef BUG_LIST_LATE
	list(page);
#endif
	assert(UNMAPPED(page))
}

inline end_slot(slot, page, mark)
{
	if
	:: backing[slot] == page ->
		found = found + mark;
		sequence[slot]++;
		atomic { assert(running[slot] > 0); running[slot]-- }
	:: else
	fi
}

inline host_end(page, counted)
{
	assert(UNMAPPED(page));
#ifdef BUG_UNLIST_EARLY
	listed[page]--;
#endif
	share();
	end_slot(0, page, 1);
	end_slot(1, page, 2);
#ifndef BUG_UNLIST_EARLY
	listed[page]--;
#endif
	assert(found == counted);
	found = 0;
	unshare();
	counted = 0
}

/* Has something else at the page; what was there is somebody else's now. */
inline replace(page)
{
	atomic { frame[page] = next_frame; next_frame++; assert(UNMAPPED(page)) }
}

proctype host(byte who; bool nests)
{
	byte counted, inner, found;

	host_begin(who, 0, counted);
	replace(0);
	if
	:: nests ->
#ifdef BUG_KEEP_LOCK
		share();
#endif
		host_begin(who, 1, inner);
		replace(1);
		host_end(1, inner);
#ifdef BUG_KEEP_LOCK
		unshare();
#endif
	:: else
	fi;
	host_end(0, counted);
	finished++
}

/* May the slot that had this page, if any, have that one? */
#ifdef BUG_NO_LOOK
#define BUSY(page) false
#else
#define BUSY(page) (page != NONE && listed[page % NPAGE] > 0)
#endif
#ifdef BUG_LOOK_AT_NEW_ONLY
#define REFUSED (BUSY(new))
#else
#define REFUSED (BUSY(old) || BUSY(new))
#endif

/* From what the slot has to something else: it comes, goes, or changes. */
inline change(slot)
{
	own();
#ifdef BUG_WAIT
	!BUSY(0) && !BUSY(1);
#endif
	old = backing[slot];
	if
	:: old != NONE -> new = NONE
	:: old != 0 -> new = 0
	:: old != 1 -> new = 1
	fi;
	if
	:: REFUSED		/* S2_EAGAIN */
	:: else ->
		if
		:: old != NONE ->
			running[slot]++;
			synchronize(2);
			entry[slot] = 0;
			backing[slot] = new;
			synchronize(2);
			sequence[slot]++;
			running[slot]--
		:: else -> backing[slot] = new
		fi
	fi;
	atomic { lock = 0; old = 0; new = 0 }
}

proctype manager(byte rounds)
{
	byte old, new;

	do
	:: rounds > 0 ->
		if
		:: change(0)
		:: change(1)
		fi;
		rounds--
	:: rounds == 0 -> break
	od;
	finished++
}

proctype vcpu(byte rounds)
{
	byte slot, sample, page, found;

	do
	:: rounds > 0 ->
		if
		:: slot = 0
		:: slot = 1
		fi;
		sample = sequence[slot];
		page = backing[slot];	/* in a section */
		if
		:: page != NONE ->
			found = frame[page];	/* resolve() */
			atomic { section = true; page = (running[slot] == 0) };
			atomic {
				if
				:: page && sequence[slot] == sample -> entry[slot] = found
				:: else
				fi;
				section = false;
				waits[0] = false; waits[1] = false; waits[2] = false
			}
		:: else
		fi;
		atomic { page = 0; found = 0; sample = 0; slot = 0; rounds-- }
	:: rounds == 0 -> break
	od;
	finished++
}

/* What is mapped is what backs the slot. */
#define RIGHT(slot) (backing[slot] != NONE && entry[slot] == frame[backing[slot] % NPAGE])

init {
	atomic {
		backing[0] = 0;
		frame[0] = next_frame; next_frame++;
		frame[1] = next_frame; next_frame++;
		run host(0, true); run host(1, false); run manager(2); run vcpu(FAULTS)
	}
	(finished == 4);
	assert(running[0] == 0 && running[1] == 0);
	assert(entry[0] == 0 || RIGHT(0));
	assert(entry[1] == 0 || RIGHT(1))
}
