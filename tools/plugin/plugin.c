// SPDX-License-Identifier: BSD-2-Clause
/*
 * stage2-check.so: watches the machine that QEMU emulates, and tells the model what it does.
 *
 * When QEMU translates code, each instruction is looked at once: those that matter get a callback
 * of their own, all get one for their stores, most of which end at a test of one bit. What a
 * callback must know of its instruction (its address, the exception level, register numbers) is
 * packed into the pointer that QEMU hands back. Code is translated for one exception level: QEMU
 * keeps the levels apart, since they differ in their address spaces.
 *
 * S2C_RUN is an ERET at EL2 to a lower level that is under stage 2. Nothing tells us of exceptions,
 * so S2C_EXIT is told before the first thing that the CPU does at EL2 afterwards and that we see.
 * Until then, what it does at lower levels is the guest's: of that, only stores count, and only
 * those into tables. Of a host at EL1 (which is not under stage 2) everything counts.
 *
 * Callbacks come before their instruction, those of stores after it; so a TLBI is told before it
 * does anything and a store when it is done. Stores are read back from memory: what the model hears
 * of is what is there, whatever size or kind of instruction put it there. Instructions that write
 * and have no such callback (DC ZVA; memory copy and set) leave a `rewrite`: the watched memory as
 * it was. Before anything else that this CPU does is told, the difference becomes stores.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "feed.h"
#include "insn.h"
#include "link.h"
#include "memory.h"
#include "qemu_api.h"
#include "vcpu.h"

#define ZVA_MAX  2048u        /* bytes that DC ZVA can write at most, aligned */
#define MOPS_MAX (1ull << 30) /* a larger memory copy is no hypervisor's */

int qemu_plugin_version = 4;

/*
 * What a callback knows: bits 52:2 the address of the instruction (52 bits and a sign; it is a
 * multiple of 4), 1:0 the exception level, 63:53 an argument.
 */
#define SITE_SHIFT 53

static void *site_pack(uint64_t pc, unsigned int el, unsigned int argument)
{
	return (void *)((uint64_t)argument << SITE_SHIFT | (pc & ((1ull << SITE_SHIFT) - 4)) | el);
}

static uint64_t site_pc(const void *site)
{
	return (uint64_t)((int64_t)((uint64_t)site << (64 - SITE_SHIFT)) >> (64 - SITE_SHIFT)) &
	       ~3ull;
}

static unsigned int site_el(const void *site)
{
	return (uint64_t)site & 3;
}

static unsigned int site_argument(const void *site)
{
	return (unsigned int)((uint64_t)site >> SITE_SHIFT);
}

static struct s2c_event event_at(const struct vcpu *vcpu, enum s2c_kind kind, const void *site)
{
	return (struct s2c_event){ .kind = (uint8_t)kind,
				   .cpu = (uint16_t)vcpu->index,
				   .pc = site_pc(site) };
}

/* Stores */

/* Tells of the stores that [pa, pa + size) of a page took: aligned pieces of up to 8 bytes. */
static void tell_stores(const struct vcpu *vcpu, uint64_t pa, uint64_t size, uint8_t flags,
			const void *site)
{
	struct s2c_event event = event_at(vcpu, S2C_WRITE, site);

	for (uint64_t piece; size; pa += piece, size -= piece) {
		for (event.size = 3; pa & ((1u << event.size) - 1) || size >> event.size == 0;)
			event.size--;
		piece = 1ull << event.size;
		event.value = 0;
		if (memory_read(pa, &event.value, piece))
			return;
		event.address = pa;
		event.flags = flags;
		feed_event(&event);
	}
}

/* A word of [from, from + size) is left out. */
static void settle_one(const struct vcpu *vcpu, const struct rewrite *rewrite, uint64_t from,
		       uint64_t size)
{
	uint64_t now[PAGE_SIZE / 8];
	void *site = site_pack(rewrite->pc, 0, 0);

	if (memory_read(rewrite->pa, now, rewrite->size))
		return;
	for (size_t i = 0; i < rewrite->size / 8; i++) {
		uint64_t pa = rewrite->pa + i * 8;

		if (now[i] != rewrite->before[i] && (pa + 8 <= from || pa >= from + size))
			tell_stores(vcpu, pa, 8, 0, site);
	}
}

/*
 * Tells what is overdue: what silent instructions wrote; that the guest is left. A store that comes
 * with it, to [from, from + size), is done already and will be told for itself.
 */
static void catch_up_but(struct vcpu *vcpu, const void *site, uint64_t from, uint64_t size)
{
	struct s2c_event event = event_at(vcpu, S2C_EXIT, site);

	for (size_t i = 0; i < vcpu->nrewrites; i++)
		settle_one(vcpu, &vcpu->rewrite[i], from, size);
	vcpu->nrewrites = 0;
	if (!vcpu->runs || site_el(site) < 2)
		return;
	vcpu->runs = 0;
	feed_event(&event);
}

static void catch_up(struct vcpu *vcpu, const void *site)
{
	catch_up_but(vcpu, site, 0, 0);
}

/* Is what it does here the guest's own business? */
static int is_guest(const struct vcpu *vcpu)
{
	return vcpu->runs;
}

/* One of its pages is watched, or it goes into the next one, which may be. */
static void store_watched(struct vcpu *vcpu, uint64_t va, uint64_t pa, uint64_t size,
			  const void *site)
{
	uint64_t first = PAGE_SIZE - (pa & (PAGE_SIZE - 1)), next = 0;
	uint8_t flags = (uint8_t)site_argument(site);

	if (first >= size)
		first = size;
	else if (memory_translate(vcpu->index, va + first, &next) ||
		 !memory_test(memory_watched, next))
		next = 0;
	if (!next && !memory_test(memory_watched, pa))
		return;
	feed_lock();
	if (next)
		catch_up_but(vcpu, site, next, size - first);
	else
		catch_up_but(vcpu, site, pa, first);
	if (memory_test(memory_watched, pa))
		tell_stores(vcpu, pa, first, flags, site);
	if (next)
		tell_stores(vcpu, next, size - first, flags, site);
	feed_unlock();
}

static void on_store(unsigned int index, qemu_plugin_meminfo_t info, uint64_t va, void *site)
{
	struct vcpu *vcpu = vcpu_current();
	const struct qemu_plugin_hwaddr *hwaddr = qemu_plugin_get_hwaddr(info, va);
	uint64_t size = 1ull << qemu_plugin_mem_size_shift(info);
	uint64_t pa;

	(void)index;
	vcpu->stores++;
	if (!hwaddr || qemu_plugin_hwaddr_is_io(hwaddr))
		return;
	pa = qemu_plugin_hwaddr_phys_addr(hwaddr);
	if (memory_test(memory_watched, pa) || (va & (PAGE_SIZE - 1)) + size > PAGE_SIZE)
		store_watched(vcpu, va, pa, size, site);
}

/* Remembers a part of a watched page that is about to be written. */
static void expect_rewrite(struct vcpu *vcpu, uint64_t pa, size_t size, const void *site)
{
	struct rewrite *rewrite;

	if (vcpu->nrewrites == vcpu->room) {
		vcpu->room = vcpu->room ? vcpu->room * 2 : 4;
		vcpu->rewrite = realloc(vcpu->rewrite, vcpu->room * sizeof(*rewrite));
		if (!vcpu->rewrite)
			abort();
	}
	rewrite = &vcpu->rewrite[vcpu->nrewrites];
	rewrite->pa = pa;
	rewrite->pc = site_pc(site);
	rewrite->size = size;
	if (!memory_read(pa, rewrite->before, size))
		vcpu->nrewrites++;
}

static void on_mops(unsigned int index, void *site)
{
	struct vcpu *vcpu = vcpu_current();
	uint64_t start = vcpu_x(site_argument(site) & 31);
	uint64_t size = vcpu_x(site_argument(site) >> 5), pa;

	(void)index;
	/* Once begun, a set or a forward copy counts up to 0 from below the end. */
	if ((int64_t)size < 0) {
		start += size;
		size = -size;
	}
	if (size > MOPS_MAX)
		return;
	feed_lock();
	catch_up(vcpu, site);
	for (uint64_t va = start & ~(PAGE_SIZE - 1); va < start + size; va += PAGE_SIZE)
		if (!memory_translate(vcpu->index, va, &pa) && memory_test(memory_watched, pa))
			expect_rewrite(vcpu, pa, PAGE_SIZE, site);
	feed_unlock();
}

/* Caches */

static void zero_line(struct vcpu *vcpu, uint64_t pa, const void *site)
{
	if (!memory_test(memory_watched, pa))
		return;
	feed_lock();
	catch_up(vcpu, site);
	expect_rewrite(vcpu, pa & ~(uint64_t)(ZVA_MAX - 1), ZVA_MAX, site);
	feed_unlock();
}

static void on_cache(enum s2c_kind kind, void *site)
{
	struct vcpu *vcpu = vcpu_current();
	unsigned int op = site_argument(site) >> 5;
	struct s2c_event event = event_at(vcpu, kind, site);
	int all = kind == S2C_IC && op == INSN_IC_ALL;
	uint64_t va;

	if (is_guest(vcpu) && site_el(site) < 2 && (kind != S2C_DC || op != S2C_ZVA))
		return;
	if (!all) {
		va = vcpu_x(site_argument(site) & 31);
		if (vcpu_translate(vcpu, site_el(site), va, &event.address))
			return;
		event.value = kind == S2C_DC ? vcpu->line : vcpu->iline;
		event.address &= ~(event.value - 1);
	}
	if (kind == S2C_DC && op == S2C_ZVA) {
		zero_line(vcpu, event.address, site);
		return;
	}
	event.op = kind == S2C_DC ? (uint8_t)op : 0;
	feed_lock();
	catch_up(vcpu, site);
	feed_event(&event);
	feed_unlock();
}

static void on_dc(unsigned int index, void *site)
{
	(void)index;
	on_cache(S2C_DC, site);
}

static void on_ic(unsigned int index, void *site)
{
	(void)index;
	on_cache(S2C_IC, site);
}

/* Barriers */

static void on_barrier(enum s2c_kind kind, const void *site)
{
	struct vcpu *vcpu = vcpu_current();
	struct s2c_event event = event_at(vcpu, kind, site);

	if (is_guest(vcpu) && site_el(site) < 2)
		return;
	event.op = kind == S2C_ISB ? 0 : (uint8_t)site_argument(site);
	feed_lock();
	catch_up(vcpu, site);
	feed_event(&event);
	feed_unlock();
}

static void on_dsb(unsigned int index, void *site)
{
	(void)index;
	on_barrier(S2C_DSB, site);
}

static void on_dmb(unsigned int index, void *site)
{
	(void)index;
	on_barrier(S2C_DMB, site);
}

static void on_isb(unsigned int index, void *site)
{
	(void)index;
	on_barrier(S2C_ISB, site);
}

/* Registers and TLBIs: EL2's alone. A lower level's would be trapped, or act on its own stage 1. */

static void tell_sysreg(struct vcpu *vcpu, unsigned int number, uint64_t value, const void *site)
{
	struct s2c_event event = event_at(vcpu, S2C_SYSREG, site);

	event.op = (uint8_t)number;
	event.value = value;
	vcpu->told[number] = value;
	feed_event(&event);
}

static void on_sysreg(unsigned int index, void *site)
{
	struct vcpu *vcpu = vcpu_current();
	uint64_t value = vcpu_x(site_argument(site) & 31);

	(void)index;
	if (site_el(site) < 2)
		return;
	feed_lock();
	catch_up(vcpu, site);
	tell_sysreg(vcpu, site_argument(site) >> 5, value, site);
	feed_unlock();
}

static int is_vmalle1(unsigned int op)
{
	return op == S2C_VMALLE1 || op == S2C_VMALLE1IS || op == S2C_VMALLE1OS;
}

static void on_tlbi(unsigned int index, void *site)
{
	struct vcpu *vcpu = vcpu_current();
	struct s2c_event event = event_at(vcpu, S2C_TLBI, site);
	uint64_t host = HCR_E2H | HCR_TGE;

	(void)index;
	vcpu_translations_changed();
	if (site_el(site) < 2)
		return;
	event.op = (uint8_t)(site_argument(site) >> 5);
	/* Then it is about the host's own address space. */
	if (is_vmalle1(event.op) && (vcpu_register(VCPU_HCR_EL2) & host) == host)
		return;
	if (!is_vmalle1(event.op))
		event.address = vcpu_x(site_argument(site) & 31);
	feed_lock();
	catch_up(vcpu, site);
	feed_event(&event);
	feed_unlock();
}

/* A reset changes registers without a word; so does anything that we do not know of. */
static void check_sysregs(struct vcpu *vcpu, uint64_t hcr, const void *site)
{
	uint64_t vttbr = vcpu_register(VCPU_VTTBR_EL2);
	uint64_t vtcr = vcpu_register(VCPU_VTCR_EL2);
	uint64_t matters = HCR_VM | HCR_DC | HCR_TGE | HCR_E2H | HCR_FWB;

	if (vttbr != vcpu->told[S2C_VTTBR_EL2])
		tell_sysreg(vcpu, S2C_VTTBR_EL2, vttbr, site);
	if (vtcr != vcpu->told[S2C_VTCR_EL2])
		tell_sysreg(vcpu, S2C_VTCR_EL2, vtcr, site);
	if ((hcr ^ vcpu->told[S2C_HCR_EL2]) & matters)
		tell_sysreg(vcpu, S2C_HCR_EL2, hcr, site);
}

/* Does an ERET with this SPSR_EL2 leave EL2? */
static int goes_below(uint64_t spsr)
{
	if (spsr & 0x10)
		return (spsr & 15) != 10; /* AArch32: all modes but Hyp */
	return (spsr >> 2 & 3) < 2;
}

static void on_eret(unsigned int index, void *site)
{
	struct vcpu *vcpu = vcpu_current();
	struct s2c_event event = event_at(vcpu, S2C_RUN, site);
	uint64_t hcr;

	(void)index;
	vcpu_forget_translation(vcpu);
	if (site_el(site) != 2)
		return;
	hcr = vcpu_register(VCPU_HCR_EL2);
	feed_lock();
	catch_up(vcpu, site);
	if (hcr & (HCR_VM | HCR_DC) && !(hcr & HCR_TGE) &&
	    goes_below(vcpu_register(VCPU_SPSR_EL2))) {
		check_sysregs(vcpu, hcr, site);
		vcpu->runs = 1;
		feed_event(&event);
	}
	feed_unlock();
}

/* Translation */

static void instrument(struct qemu_plugin_insn *insn, unsigned int el)
{
	static const struct {
		qemu_exec_cb cb;
		enum qemu_plugin_cb_flags flags;
	} callbacks[] = {
		[INSN_SYSREG] = { on_sysreg, QEMU_PLUGIN_CB_R_REGS },
		[INSN_TLBI] = { on_tlbi, QEMU_PLUGIN_CB_R_REGS },
		[INSN_DSB] = { on_dsb, QEMU_PLUGIN_CB_NO_REGS },
		[INSN_DMB] = { on_dmb, QEMU_PLUGIN_CB_NO_REGS },
		[INSN_ISB] = { on_isb, QEMU_PLUGIN_CB_NO_REGS },
		[INSN_DC] = { on_dc, QEMU_PLUGIN_CB_R_REGS },
		[INSN_IC] = { on_ic, QEMU_PLUGIN_CB_R_REGS },
		[INSN_ERET] = { on_eret, QEMU_PLUGIN_CB_R_REGS },
		[INSN_MOPS] = { on_mops, QEMU_PLUGIN_CB_R_REGS },
	};
	uint64_t pc = qemu_plugin_insn_vaddr(insn);
	uint32_t code = 0;
	unsigned int argument;
	struct insn decoded;

	qemu_plugin_insn_data(insn, &code, sizeof(code));
	decoded = insn_decode(code);
	qemu_plugin_register_vcpu_mem_cb(insn, on_store, QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_MEM_W,
					 site_pack(pc, el, decoded.flags));
	if (decoded.kind == INSN_OTHER)
		return;
	if (decoded.kind == INSN_DSB || decoded.kind == INSN_DMB || decoded.kind == INSN_ISB)
		argument = decoded.op;
	else if (decoded.kind == INSN_MOPS)
		argument = decoded.rt | (unsigned int)decoded.rn << 5;
	else
		argument = decoded.rt | (unsigned int)decoded.op << 5;
	qemu_plugin_register_vcpu_insn_exec_cb(insn, callbacks[decoded.kind].cb,
					       callbacks[decoded.kind].flags,
					       site_pack(pc, el, argument));
}

/* A CPU is not what we can watch. The driver is told, and ends QEMU. */
static int refused;

/* QEMU translates what the CPU is about to execute, so the CPU's level is the code's. */
static void on_translate(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	unsigned int el;

	(void)id;
	if (refused)
		return;
	el = vcpu_el();
	for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++)
		instrument(qemu_plugin_tb_get_insn(tb, i), el);
}

static void on_vcpu(qemu_plugin_id_t id, unsigned int index)
{
	const char *missing;
	struct s2c_cpu cpu;

	(void)id;
	feed_lock();
	missing = vcpu_init(index);
	if (missing) {
		refused = 1;
		feed_refuse(index ? "CPU %u has no register %s where CPU 0 has it: this checks "
				    "machines whose CPUs are all alike"
				  : "CPU %u has no register %s: it needs EL2 (virtualization=on) "
				    "and a CPU of arm64",
			    index, missing);
	} else {
		cpu = vcpu_features();
		feed_start(&cpu);
	}
	feed_unlock();
}

static void on_machine_exit(qemu_plugin_id_t id, void *data)
{
	uint64_t stores = 0;

	(void)id;
	(void)data;
	feed_lock();
	for (size_t i = 0; i < S2C_CPUS; i++)
		stores += vcpus[i].stores;
	feed_end(stores);
	feed_unlock();
}

static int refuse(const char *why)
{
	fprintf(stderr, "stage2-check: %s\n", why);
	return -1;
}

int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info *info, int argc, char **argv)
{
	int report = -1, trace = -1;
	const char *bad;

	for (int i = 0; i < argc; i++) {
		if (!strncmp(argv[i], "report=", 7))
			report = atoi(argv[i] + 7);
		else if (!strncmp(argv[i], "trace=", 6))
			trace = atoi(argv[i] + 6);
	}
	if (strcmp(info->target_name, "aarch64") || !info->system_emulation)
		return refuse("this checks machines of arm64: start qemu-system-aarch64");
	if (info->max_vcpus > S2C_CPUS)
		return refuse("this checks machines of up to 64 CPUs: lower -smp");
	bad = feed_open(report, trace);
	if (!bad)
		bad = memory_init();
	if (!bad)
		bad = vcpu_prepare();
	if (bad)
		return refuse(bad);
	qemu_plugin_register_vcpu_init_cb(id, on_vcpu);
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
	qemu_plugin_register_atexit_cb(id, on_machine_exit, NULL);
	return 0;
}
