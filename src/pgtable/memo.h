/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a walker remembers of the last leaf of a level that has hints: its attributes as a
 * descriptor, and what a change of rights or age flipped in it. The next one mostly wants the same
 * (engine_near.h). Only what was found valid is remembered, so what fits to it is.
 */
#ifndef S2_MEMO_H
#define S2_MEMO_H

#include <stage2/pgtable.h>

#include "../format/format.h"

/* Attributes as a number. Of those that can be mapped it is never 0, and tells them apart. */
static S2_ALWAYS_INLINE uint32_t attr_number(struct s2_attr attr)
{
	uint32_t number;

	__builtin_memcpy(&number, &attr, sizeof(number));
	return number;
}

/* The same at a level: walker->leaf_attr. Valid attributes leave room for it (pad is 0). */
static S2_ALWAYS_INLINE uint32_t leaf_number(struct s2_attr attr, unsigned int level)
{
	return attr_number(attr) | level << 24;
}

/* What is done to a leaf that stays where it is. */
enum s2_revision {
	S2_REVISE_PROTECT, /* take rights */
	S2_REVISE_RELAX,   /* give them */
	S2_REVISE_AGE,     /* enum s2_age */
	S2_REVISE_WIDEN,   /* a map with S2_MAP_WIDEN */
};

/* A revision as a number, never 0; `how`: rights or age (16 bits), or a leaf's number. */
static S2_ALWAYS_INLINE uint32_t edit_number(enum s2_revision what, uint32_t how)
{
	return 1u << 31 | (uint32_t)what << 28 | how;
}

/* Keeps what was done to a leaf. */
static S2_ALWAYS_INLINE void edit_keep(struct s2_walker *walker, enum s2_revision what,
				       uint32_t how, uint64_t rest, uint64_t flip)
{
	walker->edit = edit_number(what, how);
	walker->edit_rest = rest;
	walker->edit_flip = flip;
}

#endif
