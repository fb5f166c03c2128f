// SPDX-License-Identifier: BSD-2-Clause
/*
 * Descriptors and events in words, for reports. Only bits that mean the same in (nearly) every
 * regime are told, because a report does not know the regime; judging is done elsewhere, by code
 * that does (arm64.c, tlbi.c). Every text is one line of printable ASCII.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "report.h"

#define PAGE_MASK UINT64_C(0x0003fffffffff000) /* bits 49:12 */
#define BLOCK_MASK                                                                            \
	UINT64_C(0x0003ffffffe00000) /* bits 49:21: the smallest block of all granules has 2M \
				      */

/* Text that grows to the right and stops at the end of its buffer. */
struct line {
	char *text;
	size_t n, used;
};

__attribute__((format(printf, 2, 3))) static void append(struct line *line, const char *format, ...)
{
	size_t room = line->n - line->used;
	va_list args;
	int more;

	if (line->used >= line->n)
		return;
	va_start(args, format);
	more = vsnprintf(line->text + line->used, room, format, args);
	va_end(args);
	if (more > 0)
		line->used += (size_t)more < room ? (size_t)more : room - 1;
}

static unsigned int bits(uint64_t value, unsigned int high, unsigned int low)
{
	return (unsigned int)(value >> low & ((1ull << (high - low + 1)) - 1));
}

static const char *or_unknown(const char *name)
{
	return name ? name : "?";
}

void s2c_describe_size(char *buffer, size_t n, uint64_t bytes)
{
	static const char units[] = "KMGTP";
	uint64_t scaled = bytes;
	int unit = -1;

	while (scaled && !(scaled & 1023) && unit < 4) {
		scaled >>= 10;
		unit++;
	}
	if (unit < 0)
		snprintf(buffer, n, "%" PRIu64 " bytes", bytes);
	else
		snprintf(buffer, n, "%" PRIu64 "%c", scaled, units[unit]);
}

static void append_size(struct line *line, uint64_t bytes)
{
	char size[32];

	s2c_describe_size(size, sizeof(size), bytes);
	append(line, " %s", size);
}

/* The common values of MemAttr[3:0]; with FEAT_S2FWB in use, 6 and 7 mean what is said here. */
static void append_memory(struct line *line, unsigned int memattr)
{
	static const char *const names[16] = {
		[0x0] = "Device-nGnRnE", [0x1] = "Device-nGnRE",  [0x2] = "Device-nGRE",
		[0x3] = "Device-GRE",    [0x5] = "non-cacheable", [0x6] = "WB (FWB)",
		[0x7] = "guest's (FWB)", [0xa] = "write-through", [0xf] = "WB",
	};

	if (names[memattr])
		append(line, " %s", names[memattr]);
	else
		append(line, " MemAttr 0x%x", memattr);
}

static void append_leaf(struct line *line, uint64_t value)
{
	int block = !(value & 2);
	static const char *const execute[4] = { "x", "x(EL0)", "-", "x(EL1)" };
	static const char *const shareability[4] = { "non-shareable", "SH 1", "outer", "inner" };

	append(line, "leaf 0x%" PRIx64 " %c%c%s", value & (block ? BLOCK_MASK : PAGE_MASK),
	       value & 1u << 6 ? 'r' : '-', value & 1u << 7 ? 'w' : '-',
	       execute[bits(value, 54, 53)]);
	append_memory(line, bits(value, 5, 2));
	append(line, " %s %s", shareability[bits(value, 9, 8)], value & 1u << 10 ? "AF" : "no-AF");
	if (block && value & 1u << 16)
		append(line, " nT");
	if (value & 1ull << 52)
		append(line, " contiguous");
	if (value & 1ull << 51)
		append(line, " DBM%s", value & 1u << 7 ? "(dirty)" : "");
}

void s2c_describe_entry(char *buffer, size_t n, uint64_t value, unsigned int level)
{
	struct line line = { buffer, n, 0 };
	unsigned int type = (unsigned int)value & 3;

	append(&line, "%s", "");
	if (!(type & 1)) {
		append(&line, value ? "invalid, with software's bits" : "invalid");
	} else if (level == 0 && type == 1) {
		append(&line, "reserved: bits 1:0 are 01 at the last level");
	} else if (type == 1 || level == 0) {
		append_leaf(&line, value);
	} else if (level == S2C_LEVEL_ANY) {
		append(&line, "table or page 0x%" PRIx64, value & PAGE_MASK);
	} else {
		append(&line, "table 0x%" PRIx64, value & PAGE_MASK);
	}
}

static void write_event(struct line *line, const struct s2c_event *event, uint64_t entry,
			unsigned int level)
{
	char words[128];
	int ours = entry && event->address == entry;

	if (event->size != 3) {
		append(line, "write%u 0x%" PRIx64 " = 0x%" PRIx64,
		       event->size < 3 ? 8u << event->size : 0, event->address, event->value);
	} else {
		s2c_describe_entry(words, sizeof(words), event->value,
				   ours ? level : S2C_LEVEL_ANY);
		if (ours)
			append(line, "write entry: %s", words);
		else
			append(line, "write 0x%" PRIx64 ": %s", event->address, words);
	}
	if (event->flags & S2C_ATOMIC)
		append(line, ", atomic");
	if (event->flags & S2C_RELEASE)
		append(line, ", release");
	if (event->flags & S2C_HARDWARE)
		append(line, ", by hardware");
}

static int is_range(unsigned int op)
{
	return op >= S2C_RIPAS2E1 && op <= S2C_RIPAS2LE1OS;
}

static void range_operand(struct line *line, uint64_t operand)
{
	static const unsigned int shift[4] = { 0, 12, 14, 16 };
	unsigned int granule = bits(operand, 47, 46), level = bits(operand, 38, 37);
	uint64_t units = (bits(operand, 43, 39) + 1ull) << (5 * bits(operand, 45, 44) + 1);

	if (!granule) {
		append(line, " 0x%" PRIx64 " (granule 0 is reserved)", operand);
		return;
	}
	append(line, " gpa 0x%" PRIx64 ",", (operand & UINT64_C(0x1fffffffff)) << shift[granule]);
	append_size(line, units << shift[granule]);
	if (level)
		append(line, ", Arm level hint %u", level);
}

static void tlbi_event(struct line *line, const struct s2c_event *event)
{
	unsigned int ttl = bits(event->address, 47, 44);

	append(line, "tlbi %s", or_unknown(s2c_tlbi_name(event->op)));
	if (is_range(event->op)) {
		range_operand(line, event->address);
	} else if (event->op <= S2C_IPAS2LE1OS) {
		append(line, " gpa 0x%" PRIx64, (event->address & UINT64_C(0xffffffffff)) << 12);
		if (ttl >= 4)
			append(line, ", Arm level hint %u", ttl & 3);
	}
}

static void sysreg_event(struct line *line, const struct s2c_event *event)
{
	append(line, "%s = 0x%" PRIx64, or_unknown(s2c_sysreg_name(event->op)), event->value);
	if (event->op == S2C_VTTBR_EL2)
		append(line, " (VMID %u, root 0x%" PRIx64 ")", bits(event->value, 63, 48),
		       event->value & UINT64_C(0xfffffffffffe));
}

static void inval_event(struct line *line, const struct s2c_event *event)
{
	append(line, "inval VMID %u", event->id);
	if (event->value) {
		append(line, " gpa 0x%" PRIx64 ",", event->address);
		append_size(line, event->value);
	} else {
		append(line, " all");
	}
	if (event->op != S2C_LEVEL_ANY)
		append(line, ", level %u", event->op);
	if (event->flags & S2C_INVAL_LEAF)
		append(line, ", leaves only");
	if (event->flags & S2C_INVAL_LOCAL)
		append(line, ", local");
}

/* Events of physical ranges, and of ranges of a guest. */
static void range_event(struct line *line, const struct s2c_event *event, const char *what)
{
	append(line, "%s 0x%" PRIx64 ",", what, event->address);
	append_size(line, event->value);
}

static void promise_event(struct line *line, const struct s2c_event *event)
{
	append(line, "%s VMID %u", or_unknown(s2c_kind_name(event->kind)), event->id);
	range_event(line, event, " gpa");
	if (event->kind == S2C_LOCAL)
		append(line, ", %s%s%s%s", event->op & S2C_R ? "r" : "",
		       event->op & S2C_W ? "w" : "", event->op & S2C_X ? "x" : "",
		       event->op & S2C_XP ? "p" : "");
}

static void other_event(struct line *line, const struct s2c_event *event)
{
	const char *name = or_unknown(s2c_kind_name(event->kind));

	switch (event->kind) {
	case S2C_DSB:
	case S2C_DMB:
		append(line, "%s %s", name, or_unknown(s2c_barrier_name(event->op)));
		break;
	case S2C_ISB:
	case S2C_RUN:
	case S2C_EXIT:
		append(line, "%s", name);
		break;
	case S2C_DC:
		append(line, "%s ", name);
		range_event(line, event, or_unknown(s2c_dc_name(event->op)));
		break;
	case S2C_SAME:
		append(line, "%s 0x%" PRIx64 " and 0x%" PRIx64, name, event->address, event->value);
		break;
	case S2C_OWN:
	case S2C_DISOWN:
		range_event(line, event, name);
		append(line, ", owner %u", event->id);
		break;
	default:
		range_event(line, event, name);
	}
}

void s2c_describe_event(char *buffer, size_t n, const struct s2c_event *event, uint64_t entry,
			unsigned int level)
{
	struct line line = { buffer, n, 0 };

	append(&line, "%s", "");
	switch (event->kind) {
	case S2C_WRITE:
		write_event(&line, event, entry, level);
		break;
	case S2C_INIT:
		append(&line, "init 0x%" PRIx64 ": ", event->address);
		s2c_describe_entry(buffer + line.used, n - line.used, event->value,
				   entry && event->address == entry ? level : S2C_LEVEL_ANY);
		break;
	case S2C_SYSREG:
		sysreg_event(&line, event);
		break;
	case S2C_TLBI:
		tlbi_event(&line, event);
		break;
	case S2C_INVAL:
		inval_event(&line, event);
		break;
	case S2C_DONE:
	case S2C_EMPTY:
	case S2C_LOCAL:
	case S2C_HARVEST:
		promise_event(&line, event);
		break;
	case S2C_IC:
		if (!event->value) {
			append(&line, "ic all");
			break;
		}
		other_event(&line, event);
		break;
	default:
		other_event(&line, event);
	}
}
