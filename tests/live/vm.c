/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Virtual machines on the KVM API: as little of it as the scenarios need.
 *
 * A VM has its code in slot 0 and nothing else until a scenario adds slots. It has no interrupt
 * controller: its vCPUs run until they store to the doorbell, touch what is no memory, or fault on
 * what the host forbids. Each of these is a stop, and stops are how the program and its guest talk.
 *
 * Concurrency: a vCPU belongs to one thread at a time: the main one, or the one that vcpu_start()
 * makes and vcpu_wait() joins. All else is the main thread's.
 *
 * Errors end the program: it tests, so that there is nobody to hand them to.
 */
#include "vm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

struct machine machine;

extern const char guest_code[];
extern const uint64_t guest_code_size;

void give_up(const char *file, int line, const char *condition, const char *format, ...)
{
	int error = errno;
	va_list list;

	va_start(list, format);
	printf("FAIL %s:%d: %s: ", file, line, condition);
	vprintf(format, list);
	printf(" (errno: %s)\n", strerror(error));
	va_end(list);
	fflush(stdout);
	_exit(1);
}

unsigned long file_number(const char *path)
{
	char text[64] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	expect(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0, "%s must be readable", path);
	close(fd);
	return strtoul(text, NULL, 0);
}

void file_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	expect(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text),
	       "%s must take '%s'", path, text);
	close(fd);
}

void machine_open(void)
{
	machine.kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	expect(machine.kvm >= 0, "the host's kernel must have KVM: was it started at EL2?");
	machine.page = (size_t)sysconf(_SC_PAGESIZE);
	machine.block = file_number("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size");
	machine.run_size = (size_t)ioctl(machine.kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
}

void vm_slot(struct vm *vm, uint32_t slot, uint32_t flags, uint64_t gpa, size_t size, void *memory)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)memory,
	};

	expect(ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region) == 0,
	       "slot %u at gpa 0x%jx of 0x%zx bytes", slot, (uintmax_t)gpa, size);
}

int vm_capability(struct vm *vm, uint32_t capability)
{
	return ioctl(vm->fd, KVM_CHECK_EXTENSION, capability);
}

void vm_enable(struct vm *vm, uint32_t capability, uint64_t argument)
{
	struct kvm_enable_cap cap = { .cap = capability, .args = { argument } };

	expect(ioctl(vm->fd, KVM_ENABLE_CAP, &cap) == 0, "capability %u, 0x%jx", capability,
	       (uintmax_t)argument);
}

static void set_register(struct vcpu *vcpu, uint64_t offset, uint64_t value)
{
	struct kvm_one_reg reg = {
		.id = KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | offset / 4,
		.addr = (uintptr_t)&value,
	};

	expect(ioctl(vcpu->fd, KVM_SET_ONE_REG, &reg) == 0, "register 0x%jx", (uintmax_t)reg.id);
}

void vcpu_set(struct vcpu *vcpu, unsigned int x, uint64_t value)
{
	set_register(vcpu, offsetof(struct kvm_regs, regs.regs[x]), value);
}

void vcpu_restart(struct vcpu *vcpu)
{
	struct stop stop;

	set_register(vcpu, offsetof(struct kvm_regs, regs.pc), ENTRY_GPA);
	stop = vcpu_continue(vcpu);
	expect(stop.kind == STOP_ANSWER, "the vCPU reports that it is there");
}

void vcpu_reset(struct vcpu *vcpu, struct vm *vm)
{
	struct kvm_vcpu_init init;

	expect(ioctl(vm->fd, KVM_ARM_PREFERRED_TARGET, &init) == 0, "the kind of CPU");
	expect(ioctl(vcpu->fd, KVM_ARM_VCPU_INIT, &init) == 0, "a vCPU is reset");
	vcpu_set(vcpu, 20, DOORBELL_GPA);
	vcpu_restart(vcpu);
}

static void vcpu_create(struct vm *vm, unsigned int number)
{
	struct vcpu *vcpu = &vm->vcpu[number];

	vcpu->fd = ioctl(vm->fd, KVM_CREATE_VCPU, number);
	expect(vcpu->fd >= 0, "vCPU %u", number);
	vcpu->run = mmap(NULL, machine.run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	expect(vcpu->run != MAP_FAILED, "the page that KVM shares with vCPU %u", number);
}

void vm_create(struct vm *vm, unsigned int vcpus)
{
	*vm = (struct vm){ .vcpu_count = vcpus };
	vm->fd = ioctl(machine.kvm, KVM_CREATE_VM, 0);
	expect(vm->fd >= 0, "a VM");
	vm->code =
		mmap(NULL, CODE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	expect(vm->code != MAP_FAILED, "memory for the guest's code");
	memcpy(vm->code, guest_code, guest_code_size);
	vm_slot(vm, 0, 0, CODE_GPA, CODE_SIZE, vm->code);
	/* All before the first runs: a host in protected mode knows no others then. */
	for (unsigned int i = 0; i < vcpus; i++)
		vcpu_create(vm, i);
	for (unsigned int i = 0; i < vcpus; i++)
		vcpu_reset(&vm->vcpu[i], vm);
}

void vm_destroy(struct vm *vm)
{
	for (unsigned int i = 0; i < vm->vcpu_count; i++) {
		munmap(vm->vcpu[i].run, machine.run_size);
		close(vm->vcpu[i].fd);
	}
	close(vm->fd);
	munmap(vm->code, CODE_SIZE);
}

static struct stop mmio_stop(struct kvm_run *run)
{
	struct stop stop = { .gpa = run->mmio.phys_addr };

	if (!run->mmio.is_write) {
		stop.kind = STOP_READ;
		return stop;
	}
	memcpy(&stop.value, run->mmio.data, run->mmio.len);
	if (stop.gpa == DOORBELL_GPA)
		stop.kind = STOP_ANSWER;
	else if (stop.gpa == DOORBELL_GPA + DOORBELL_EXC)
		stop.kind = STOP_EXCEPTION;
	else
		stop.kind = STOP_WRITE;
	return stop;
}

struct stop vcpu_continue(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	while (ioctl(vcpu->fd, KVM_RUN, 0) != 0) {
		if (errno == EFAULT)
			return (struct stop){ .kind = STOP_REFUSED };
		expect(errno == EINTR || errno == EAGAIN, "the vCPU runs");
	}
	if (run->exit_reason == KVM_EXIT_ARM_NISV)
		return (struct stop){ .kind = STOP_NISV, .gpa = run->arm_nisv.fault_ipa };
	expect(run->exit_reason == KVM_EXIT_MMIO, "KVM's exit %u is not one of ours",
	       run->exit_reason);
	return mmio_stop(run);
}

struct stop vcpu_order(struct vcpu *vcpu, struct order order)
{
	vcpu_set(vcpu, 1, order.op);
	vcpu_set(vcpu, 2, order.first);
	vcpu_set(vcpu, 3, order.end);
	vcpu_set(vcpu, 4, order.stride);
	vcpu_set(vcpu, 5, order.seed);
	return vcpu_continue(vcpu);
}

void vcpu_set_data(struct vcpu *vcpu, uint64_t value)
{
	memcpy(vcpu->run->mmio.data, &value, sizeof(value));
}

struct task {
	struct vcpu *vcpu;
	struct order order;
};

static void *carry_out(void *argument)
{
	struct task task = *(struct task *)argument;

	free(argument);
	task.vcpu->stop = vcpu_order(task.vcpu, task.order);
	return NULL;
}

void vcpu_start(struct vcpu *vcpu, struct order order)
{
	struct task *task = malloc(sizeof(*task));

	expect(task != NULL, "memory for a thread's order");
	*task = (struct task){ vcpu, order };
	expect(pthread_create(&vcpu->thread, NULL, carry_out, task) == 0, "a thread for a vCPU");
}

struct stop vcpu_wait(struct vcpu *vcpu)
{
	expect(pthread_join(vcpu->thread, NULL) == 0, "the thread of a vCPU");
	return vcpu->stop;
}

uint64_t guest_do(struct vcpu *vcpu, struct order order)
{
	struct stop stop = vcpu_order(vcpu, order);

	expect(stop.kind == STOP_ANSWER,
	       "order %ju at gpa 0x%jx: no answer but stop %d, gpa 0x%jx, value 0x%jx",
	       (uintmax_t)order.op, (uintmax_t)order.first, stop.kind, (uintmax_t)stop.gpa,
	       (uintmax_t)stop.value);
	return stop.value;
}

void guest_write(struct vcpu *vcpu, uint64_t gpa, size_t size, size_t stride, uint64_t seed)
{
	guest_do(vcpu, (struct order){ OP_WRITE, gpa, gpa + size, stride, seed });
}

void guest_verify(struct vcpu *vcpu, uint64_t gpa, size_t size, size_t stride, uint64_t seed)
{
	uint64_t wrong = guest_do(vcpu, (struct order){ OP_VERIFY, gpa, gpa + size, stride, seed });

	expect(wrong == 0, "from gpa 0x%jx, %ju doublewords are not as they were written",
	       (uintmax_t)gpa, (uintmax_t)wrong);
}
