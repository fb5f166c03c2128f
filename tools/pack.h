/* SPDX-License-Identifier: BSD-2-Clause */
/* What all JSON of the command is put together with. Keys are stable: add, do not rename. */
#ifndef STAGE2_PACK_H
#define STAGE2_PACK_H

#include <jansson.h>

#include "stage2check.h"

/* Text of any origin: bytes that are no UTF-8 are replaced. */
json_t *pack_text(const char *string);
void pack_number(json_t *object, const char *key, uint64_t value);
/* What a model found: `by_rule` has s2c_nrules counts. */
void pack_findings(json_t *object, uint64_t found, const uint64_t *by_rule,
		   const struct s2c_stats *stats);

#endif
