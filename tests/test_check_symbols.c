// SPDX-License-Identifier: BSD-2-Clause
/*
 * Names of addresses: from lists, and from an ELF, which is this program itself (so it must be
 * built with debug information).
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <inttypes.h>
#include <link.h>

#include "check_report.h"

static void assert_function(const struct s2c_symbols *symbols, uint64_t pc, const char *function,
			    uint64_t offset)
{
	struct s2c_place place;

	assert_int_equal(s2c_symbols_find(symbols, pc, &place), 0);
	assert_string_equal(place.function, function);
	assert_int_equal(place.offset, offset);
	assert_int_equal(place.line, 0);
}

static void test_list(void **state)
{
	struct s2c_symbols *symbols = symbols_of(MAP, "");
	struct s2c_place place;

	(void)state;
	assert_function(symbols, 0xffff800008000000, "_text", 0);
	assert_function(symbols, 0xffff800008000fff, "_text", 0xfff);
	assert_function(symbols, 0xffff800008001004, "stage2_map", 4); /* the global one of two */
	assert_function(symbols, 0xffff800008002900, "unmap", 0x900);
	assert_int_equal(s2c_symbols_find(symbols, 0xffff800008003000, &place), -1);
	assert_int_equal(s2c_symbols_find(symbols, UINT64_MAX, &place), -1);
	assert_int_equal(s2c_symbols_find(symbols, 0x10, &place), -1);
	assert_int_equal(s2c_symbols_find(NULL, 0x10, &place), -1);
	s2c_symbols_free(symbols);
	s2c_symbols_free(NULL);
}

static void test_list_offset(void **state)
{
	struct s2c_symbols *symbols = symbols_of(MAP, "+0x200000");
	struct s2c_place place;

	(void)state;
	assert_function(symbols, 0xffff800008201010, "stage2_map", 0x10);
	assert_int_equal(s2c_symbols_find(symbols, 0xffff800008001004, &place), -1);
	s2c_symbols_free(symbols);
	symbols = symbols_of("40000000 T start\n", "+0xffffffffc0001000"); /* down, by wrapping */
	assert_function(symbols, 0x1004, "start", 4);
	s2c_symbols_free(symbols);
}

static void test_several(void **state)
{
	struct s2c_symbols *symbols = symbols_of(MAP, "");
	char name[64], error[256];
	const char *list = "40080000 T hyp_main\n40081000 T _end\n";
	int fd = memory_file(list, strlen(list), name, sizeof(name));
	struct s2c_place place;

	(void)state;
	assert_int_equal(s2c_symbols_add(symbols, name, error, sizeof(error)), 0);
	assert_function(symbols, 0x40080008, "hyp_main", 8);
	assert_function(symbols, 0xffff800008001000, "stage2_map", 0);
	/* What has no size and no successor does not claim all the rest. */
	assert_int_equal(s2c_symbols_find(symbols, 0x80000000, &place), -1);
	close(fd);
	s2c_symbols_free(symbols);
}

static void refused(const char *text, size_t n, const char *offset, const char *why)
{
	struct s2c_symbols *symbols = s2c_symbols_new();
	char name[64], spec[128], error[256] = "";
	int fd = memory_file(text, n, name, sizeof(name));

	snprintf(spec, sizeof(spec), "%s%s", name, offset);
	assert_int_equal(s2c_symbols_add(symbols, spec, error, sizeof(error)), -1);
	if (!strstr(error, why) || !strstr(error, name))
		fail_msg("'%s' names neither '%s' nor '%s'", error, why, name);
	/* The set is as before: empty, and usable. */
	assert_int_equal(s2c_symbols_add(symbols, "/proc/self/exe", error, sizeof(error)), 0);
	close(fd);
	s2c_symbols_free(symbols);
}

static void test_refused(void **state)
{
	static const char object[64] = "\177ELF\2\1\1";
	struct s2c_symbols *symbols = s2c_symbols_new();
	char error[256];

	(void)state;
	refused("", 0, "", "no symbols");
	refused("10 U a\n", 7, "", "no symbols");
	refused("not a list\n", 11, "", "neither an ELF nor a list");
	refused("MZ\0\0", 4, "", "neither an ELF nor a list");
	refused("10 T a\n20 T\n", 12, "", "line 2");
	refused("10 T a\n11111111111111111 T b\n", 29, "", "line 2");
	refused("0 T a\n0 T b\n", 12, "", "kptr_restrict");
	refused("10 T a\n", 7, "+0x", "FILE+0xOFFSET");
	refused("10 T a\n", 7, "+0x12g", "FILE+0xOFFSET");
	refused("10 T a\n", 7, "+0x11111111111111111", "FILE+0xOFFSET");
	refused("\177ELF", 4, "", "no usable ELF");
	refused(object, sizeof(object), "", "no usable ELF");
	assert_int_equal(s2c_symbols_add(symbols, "no such file", error, sizeof(error)), -1);
	assert_non_null(strstr(error, "'no such file': cannot be opened"));
	assert_int_equal(s2c_symbols_add(symbols, "/", error, sizeof(error)), -1);
	assert_non_null(strstr(error, "'/': cannot be read"));
	assert_int_equal(s2c_symbols_add(symbols, "no such file", error, 8), -1);
	assert_int_equal(strlen(error), 7);
	s2c_symbols_free(symbols);
}

/* Where this program was loaded: the first object of the list is the program. */
static int first_base(struct dl_phdr_info *info, size_t size, void *base)
{
	(void)size;
	*(uint64_t *)base = info->dlpi_addr;
	return 1;
}

__attribute__((noinline)) int a_function_of_this_program(int x);

static const int line_before = __LINE__;
__attribute__((noinline)) int a_function_of_this_program(int x)
{
	return x * 3;
}
static const int line_after = __LINE__;

static void test_elf(void **state)
{
	uint64_t pc = (uint64_t)(uintptr_t)a_function_of_this_program, base = 0;
	struct s2c_symbols *symbols = s2c_symbols_new();
	char spec[64], error[256] = "";
	struct s2c_place place;

	(void)state;
	dl_iterate_phdr(first_base, &base);
	snprintf(spec, sizeof(spec), "/proc/self/exe+0x%" PRIx64, base);
	if (s2c_symbols_add(symbols, spec, error, sizeof(error)))
		fail_msg("%s", error);
	assert_int_equal(s2c_symbols_find(symbols, pc, &place), 0);
	assert_string_equal(place.function, "a_function_of_this_program");
	assert_int_equal(place.offset, 0);
	assert_non_null(strstr(place.file, "test_check_symbols.c"));
	assert_true(place.line > line_before && place.line < line_after);
	assert_int_equal(s2c_symbols_find(symbols, pc + 1, &place), 0);
	assert_int_equal(place.offset, 1);
	assert_int_equal(s2c_symbols_find(symbols, (uint64_t)(uintptr_t)&line_after, &place), -1);
	assert_int_equal(s2c_symbols_find(symbols, base - 1, &place), -1);
	s2c_symbols_free(symbols);
}

/* A program that was cut off anywhere is refused or understood in part, but read. */
static void test_elf_cut(void **state)
{
	static char image[1 << 20];
	FILE *in = fopen("/proc/self/exe", "re");
	size_t n = in ? fread(image, 1, sizeof(image), in) : 0;

	(void)state;
	assert_true(n > 4096);
	fclose(in);
	for (size_t cut = 16; cut < n; cut += cut / 3 + 1) {
		struct s2c_symbols *symbols = s2c_symbols_new();
		char name[64], error[256] = "";
		int fd = memory_file(image, cut, name, sizeof(name));
		struct s2c_place place;

		if (s2c_symbols_add(symbols, name, error, sizeof(error)))
			assert_non_null(strstr(error, name));
		for (uint64_t pc = 0; pc < 0x10000; pc += 0x555)
			(void)s2c_symbols_find(symbols, pc, &place);
		close(fd);
		s2c_symbols_free(symbols);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list),    cmocka_unit_test(test_list_offset),
		cmocka_unit_test(test_several), cmocka_unit_test(test_refused),
		cmocka_unit_test(test_elf),     cmocka_unit_test(test_elf_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
