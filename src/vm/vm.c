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

void s2_trace_tell(const struct s2_port *port, enum s2_trace_kind kind, unsigned int detail,
		   int result, uint64_t addr, uint64_t size)
{
	const struct s2_trace event = { .kind = (uint8_t)kind,
					.detail = (uint8_t)detail,
					.result = result,
					.addr = addr,
					.size = size };

	port->trace(port->ctx, &event);
}
