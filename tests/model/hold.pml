/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Model of holds (docs/locking.md, invariant 12, src/vm/hold.c), for spin.
 *
 * A guest page, its slot, which leads to one of two pages of the host's, and the frames in which
 * those stand. A user makes a hold, uses it twice and ends it; once in use he works until he is
 * asked to stop, or until nobody is left who could. A host (-DTWO_HOSTS: two, for half a minute)
 * moves the page to another frame; another process moves the slot to the other page of the host's,
 * and then removes it. What the user stores goes through a buffer (x86 works so) unless he waits for
 * it to drain.
 *
 * Asserted: what is in use is where the page is, as long as it is in use; a moving slot is not
 * taken for a hole; a slot is not read while it changes or when it is freed, nor is a hold when it
 * is gone. Everybody finishes. A host asks once here, which the code does not rely on.
 *
 * -DBUG_... leaves one step out; tests/model/run demands that each of these is found.
 */
#ifdef TWO_HOSTS
#define NHOST 2
#else
#define NHOST 1
#endif
#define IN_USE 0
#define REVOKED 1

chan buffer = [4] of { byte, byte };	/* of the user's CPU */
byte running, sequence;
byte section;			/* the user's; odd: inside */
bool in_use, revoked, gone;	/* the hold */
bool listed;
byte lock;			/* of the list: 1 owned, 2 each looking */
bool linked = true, changing, freed, deleted;	/* the slot */
byte backing;			/* ... leads to this page of the host's */
byte frame[2];			/* ... which stands there */
bool poisoned[8];
byte next_frame = 3;
byte ended;			/* invalidators that are through */
byte finished;

#define store(address, value) buffer!address, value
#define drained empty(buffer)

/* Takes the buffer's stores to memory. */
proctype cpu()
{
	byte address, value;

end:	do
	:: atomic {
		buffer?address, value ->
		if
		:: address == IN_USE -> in_use = value
		:: address == REVOKED -> revoked = value
		fi;
		address = 0; value = 0
	}
	od
}

inline own()
{
	atomic { drained && lock == 0 -> lock = 1 }
}

inline disown()
{
	lock = 0
}

/* Running before sequence: they move the other way round. */
inline look(ok, sampled)
{
#ifdef BUG_SEQUENCE_FIRST
	ok = (sequence == sampled);
	ok = ok && (running == 0)
#else
	ok = (running == 0);
	ok = ok && (sequence == sampled)
#endif
}

inline take()
{
#ifdef BUG_CHECK_FIRST
	look(ok, sample);
	store(IN_USE, 1);
	drained
#else
#ifndef BUG_CLEAR_LATE
	store(REVOKED, 0);
#endif
	store(IN_USE, 1);
#ifndef BUG_PLAIN_STORE
	drained;
#endif
	look(ok, sample);
#ifdef BUG_CLEAR_LATE
	store(REVOKED, 0)
#endif
#endif
}

inline done()
{
#ifndef BUG_CLEAR_LATE
	store(REVOKED, 0);
#endif
	store(IN_USE, 0)
}

proctype user()
{
	byte sample, found, seen, round;
	bool known, ok;

	own();
	listed = true;
	disown();
	do
	:: round == 2 -> break
	:: round < 2 && known ->
		take();
		if
		:: ok ->
			assert(!poisoned[found]);
			(revoked || ended == NHOST + 1);
			assert(!poisoned[found] && linked && frame[backing] == found);
			done();
			atomic { ok = false; round++ }
		:: else ->
			done();
			atomic { known = false; sample = 0; found = 0 }
		fi
	:: round < 2 && !known ->
		(running == 0);		/* relax() */
#ifndef BUG_SAMPLE_LATE
		sample = sequence;
#endif
		section = 1;
		ok = linked;
		if
		:: ok ->
			assert(!freed && !changing);
			seen = backing
		:: else
		fi;
		section = 0;
		if
		:: ok ->
			atomic { found = frame[seen]; seen = 0 }	/* resolve() */
#ifdef BUG_SAMPLE_LATE
			sample = sequence;
#endif
			atomic { known = true; ok = false }
		:: else ->
#ifdef BUG_NO_CONFIRM
			ok = true;
#else
			look(ok, sample);
#endif
			if
			:: ok ->	/* no slot, says the use */
				assert(deleted);
				atomic { ok = false; round++ }
			:: else
			fi;
			sample = 0
		fi
	od;
#ifndef BUG_FINI_UNLOCKED
	own();
	listed = false;
	disown();
#else
	listed = false;
#endif
	atomic { drained -> gone = true; sample = 0; found = 0; known = false; finished++ }
}

inline synchronize()
{
#ifdef BUG_NO_SYNCHRONIZE
	skip
#else
	(section == 0)
#endif
}

inline holds_wait()
{
#ifdef BUG_NO_WAIT
	skip
#else
	if
	:: listed ->
		do
		:: true ->
			atomic { lock != 1 -> lock = lock + 2 };
			waits = false;
			if
			:: listed ->
				assert(!gone);
				waits = in_use;
				if
				:: waits && !asked ->
					assert(!gone);
#ifndef BUG_NO_REVOKE
					revoked = true;
#endif
					asked = true
				:: else
				fi
			:: else
			fi;
			lock = lock - 2;
			if
			:: waits -> (!in_use)	/* relax() */
			:: else -> break
			fi
		od
	:: else
	fi;
	atomic { waits = false; asked = false }
#endif
}

inline begin()
{
#ifdef BUG_LOOK_FIRST
	holds_wait();
	running++;
	synchronize()
#else
	running++;
	synchronize();
	holds_wait()
#endif
}

inline end_()
{
	sequence++;
	running--
}

proctype host()
{
	bool waits, asked;

	begin();
	atomic {		/* the page goes elsewhere */
		poisoned[frame[0]] = true;
		frame[0] = next_frame;
		next_frame++
	}
	end_();
	atomic { ended++; finished++ }
}

proctype slots()
{
	bool waits, asked;

	begin();
	linked = false;
	synchronize();
	changing = true;
	backing = 1;
	changing = false;
	linked = true;
	end_();

	begin();
	atomic { linked = false; deleted = true };
	synchronize();
	end_();
	freed = true;
	atomic { ended++; finished++ }
}

init {
	atomic {
		frame[0] = 1; frame[1] = 2;
		run cpu(); run user(); run host(); run slots();
#ifdef TWO_HOSTS
		run host()
#endif
	}
	(finished == NHOST + 2);
	assert(!in_use && running == 0 && lock == 0)
}
