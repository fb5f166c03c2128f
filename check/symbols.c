// SPDX-License-Identifier: BSD-2-Clause
/*
 * Names for addresses. Each file becomes a table of symbols sorted by address, whatever it was; an
 * ELF is kept open as well, and elfutils (libdwfl) finds the lines in its debug information.
 *
 * A symbol reaches as far as its size says, or, where no size is known, up to the next symbol of
 * any kind. So data and the end of the image must be in the table, too: they are what keeps the
 * last function of a kernel from claiming every address above it. Mapping symbols ($x, $d) and
 * absolute ones are no places and are left out.
 *
 * Not done: separate files of debug information (name that file itself), names of inlined functions
 * (the line is theirs, the function the one they are in), demangling, loaded modules of a kernel in
 * an ELF (/proc/kallsyms has them).
 */
#include <elfutils/libdwfl.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "symbols.h"

/* No function is larger: what a symbol without size may claim when nothing follows it. */
#define REACH 0x100000

enum rank { /* which of several symbols at one address names it: the last in the table */
	RANK_DATA,
	RANK_WEAK,
	RANK_LOCAL,
	RANK_GLOBAL,
};

struct symbol {
	uint64_t address, size; /* size 0: not known */
	char *name;
	enum rank rank;
};

struct source {
	struct source *next;
	uint64_t offset;
	struct symbol *symbol;
	size_t n, room;
	Dwfl *dwfl; /* NULL: a list */
	Dwfl_Module *module;
};

struct s2c_symbols {
	struct source *first;
};

/* Where a message goes, and what it is about. */
struct complaint {
	char *text;
	size_t n;
	const char *file;
};

__attribute__((format(printf, 2, 3))) static int complain(const struct complaint *to,
							  const char *format, ...)
{
	va_list args;
	int used = snprintf(to->text, to->n, "symbols file '%s': ", to->file);

	if (used >= 0 && (size_t)used < to->n) {
		va_start(args, format);
		vsnprintf(to->text + used, to->n - (size_t)used, format, args);
		va_end(args);
	}
	return -1;
}

static int add(struct source *source, struct symbol symbol, const char *name)
{
	if (!name[0] || name[0] == '$' || !strncmp(name, ".L", 2))
		return 0;
	if (source->n == source->room) {
		size_t room = source->room ? 2 * source->room : 1024;
		struct symbol *more = realloc(source->symbol, room * sizeof(*more));

		if (!more)
			return -1;
		source->symbol = more;
		source->room = room;
	}
	symbol.name = strdup(name);
	if (!symbol.name)
		return -1;
	source->symbol[source->n++] = symbol;
	return 0;
}

static int compare(const void *left, const void *right)
{
	const struct symbol *a = left, *b = right;

	if (a->address != b->address)
		return a->address < b->address ? -1 : 1;
	if (a->rank != b->rank)
		return a->rank < b->rank ? -1 : 1;
	return strcmp(b->name, a->name); /* any order, but always the same */
}

static void free_source(struct source *source)
{
	for (size_t i = 0; i < source->n; i++)
		free(source->symbol[i].name);
	free(source->symbol);
	if (source->dwfl)
		dwfl_end(source->dwfl);
	free(source);
}

/* Lists: `ADDRESS TYPE NAME`, perhaps `[MODULE]`, as nm prints them. */

static enum rank rank_of_type(char type)
{
	switch (type) {
	case 'T':
		return RANK_GLOBAL;
	case 't':
		return RANK_LOCAL;
	case 'W':
	case 'w':
		return RANK_WEAK;
	default:
		return RANK_DATA;
	}
}

/* Returns 0, or -1: no memory, or 1: not such a line. */
static int read_line(struct source *source, const char *line)
{
	struct symbol symbol = { 0 };
	char name[256], type;
	char *end;

	errno = 0;
	symbol.address = strtoull(line, &end, 16);
	if (end == line || line[0] == '-' || errno)
		return sscanf(line, " %c %255s", &type, name) == 2 && strchr("Uvw", type) ? 0 : 1;
	if (end[0] != ' ' || sscanf(end, " %c %255s", &type, name) != 2)
		return 1;
	symbol.rank = rank_of_type(type);
	return strchr("aAUNn", type) ? 0 : add(source, symbol, name);
}

static int read_list(struct source *source, FILE *in, const struct complaint *to)
{
	char *line = NULL;
	size_t room = 0;
	uint64_t highest = 0;
	unsigned long number = 0;
	int status = 0;

	while (!status && getline(&line, &room, in) >= 0) {
		number++;
		if (line[0] == '\n')
			continue;
		status = read_line(source, line);
	}
	free(line);
	if (status < 0)
		return complain(to, "out of memory at line %lu", number);
	if (status > 0 && number == 1)
		return complain(to,
				"neither an ELF nor a list of symbols: give a linked program, a "
				"System.map or /proc/kallsyms");
	if (status > 0)
		return complain(
			to, "line %lu is not `ADDRESS TYPE NAME`: is the list cut off or edited?",
			number);
	if (ferror(in))
		return complain(to, "cannot be read: %s", strerror(errno));
	for (size_t i = 0; i < source->n; i++)
		highest |= source->symbol[i].address;
	if (source->n && !highest)
		return complain(to, "all addresses are 0: copy it as root (kernel.kptr_restrict "
				    "hides them)");
	return 0;
}

/* ELF */

static int no_debuginfo(Dwfl_Module *module, void **userdata, const char *name, Dwarf_Addr base,
			const char *file, const char *link, GElf_Word crc, char **debuginfo)
{
	/* Elsewhere than in the file itself we do not look: it could mean to ask the network. */
	(void)module, (void)userdata, (void)name, (void)base, (void)file, (void)link, (void)crc;
	(void)debuginfo;
	return -1;
}

static const Dwfl_Callbacks callbacks = {
	.find_elf = dwfl_build_id_find_elf,
	.find_debuginfo = no_debuginfo,
	.section_address = dwfl_offline_section_address,
};

static int is_code(Elf *elf, const GElf_Sym *symbol, GElf_Word section)
{
	GElf_Shdr header;
	Elf_Scn *scn = elf ? elf_getscn(elf, section) : NULL;

	if (GELF_ST_TYPE(symbol->st_info) == STT_OBJECT)
		return 0;
	return scn && gelf_getshdr(scn, &header) && (header.sh_flags & SHF_EXECINSTR);
}

static int read_symbols(struct source *source, const struct complaint *to)
{
	int count = dwfl_module_getsymtab(source->module);

	for (int i = 1; i < count; i++) {
		GElf_Sym raw;
		GElf_Addr address;
		GElf_Word section;
		Elf *elf;
		const char *name = dwfl_module_getsym_info(source->module, i, &raw, &address,
							   &section, &elf, NULL);
		struct symbol symbol = { .address = address, .rank = RANK_DATA };
		unsigned int type = name ? GELF_ST_TYPE(raw.st_info) : STT_FILE;

		if (section == SHN_UNDEF || section == SHN_ABS || type == STT_FILE ||
		    type == STT_SECTION || type == STT_TLS)
			continue;
		if (is_code(elf, &raw, section)) {
			unsigned int bind = GELF_ST_BIND(raw.st_info);

			symbol.size = raw.st_size;
			symbol.rank = bind == STB_GLOBAL
					      ? RANK_GLOBAL
					      : (bind == STB_WEAK ? RANK_WEAK : RANK_LOCAL);
		}
		if (add(source, symbol, name))
			return complain(to, "out of memory");
	}
	return 0;
}

static int read_elf(struct source *source, int fd, const struct complaint *to)
{
	GElf_Ehdr header;
	GElf_Addr bias;
	Elf *elf;
	int copy = dup(fd);

	source->dwfl = dwfl_begin(&callbacks);
	if (source->dwfl) {
		dwfl_report_begin(source->dwfl);
		source->module = dwfl_report_elf(source->dwfl, to->file, to->file, copy, 0, true);
	}
	if (!source->module) {
		complain(to, "is no usable ELF: %s; build it again or copy it whole",
			 dwfl_errmsg(-1));
		close(copy);
		return -1;
	}
	dwfl_report_end(source->dwfl, NULL, NULL);
	elf = dwfl_module_getelf(source->module, &bias);
	if (!elf || !gelf_getehdr(elf, &header))
		return complain(to, "is no usable ELF: %s; build it again or copy it whole",
				dwfl_errmsg(-1));
	if (header.e_type != ET_EXEC && header.e_type != ET_DYN)
		return complain(to,
				"is not linked: give the program, not an object file or a core");
	return read_symbols(source, to);
}

static int read_source(struct source *source, const struct complaint *to)
{
	char magic[SELFMAG] = { 0 };
	FILE *in = fopen(to->file, "re");
	int status;

	if (!in)
		return complain(to, "cannot be opened: %s; check the name", strerror(errno));
	errno = 0;
	if (fread(magic, 1, SELFMAG, in) == SELFMAG && !memcmp(magic, ELFMAG, SELFMAG)) {
		status = read_elf(source, fileno(in), to);
	} else if (ferror(in) || fseek(in, 0, SEEK_SET)) {
		status = complain(to, "cannot be read: %s; give a file", strerror(errno));
	} else {
		status = read_list(source, in, to);
	}
	fclose(in);
	if (status)
		return -1;
	if (!source->symbol)
		return complain(to, "has no symbols: give the program as it was before strip");
	qsort(source->symbol, source->n, sizeof(source->symbol[0]), compare);
	return 0;
}

/* The end of the name in FILE+0xOFFSET; a file whose name only looks so is taken as it is. */
static const char *split(const char *spec, uint64_t *offset)
{
	const char *plus = strrchr(spec, '+');
	char *end;

	*offset = 0;
	if (!plus || plus[1] != '0' || (plus[2] | 0x20) != 'x' || !access(spec, F_OK))
		return spec + strlen(spec);
	errno = 0;
	*offset = strtoull(plus + 1, &end, 16);
	return *end || end == plus + 3 || errno ? NULL : plus;
}

int s2c_symbols_add(struct s2c_symbols *symbols, const char *spec, char *error, size_t n)
{
	struct complaint to = { error, n, spec };
	struct source *source = calloc(1, sizeof(*source));
	struct source **at = &symbols->first;
	const char *end;
	char *file;
	int status;

	if (!source)
		return complain(&to, "out of memory");
	end = split(spec, &source->offset);
	file = end ? strndup(spec, (size_t)(end - spec)) : NULL;
	if (!file) {
		free(source);
		return end ? complain(&to, "out of memory")
			   : complain(&to,
				      "the offset is no number of 64 bits: write FILE+0xOFFSET");
	}
	to.file = file;
	status = read_source(source, &to);
	free(file);
	if (status) {
		free_source(source);
		return -1;
	}
	while (*at)
		at = &(*at)->next;
	*at = source;
	return 0;
}

struct s2c_symbols *s2c_symbols_new(void)
{
	return calloc(1, sizeof(struct s2c_symbols));
}

void s2c_symbols_free(struct s2c_symbols *symbols)
{
	while (symbols && symbols->first) {
		struct source *source = symbols->first;

		symbols->first = source->next;
		free_source(source);
	}
	free(symbols);
}

/*
 * The last symbol that starts at or below this address, if it is code that reaches it. Small ones
 * may stand within others (labels of assembly that were given a size): so look behind a few.
 */
static const struct symbol *lookup(const struct source *source, uint64_t address)
{
	const unsigned int behind = 16;
	size_t low = 0, high = source->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (source->symbol[middle].address <= address)
			low = middle + 1;
		else
			high = middle;
	}
	for (size_t i = low; i > 0 && low - i < behind; i--) {
		const struct symbol *symbol = &source->symbol[i - 1];
		uint64_t reach = symbol->size || i < low ? symbol->size : REACH;

		if (symbol->rank == RANK_DATA)
			return NULL;
		if (address - symbol->address < reach)
			return symbol;
	}
	return NULL;
}

static void find_line(const struct source *source, uint64_t address, struct s2c_place *place)
{
	Dwfl_Line *line = source->dwfl ? dwfl_module_getsrc(source->module, address) : NULL;
	const char *file;

	if (!line)
		return;
	file = dwfl_lineinfo(line, NULL, &place->line, NULL, NULL, NULL);
	if (file && place->line > 0)
		snprintf(place->file, sizeof(place->file), "%s", file);
	else
		place->line = 0;
}

int s2c_symbols_find(const struct s2c_symbols *symbols, uint64_t pc, struct s2c_place *place)
{
	const struct source *source = symbols ? symbols->first : NULL;

	for (; source; source = source->next) {
		uint64_t address = pc - source->offset;
		const struct symbol *symbol = lookup(source, address);

		memset(place, 0, sizeof(*place));
		find_line(source, address, place);
		if (symbol) {
			snprintf(place->function, sizeof(place->function), "%s", symbol->name);
			place->offset = address - symbol->address;
		}
		if (symbol || place->line)
			return 0;
	}
	return -1;
}
