/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names for addresses of code: function, file and line from an ELF with debug information, or
 * function alone from a list such as System.map, /proc/kallsyms or the output of nm. Any number of
 * them can be loaded (a hypervisor and its host kernel); the first one that knows an address wins.
 *
 * Used by one thread at a time.
 */
#ifndef S2C_SYMBOLS_H
#define S2C_SYMBOLS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct s2c_symbols;

struct s2c_place {
	char function[256]; /* "" if only the line is known */
	char file[256];     /* as the compiler was told; "": not known */
	uint64_t offset;    /* from the start of the function */
	int line;           /* 0: not known */
};

/* NULL: no memory. */
struct s2c_symbols *s2c_symbols_new(void);
void s2c_symbols_free(struct s2c_symbols *symbols); /* NULL is fine */

/*
 * Adds a file. `spec` is its name, or FILE+0xOFFSET where the code ran that much above the
 * addresses in the file (KASLR, a hypervisor that moves itself; the sum wraps, so an offset may
 * lead down). Returns 0, or -1 with a message in `error` (of n bytes) that names the file and says
 * what to do.
 */
int s2c_symbols_add(struct s2c_symbols *symbols, const char *spec, char *error, size_t n);

/* Returns 0, or -1: no file knows this address (or `symbols` is NULL). */
int s2c_symbols_find(const struct s2c_symbols *symbols, uint64_t pc, struct s2c_place *place);

#ifdef __cplusplus
}
#endif

#endif
