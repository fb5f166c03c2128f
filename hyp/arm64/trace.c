// SPDX-License-Identifier: BSD-2-Clause
/*
 * Records a trace of everything that the checker needs (docs/checker.md), into ring.h's ring. Only
 * in the image that `stage2 run --trace` boots.
 *
 * One lock is held across each thing that is done and the record of it: the events stand in the
 * order in which they became visible. That serialises the CPUs at every store, TLBI and barrier,
 * which is slow and right for a trace; a race between two instructions stays a race, since the lock
 * is free between them. Who finds the ring full waits for the reader with the lock held; if the
 * reader dies, the emulator dies with it.
 *
 * The lock is the innermost of all: nothing is called under it. Interrupts do not reach EL2.
 *
 * Program counters are those of the call that led here (TRACING_PC): of who did it, since this
 * image is built without tail calls.
 *
 * The hypervisor's own tables (mmu.c) are no matter of stage 2 and not recorded; nor is the access
 * flag, where hardware sets it: the engine's next change of the entry shows the checker a new value
 * for which neither asks for a break.
 */
#include "hyp.h"
#include "ring.h"
#include "sysreg.h"
#include "tracing.h"

#include "../../src/pgtable/hook.h"

/* Lines of the data cache that were cleaned one after another: one event, when another comes. */
struct span {
	uint64_t start;
	uint64_t size; /* 0: none */
	uint64_t pc;
	uint64_t op;
};

static struct hyp_ring *const ring = (struct hyp_ring *)HYP_RING_BASE;
static struct span spans[HYP_MAX_CPUS];
static uint32_t recording; /* constant once the second CPU runs */
static uint32_t lock;
static struct s2_port inner; /* the port's own functions */

void tracing_begin(void)
{
	while (__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE))
		while (__atomic_load_n(&lock, __ATOMIC_RELAXED))
			__asm__ volatile("yield");
}

static void end(void)
{
	__atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
}

static void put(const struct s2c_event *event)
{
	uint64_t head = ring->head;

	while (head - __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE) == HYP_RING_EVENTS)
		__asm__ volatile("yield");
	ring->events[head % HYP_RING_EVENTS] = *event;
	__atomic_store_n(&ring->head, head + 1, __ATOMIC_RELEASE);
}

static void span_end(uint32_t cpu)
{
	struct span *span = &spans[cpu];
	struct s2c_event event = { .kind = S2C_DC,
				   .op = (uint8_t)span->op,
				   .cpu = (uint16_t)cpu,
				   .address = span->start,
				   .value = span->size,
				   .pc = span->pc };

	if (!span->size)
		return;
	put(&event);
	span->size = 0;
}

/* With the lock held. */
static void record(struct s2c_event event, uint64_t pc)
{
	uint32_t cpu = cpu_this()->index;

	if (!recording)
		return;
	span_end(cpu);
	event.cpu = (uint16_t)cpu;
	event.pc = pc;
	put(&event);
}

static void note(struct s2c_event event, uint64_t pc)
{
	tracing_begin();
	record(event, pc);
	end();
}

void tracing_end(unsigned int kind, unsigned int op, uint64_t operand, uint64_t pc)
{
	struct s2c_event event = { .kind = (uint8_t)kind, .op = (uint8_t)op };

	if (kind == S2C_SYSREG)
		event.value = operand;
	else
		event.address = operand;
	record(event, pc);
	end();
}

/* What a line is cleaned for comes with the DSB after it, so its event may come a little late. */
void tracing_line(unsigned int op, uint64_t address, uint64_t pc)
{
	uint32_t cpu = cpu_this()->index;
	struct span *span = &spans[cpu];
	uint64_t line = 4ull << (ring->ctr >> 16 & 15);

	if (!recording)
		return;
	if (span->size && span->op == op && span->start + span->size == address) {
		span->size += line;
		return;
	}
	tracing_begin();
	span_end(cpu);
	end();
	*span = (struct span){ address & ~(line - 1), line, pc, op };
}

void tracing_start(void)
{
	recording = __atomic_load_n(&ring->reader, __ATOMIC_ACQUIRE) != 0;
	ring->mmfr0 = id_read(ID_AA64MMFR0);
	ring->mmfr1 = id_read(ID_AA64MMFR1);
	ring->mmfr2 = id_read(ID_AA64MMFR2);
	ring->ctr = sysreg_read(ctr_el0);
	ring->clidr = sysreg_read(clidr_el1);
	__atomic_store_n(&ring->magic, HYP_RING_MAGIC, __ATOMIC_RELEASE);
}

/* --- the engine's entries --- */

int s2_hook_cas(uint64_t *entry, uint64_t *old, uint64_t new_entry)
{
	int done;

	tracing_begin();
	done = __atomic_compare_exchange_n(entry, old, new_entry, 0, __ATOMIC_ACQ_REL,
					   __ATOMIC_ACQUIRE);
	if (done)
		record((struct s2c_event){ .kind = S2C_WRITE,
					   .flags = S2C_ATOMIC | S2C_RELEASE,
					   .size = 3,
					   .address = (uint64_t)entry,
					   .value = new_entry },
		       TRACING_PC);
	end();
	return done;
}

void s2_hook_store(uint64_t *entry, uint64_t value)
{
	tracing_begin();
	*entry = value;
	record(
		(struct s2c_event){
			.kind = S2C_WRITE, .size = 3, .address = (uint64_t)entry, .value = value },
		TRACING_PC);
	end();
}

/* Nothing that a walker reads. */
void s2_hook_slot(void *ctx, uint64_t gpa)
{
	(void)ctx;
	(void)gpa;
}

/* --- the port's tables --- */

/* They come filled with zeros: said as what DC ZVA does, of which a trace takes 64K at a time. */
static void *table_alloc(void *ctx, unsigned int order)
{
	uint64_t table = (uint64_t)inner.table_alloc(ctx, order);
	uint64_t size = 4096ull << order;

	if (!table)
		return NULL;
	note((struct s2c_event){ .kind = S2C_ALLOC, .address = table, .value = size }, TRACING_PC);
	note((struct s2c_event){ .kind = S2C_DC, .op = S2C_ZVA, .address = table, .value = size },
	     TRACING_PC);
	return (void *)table;
}

_Static_assert(4096u << (EL2_POOL_ORDERS - 1) <= 65536, "a trace's largest DC ZVA");

static void table_free(void *ctx, void *table, unsigned int order)
{
	note((struct s2c_event){ .kind = S2C_FREE,
				 .address = (uint64_t)table,
				 .value = 4096ull << order },
	     TRACING_PC);
	inner.table_free(ctx, table, order);
}

void tracing_port(struct s2_port *port)
{
	inner = *port;
	port->table_alloc = table_alloc;
	port->table_free = table_free;
}

/* --- entries of the guest, and hints --- */

void tracing_exit(void)
{
	note((struct s2c_event){ .kind = S2C_EXIT }, TRACING_PC);
}

void tracing_run(void)
{
	note((struct s2c_event){ .kind = S2C_RUN }, TRACING_PC);
}

static struct s2c_event range(enum s2c_kind kind, uint64_t gpa, uint64_t size)
{
	return (struct s2c_event){ .kind = (uint8_t)kind,
				   .id = (uint16_t)(hyp_guest.port.vttbr >> 48),
				   .address = gpa,
				   .value = size };
}

static int alone(void)
{
	return __atomic_load_n(&hyp_report->cpus, __ATOMIC_RELAXED) == 1;
}

void tracing_empty(uint64_t gpa, uint64_t size)
{
	note(range(S2C_EMPTY, gpa, size), TRACING_PC);
}

void tracing_done(uint64_t gpa, uint64_t size)
{
	if (alone())
		note(range(S2C_DONE, gpa, size), TRACING_PC);
}

void tracing_served(uint64_t gpa, enum s2_access access)
{
	struct s2c_event event = range(S2C_LOCAL, gpa & ~4095ull, 4096);

	if (!alone())
		return;
	event.op = access == S2_ACCESS_WRITE ? S2C_W : access == S2_ACCESS_EXEC ? S2C_X : S2C_R;
	note(event, TRACING_PC);
	note(range(S2C_DONE, event.address, event.value), TRACING_PC);
}

void tracing_take(const void *page, uint64_t size)
{
	note((struct s2c_event){ .kind = S2C_TAKE, .address = (uint64_t)page, .value = size },
	     TRACING_PC);
}

void tracing_give(const void *page, uint64_t size)
{
	note((struct s2c_event){ .kind = S2C_GIVE, .address = (uint64_t)page, .value = size },
	     TRACING_PC);
}
