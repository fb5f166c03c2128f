/* SPDX-License-Identifier: BSD-2-Clause */
/* A guest address space as a whole: begin and end. */
#include "internal.h"

int s2_vm_init(struct s2_vm *vm, const struct s2_vm_config *config, const struct s2_port *port)
{
	*vm = (struct s2_vm){ .flags = config->flags, .generation = 2 };
	if (config->flags & ~(uint32_t)(S2_VM_EXEC_EXIT | S2_VM_LAZY_EXEC))
		return S2_EINVAL;
	return s2_pt_init(&vm->pt, &config->pt, port);
}

void s2_vm_fini(struct s2_vm *vm)
{
	s2_pt_fini(&vm->pt);
}
