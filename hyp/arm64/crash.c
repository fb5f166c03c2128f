// SPDX-License-Identifier: BSD-2-Clause
/*
 * The dump of the hypervisor's own exceptions: the syndrome in words, the registers that explain
 * it, the calls that led there; into the report and onto the console, which nobody else needs any
 * more. Also used to describe a guest's syndrome.
 *
 * The first CPU to crash writes; others are parked. A crash within the dump ends the machine with
 * what there is.
 */
#include "hyp.h"
#include "sysreg.h"

#define UART_DR      0x00
#define UART_FR      0x18
#define UART_FR_TXFF 0x20

static uint32_t owner; /* index + 1 of the CPU that dumps */
static char text[sizeof(hyp_report->text)];

static const char *class_name(unsigned int ec)
{
	switch (ec) {
	case 0x00:
		return "undefined instruction";
	case 0x01:
		return "WFI or WFE";
	case 0x07:
		return "FP or SIMD access";
	case 0x09:
		return "pointer authentication";
	case 0x0e:
		return "illegal execution state";
	case EC_HVC64:
		return "HVC";
	case EC_SMC64:
		return "SMC";
	case EC_SYSREG:
		return "system register access";
	case 0x19:
		return "SVE access";
	case 0x1d:
		return "SME access";
	case EC_INSN_LOWER:
		return "instruction abort of the guest";
	case EC_INSN_SAME:
		return "instruction abort";
	case 0x22:
		return "misaligned PC";
	case EC_DATA_LOWER:
		return "data abort of the guest";
	case EC_DATA_SAME:
		return "data abort";
	case 0x26:
		return "misaligned SP";
	case 0x2f:
		return "SError";
	default:
		return "exception";
	}
}

static const char *fault_name(unsigned int fsc)
{
	switch (fsc & 0x3c) {
	case 0x00:
		return "address size fault";
	case 0x04:
		return "translation fault";
	case 0x08:
		return "access flag fault";
	case 0x0c:
		return "permission fault";
	case 0x14:
		return "external abort on a table walk";
	}
	switch (fsc) {
	case FSC_EXTERNAL:
		return "external abort";
	case 0x21:
		return "alignment fault";
	case FSC_TLB_CONFLICT:
		return "TLB conflict";
	default:
		return "other fault";
	}
}

/* Writes the syndrome in words; returns the length. */
size_t crash_syndrome(char *buffer, size_t size, uint64_t esr)
{
	unsigned int ec = ESR_EC(esr);
	unsigned int fsc = ESR_FSC(esr);
	int data = (ec & ~1u) == EC_DATA_LOWER;
	int abort = data || (ec & ~1u) == EC_INSN_LOWER;
	size_t length = hyp_format(buffer, size, "%s", class_name(ec));

	if (data)
		length += hyp_format(buffer + length, size - length, ", %s",
				     esr & ESR_WNR ? "write" : "read");
	if (abort)
		length += hyp_format(buffer + length, size - length, ", %s", fault_name(fsc));
	if (abort && fsc < FSC_EXTERNAL)
		length += hyp_format(buffer + length, size - length, " at level %u", fsc & 3);
	if (abort && esr & ESR_S1PTW)
		length += hyp_format(buffer + length, size - length, ", on a walk of its tables");
	return length;
}

static void uart_write(const char *s)
{
	volatile uint32_t *uart = (volatile uint32_t *)hyp_guest.uart;

	if (!uart)
		return;
	for (; *s; s++) {
		/* Bounded: a UART that never drains must not hold up the end. */
		for (int i = 0; i < 100000 && uart[UART_FR / 4] & UART_FR_TXFF; i++)
			;
		uart[UART_DR / 4] = (uint8_t)*s;
	}
}

/* Frame records (AAPCS64): x29 points at the caller's x29 and the return address. */
static size_t trace(size_t length, uint64_t record)
{
	uint64_t top = cpu_this()->stack;

	length += hyp_format(text + length, sizeof(text) - length, "called from:\n");
	for (int i = 0; i < 32; i++) {
		const uint64_t *at = (const uint64_t *)record;

		if (record % 16 || record < top - STACK_SIZE || record > top - 16)
			break;
		length += hyp_format(text + length, sizeof(text) - length, "  0x%llx\n",
				     (unsigned long long)at[1]);
		if (at[0] <= record)
			break;
		record = at[0];
	}
	return length;
}

void crash(const struct hyp_dump *dump)
{
	static const char *const vectors[] = { "synchronous", "IRQ", "FIQ", "SError" };
	struct hyp_cpu *cpu = cpu_this();
	uint32_t nobody = 0;
	uint64_t far = sysreg_read(far_el2);
	uint64_t esr = sysreg_read(esr_el2);
	size_t n;

	if (!__atomic_compare_exchange_n(&owner, &nobody, cpu->index + 1, 0, __ATOMIC_ACQUIRE,
					 __ATOMIC_RELAXED)) {
		if (nobody == cpu->index + 1)
			psci_leave(HYP_END_CRASH);
		cpu_park();
	}
	n = hyp_format(text, sizeof(text),
		       "the hypervisor crashed on CPU %u: %s exception%s: ", cpu->index,
		       vectors[dump->vector % 4], dump->vector >= 8 ? " from the guest" : "");
	n += crash_syndrome(text + n, sizeof(text) - n, esr);
	if (ESR_EC(esr) == EC_DATA_SAME && far >= cpu->crash && far < cpu->stack - STACK_SIZE)
		n += hyp_format(text + n, sizeof(text) - n, "; its stack is full");
	n += hyp_format(text + n, sizeof(text) - n,
			"\npc 0x%llx sp 0x%llx far 0x%llx esr 0x%llx spsr 0x%llx\n",
			(unsigned long long)sysreg_read(elr_el2), (unsigned long long)dump->sp,
			(unsigned long long)far, (unsigned long long)esr,
			(unsigned long long)sysreg_read(spsr_el2));
	for (unsigned int i = 0; i < 31; i++)
		n += hyp_format(text + n, sizeof(text) - n, "x%u %016llx%c", i,
				(unsigned long long)dump->frame.x[i],
				i % 4 == 3 || i == 30 ? '\n' : ' ');
	if (dump->vector < 8)
		trace(n, dump->frame.x[29]);
	uart_write("\n");
	uart_write(text);
	hyp_end(HYP_END_CRASH, "%s", text);
}
