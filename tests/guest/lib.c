/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Console (PL011, polled: the emulated one needs no setting up), formatted printing, the checks of
 * the tests, and what becomes of an exception: the probe gets it, or the run ends.
 *
 * Only CPU 0 may print, except on the way out of an unexpected exception.
 */
#include <stdarg.h>

#include "guest.h"

#define UART_BASE 0x09000000ull
#define UART_DR   0x00
#define UART_FR   0x18
#define UART_TXFF (1u << 5)

static uint32_t failed; /* checks of the running test */

static void put(char c)
{
	while (*(volatile uint32_t *)(UART_BASE + UART_FR) & UART_TXFF)
		;
	*(volatile uint32_t *)(UART_BASE + UART_DR) = (uint8_t)c;
}

static void put_number(uint64_t value, unsigned int base)
{
	char digits[20];
	int n = 0;

	do {
		digits[n++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	while (n)
		put(digits[--n]);
}

/* Knows %s, %c, %u, %x, %lu, %lx and %%. */
void print(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	for (; *format; format++) {
		if (*format != '%') {
			put(*format);
			continue;
		}
		int wide = *++format == 'l';

		format += wide;
		if (*format == 's') {
			for (const char *s = va_arg(args, const char *); *s; s++)
				put(*s);
		} else if (*format == 'c') {
			put((char)va_arg(args, int));
		} else if (*format == '%') {
			put('%');
		} else {
			put_number(wide ? va_arg(args, uint64_t) : va_arg(args, unsigned int),
				   *format == 'x' ? 16 : 10);
		}
	}
	va_end(args);
}

void *memset(void *to, int c, size_t n)
{
	for (size_t i = 0; i < n; i++)
		((volatile char *)to)[i] = (char)c;
	return to;
}

void *memcpy(void *to, const void *from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		((volatile char *)to)[i] = ((const char *)from)[i];
	return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const unsigned char *x = a, *y = b;

	for (size_t i = 0; i < n; i++)
		if (x[i] != y[i])
			return x[i] - y[i];
	return 0;
}

size_t strlen(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

int has_arg(const char *word)
{
	size_t n = strlen(word);

	for (const char *s = machine.bootargs; *s; s++) {
		if ((s == machine.bootargs || s[-1] == ' ') && !memcmp(s, word, n) &&
		    (!s[n] || s[n] == ' '))
			return 1;
	}
	return 0;
}

void bail(const char *why)
{
	print("Bail out! %s\n", why);
	psci(PSCI_SYSTEM_OFF, 0, 0, 0);
	for (;;)
		__asm__ volatile("wfi");
}

int check_at(int cond, const char *file, int line, const char *text)
{
	if (!cond) {
		failed++;
		print("# %s:%u: failed: %s\n", file, (unsigned int)line, text);
	}
	return cond;
}

int check_eq_at(uint64_t seen, uint64_t want, const char *file, int line, const char *text)
{
	if (seen == want)
		return 1;
	failed++;
	print("# %s:%u: %s is 0x%lx, should be 0x%lx\n", file, (unsigned int)line, text, seen,
	      want);
	return 0;
}

/* --- exceptions --- */

#define ESR_EC(esr)       ((unsigned int)((esr) >> 26) & 0x3f)
#define ESR_FSC(esr)      ((unsigned int)(esr)&0x3f)
#define ESR_IL            (1u << 25)
#define ESR_WNR           (1u << 6)
#define ESR_CM            (1u << 8)
#define EC_IABT_LOWER     0x20
#define EC_DABT_LOWER     0x24
#define EC_SAME           1 /* added to either: from the same exception level */
#define FSC_EXTERNAL      0x10
#define FSC_EXTERNAL_WALK 0x14
#define DAIF_ALL          0x3c0u
#define SPSR_EL1T         0x4u
#define SPSR_EL1H         0x5u

static void describe(const struct probe *p)
{
	unsigned int ec = ESR_EC(p->esr);
	const char *what = "other exception";

	if ((ec & ~1u) == EC_IABT_LOWER)
		what = "instruction abort";
	else if ((ec & ~1u) == EC_DABT_LOWER)
		what = p->esr & ESR_WNR ? "data abort, write" : "data abort, read";
	else if (ec == 0x15)
		what = "SVC";
	else if (ec == 0)
		what = "undefined instruction";
	print("# %s: vector 0x%x EC 0x%x FSC 0x%x ESR 0x%lx FAR 0x%lx ELR 0x%lx SPSR 0x%lx\n", what,
	      p->vector * 0x80, ec, ESR_FSC(p->esr), p->esr, p->far, p->elr, p->spsr);
}

void trap(const uint64_t *frame)
{
	struct cpu *cpu = (struct cpu *)read_sysreg(tpidr_el1);
	struct probe unexpected;
	struct probe *p = cpu->probe ? cpu->probe : &unexpected;

	p->vector = (uint32_t)frame[31];
	p->daif = (uint32_t)read_sysreg(daif);
	p->esr = read_sysreg(esr_el1);
	p->far = read_sysreg(far_el1);
	p->elr = read_sysreg(elr_el1);
	p->spsr = read_sysreg(spsr_el1);
	p->pan = machine.pan ? read_sysreg(s3_0_c4_c2_3) >> 22 & 1 : 0;
	memcpy(p->x, frame, sizeof(p->x));
	if (cpu->probe)
		probe_resume(p);
	print("\n# unexpected exception on CPU %u, image at 0x%lx\n", cpu->id, machine.image);
	describe(p);
	for (unsigned int i = 0; i < 31; i++)
		print("# x%u 0x%lx\n", i, p->x[i]);
	bail("unexpected exception");
}

static const char *abort_error(const struct probe *p, unsigned int flags, uint64_t far,
			       uint64_t elr)
{
	unsigned int ec = flags & ABORT_EXEC ? EC_IABT_LOWER : EC_DABT_LOWER;
	unsigned int fsc = flags & ABORT_WALK ? FSC_EXTERNAL_WALK + (flags >> 8) : FSC_EXTERNAL;
	unsigned int vector = flags & ABORT_USER ? 8 : flags & ABORT_EL1T ? 0 : 4;
	unsigned int mode = flags & ABORT_USER ? 0 : flags & ABORT_EL1T ? SPSR_EL1T : SPSR_EL1H;
	uint64_t open = 1u << 9; /* EA is the implementation's own */

	if (!(flags & ABORT_EXEC))
		open |= ESR_CM;
	if (flags & ABORT_ANY_WNR)
		open |= ESR_WNR;
	if (p->vector != vector)
		return "wrong vector";
	if (ESR_EC(p->esr) != ec + (flags & ABORT_USER ? 0 : EC_SAME))
		return "wrong exception class";
	if (ESR_FSC(p->esr) != fsc)
		return "wrong fault status";
	if (!(flags & ABORT_ANY_WNR) && !(p->esr & ESR_WNR) != !(flags & ABORT_WRITE))
		return "wrong direction (WnR)";
	if (!(p->esr & ESR_IL))
		return "IL is clear";
	if (p->esr & 0x1ffffff & ~open & ~(uint64_t)(ESR_WNR | 0x3f))
		return "syndrome has bits that belong to EL2 or to nobody";
	if (p->far != far)
		return "wrong FAR";
	if (elr != ANY_ELR && p->elr != elr)
		return "wrong ELR";
	if ((p->spsr & 0x1f) != mode)
		return "wrong SPSR";
	return p->daif != DAIF_ALL ? "interrupts not masked at entry" : NULL;
}

int check_abort_at(int taken, const struct probe *p, unsigned int flags, uint64_t far, uint64_t elr,
		   const char *file, int line)
{
	const char *error = taken ? abort_error(p, flags, far, elr) : "no exception";

	if (!error)
		return 1;
	failed++;
	print("# %s:%u: %s; expected %s%s%s abort, FAR 0x%lx\n", file, (unsigned int)line, error,
	      flags & ABORT_EXEC    ? "instruction"
	      : flags & ABORT_WRITE ? "write"
				    : "read",
	      flags & ABORT_USER ? " EL0" : "", flags & ABORT_WALK ? " walk" : "", far);
	if (taken)
		describe(p);
	return 0;
}

/* --- running the tests --- */

static const char *skip_reason(const struct test *t, unsigned int online)
{
	if (t->needs & NEED_HYP && !machine.hyp)
		return "no hypervisor under this guest";
	if (t->needs & NEED_SMP && online < 2)
		return "one CPU only";
	if (t->needs & NEED_LSE && !machine.lse)
		return "CPU has no FEAT_LSE";
	if (t->needs & NEED_HAFDBS && !machine.hafdbs)
		return "CPU has no FEAT_HAFDBS";
	return NULL;
}

static unsigned int run_tests(void)
{
	static const struct test *const groups[] = {
		abort_tests, slot_tests, mmio_tests,  walk_tests, atomic_tests,
		host_tests,  smp_tests,  maint_tests, psci_tests,
	};
	unsigned int number = 0, bad = 0, online = smp_start();

	print("# %u CPUs, memory 0x%lx + 0x%lx%s%s\n", online, machine.ram_base, machine.ram_size,
	      machine.lse ? ", LSE" : "", machine.hafdbs ? ", HAFDBS" : "");
	for (unsigned int g = 0; g < sizeof(groups) / sizeof(groups[0]); g++) {
		for (const struct test *t = groups[g]; t->name; t++) {
			const char *skip = skip_reason(t, online);

			failed = 0;
			if (!skip)
				t->run();
			bad += !!failed;
			print("%s %u - %s%s%s\n", failed ? "not ok" : "ok", ++number, t->name,
			      skip ? " # SKIP " : "", skip ? skip : "");
		}
	}
	print("1..%u\n", number);
	return bad;
}

void guest_main(uint64_t dtb)
{
	uint64_t regs[4] = { TEST_HC_VERSION };
	struct probe p;

	boot_read(dtb);
	mmu_init();
	mmu_enable();
	/* Without any hypervisor HVC may be undefined. */
	if (!probe_enter(&p, probe_hvc, (uint64_t)regs, 0, 0))
		machine.hyp = !regs[0] && regs[1] == TEST_VERSION;
	if (!machine.hyp && !has_arg("plain"))
		bail("no test device: is this the hypervisor, started with stage2.test?");
	if (has_arg("test=exits")) {
		exits_run();
	} else if (!hostile_run()) {
		unsigned int bad = run_tests();

		print("# %u failed\n", bad);
	}
	psci(PSCI_SYSTEM_OFF, 0, 0, 0);
	bail("SYSTEM_OFF came back");
}
