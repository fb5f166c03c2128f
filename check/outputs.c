// SPDX-License-Identifier: BSD-2-Clause
/*
 * Reverse: how many leaves lead to a physical address. A hash of (address, size of the leaf), which
 * only grows; an entry whose counts are 0 stays, since its page is likely to be mapped again.
 */
#include <stdlib.h>

#include "model.h"

/* Sizes of leaves are powers of two from 1K to 4T: the key's low bits hold the exponent. */
#define SHIFT_MIN 10
#define SHIFT_MAX 42

static uint64_t hash(uint64_t key)
{
	return key * 0x9e3779b97f4a7c15ull >> 16;
}

static struct chk_output *look(const struct s2c *model, uint64_t key)
{
	uint64_t at = hash(key);

	if (!model->output)
		return NULL;
	for (;; at++) {
		struct chk_output *output = &model->output[at & model->output_mask];

		if (output->key == key || !output->key)
			return output;
	}
}

static void grow(struct s2c *model)
{
	struct chk_output *old = model->output;
	uint64_t n = old ? model->output_mask + 1 : 0;

	model->output_mask = n ? n * 2 - 1 : 1023;
	model->output = chk_alloc(model->output_mask + 1, sizeof(*old));
	for (uint64_t i = 0; i < n; i++) {
		if (old[i].key)
			*look(model, old[i].key) = old[i];
	}
	free(old);
}

void chk_output_add(struct s2c *model, const struct chk_regime *regime, unsigned int level,
		    uint64_t pa, int valid, int stale)
{
	uint64_t key = pa | chk_shift(regime, level);
	struct chk_output *output;

	if (!model->output || model->outputs * 2 > model->output_mask)
		grow(model);
	output = look(model, key);
	if (!output->key) {
		output->key = key;
		model->outputs++;
	}
	output->valid += (uint32_t)valid;
	output->stale += (uint32_t)stale;
}

static int counts(const struct chk_output *output, enum chk_which which)
{
	return output && output->key && (which == CHK_VALID ? output->valid : output->stale);
}

int chk_output_any(const struct s2c *model, uint64_t pa, uint64_t size, enum chk_which which)
{
	if (size >> SHIFT_MIN > model->outputs) {
		for (uint64_t i = 0; model->output && i <= model->output_mask; i++) {
			const struct chk_output *output = &model->output[i];
			uint64_t shift = output->key & 63, start = output->key >> shift << shift;

			if (counts(output, which) && start < pa + size &&
			    start + (1ull << shift) > pa)
				return 1;
		}
		return 0;
	}
	for (unsigned int shift = SHIFT_MIN; shift <= SHIFT_MAX; shift++) {
		uint64_t step = 1ull << shift;

		for (uint64_t at = pa & ~(step - 1); at < pa + size; at += step) {
			if (counts(look(model, at | shift), which))
				return 1;
		}
	}
	return 0;
}
