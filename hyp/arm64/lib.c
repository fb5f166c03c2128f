// SPDX-License-Identifier: BSD-2-Clause
/*
 * The few functions of a C library that the compiler and libfdt call, and hyp_format().
 *
 * Plain loops: nothing here is on the path of an exit. The compiler must not turn the loops back
 * into calls of themselves, hence -fno-tree-loop-distribute-patterns in meson.build. No state; any
 * context.
 */
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "hyp.h"

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
	char *t = to;
	const char *f = from;

	while (n--)
		*t++ = *f++;
	return to;
}

void *memmove(void *to, const void *from, size_t n)
{
	char *t = to;
	const char *f = from;

	if ((uintptr_t)to <= (uintptr_t)from)
		return memcpy(to, from, n);
	while (n--)
		t[n] = f[n];
	return to;
}

void *memset(void *to, int byte, size_t n)
{
	char *t = to;
	uint64_t word = (uint8_t)byte * 0x0101010101010101ull;

	/* Whole words where it can. */
	if ((uintptr_t)t % 8 == 0)
		for (; n >= 8; n -= 8, t += 8)
			*(uint64_t *)(void *)t = word;
	while (n--)
		*t++ = (char)byte;
	return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const unsigned char *x = a;
	const unsigned char *y = b;

	for (; n; n--, x++, y++)
		if (*x != *y)
			return *x - *y;
	return 0;
}

void *memchr(const void *s, int byte, size_t n)
{
	const unsigned char *p = s;

	for (; n; n--, p++)
		if (*p == (unsigned char)byte)
			return (void *)(uintptr_t)p;
	return NULL;
}

size_t strnlen(const char *s, size_t max)
{
	size_t n = 0;

	while (n < max && s[n])
		n++;
	return n;
}

size_t strlen(const char *s)
{
	return strnlen(s, SIZE_MAX);
}

int strcmp(const char *a, const char *b)
{
	size_t n = strlen(a) + 1;

	/* Never beyond b's end: the first difference is at or before it. */
	return memcmp(a, b, n);
}

char *strchr(const char *s, int c)
{
	return memchr(s, c, strlen(s) + 1);
}

char *strrchr(const char *s, int c)
{
	size_t n = strlen(s) + 1;

	while (n--)
		if (s[n] == (char)c)
			return (char *)(uintptr_t)(s + n);
	return NULL;
}

/* Bases 10 and 16 and their prefix, no sign, no white space: what device trees and options have. */
unsigned long strtoul(const char *s, char **end, int base)
{
	unsigned long value = 0;

	if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X') && base != 10) {
		s += 2;
		base = 16;
	}
	if (base == 0)
		base = 10;
	for (;; s++) {
		int digit = *s >= '0' && *s <= '9'   ? *s - '0'
			    : *s >= 'a' && *s <= 'z' ? *s - 'a' + 10
			    : *s >= 'A' && *s <= 'Z' ? *s - 'A' + 10
						     : 99;

		if (digit >= base)
			break;
		value = value * (unsigned long)base + (unsigned long)digit;
	}
	if (end)
		*end = (char *)(uintptr_t)s;
	return value;
}

/* libfdt.a of the distribution is built with a stack protector; its guard is linked but fixed. */
uintptr_t __stack_chk_guard = 0x00af0d0aff5e1d00;
_Noreturn void __stack_chk_fail(void);

void __stack_chk_fail(void)
{
	hyp_end(HYP_END_CRASH, "the hypervisor's stack is corrupt (libfdt)");
}

struct text {
	char *at;
	char *last; /* room for the terminator */
};

static void put(struct text *text, char c)
{
	if (text->at < text->last)
		*text->at++ = c;
}

static void put_number(struct text *text, uint64_t value, unsigned int base, int width, char fill)
{
	char digits[24];
	int n = 0;

	do {
		digits[n++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	for (int pad = n; pad < width; pad++)
		put(text, fill);
	while (n)
		put(text, digits[--n]);
}

/*
 * A printf for diagnostics: %s, %c, %%, and %u %x %d with optional 0, width and ll. Truncates.
 * Returns the length written.
 */
size_t hyp_vformat(char *buffer, size_t size, const char *format, va_list args)
{
	struct text text = { buffer, buffer + size - 1 };

	for (const char *f = format; *f; f++) {
		char fill = ' ';
		int width = 0;
		int wide = 0;
		uint64_t value;

		if (*f != '%') {
			put(&text, *f);
			continue;
		}
		if (*++f == '0')
			fill = *f++;
		for (; *f >= '0' && *f <= '9'; f++)
			width = width * 10 + *f - '0';
		for (; *f == 'l'; f++)
			wide = 1;
		switch (*f) {
		case 's':
			for (const char *s = va_arg(args, const char *); *s; s++)
				put(&text, *s);
			break;
		case 'c':
			put(&text, (char)va_arg(args, int));
			break;
		case 'u':
		case 'x':
			value = wide ? va_arg(args, uint64_t) : va_arg(args, unsigned int);
			put_number(&text, value, *f == 'x' ? 16 : 10, width, fill);
			break;
		case 'd':
			value = (uint64_t)(wide ? va_arg(args, int64_t) : va_arg(args, int));
			if ((int64_t)value < 0) {
				put(&text, '-');
				value = -value;
			}
			put_number(&text, value, 10, width, fill);
			break;
		default:
			put(&text, *f);
		}
	}
	*text.at = '\0';
	return (size_t)(text.at - buffer);
}

size_t hyp_format(char *buffer, size_t size, const char *format, ...)
{
	va_list args;
	size_t length;

	va_start(args, format);
	length = hyp_vformat(buffer, size, format, args);
	va_end(args);
	return length;
}
