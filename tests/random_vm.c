// SPDX-License-Identifier: BSD-2-Clause
/*
 * Random operations on a guest address space: faults of every kind, prefault, slots that come, go
 * and change, a host that takes memory away and backs it by something else, at any time.
 *
 * random_world.c says what must come of it. In two runs of three another vCPU faults, or another
 * host takes memory away, in the midst of anything (strike_vm.c). In the others, now and then the
 * host strikes in the middle of a fault (ambush()): from inside resolve(), with another walker, it
 * takes away just what it is answering.
 */
#include <string.h>

#include "random_world.h"

static int ambush(void *ctx, uint64_t hva, enum s2_access access, struct s2_page *page, int result)
{
	struct world *w = ctx;

	(void)access;
	(void)page;
	if (w->ambush && hva >= SIM_HVA_BASE) {
		w->ambush = 0;
		w->struck = 1;
		world_host_changes(w, (hva - SIM_HVA_BASE) >> SIM_CHUNK_SHIFT, &w->host_walker);
	}
	return result;
}

static uint64_t pick_gpa(struct world *w)
{
	struct run *run = w->run;
	unsigned int i = (unsigned int)run_random(run, SLOTS);
	uint64_t gpa, size, pages;

	if (w->used[i] && run_random(run, 8)) {
		pages = w->slot[i].size / world_page(w);
		if (run_random(run, 2) && pages > 2ull << run->ref.stride)
			pages = 2ull << run->ref.stride;
		return w->slot[i].gpa.gpa + run_random(run, pages) * world_page(w);
	}
	run_range(run, &gpa, &size);
	return gpa;
}

void world_compare(struct world *w, uint64_t gpa, uint64_t size)
{
	struct run *run = w->run;

	world_strike_settle(w);
	for (int i = 0; i < REF_WINDOWS; i++) {
		const struct ref_window *window = &run->ref.window[i];

		if (gpa >= window->gpa && gpa + size <= window->gpa + window->size)
			ref_compare(&run->ref, &run->sim, &run->vm.pt, &run->walker, gpa, size);
	}
	sim_idle(&run->sim, gpa, size);
}

static void pick_fault(struct world *w, struct s2_fault *f)
{
	struct run *run = w->run;
	uint64_t gpa = pick_gpa(w);
	const struct ref_page *page = ref_at(&run->ref, gpa);

	/* Next to where the last one was: what a walker remembers. */
	if (w->again) {
		w->again--;
		*f = w->fault;
		f->gpa.gpa += run_random(run, 3) * world_page(w);
		if (ref_at(&run->ref, f->gpa.gpa)) {
			w->fault = *f;
			return;
		}
	}
	*f = (struct s2_fault){ .gpa = s2_gpa(gpa + run_random(run, world_page(w))) };
	f->access = (uint8_t)run_random(run, 3);
	f->user = (uint8_t)run_random(run, 2);
	f->walk = f->access != S2_ACCESS_EXEC && !run_random(run, 8);
	if (page && page->valid)
		f->kind = page->young ? S2_FAULT_PERMISSION : S2_FAULT_ACCESS;
	if (!run_random(run, 8))
		f->kind = (uint8_t)run_random(run, 3);
	w->fault = *f;
	w->again = run_random(run, 8) ? 0 : (unsigned int)run_random(run, 8);
}

/* An access-flag fault only makes young again what is mapped. */
static void check_access_fault(struct world *w, const struct s2_fault *f,
			       const struct s2_exit *exit)
{
	struct run *run = w->run;
	struct ref_op op = { .gpa = f->gpa.gpa & ~(world_page(w) - 1),
			     .size = world_page(w),
			     .stop = world_page(w) };
	const struct ref_page *page = ref_at(&run->ref, f->gpa.gpa);

	if (exit->reason != S2_EXIT_RESUME ||
	    (!w->strike.ran &&
	     exit->size != (page->valid ? ref_level_size(&run->ref, page->level) : 0)))
		sim_fail(&run->sim, "access fault: reason %u size 0x%llx", exit->reason,
			 (unsigned long long)exit->size);
	ref_age(&run->ref, &op, S2_AGE_SET);
	world_compare(w, op.gpa, world_page(w));
}

static void check_exit(struct world *w, const struct s2_fault *f, const struct s2_exit *exit,
		       struct expect *e)
{
	struct run *run = w->run;
	uint64_t gpa = f->gpa.gpa & ~(world_page(w) - 1);
	struct ref_op op;

	if (w->struck && (exit->size || exit->reason != S2_EXIT_RESUME)) { /* it asked again */
		if (e->size <= CHUNK && run->walker.stats.fault_precise == w->precise)
			sim_fail(&run->sim, "mapped what was taken away meanwhile");
		world_expect(w, f, e);
	}
	if (world_any_running(w) || w->struck || w->strike.ran)
		world_shrink(w, e, gpa, exit->size);
	op = (struct ref_op){ .gpa = e->gpa, .size = e->size, .stop = e->size };

	if (exit->gpa.gpa != f->gpa.gpa || exit->access != f->access || exit->walk != f->walk)
		sim_fail(&run->sim, "exit describes another fault");
	if (exit->reason == S2_EXIT_RESUME && !exit->size) {
		if (!world_any_running(w) && !w->struck && !w->strike.ran &&
		    (e->maps || e->reason != S2_EXIT_RESUME))
			sim_fail(&run->sim, "retry without a reason");
		world_compare(w, gpa, world_page(w));
		return;
	}
	if (e->maps && world_is_running(w, e->gpa, e->size))
		sim_fail(&run->sim, "mapped what is being taken away");
	if (exit->reason != e->reason || exit->error != e->error ||
	    exit->has_slot != (e->slot >= 0) || exit->size != (e->maps ? e->size : 0))
		sim_fail(&run->sim,
			 "exit: reason %u error %d slot %u size 0x%llx; should be "
			 "%d %d %d 0x%llx",
			 exit->reason, exit->error, exit->has_slot, (unsigned long long)exit->size,
			 e->reason, e->error, e->slot >= 0, (unsigned long long)e->size);
	if (e->maps) {
		ref_map(&run->ref, &op, e->hpa, e->attr, S2_MAP_REPLACE | S2_MAP_WIDEN);
		if (f->kind == S2_FAULT_PERMISSION && !w->strike.ran)
			sim_idle_local(&run->sim, gpa, world_page(w), e->attr.prot);
		world_compare(w, e->gpa, e->size);
	}
	world_compare(w, gpa, world_page(w));
}

static void do_fault(struct world *w)
{
	struct run *run = w->run;
	struct s2_fault f;
	struct s2_exit exit;
	struct expect e;
	int ret;

	pick_fault(w, &f);
	world_expect(w, &f, &e);
	w->struck = 0;
	w->precise = run->walker.stats.fault_precise;
	w->ambush = !run->strikes && !run_random(run, 40);
	run_log(run, "fault gpa 0x%llx access %u kind %u walk %u user %u%s",
		(unsigned long long)f.gpa.gpa, f.access, f.kind, f.walk, f.user,
		w->ambush ? " (ambush)" : "");
	run->sim.arena.fail_of_65536 = run->fail_of_65536;
	/* Sent away it may ask again at once: for less than such a leaf, or insisting. */
	w->strike.maps_again = e.size > CHUNK || run->walker.retries + 1 >= S2_PATIENCE;
	ret = s2_fault(&run->vm, &run->walker, &f, &exit);
	run->sim.arena.fail_of_65536 = 0;
	if (ret == S2_ENOMEM || ret == S2_EQUOTA) {
		run->ref.lax_levels = 1;
		if (!run->fail_of_65536 && !run->config.table_quota)
			sim_fail(&run->sim, "no memory without a reason");
		world_compare(w, f.gpa.gpa & ~(world_page(w) - 1), world_page(w));
	} else if (ret) {
		sim_fail(&run->sim, "fault: %s", s2_strerror(ret));
	} else if (f.kind == S2_FAULT_ACCESS && e.slot >= 0) {
		check_access_fault(w, &f, &exit);
	} else if (f.kind != S2_FAULT_ACCESS) {
		check_exit(w, &f, &exit, &e);
	}
	w->ambush = 0;
}

/* What was in the way of a prefault may have made it ask again, for less. */
static void expect_as_found(struct world *w, struct expect *e, uint64_t gpa)
{
	struct sim_leaf leaf;

	if (!w->strike.ran)
		return;
	sim_translate(&w->run->sim, gpa, &leaf);
	if (leaf.mapped)
		world_shrink(w, e, gpa, ref_level_size(&w->run->ref, leaf.level));
}

static void do_prefault(struct world *w)
{
	struct run *run = w->run;
	struct s2_fault f = { .access = (uint8_t)run_random(run, 3) };
	uint64_t gpa = pick_gpa(w), done = 0;
	uint64_t size = world_page(w) << run_random(run, run->ref.stride + 1);
	struct s2_progress progress;
	struct expect e;
	int ret, should = 0;

	if (world_any_running(w) || gpa + size > 1ull << run->config.ipa_bits)
		return; /* it would wait for the host, which is us */
	run_log(run, "prefault gpa 0x%llx size 0x%llx access %u", (unsigned long long)gpa,
		(unsigned long long)size, f.access);
	for (uint64_t a = gpa; a < gpa + size; a += CHUNK) {
		int i = world_slot_of(w, a);

		if (i >= 0 &&
		    w->run->sim
			    .chunks[(w->slot[i].hva.hva + a - w->slot[i].gpa.gpa - SIM_HVA_BASE) >>
				    SIM_CHUNK_SHIFT]
			    .error)
			return; /* S2_EAGAIN would be waited for */
	}
	for (uint64_t n = 0; n < CHUNKS; n++)
		if (run->sim.chunks[n].error == S2_EAGAIN)
			return;
	w->strike.maps_again = 1;
	ret = s2_vm_prefault(&run->vm, s2_gpa(gpa), size, (enum s2_access)f.access, &run->walker,
			     &progress);
	while (done < progress.done || (done < size && !should && ret != S2_EQUOTA)) {
		struct ref_op op = { 0 };

		f.gpa = s2_gpa(gpa + done);
		f.user = 0;
		world_expect(w, &f, &e);
		if (e.reason == S2_EXIT_EXEC || e.reason == S2_EXIT_ABORT ||
		    e.reason == S2_EXIT_MMIO)
			should = e.slot < 0 ? S2_ENOENT : S2_EPERM;
		if (e.reason == S2_EXIT_MEMORY)
			should = e.error;
		if (should)
			break;
		expect_as_found(w, &e, f.gpa.gpa);
		op.gpa = e.gpa;
		op.size = op.stop = e.size;
		ref_map(&run->ref, &op, e.hpa, e.attr, S2_MAP_REPLACE | S2_MAP_WIDEN);
		done = e.gpa + e.size - gpa;
	}
	if (done > size)
		done = size;
	if (ret == S2_EQUOTA)
		run->ref.lax_levels = 1;
	else if (ret != should)
		sim_fail(&run->sim, "prefault: %s, should be %s", s2_strerror(ret),
			 s2_strerror(should));
	if (progress.done != done)
		sim_fail(&run->sim, "prefault: done 0x%llx, should be 0x%llx",
			 (unsigned long long)progress.done, (unsigned long long)done);
	world_compare(w, gpa, size);
}

/* Are there blocks that no chunk can back? */
static int large_blocks(const struct run *run)
{
	return ref_level_size(&run->ref, run->ref.block_level) > CHUNK;
}

/* A slot somewhere, often aligned as the host memory behind it. */
static void draw_slot(struct world *w, struct s2_memslot *slot)
{
	struct run *run = w->run;
	uint64_t gpa, size, chunk = run_random(run, 8);

	memset(slot, 0, sizeof(*slot));
	run_range(run, &gpa, &size);
	if (large_blocks(run) && !run_random(run, 6)) {
		size = ref_level_size(&run->ref, run->ref.block_level);
		gpa = run->ref.window[1].gpa + REF_PAGES * world_page(w);
		size += run_random(run, 3) * world_page(w);
	}
	if (large_blocks(run) && size >= ref_level_size(&run->ref, run->ref.block_level))
		chunk = 512;
	if (chunk == 512 && size > 513 * CHUNK)
		size = 513 * CHUNK;
	if (chunk != 512 && size > 8 * CHUNK)
		size = 8 * CHUNK;
	slot->gpa = s2_gpa(gpa);
	slot->size = size;
	slot->hva = s2_hva(sim_hva(chunk) + (gpa & (CHUNK - 1)));
	if (!run_random(run, 4))
		slot->hva.hva += run_random(run, CHUNK / world_page(w)) * world_page(w);
	if (chunk == 512)
		slot->hva = s2_hva(sim_hva(chunk));
	slot->flags = !run_random(run, 5);
}

static int slot_expect(const struct world *w, const struct s2_memslot *slot, int except)
{
	for (int i = 0; i < SLOTS; i++)
		if (w->used[i] && i != except &&
		    ranges_overlap(slot->gpa.gpa, slot->size, w->slot[i].gpa.gpa, w->slot[i].size))
			return S2_EOVERLAP;
	return 0;
}

static void do_slot(struct world *w)
{
	struct run *run = w->run;
	int i = (int)run_random(run, SLOTS), ret, should = 0;
	struct s2_memslot slot, old = w->slot[i];

	draw_slot(w, &slot);
	run_log(run, "slot %d used %u gpa 0x%llx size 0x%llx hva 0x%llx flags %u", i, w->used[i],
		(unsigned long long)slot.gpa.gpa, (unsigned long long)slot.size,
		(unsigned long long)slot.hva.hva, slot.flags);
	if (!w->used[i]) {
		should = slot_expect(w, &slot, -1);
		w->slot[i] = slot;
		ret = s2_vm_slot_add(&run->vm, &w->slot[i]);
		w->used[i] = !ret;
	} else if (run_random(run, 2)) {
		ret = s2_vm_slot_del(&run->vm, &w->slot[i], &run->walker);
		w->used[i] = 0;
		world_forget_range(w, old.gpa.gpa, old.size);
		sim_idle_empty(&run->sim, old.gpa.gpa, old.size);
	} else {
		should = slot_expect(w, &slot, i);
		ret = s2_vm_slot_change(&run->vm, &w->slot[i], &slot, &run->walker);
		if (!ret) {
			world_forget_range(w, slot.gpa.gpa, slot.size);
			world_forget_range(w, old.gpa.gpa, old.size);
			if (!w->strike.ran) /* what moved may be there again */
				sim_idle_empty(&run->sim, old.gpa.gpa, old.size);
		}
	}
	if (ret != should)
		sim_fail(&run->sim, "slot: %s, should be %s", s2_strerror(ret),
			 s2_strerror(should));
	world_compare(w, slot.gpa.gpa, slot.size);
	world_compare(w, old.gpa.gpa, old.size);
}

static void do_find(struct world *w)
{
	struct run *run = w->run;
	uint64_t gpa = pick_gpa(w);
	struct s2_memslot copy;
	int i = world_slot_of(w, gpa), ret;

	run_log(run, "find gpa 0x%llx", (unsigned long long)gpa);
	ret = s2_vm_slot_find(&run->vm, s2_gpa(gpa), &run->walker, &copy);
	if (ret != (i < 0 ? S2_ENOENT : 0) ||
	    (!ret && (copy.gpa.gpa != w->slot[i].gpa.gpa || copy.size != w->slot[i].size ||
		      copy.hva.hva != w->slot[i].hva.hva || copy.flags != w->slot[i].flags)))
		sim_fail(&run->sim, "slot_find: %s, should be slot %d", s2_strerror(ret), i);
}

/* Begins an invalidation that stays under way, or ends one. */
static void do_invalidate(struct world *w)
{
	struct run *run = w->run;
	unsigned int i = (unsigned int)run_random(run, RUNNING);
	uint64_t gpa, size;

	if (w->running_size[i]) {
		run_log(run, "end gpa 0x%llx size 0x%llx", (unsigned long long)w->running_gpa[i],
			(unsigned long long)w->running_size[i]);
		world_end(w, w->running_gpa[i], w->running_size[i]);
		w->running_size[i] = 0;
		return;
	}
	run_range(run, &gpa, &size);
	run_log(run, "begin gpa 0x%llx size 0x%llx", (unsigned long long)gpa,
		(unsigned long long)size);
	world_begin(w, gpa, size, &run->walker);
	world_compare(w, gpa, size);
	if (run_random(run, 4)) {
		world_end(w, gpa, size);
		return;
	}
	w->running_gpa[i] = gpa;
	w->running_size[i] = size;
}

/* What was just protected, or aged, is used again: some faults on its first pages come next. */
static void fault_on_it(struct world *w, const struct ref_op *op, enum s2_fault_kind kind)
{
	for (uint64_t gpa = op->gpa; gpa < op->gpa + op->size; gpa += world_page(w)) {
		const struct ref_page *page = ref_at(&w->run->ref, gpa);

		if (!page->valid || page->level)
			continue;
		w->fault = (struct s2_fault){ .gpa = s2_gpa(gpa),
					      .access = S2_ACCESS_WRITE,
					      .kind = (uint8_t)kind };
		w->again = (unsigned int)run_random(w->run, 8);
		return;
	}
}

/* Management on the tree below: write-protection and aging, as a dirty log would do. */
static void do_tree(struct world *w)
{
	struct run *run = w->run;
	struct s2_pt *pt = &run->vm.pt;
	struct s2_progress progress;
	struct ref_op op = { 0 };
	int ret, protect = (int)run_random(run, 2);

	run_range(run, &op.gpa, &op.size);
	if (run_random(run, 2)) { /* where something is mapped */
		uint64_t gpa = w->fault.gpa.gpa & ~(world_page(w) - 1);
		uint64_t size = world_page(w) << run_random(run, 6);
		const struct ref_window *window = ref_window_of(&run->ref, gpa);

		if (window && window == ref_window_of(&run->ref, gpa + size - 1)) {
			op.gpa = gpa;
			op.size = size;
		}
	}
	run_log(run, "%s gpa 0x%llx size 0x%llx", protect ? "protect" : "age",
		(unsigned long long)op.gpa, (unsigned long long)op.size);
	s2_gather_init(&run->gather, pt);
	w->strike.tree_gpa = op.gpa;
	w->strike.tree_size = op.size;
	w->strike.tree_protects = protect;
	if (protect)
		ret = s2_pt_protect(pt, s2_gpa(op.gpa), op.size, S2_W, &run->walker, &run->gather,
				    &progress);
	else
		ret = s2_pt_age(pt, s2_gpa(op.gpa), op.size, S2_AGE_CLEAR, &run->walker,
				&run->gather, &progress);
	s2_gather_flush(&run->gather, &run->walker);
	if (ret && ret != S2_EQUOTA)
		sim_fail(&run->sim, "tree: %s", s2_strerror(ret));
	if (ret)
		run->ref.lax_levels = 1;
	op.stop = progress.done;
	if (protect)
		ref_protect(&run->ref, &op, S2_W);
	else
		ref_age(&run->ref, &op, S2_AGE_CLEAR);
	world_compare(w, op.gpa, op.size);
	fault_on_it(w, &op, protect ? S2_FAULT_PERMISSION : S2_FAULT_ACCESS);
}

static void step(struct world *w)
{
	uint64_t dice = run_random(w->run, 100);
	uint64_t chunk;

	world_strike_arm(w);
	if (dice < 70 || w->again) {
		do_fault(w);
	} else if (dice < 78) {
		do_prefault(w);
	} else if (dice < 83) {
		do_slot(w);
	} else if (dice < 88 && !world_any_running(w)) {
		do_find(w);
	} else if (dice < 93) {
		do_invalidate(w);
	} else if (dice < 97) {
		do_tree(w);
	} else {
		chunk = run_random(w->run, 16);
		run_log(w->run, "host changes chunk %llu", (unsigned long long)chunk);
		world_host_changes(w, chunk, &w->host_walker);
	}
	world_strike_settle(w);
}

/* s2_vm_init() knows released formats only: the same over another tree. */
static void start_vm(struct world *w)
{
	struct run *run = w->run;
	struct s2_vm_config config = { .pt = { .ipa_bits = 40, .cpu.pa_bits = 48 },
				       .flags = w->flags };
	struct sim_config small = { .cpu = config.pt.cpu, .frames = 16 };
	static struct sim sim;

	sim_init(&sim, &small);
	if (s2_vm_init(&run->vm, &config, &sim.port))
		sim_fail(&run->sim, "s2_vm_init() failed");
	s2_pt_fini(&run->vm.pt);
	sim_fini(&sim);
	if (test_format_init(run->format, &run->vm.pt, &run->config, &run->sim.port))
		sim_fail(&run->sim, "s2_pt_init_ops() failed");
}

static void start(struct world *w)
{
	struct run *run = w->run;
	struct sim_config sim;

	run_config(run, &sim);
	sim.chunks = CHUNKS;
	sim_init(&run->sim, &sim);
	run->sim.on_fail = run_on_fail;
	run->sim.on_fail_ctx = run;
	run->sim.on_resolve = ambush;
	run->sim.on_resolve_ctx = w;
	w->flags = (uint32_t)run_random(run, 4);
	start_vm(w);
	s2_walker_init(&run->walker, &run->vm.pt);
	s2_walker_init(&w->host_walker, &run->vm.pt);
	s2_walker_init(&w->strike.walker, &run->vm.pt);
	sim_thread(0, &run->walker);
	test_format_start(run->format, &run->sim, &run->vm.pt);
	ref_init(&run->ref, &run->vm.pt,
		 run->config.block_level < run->vm.pt.root_level ? run->config.block_level
								 : run->vm.pt.root_level);
	for (uint64_t n = 0; n < CHUNKS; n++)
		if (n < 16 || (n >= 512 && n < 1024))
			world_back_chunk(w, n);
		else
			run->sim.chunks[n].error = S2_ENOENT;
}

static void compare_all(struct world *w)
{
	struct run *run = w->run;

	run_renew(run, &run->walker);
	run_renew(run, &w->host_walker);
	run_renew(run, &w->strike.walker);
	ref_compare_all(&run->ref, &run->sim, &run->vm.pt, &run->walker);
}

void random_vm(struct run *run, uint64_t ops)
{
	static struct world world;
	struct world *w = &world;

	memset(w, 0, sizeof(*w));
	w->run = run;
	start(w);
	for (run->op = 0; run->op < ops; run->op++) {
		step(w);
		if (run->op % 8192 == 8191)
			compare_all(w);
	}
	compare_all(w);
	sim_stop(&run->sim);
	s2_walker_fini(&run->walker);
	s2_walker_fini(&w->host_walker);
	s2_walker_fini(&w->strike.walker);
	sim_thread(0, NULL);
	s2_vm_fini(&run->vm);
	sim_fini(&run->sim);
	ref_fini(&run->ref);
}
