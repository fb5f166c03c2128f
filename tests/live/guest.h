/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the guest's code (guest.S) and the program around it (the rest of tests/live) agree on.
 *
 * The guest's code has no stack, no data and no MMU: it takes an order from its registers, carries
 * it out, and stores the answer to the doorbell, where no memory is, so that the store leaves KVM.
 * The program sets the registers to the next order and lets it run on.
 *
 *   x0    the answer
 *   x1    the order, OP_*
 *   x2    the first address, or as the order says
 *   x3    the first address behind the range
 *   x4    the distance between two accesses
 *   x5    the seed: what is written to an address is this plus the address
 *   x20   the doorbell
 *
 * Both have it that the code stands at CODE_GPA and starts at ENTRY_GPA.
 */
#ifndef LIVE_GUEST_H
#define LIVE_GUEST_H

#define OP_READ   0 /* the sum of the doublewords at the addresses */
#define OP_WRITE  1 /* writes a doubleword to each address, answers 0 */
#define OP_VERIFY 2 /* how many addresses do not hold what OP_WRITE wrote */
#define OP_CALL   3 /* calls x2, answers what that leaves in x0 */
#define OP_PAIR   4 /* loads a pair of registers at x2: KVM is not told which */
#define OP_READ32 5 /* the word at x2 */
#define OP_SETWAY 6 /* cleans and invalidates the cache line that x2 names by set and way */
#define OP_STAGE1 7 /* MMU on: TTBR0_EL1 x2, TCR_EL1 x3, MAIR_EL1 x4, SCTLR_EL1 x5 */
#define OP_TLBI   8 /* forgets all of stage 1 */
#define OP_COUNT  9

#define CODE_GPA     0x00010000
#define CODE_SIZE    0x00010000
#define ENTRY_GPA    (CODE_GPA + 0x800) /* behind the exception vectors */
#define DOORBELL_GPA 0x08000000
#define DOORBELL_EXC 8 /* exceptions store their syndrome here, beside the doorbell */
#define DATA_GPA     0x40000000

#endif
