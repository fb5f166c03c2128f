/* SPDX-License-Identifier: BSD-2-Clause */
/* Where events go: the model, the trace, the driver. See feed.c. */
#ifndef PLUGIN_FEED_H
#define PLUGIN_FEED_H

#include "stage2check.h"

#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

/* Descriptors of the driver's; trace: -1 for none. Returns NULL, or what is wrong. */
const char *feed_open(int report, int trace);

/* One lock for all that follows, and for struct vcpu. */
void feed_lock(void);
void feed_unlock(void);

/* The first CPU is there. Later calls do nothing. */
void feed_start(const struct s2c_cpu *cpu);
/* Before feed_start() and after feed_end(): does nothing. */
void feed_event(const struct s2c_event *event);
/* Something cannot be watched. Said to the driver, the first few times. */
void feed_trouble(const char *format, ...) PRINTF_LIKE(1, 2);
/* The machine cannot be watched at all. */
void feed_refuse(const char *format, ...) PRINTF_LIKE(1, 2);
void feed_end(uint64_t stores);

#endif
