/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Offsets and sizes that head.S shares with guest.h, which asserts them.
 */
#ifndef TESTS_GUEST_LAYOUT_H
#define TESTS_GUEST_LAYOUT_H

#define STACK_SIZE   16384
#define CPU_PROBE    0
#define CPU_STACK    8
#define PROBE_SP     96
#define PROBE_RESULT 104
#define FRAME_SIZE   256

#endif
