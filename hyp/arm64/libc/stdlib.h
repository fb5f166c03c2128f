/* SPDX-License-Identifier: BSD-2-Clause */
/* What libfdt expects of a C library's <stdlib.h>; see string.h. */
#ifndef HYP_STDLIB_H
#define HYP_STDLIB_H

unsigned long strtoul(const char *s, char **end, int base);

#endif
