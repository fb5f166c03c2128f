// SPDX-License-Identifier: BSD-2-Clause
/*
 * Takes the guest's memory away while it runs, and gives it back (docs/hypervisor.md, Reclaim).
 *
 * The scanner goes through the guest's RAM, 64 pages a step: who was young since the last pass?
 * A page that was not is offered to be merged with an equal one, and after a second such pass it
 * goes to the store. Of those that were young some are moved to another frame: whoever moves
 * memory does not ask whether it is in use; and the faults that this causes are what the scanner
 * lives on, for it has no interrupt of its own. It runs at the end of exits: faults, changes of
 * the guest's translation (trapped for it: a guest that changes tasks does that), and while the
 * guest sleeps. A pass takes PASS_MS at least, and steps a fifth of the time if each
 * takes less than half a millisecond.
 *
 * Every change of a page goes the same way:
 *	claim its word (BUSY) -> s2_vm_invalidate_begin() -> copy, poison -> the new word -> end
 * and reclaim_resolve() answers from the word: "not now" if it stays busy for more than a moment.
 * Nobody holds a lock across begin, and who looks at a busy word is in no section, so begin may
 * wait for whom it likes.
 *
 * A frame that several pages show is read-only: shares > 0. It rises from 0 only while its one page
 * is claimed and its right to write is taken away, so a right that resolve() gave before is gone;
 * who leaves a shared frame lowers it only after he has copied the frame.
 *
 * Concurrency: one CPU scans at a time. resolve() and reclaim_turn() run on any CPU. Ages are
 * written by both without care: it is only an age.
 *
 * Does not write anything to where it would survive the run, and does not compress: it is a host
 * for the engine's sake.
 */
#include "count.h"
#include "reclaim.h"
#include "testdev.h"
#include "tracing.h"

#define WINDOW     64u /* pages: the bits of a word */
#define PASS_MS    25
#define PAUSE      4    /* times as long as a step took ... */
#define PAUSE_MS   2    /* ... but not longer than this */
#define OLD        2    /* passes after which a page is taken */
#define MOVE_EVERY 8    /* young pages one is moved */
#define PATIENCE   1000 /* looks at a busy page */
#define IDLE_STEPS 64   /* while the guest sleeps, before it is looked at again */
#define BLOCK      (512 * FRAME_SIZE_4K)

static struct {
	uint32_t lock;
	uint32_t young;      /* pages, for MOVE_EVERY */
	uint64_t next;       /* page */
	uint64_t not_before; /* CNTPCT: of the next step ... */
	uint64_t pass;       /* ... and of the next pass */
} scan;

static void count(uint64_t *counter)
{
	report_count(counter, 1);
}

static struct hyp_reclaim *counts(const struct hyp_cpu *cpu)
{
	return &cpu->percpu->reclaim;
}

static void begin(struct hyp_cpu *cpu, uint64_t n, uint64_t pages, enum s2_inval how)
{
	/* Whole pages of the guest's RAM: it cannot fail. */
	if (s2_vm_invalidate_begin(cpu->vm, s2_gpa(frames_gpa(n)), pages * FRAME_SIZE_4K, how,
				   cpu->walker))
		__builtin_trap();
	if (how == S2_INVAL_UNMAP)
		tracing_empty(frames_gpa(n), pages * FRAME_SIZE_4K);
}

static void end(struct hyp_cpu *cpu, uint64_t n, uint64_t pages)
{
	s2_vm_invalidate_end(cpu->vm, s2_gpa(frames_gpa(n)), pages * FRAME_SIZE_4K);
}

/* --- giving --- */

/* The page is claimed. Returns its new word, or 0 if there is no frame just now. */
static uint64_t bring_back(uint64_t word)
{
	uint64_t frame = frames_alloc();

	if (!frame)
		return 0;
	if ((word & WHERE_BITS) == WHERE_ZERO)
		frames_zero(frame);
	else
		frames_fetch(word & ~(uint64_t)WHERE_BITS, frame);
	__atomic_fetch_sub(&hyp_frames.out, 1, __ATOMIC_RELAXED);
	return frame | WHERE_HERE;
}

static void give_back(struct hyp_cpu *cpu, uint64_t n, uint64_t word)
{
	uint64_t here;

	if (!frames_claim(n, word))
		return;
	frames_set_age(n, 0);
	here = bring_back(word);
	if (here)
		count(&counts(cpu)->given_back);
	frames_set(n, here ? here : word);
}

/* All 2 MiB around the page, if all of it is where it was. */
static int resolve_block(uint64_t n, struct s2_page *page)
{
	uint8_t *region = &hyp_frames.regions[n / 512];

	if (!hyp_guest.block_level || __atomic_load_n(region, __ATOMIC_ACQUIRE) & REGION_BROKEN)
		return 0;
	__atomic_fetch_or(region, REGION_SEEN | REGION_BLOCK, __ATOMIC_RELAXED);
	page->hpa = s2_hpa(frames_gpa(n));
	page->size = BLOCK;
	page->prot = S2_RWX;
	return 1;
}

/* For a moment, rather than to let the guest fault again and again: nobody depends on us. */
static uint64_t wait_for(uint64_t n)
{
	uint64_t word = WHERE_BUSY;

	for (unsigned int i = 0; i < PATIENCE && word == WHERE_BUSY; i++) {
		cpu_relax();
		word = frames_word(n);
	}
	return word;
}

int reclaim_resolve(s2_hva_t hva, enum s2_access access, struct s2_page *page)
{
	uint64_t n = (hva.hva - hyp_frames.base) / FRAME_SIZE_4K, word, frame;
	struct hyp_cpu *cpu = cpu_this();

	if (hva.hva < hyp_frames.base || n >= hyp_frames.npages)
		return hyp_guest.test ? testdev_resolve(hva, access, page) : S2_ENOENT;
	page->type = S2_MEM_NORMAL;
	if (resolve_block(n, page))
		return 0;
	word = frames_word(n);
	if (word == WHERE_HOME) {
		__atomic_fetch_or(&hyp_frames.regions[n / 512], REGION_SEEN, __ATOMIC_RELAXED);
		__atomic_compare_exchange_n(&hyp_frames.words[n], &word, frames_gpa(n) | WHERE_HERE,
					    0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
		word = frames_word(n);
	} else if (word == WHERE_BUSY) {
		word = wait_for(n);
	} else if ((word & WHERE_BITS) == WHERE_AWAY || (word & WHERE_BITS) == WHERE_ZERO) {
		give_back(cpu, n, word);
		word = frames_word(n);
	}
	if ((word & WHERE_BITS) != WHERE_HERE)
		return S2_EAGAIN;
	frame = frames_of(n, word);
	page->hpa = s2_hpa(frame);
	page->size = FRAME_SIZE_4K;
	page->prot = S2_RWX;
	if (__atomic_load_n(frames_shares(frame), __ATOMIC_ACQUIRE)) {
		page->prot = S2_RX;
		if (access == S2_ACCESS_WRITE) {
			cpu->unshare = n + 1; /* at the end of this exit */
			return S2_EAGAIN;
		}
	}
	return 0;
}

uint64_t reclaim_frame(uint64_t gpa)
{
	uint64_t n = (gpa - hyp_frames.base) / FRAME_SIZE_4K, word = frames_word(n);

	if (word != WHERE_HOME && (word & WHERE_BITS) != WHERE_HERE)
		return 0;
	return frames_of(n, word) + gpa % FRAME_SIZE_4K;
}

/* --- taking --- */

/* The word of a page that the guest may have used and that has a frame of its own; else BUSY. */
static uint64_t candidate(uint64_t n, int shared)
{
	uint64_t word = frames_word(n);
	uint8_t region = __atomic_load_n(&hyp_frames.regions[n / 512], __ATOMIC_RELAXED);

	if (word == WHERE_HOME ? !(region & REGION_BLOCK) : (word & WHERE_BITS) != WHERE_HERE)
		return WHERE_BUSY;
	if (!shared && __atomic_load_n(frames_shares(frames_of(n, word)), __ATOMIC_ACQUIRE))
		return WHERE_BUSY;
	return word;
}

/*
 * Claims a page for the scanner: its word, or BUSY. What is not shared before the claim is not
 * after it: only the scanner merges.
 */
static uint64_t claim(uint64_t n, int shared)
{
	uint64_t word = candidate(n, shared);

	return word != WHERE_BUSY && frames_claim(n, word) ? word : WHERE_BUSY;
}

static uint64_t put_away(struct hyp_cpu *cpu, uint64_t frame)
{
	uint64_t slot;

	frames_sync(frame);
	if (frames_is_zero(frame)) {
		count(&counts(cpu)->zeros);
		return WHERE_ZERO;
	}
	slot = frames_store(frame);
	return slot ? slot | WHERE_AWAY : 0;
}

/* The pages from n on, as many as can be had in one piece. Returns how many were dealt with. */
static unsigned int take(struct hyp_cpu *cpu, uint64_t n, unsigned int pages)
{
	struct frames *f = &hyp_frames;
	uint64_t old[WINDOW];
	unsigned int got = 0;
	uint64_t out;

	while (got < pages && __atomic_load_n(&f->out, __ATOMIC_RELAXED) + got < f->limit) {
		old[got] = claim(n + got, 0);
		if (old[got] == WHERE_BUSY)
			break;
		got++;
	}
	if (!got)
		return 1;
	begin(cpu, n, got, S2_INVAL_UNMAP);
	for (unsigned int i = 0; i < got; i++) {
		uint64_t frame = frames_of(n + i, old[i]), word = put_away(cpu, frame);

		if (!word) {
			frames_set(n + i, old[i]);
			continue;
		}
		frames_free(frame);
		/* Counted before anybody can bring it back; only the scanner adds to it. */
		out = __atomic_add_fetch(&f->out, 1, __ATOMIC_RELAXED);
		if (out > hyp_report->pages_out_peak)
			hyp_report->pages_out_peak = out;
		count(&counts(cpu)->taken);
		frames_set(n + i, word);
	}
	end(cpu, n, got);
	return got;
}

/* The page goes to another frame, if there is a free one. */
static void move(struct hyp_cpu *cpu, uint64_t n)
{
	uint64_t word = claim(n, 0), frame, to;

	if (word == WHERE_BUSY)
		return;
	to = frames_alloc();
	if (!to) {
		frames_set(n, word);
		return;
	}
	begin(cpu, n, 1, S2_INVAL_UNMAP);
	frame = frames_of(n, word);
	frames_sync(frame);
	frames_copy(to, frame);
	frames_free(frame);
	frames_set(n, to | WHERE_HERE);
	end(cpu, n, 1);
	count(&counts(cpu)->moved);
}

/* --- sharing --- */

/* Both are claimed, neither can be written. Page n shows the other's frame from now on. */
static int share(uint64_t n, uint64_t word_n, uint64_t other, uint64_t word_other)
{
	uint64_t drop = frames_of(n, word_n), keep = frames_of(other, word_other);

	frames_sync(drop);
	frames_sync(keep);
	if (drop == keep || !frames_equal(drop, keep)) {
		frames_set(n, word_n);
		frames_set(other, word_other);
		return 0;
	}
	frames_free(drop);
	__atomic_fetch_add(frames_shares(keep), 1, __ATOMIC_ACQ_REL);
	frames_set(n, keep | WHERE_HERE);
	frames_set(other, keep | WHERE_HERE);
	return 1;
}

static void merge_with(struct hyp_cpu *cpu, uint64_t n, uint64_t other)
{
	uint64_t word_n = claim(n, 0), word_other;

	if (word_n == WHERE_BUSY)
		return;
	word_other = claim(other, 1);
	if (word_other == WHERE_BUSY) {
		frames_set(n, word_n);
		return;
	}
	/* The one will be gone; of the other only the right to write has to go. */
	begin(cpu, n, 1, S2_INVAL_UNMAP);
	begin(cpu, other, 1, S2_INVAL_WRITE);
	if (share(n, word_n, other, word_other))
		count(&counts(cpu)->merged);
	end(cpu, other, 1);
	end(cpu, n, 1);
}

/* Looks for a page with the same contents among those that were offered before. */
static void merge(struct hyp_cpu *cpu, uint64_t n)
{
	uint64_t word = candidate(n, 0), hash, *entry, other;

	if (word == WHERE_BUSY || frames_is_zero(frames_of(n, word)))
		return;
	hash = frames_hash(frames_of(n, word));
	entry = &hyp_frames.table[hash >> 32 & hyp_frames.tablemask];
	other = (uint32_t)*entry;
	if (*entry && *entry >> 32 == (uint32_t)hash && other - 1 != n)
		merge_with(cpu, n, other - 1);
	else
		*entry = hash << 32 | (n + 1);
}

/* The guest writes to a page that shows a frame with others: it gets one of its own. */
static void unshare(struct hyp_cpu *cpu, uint64_t n)
{
	uint64_t word = frames_word(n), frame, to;
	uint32_t *shares, others;

	if ((word & WHERE_BITS) != WHERE_HERE)
		return;
	frame = frames_of(n, word);
	shares = frames_shares(frame);
	if (!__atomic_load_n(shares, __ATOMIC_ACQUIRE) || !frames_claim(n, word))
		return;
	to = frames_alloc();
	if (!to) {
		frames_set(n, word);
		return;
	}
	begin(cpu, n, 1, S2_INVAL_UNMAP);
	frames_sync(frame);
	frames_copy(to, frame);
	others = __atomic_load_n(shares, __ATOMIC_ACQUIRE);
	while (others && !__atomic_compare_exchange_n(shares, &others, others - 1, 0,
						      __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		;
	if (!others) /* they have all left meanwhile */
		frames_free(frame);
	frames_set(n, to | WHERE_HERE);
	end(cpu, n, 1);
	count(&counts(cpu)->unshared);
}

/* --- the scanner --- */

/* The next window of which the guest has touched something. 0: the pass is over. */
static int next_window(uint64_t *n)
{
	struct frames *f = &hyp_frames;

	while (scan.next < f->npages) {
		if (__atomic_load_n(&f->regions[scan.next / 512], __ATOMIC_RELAXED)) {
			*n = scan.next;
			scan.next += WINDOW;
			return 1;
		}
		scan.next = (scan.next / 512 + 1) * 512;
	}
	return 0;
}

/* Ages the page; returns whether it is old enough to be taken. */
static int look(struct hyp_cpu *cpu, uint64_t n, int young)
{
	uint8_t age;

	if (candidate(n, 1) == WHERE_BUSY)
		return 0;
	count(&counts(cpu)->scanned);
	if (young) {
		frames_set_age(n, 0);
		count(&counts(cpu)->young);
		if (++scan.young % MOVE_EVERY == 0)
			move(cpu, n);
		return 0;
	}
	age = frames_age(n);
	if (age < OLD)
		frames_set_age(n, ++age);
	if (age < OLD && hyp_guest.merge)
		merge(cpu, n);
	return age >= OLD && candidate(n, 0) != WHERE_BUSY;
}

/* Returns whether there was anything to do. */
static int step(struct hyp_cpu *cpu)
{
	uint64_t n, young = 0, old = 0;
	struct s2_progress progress;
	struct s2_gather gather;

	if (!next_window(&n))
		return 0;
	s2_gather_init(&gather, &cpu->vm->pt);
	/* The windows are whole: RAM is 2 MiB's multiple. Old entries may linger in TLBs. */
	if (s2_pt_young(&cpu->vm->pt, s2_gpa(frames_gpa(n)), WINDOW * FRAME_SIZE_4K, S2_AGE_CLEAR,
			&young, cpu->walker, &gather, &progress))
		__builtin_trap();
	s2_gather_init(&gather, &cpu->vm->pt);
	for (unsigned int i = 0; i < WINDOW; i++)
		if (look(cpu, n + i, young >> i & 1))
			old |= 1ull << i;
	for (unsigned int i = 0, run; i < WINDOW; i += run) {
		run = 1;
		if (!(old >> i & 1))
			continue;
		while (i + run < WINDOW && old >> (i + run) & 1)
			run++;
		run = take(cpu, n + i, run);
	}
	return 1;
}

/* Up to `steps` steps, if it is time for them and nobody else is at it. */
static int scan_on(struct hyp_cpu *cpu, unsigned int steps)
{
	uint64_t start = report_now(), now, pause;
	int did = 0;

	if (start < __atomic_load_n(&scan.not_before, __ATOMIC_RELAXED) ||
	    __atomic_exchange_n(&scan.lock, 1, __ATOMIC_ACQUIRE))
		return 0;
	if (scan.next >= hyp_frames.npages && start >= scan.pass) {
		scan.next = 0;
		scan.pass = start + hyp_report->timer_hz * PASS_MS / 1000;
	}
	while (steps-- && step(cpu)) {
		did = 1;
		if (cpu_wanted())
			break; /* the guest has something to do */
	}
	now = report_now();
	/* A CPU that did not run for a while was not at it all that time. */
	pause = (now - start) * PAUSE;
	if (pause > hyp_report->timer_hz * PAUSE_MS / 1000)
		pause = hyp_report->timer_hz * PAUSE_MS / 1000;
	__atomic_store_n(&scan.not_before, now + pause, __ATOMIC_RELAXED);
	__atomic_store_n(&scan.lock, 0, __ATOMIC_RELEASE);
	return did;
}

void reclaim_turn(struct hyp_cpu *cpu)
{
	uint64_t page = cpu->unshare;

	if (page) {
		cpu->unshare = 0;
		unshare(cpu, page - 1);
	}
	scan_on(cpu, 1);
}

void reclaim_idle(struct hyp_cpu *cpu, uint64_t esr)
{
	/* WFE, and the forms with a timeout, may end at once. */
	if (!scan_on(cpu, IDLE_STEPS) && !(esr & 3))
		cpu_sleep();
}
