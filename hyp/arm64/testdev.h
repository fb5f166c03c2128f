/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hypervisor's side of the bare-metal tests (tests/guest): memslots whose host changes its mind
 * by hypercall, and a small emulated device. Only there with the option stage2.test. What the guest
 * sees is in tests/guest/abi.h.
 */
#ifndef HYP_TESTDEV_H
#define HYP_TESTDEV_H

#include <stage2/arm64.h>

/* Once, before the guest starts: adds the slots. */
void testdev_setup(struct s2_vm *vm);

/*
 * A hypercall with an id from 0xc6000000 to 0xc600ffff: regs are the guest's x0 and up. Nonzero:
 * handled, results are in regs[0] to regs[3]. Any CPU, outside any section.
 */
int testdev_hypercall(struct s2_vm *vm, struct s2_walker *walker, uint64_t *regs);

/* What the port's resolve() is to return for what lies in no region. */
int testdev_resolve(s2_hva_t hva, enum s2_access access, struct s2_page *page);

/*
 * S2_EXIT_MMIO, described by *mmio. Nonzero: done, a load's value is in its register; the caller
 * goes past the instruction. 0: nothing of ours, or the syndrome does not describe it.
 */
int testdev_mmio(const struct s2_exit *exit, const struct s2_arm64_mmio *mmio, uint64_t *regs);

#endif
