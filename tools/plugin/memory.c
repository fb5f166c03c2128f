// SPDX-License-Identifier: BSD-2-Clause
/*
 * The machine's memory. Version 4 of the plugin interface gives no way to read it by physical
 * address, nor to translate an address that no load or store has just used; version 5 (QEMU 10.1)
 * does. So the functions of version 5 are looked up by name; where there are none, QEMU's own are,
 * which its executable exports to its modules. A QEMU that has neither is refused.
 *
 * The maps of pages are flat bitmaps, mapped without memory behind them: reading what was never
 * written costs a page of zeros and no more. A thread that stores while another one makes that page
 * watched may see the old bit; then the page was read after the store or the store is missed, which
 * only machines with one thread for each CPU can do (docs/live.md).
 */
#include "memory.h"

#include <dlfcn.h>
#include <sys/mman.h>

#include "qemu_api.h"

unsigned char *memory_watched, *memory_traced;

static struct {
	/* Version 5 of the interface; 0 is success for the first. */
	int (*read_memory)(uint64_t pa, GByteArray *data, size_t n);
	bool (*translate)(uint64_t va, uint64_t *pa);
	/* QEMU's own. */
	void (*rw)(uint64_t pa, void *buffer, uint64_t n, unsigned char is_write);
	bool (*is_io)(uint64_t pa);
	void *(*get_cpu)(int index);
	uint64_t (*get_page)(void *cpu, uint64_t va);
} qemu;

static GByteArray *bytes; /* under the lock */

static int look_up(void *function, const char *name)
{
	*(void **)function = dlsym(RTLD_DEFAULT, name);
	return *(void **)function ? 0 : -1;
}

static unsigned char *new_map(void)
{
	void *map = mmap(NULL, 1ull << (MEMORY_PAGE_BITS - 3), PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return map == MAP_FAILED ? NULL : map;
}

const char *memory_init(void)
{
	if (look_up(&qemu.read_memory, "qemu_plugin_read_memory_hwaddr") ||
	    look_up(&qemu.translate, "qemu_plugin_translate_vaddr")) {
		qemu.read_memory = NULL;
		if (look_up(&qemu.rw, "cpu_physical_memory_rw") ||
		    look_up(&qemu.is_io, "cpu_physical_memory_is_io") ||
		    look_up(&qemu.get_cpu, "qemu_get_cpu") ||
		    look_up(&qemu.get_page, "cpu_get_phys_page_debug"))
			return "this QEMU lets no plugin read memory: use QEMU 10.1 or later, "
			       "or a 10.0 that is built with modules, as Debian's is";
	}
	bytes = g_byte_array_new();
	memory_watched = new_map();
	memory_traced = new_map();
	if (!memory_watched || !memory_traced)
		return "no address space for maps of pages (1 GiB, hardly used): is there a limit "
		       "on virtual memory (ulimit -v)?";
	return NULL;
}

int memory_read(uint64_t pa, void *buffer, size_t n)
{
	if (qemu.read_memory) {
		if (qemu.read_memory(pa, bytes, n) || bytes->n < n)
			return -1;
		for (size_t i = 0; i < n; i++)
			((uint8_t *)buffer)[i] = bytes->data[i];
		return 0;
	}
	if (qemu.is_io(pa))
		return -1;
	qemu.rw(pa, buffer, n, 0);
	return 0;
}

int memory_translate(unsigned int cpu, uint64_t va, uint64_t *pa)
{
	uint64_t page;

	if (qemu.read_memory)
		return qemu.translate(va, pa) ? 0 : -1;
	page = qemu.get_page(qemu.get_cpu((int)cpu), va & ~(PAGE_SIZE - 1));
	if (page == ~0ull)
		return -1;
	*pa = (page & ~(PAGE_SIZE - 1)) | (va & (PAGE_SIZE - 1));
	return 0;
}

int memory_mark(unsigned char *map, uint64_t pa, int on)
{
	uint64_t page = pa / PAGE_SIZE;
	unsigned char bit = (unsigned char)(1u << page % 8);

	if (page >> MEMORY_PAGE_BITS)
		return -1;
	if (on)
		__atomic_fetch_or(&map[page / 8], bit, __ATOMIC_SEQ_CST);
	else
		__atomic_fetch_and(&map[page / 8], (unsigned char)~bit, __ATOMIC_SEQ_CST);
	return 0;
}
