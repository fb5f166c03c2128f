/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Model of the invalidation protocol as a whole (docs/locking.md, invariants 1, 5, 6, 8 and 9; the
 * code is src/vm/fault.c, invalidate.c and memslot.c), for spin.
 *
 * Two pages of one bucket in one slot. Two vCPUs fault until they have their page: the first
 * either, the second page 0. An invalidator takes page 0 away and has something else there
 * afterwards. A management thread changes what backs the slot, or (-DDELETE) deletes the slot and
 * adds another one in its place; after that the old backing is gone. The first vCPU remembers a
 * copy of the slot, and a hole, from fault to fault.
 *
 * The TLBs cache an entry as soon as it is there, and again right after a flush if it still is:
 * all that they might do else is less, for what they cache changes nobody's course. Sections are
 * stored at once: barrier.pml has the store buffers, and the tables that come and go.
 *
 * Asserted: from the return of begin to end nothing of the range is mapped or cached; a new entry
 * meets no other translation in a TLB; who finds an entry finds his own frame; nobody reads a slot
 * that its owner has back; no fault believes that there is no slot, or no page, while a slot only
 * changes; nothing is mapped in the end to what the host has taken. -DPROGRESS: under weak
 * fairness all finish, so the vCPUs get their pages once the others have stopped.
 *
 * -DBUG_... leaves one step out; tests/model/run demands that each of these is found.
 */
#define INVALIDATOR 0		/* who synchronizes */
#define MANAGER	    1
#define NEVER	    255

#ifndef ROUNDS
#define ROUNDS 1		/* of the invalidator */
#endif

/* Smaller bounds where more happens; -DVCPUS=2 asks for all of it. */
#if defined(BUG_GENERATION_EARLY) || defined(BUG_GENERATION_LATE) || \
	defined(BUG_DELETE_UNSYNCHRONIZED) || defined(BUG_ADD_IN_SILENCE)
#define DELETE
#endif
#ifndef VCPUS
#if defined(DELETE) || defined(PROGRESS)
#define VCPUS 1
#else
#define VCPUS 2
#endif
#endif

byte entry[2];			/* of each page: frame, or 0 */
byte tlb[2];			/* what some CPU may have cached of it */
byte running, sequence;
bool section[2];		/* of each vCPU */
bool waits[4];			/* who synchronizes * 2 + for whose section */
byte generation = 2;		/* of the slots; odd: one is on its way out */
byte slot = 1;			/* the one in the list, or 0 */
byte backing[3];		/* of slots 1 and 2 */
bool dead[3];			/* the slot is its owner's again */
byte memory[4];			/* backing * 2 + page: frame, or 0 */
bool taken[8];			/* frames that the host has taken */
bool deletes;			/* the manager does not just change the slot */
byte life;			/* of the slot: 0 there, 1 being deleted, 2 there again */
byte finished;

#define EMPTY(p) (entry[p] == 0 && tlb[p] == 0)

inline enter(c)
{
	section[c] = true
}

inline leave_(c)
{
	section[c] = false; waits[c] = false; waits[2 + c] = false
}

#define leave(c) d_step { leave_(c) }

/* Either it sees a section, or that section sees all that was written before. */
inline synchronize(who)
{
	atomic { waits[who * 2] = section[0]; !waits[who * 2] };
	atomic { waits[who * 2 + 1] = section[1]; !waits[who * 2 + 1] }
}

inline set_entry(p, value)
{
	entry[p] = value;
	if
	:: value != 0 ->
		assert(tlb[p] == 0 || tlb[p] == value);
		tlb[p] = value
	:: else
	fi
}

/* Of the range; the single page is page 0. */
inline unmap(npages)
{
	d_step {
		removed = (entry[0] != 0 || (npages == 2 && entry[1] != 0));
		set_entry(0, 0);
		if
		:: npages == 2 -> set_entry(1, 0)
		:: else
		fi
	}
}

/* Who removed nothing pays for the others nevertheless. */
inline flush(npages)
{
#ifndef BUG_OTHERS
	removed = removed || running > 1;
#endif
	d_step {
#ifndef BUG_NO_FLUSH
		if
		:: removed ->
			tlb[0] = entry[0];
			tlb[1] = (npages == 2 -> entry[1] : tlb[1])
		:: else
		fi;
#endif
		removed = false
	}
}

inline count()
{
	running++;
#ifdef BUG_SEQUENCE_AT_BEGIN
	sequence++
#endif
}

inline begin(who, npages)
{
#ifndef BUG_COUNT_LATE
	count();
#endif
#ifndef BUG_NO_SYNCHRONIZE
	synchronize(who);
#endif
#ifdef BUG_COUNT_LATE
	count();
#endif
#ifdef BUG_FLUSH_FIRST
	removed = true;
	flush(npages);
	unmap(npages);
#else
	unmap(npages);
	atomic {
		flush(npages);
		assert(EMPTY(0) && (npages == 1 || EMPTY(1)))
	}
#endif
}

inline end_(npages)
{
	atomic {
		assert(EMPTY(0) && (npages == 1 || EMPTY(1)));
#ifdef BUG_RUNNING_FIRST
		running--
	};
	sequence++
#else
#ifndef BUG_SEQUENCE_AT_BEGIN
		sequence++
#endif
	};
#ifndef BUG_STILL_RUNNING
	running--
#endif
#endif
}

/* Sets ok: is what was learnt since the sample good? */
#ifdef BUG_RUNNING_LAST
#define LOOK_FIRST (sequence == sample)
#define LOOK_THEN  (running == 0)
#else
#define LOOK_FIRST (running == 0)
#define LOOK_THEN  (sequence == sample)
#endif

/* No slot, or no page. */
inline confirm(c)
{
#ifdef BUG_BELIEVE
	ok = true
#else
	atomic { enter(c); ok = LOOK_FIRST };
	atomic { ok = ok && LOOK_THEN; leave(c) }
#endif
}

/* What is found while the generation is odd is not remembered. */
inline find_slot(c)
{
	atomic {
		now_generation = generation;
		found = (copy_generation == now_generation)
	};
	if
	:: !found ->
		atomic { enter(c); s = slot };
		atomic {
			if
			:: s != 0 ->
				assert(!dead[s]);
				copy = backing[s] + 1;
				copy_generation = (now_generation % 2 -> 0 : now_generation)
			:: else -> copy = 0; copy_generation = 0
			fi;
			s = 0;
			leave(c)
		}
	:: else
	fi
}

inline insert(c, p)
{
#ifdef BUG_CHECK_OUTSIDE
	ok = LOOK_FIRST;
	atomic { ok = ok && LOOK_THEN; enter(c) };
#else
#ifdef BUG_WAIT_INSIDE
	enter(c);
	running == 0;
	ok = LOOK_FIRST;
#else
	atomic { enter(c); ok = LOOK_FIRST };
#endif
	ok = ok && LOOK_THEN;
#endif
	d_step {
		if
		:: ok && entry[p] == 0 -> set_entry(p, frame)
		:: ok && entry[p] != 0 -> assert(entry[p] == frame)	/* a lost race: equal */
		:: else
		fi;
		got = ok;
		leave_(c)
	}
}

inline no_slot()
{
	assert(deletes && was < 2 && life > 0)
}

#ifdef BUG_KEEP_SAMPLE
#define SAMPLE (sample == NEVER -> sequence : sample)
#else
#define SAMPLE sequence
#endif

inline fault(c, p)
{
	atomic {
		was = life;
		ok = (hole != 0 && hole == generation);
		if
		:: ok -> no_slot(); was = 0; goto again
		:: else
		fi
	};
	sample = SAMPLE;
	find_slot(c);
	if
	:: copy == 0 ->
		confirm(c);
		atomic {
			if
			:: ok -> no_slot(); hole = now_generation
			:: else
			fi
		}
	:: else ->
		d_step {
			frame = memory[(copy - 1) * 2 + p];	/* resolve() */
			now_generation = 0; found = false; was = 0;
			copy = (c == 1 -> 0 : copy)
		};
#ifdef BUG_SAMPLE_LATE
		sample = sequence;
#endif
		if
		:: frame == 0 -> confirm(c); assert(!ok)
		:: else -> insert(c, p)
		fi
	fi;
	d_step {
		ok = false; found = false; frame = 0; was = 0; now_generation = 0;
#ifndef BUG_KEEP_SAMPLE
		sample = 0;
#endif
		if
		:: c == 1 -> copy = 0; copy_generation = 0; hole = 0
		:: else
		fi
	}
}

proctype vcpu(byte c; byte p)
{
	byte sample = NEVER, now_generation, copy, copy_generation, hole, frame, was, s;
	bool ok, found, got;

again:	do
	:: !got -> fault(c, p)
	:: got -> break
	od;
	atomic { copy = 0; copy_generation = 0; hole = 0; got = false; finished++ }
}

proctype invalidator()
{
	byte rounds = ROUNDS;
	bool removed;

	do
	:: rounds > 0 ->
		begin(INVALIDATOR, 1);
		d_step {	/* the host changes its mind */
			taken[memory[0]] = true;
			if
			:: memory[0] != 0 -> memory[0] = 4 + rounds
			:: else
			fi
		};
		end_(1);
		rounds--
	:: rounds == 0 -> break
	od;
	finished++
}

/* The old backing is no longer in use. */
inline backing_gone()
{
	d_step {
		taken[memory[0]] = true; taken[memory[1]] = true;
		memory[0] = 0; memory[1] = 0
	}
}

inline change()
{
	begin(MANAGER, 2);
	generation++;
	slot = 0;
	synchronize(MANAGER);
	dead[1] = true;		/* nobody may look while this changes it */
	backing[1] = 1;
	dead[1] = false;
	slot = 1;
	generation++;
	end_(2);
	backing_gone()
}

inline delete_and_add()
{
	life = 1;
	begin(MANAGER, 2);
#ifdef BUG_GENERATION_EARLY
	generation = generation + 2;
	slot = 0;
#else
#ifndef BUG_GENERATION_LATE
	generation++;
#endif
	slot = 0;
#ifndef BUG_GENERATION_LATE
	generation++;
#endif
#endif
#ifndef BUG_DELETE_UNSYNCHRONIZED
	synchronize(MANAGER);
#endif
	end_(2);
#ifdef BUG_GENERATION_LATE
	generation = generation + 2;
#endif
	dead[1] = true;
	backing_gone();
	slot = 2;
#ifndef BUG_ADD_IN_SILENCE
	generation = generation + 2;
#endif
	life = 2
}

proctype manager()
{
	bool removed;

	if
	:: deletes -> delete_and_add()
	:: else -> change()
	fi;
	finished++
}

#ifdef PROGRESS
ltl progress { <> (finished == 4) }
#endif

init {
	byte page;

	atomic {
		memory[0] = 1; memory[1] = 2; memory[2] = 3; memory[3] = 4;
		backing[2] = 1;
#ifdef DELETE
		deletes = true;
#endif
		if
		:: page = 0
		:: page = 1
		fi;
		run vcpu(0, page); run invalidator(); run manager();
#if VCPUS == 2
		run vcpu(1, 0)
#else
		finished = 1
#endif
	}
	(finished == 4);
	assert(running == 0);
	assert(entry[0] == 0 || !taken[entry[0]]);
	assert(entry[1] == 0 || !taken[entry[1]]);
	assert(tlb[0] == entry[0] && tlb[1] == entry[1])
}
