/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * In the place of the engine: tests that change entries and invalidate by hand, on a small tree
 * that the engine made, and ask what the simulation says of it (test_sim.c, test_sim_port.c). Each
 * case begins with up() and ends with found() or nothing_found().
 */
#ifndef TEST_HAND_H
#define TEST_HAND_H

#include "../src/pgtable/hook.h"
#include "fixture.h"
#include "machine.h"

#define LEAF  0x00000000000007dbull /* page, normal, all rights, with FWB */
#define BLK   0x00000000000007d9ull
#define TABLE 0x3ull

extern struct fixture hand;
extern uint64_t *page_entry, *block_entry;

/* A tree with page 0 mapped to hpa 0x1000, and the block at 2 MiB to hpa 2 MiB. */
void up(uint8_t bbm); /* with FWB and DIC */
void up_with(uint8_t bbm, uint32_t features);
void up_sim(const struct sim_config *host);
void down(void);

/* The first thing found is a violation of this rule. */
void found(const char *rule);
void nothing_found(void);

void change(uint64_t *entry, uint64_t value); /* by compare-and-swap */
void tlb(unsigned int kind, uint64_t gpa, uint64_t size, unsigned int level, unsigned int flags);
void publish(void);

uint64_t *new_table(void);
uint64_t pa_of(const uint64_t *table);
/* The table that page_entry is in, and the level-1 entry that points to it. */
uint64_t *page_table(void);
uint64_t *parent(void);

#endif
