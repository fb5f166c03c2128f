// SPDX-License-Identifier: BSD-2-Clause
/*
 * What the host would say to something that nobody disturbs: an access, the use of a hold, a page
 * of a prefaulted range. Found from slots, attributes, areas and pages; the tables are not looked
 * at.
 */
#include "random_host.h"

struct host_moment host_now(const struct host_world *w)
{
	return (struct host_moment){ .begun = __atomic_load_n(&w->mm.begun, __ATOMIC_RELAXED),
				     .did = __atomic_load_n(&w->mm.did, __ATOMIC_RELAXED) };
}

int host_quiet(const struct host_world *w, const struct host_moment *since)
{
	return !w->threads && !w->ran && w->mm.begun == since->begun && w->mm.did == since->did;
}

int host_passes(int error)
{
	return error == S2_ENOMEM || error == S2_EQUOTA || error == S2_EPENDING;
}

/* A page that has to come from its file. */
static int predict_file(const struct mm_area *area, const struct mm_file_page *page)
{
	if (page - area->file->page >= area->file->size)
		return S2_ENOENT;
	return page->poison ? S2_EPOISON : 0;
}

/* What resolve() would say of this page. */
static int predict_page(struct host_world *w, const struct mm_reached *r, enum s2_access access)
{
	const struct mm_page *page = r->page;
	const struct mm_file_page *file = mm_file_page(&w->mm, page);

	if (!page->mapped || !r->area->open)
		return S2_ENOENT;
	if (!page->prot || (access == S2_ACCESS_WRITE && !(page->prot & S2_W)))
		return S2_EPERM;
	if (page->poison)
		return S2_EPOISON;
	return file && page->frame == MM_NONE ? predict_file(r->area, file) : 0;
}

enum mm_result host_predict(struct host_world *w, const struct mm_access *access,
			    struct s2_exit *exit)
{
	int exec = access->access == S2_ACCESS_EXEC, write = access->access == S2_ACCESS_WRITE;
	struct mm_reached r = { .gpa = access->gpa & ~(MM_SIZE - 1) };
	struct s2_memslot slot;
	int wrong;

	*exit = (struct s2_exit){ .reason = exec ? S2_EXIT_ABORT : S2_EXIT_MMIO };
	if (exec && w->vm.flags & S2_VM_EXEC_EXIT)
		exit->reason = S2_EXIT_EXEC;
	if (!mm_reach(&w->mm, &w->mm.cpu[0].host, &r) ||
	    s2_vm_slot_find(&w->vm, s2_gpa(r.gpa), &w->mm.cpu[0].host, &slot))
		return MM_EXIT;
	exit->attrs = r.attrs;
	wrong = access->view != S2_VIEW_ANY &&
		(access->view == S2_VIEW_PRIVATE) != ((r.attrs & S2_PAGE_PRIVATE) != 0);
	if (!wrong && write && slot.flags & S2_SLOT_READONLY)
		return MM_EXIT;
	if (wrong || (write && r.deny & S2_W) || (exec && r.deny & S2_X))
		exit->error = S2_EPERM;
	else
		exit->error = predict_page(w, &r, (enum s2_access)access->access);
	if (exit->error)
		exit->reason = S2_EXIT_MEMORY;
	else if (!exec || r.page->prot & S2_XP)
		return MM_DONE;
	return MM_EXIT;
}

int host_predict_prefault(struct host_world *w, uint64_t gpa, enum s2_access access)
{
	const struct mm_access like = { .gpa = gpa, .access = (uint8_t)access };
	struct mm_reached r = { .gpa = gpa };
	struct s2_exit exit;

	if (host_predict(w, &like, &exit) == MM_DONE)
		return 0;
	if (exit.reason == S2_EXIT_MEMORY)
		return exit.error;
	return mm_reach(&w->mm, &w->mm.cpu[0].host, &r) ? S2_EPERM : S2_ENOENT;
}

int host_predict_hold(struct host_world *w, uint64_t gpa, enum s2_access access)
{
	struct mm_reached r = { .gpa = gpa };
	int ret;

	if (!mm_reach(&w->mm, &w->mm.cpu[0].host, &r))
		return S2_ENOENT;
	if (r.attrs & S2_PAGE_PRIVATE || (access == S2_ACCESS_WRITE && r.deny & S2_W))
		return S2_EPERM;
	ret = predict_page(w, &r, access);
	if (!ret && s2_memtype_is_device((enum s2_memtype)r.area->type))
		ret = S2_EINVAL;
	return ret;
}
