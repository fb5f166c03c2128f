/* SPDX-License-Identifier: BSD-2-Clause */
/* The user's terminal: raw while a guest owns it, as it was ever after. See terminal.c. */
#ifndef STAGE2_TERMINAL_H
#define STAGE2_TERMINAL_H

/* Makes stdin raw if it is a terminal. It is restored at exit, and when we crash. */
void terminal_raw(void);
/* As it was. Harmless at any time, also in a signal handler. */
void terminal_restore(void);
/* Columns of the terminal behind fd; 0 if it is none. */
unsigned int terminal_columns(int fd);

#endif
