/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the compiler and libfdt expect of a C library's <string.h>, and no more: lib.c has the
 * bodies. In a directory of its own because the name has to be that of the standard header. All
 * functions are as ISO C says; any context.
 */
#ifndef HYP_STRING_H
#define HYP_STRING_H

#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int byte, size_t n);
int memcmp(const void *a, const void *b, size_t n);
void *memchr(const void *s, int byte, size_t n);
int strcmp(const char *a, const char *b);
size_t strlen(const char *s);
size_t strnlen(const char *s, size_t max);
char *strchr(const char *s, int c);
char *strrchr(const char *s, int c);

#endif
