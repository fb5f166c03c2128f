/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Virtual machines on the KVM API, for the scenarios of tests/live. See vm.c.
 */
#ifndef LIVE_VM_H
#define LIVE_VM_H

#include <linux/kvm.h>
#include <pthread.h>
#include <stdint.h>
#include <stddef.h>

#include "guest.h"

#define VCPUS 2 /* at most, a VM */

/* Ends the program when COND does not hold: it says what was expected instead. */
#define expect(COND, ...)                                                \
	do {                                                             \
		if (!(COND))                                             \
			give_up(__FILE__, __LINE__, #COND, __VA_ARGS__); \
	} while (0)
__attribute__((noreturn, format(printf, 4, 5))) void
give_up(const char *file, int line, const char *condition, const char *format, ...);

enum stop_kind {
	STOP_ANSWER,    /* the order is done; value is its answer */
	STOP_EXCEPTION, /* the guest took an exception; value is its syndrome */
	STOP_READ,      /* an access to no memory at gpa; set_data() says what a load gets */
	STOP_WRITE,     /* value is what was stored */
	STOP_NISV,      /* an access to no memory at gpa that KVM cannot describe */
	STOP_REFUSED,   /* the host's memory does not allow the access: KVM_RUN gave EFAULT */
};

struct stop {
	enum stop_kind kind;
	uint64_t gpa;
	uint64_t value;
};

struct vcpu {
	int fd;
	struct kvm_run *run;
	pthread_t thread;
	struct stop stop; /* of the order that `thread` carries out */
};

struct vm {
	int fd;
	void *code;
	unsigned int vcpu_count;
	struct vcpu vcpu[VCPUS];
};

/* An order to the guest, see guest.h. */
struct order {
	uint64_t op, first, end, stride, seed;
};

struct machine {
	int kvm;         /* /dev/kvm */
	size_t page;     /* of the host */
	size_t block;    /* of the host: what its transparent huge pages are */
	size_t run_size; /* of struct kvm_run and what follows it */
};
extern struct machine machine;

void machine_open(void);
void vm_create(struct vm *vm, unsigned int vcpus);
void vm_destroy(struct vm *vm);
void vm_slot(struct vm *vm, uint32_t slot, uint32_t flags, uint64_t gpa, size_t size, void *memory);
void vm_enable(struct vm *vm, uint32_t capability, uint64_t argument);
/* What the kernel says to KVM_CHECK_EXTENSION: 0 if it does not know the capability. */
int vm_capability(struct vm *vm, uint32_t capability);
/* The doubleword registers x0... */
void vcpu_set(struct vcpu *vcpu, unsigned int x, uint64_t value);

/* Gives an order and runs the guest until it stops; runs on after a stop that was no answer. */
struct stop vcpu_order(struct vcpu *vcpu, struct order order);
struct stop vcpu_continue(struct vcpu *vcpu);
/* The value that a load gets which stopped with STOP_READ, once the guest runs on. */
void vcpu_set_data(struct vcpu *vcpu, uint64_t value);
/* Resets a vCPU that has run, as a reboot of the guest would. */
void vcpu_reset(struct vcpu *vcpu, struct vm *vm);
/* Gives up what the guest was about: it answers and waits for the next order. */
void vcpu_restart(struct vcpu *vcpu);
/* The same as vcpu_order() in a thread of its own; wait gives the stop. */
void vcpu_start(struct vcpu *vcpu, struct order order);
struct stop vcpu_wait(struct vcpu *vcpu);

/* Orders that must be answered. */
uint64_t guest_do(struct vcpu *vcpu, struct order order);
void guest_write(struct vcpu *vcpu, uint64_t gpa, size_t size, size_t stride, uint64_t seed);
void guest_verify(struct vcpu *vcpu, uint64_t gpa, size_t size, size_t stride, uint64_t seed);

/* Memory of the host: aligned to its blocks, of small pages or of blocks where it can be. */
enum memory_kind {
	MEMORY_PAGES,
	MEMORY_BLOCKS,
	MEMORY_HUGETLB,
	MEMORY_SHARED
};
void *memory_get(size_t size, enum memory_kind kind);
void memory_put(void *memory, size_t size);
/* How many pages of it are swapped out, and how many bytes of it are transparent huge pages. */
size_t memory_swapped(void *memory, size_t size);
size_t memory_huge(void *memory);
/* The host's entry of /proc/self/pagemap for the page at MEMORY: it has the pfn, among others. */
uint64_t memory_entry(void *memory);

/*
 * Counts an event of the kernel's tracing, "kvm/kvm_guest_fault" say, from begin to end. The first
 * is every fault of a guest that KVM could not pass over.
 */
#define EVENT_FAULT "kvm/kvm_guest_fault"
#define EVENT_AGE   "kvm/kvm_age_hva"
void events_begin(const char *event);
size_t events_end(const char *event);

/* The first number in a file (of /proc or /sys), and a text into one; both must exist. */
unsigned long file_number(const char *path);
void file_write(const char *path, const char *text);

/* What OP_WRITE leaves at an address. */
static inline uint64_t pattern(uint64_t gpa, uint64_t seed)
{
	return gpa + seed;
}

#endif
