/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Slots by the host's names: which slots does a range of hva concern? Several may lead to one page,
 * so names overlap. Under slots_lock: owned to change the index, shared to look.
 */
#ifndef S2_VM_NAMES_H
#define S2_VM_NAMES_H

#include <stage2/vm.h>

/* Enters the slot's hva, and its priv if it has one; takes them out. */
void s2_names_add(struct s2_vm *vm, struct s2_memslot *slot);
void s2_names_remove(struct s2_vm *vm, struct s2_memslot *slot);

/*
 * The next name after `after` (NULL: the first) that shares a byte with [first, last]; NULL: no
 * more. In order of name->first.
 */
struct s2_name *s2_names_next(const struct s2_vm *vm, const struct s2_name *after, uint64_t first,
			      uint64_t last);

#endif
