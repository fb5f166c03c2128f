/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the test guest and the hypervisor's test device (hyp/arm64/testdev.c) agree on: guest
 * addresses, hypercalls, registers of the emulated device. Also read by the assembler.
 *
 * Everything lies at 128 GiB, clear of all that QEMU's virt board puts anywhere. The test device
 * owns a few page frames of memory inside the hypervisor; a window of memslots shows them to the
 * guest, and hypercalls choose which frame is behind which page of which slot: that is the host
 * that changes its mind, which the guest tests from inside.
 */
#ifndef TESTS_GUEST_ABI_H
#define TESTS_GUEST_ABI_H

#define TEST_GPA       0x2000000000
#define TEST_PAGE_SIZE 0x1000
#define TEST_PAGES     8 /* of each slot */
#define TEST_SLOT_SIZE (TEST_PAGES * TEST_PAGE_SIZE)

/*
 * Page n of every slot shows frame_of[n]: the read-only slot is another view of the same pages. It
 * follows the RAM slot without a gap and nothing follows it. The device slot has pages of its own.
 */
#define TEST_RAM  TEST_GPA
#define TEST_RO   (TEST_RAM + TEST_SLOT_SIZE)
#define TEST_EDGE (TEST_RO + TEST_SLOT_SIZE) /* first address behind them, without a slot */
#define TEST_DEV  (TEST_GPA + 0x1000000)
#define TEST_MMIO (TEST_GPA + 0x2000000) /* the emulated device, one page, no slot */
#define TEST_HOLE (TEST_GPA + 0x3000000) /* nothing at all, up to the next GiB */

/*
 * Hypercalls by HVC: id in x0, arguments from x1 on; x0 returns 0 or a negative enum s2_error, x1
 * and so on what is said below. x1..x3 are lost, all others stay.
 */
#define TEST_HC_FIRST 0xc6000000
#define TEST_HC_LAST  0xc600ffff

#define TEST_HC_VERSION  0xc6000000 /* x1: TEST_VERSION */
/* Host takes away [x1, x1 + x2) and gives it back at once: contents stay, mappings go. */
#define TEST_HC_DROP     0xc6000001
/* Page x2 of slot x1 shows frame x3 from now on, or TEST_FRAME_ABSENT and the like. */
#define TEST_HC_REMAP    0xc6000002
/* Host fills frame x1 with the 64-bit value x2. */
#define TEST_HC_FILL     0xc6000003
/* Host reads 64 bits at offset x2 of frame x1: x1. */
#define TEST_HC_PEEK     0xc6000004
/* Slot x1 is removed, added again, made read-only or writable: x2 is one of TEST_SLOT_OP_*. */
#define TEST_HC_SLOT     0xc6000005
/* Takes the rights x3 (enum s2_prot) from what is mapped in [x1, x1 + x2): x1 bytes changed. */
#define TEST_HC_PROTECT  0xc6000006
/* s2_pt_age() with x3 (enum s2_age) on [x1, x1 + x2): x1 bytes changed. */
#define TEST_HC_AGE      0xc6000007
/* The leaf that translates x1: x1 hpa, x2 size, x3 prot | type << 8 | level << 16 | young << 24. */
#define TEST_HC_LOOKUP   0xc6000008
/* The counter x1 of TEST_COUNT_*: x1. Its value never goes down. */
#define TEST_HC_COUNT    0xc6000009
/* Prefaults [x1, x1 + x2) for the access x3: x1 bytes newly mapped. */
#define TEST_HC_PREFAULT 0xc600000a
/* Audits the whole tree: x1 tables linked. Only while no other CPU changes it. */
#define TEST_HC_AUDIT    0xc600000b

#define TEST_VERSION 0x7332746573740001 /* "s2test", 1 */

#define TEST_SLOT_RAM 0
#define TEST_SLOT_RO  1
#define TEST_SLOT_DEV 2
#define TEST_SLOTS    3

#define TEST_SLOT_OP_DEL 0
#define TEST_SLOT_OP_ADD 1
#define TEST_SLOT_OP_RO  2
#define TEST_SLOT_OP_RW  3

/*
 * At the start page n of the RAM and the read-only slot shows frame n, page n of the device slot
 * frame TEST_FRAME_DEV + n; the rest is spare. Frames are zero until filled or written.
 */
#define TEST_FRAME_DEV    TEST_PAGES
#define TEST_FRAME_SPARE  (2 * TEST_PAGES)
#define TEST_FRAMES       (3 * TEST_PAGES)
#define TEST_FRAME_ABSENT 0xff /* the host has nothing there */
#define TEST_FRAME_BUSY   0xfe /* host: "not now", three times, then the frame that was there */

#define TEST_COUNT_RO_WRITES 0 /* writes to read-only slots that were emulated (dropped) ... */
#define TEST_COUNT_RO_SUM    1 /* ... the sum of the values ... */
#define TEST_COUNT_RO_BYTES  2 /* ... and of their sizes */
#define TEST_COUNT_RO_LAST   3 /* guest address of the last one */
#define TEST_COUNT_FAULTS    4 /* faults that the engine has handled */
#define TEST_COUNT_LEAVES    5 /* leaves that it has made */
#define TEST_COUNTS          6

/*
 * The emulated device: registers at TEST_MMIO. Whatever is not listed here is not there, and an
 * access to it gets an external abort.
 */
#define TEST_REG_SCRATCH 0x00 /* 64 bytes that keep what is written, at any width */
#define TEST_REG_PATTERN 0x40 /* 64 bytes; byte n reads as 0x80 + n; writes are ignored */
#define TEST_REG_COUNTER 0x80 /* 8 bytes: each read returns one more; a write sets it */
#define TEST_REG_SUM     0x88 /* 8 bytes: each write adds its value; reads return the sum */
#define TEST_REG_WRITES  0x90 /* 8 bytes: writes seen by the device so far */
#define TEST_REG_LAST    0x98 /* 8 bytes: last write before: value in full, zero-extended */
#define TEST_REG_WIDTH   0xa0 /* 8 bytes: its width in bytes */
#define TEST_REG_END     0xa8

#endif
