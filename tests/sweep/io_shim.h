/*
 * tests/sweep/io_shim.h - the system calls that change files, in a program of their own: each can
 * be counted and made to fail, to do half of its work, or to be the last thing before the power
 * goes.
 *
 * Linked into a program, its write, pwrite, fsync, fdatasync, rename*, unlink*, link*, ftruncate,
 * posix_fallocate and creating open are those of this file, for the libraries it loads as well
 * (SQLite).  Only regular files and directories below the directory of io_shim_watch are looked at.
 *
 * Power loss is modelled: what each call changed is kept as the way back until the file (for
 * names: the directory) is synced; the loss takes back all that is left, newest first.  Any thread.
 */
#ifndef LOGQ_TESTS_SWEEP_IO_SHIM_H
#define LOGQ_TESTS_SWEEP_IO_SHIM_H

#include <stdbool.h>

enum io_fault {
    IO_EIO,
    IO_ENOSPC,
    IO_SHORT, /* a write does half; for others as IO_ENOSPC */
    IO_TORN,  /* a write ends at a border of 4 KiB of the file, then the process dies */
    IO_KILL,  /* the process dies before the call */
    IO_KILLED_AFTER,
    IO_LOST, /* before the call, and all that was not synced is gone */
    IO_LOST_AFTER,
    IO_FAULTS,
};

/* From now on look at what happens below `dir`; `aside`, on the same file system and elsewhere,
 * takes what is needed for the way back. */
void io_shim_watch(const char *dir, const char *aside);

/* Count from here; the n-th call (from 1; 0: none) meets `fault`. */
void io_shim_arm(enum io_fault fault, unsigned long n);
/* No more of it; returns the calls since io_shim_arm. */
unsigned long io_shim_disarm(void);
/* What the fault met: "pwrite .../wal/1", or "" if it did not come to it.  Kept in memory that is
 * shared with forked processes. */
const char *io_shim_met(void);
/* Once, before forking. */
void io_shim_init(void);

#endif
