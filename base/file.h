/*
 * base/file.h - whole reads and writes, atomic publishing, directories, locks.
 *
 * Every call goes through fault points "file.*", so that tests can fail each of them.
 */
#ifndef LOGQ_BASE_FILE_H
#define LOGQ_BASE_FILE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#include <stdint.h>
#include <sys/types.h>

/* pread until `n` bytes are there; ERR_CORRUPT when the file ends before, ERR_IO. */
int file_pread_all(int fd, void *p, size_t n, uint64_t offset, struct err *err);
/* pwrite/write all of it; ERR_IO. */
int file_pwrite_all(int fd, const void *p, size_t n, uint64_t offset, struct err *err);
int file_write_all(int fd, const void *p, size_t n, struct err *err);

/* The whole of a file (relative to dir_fd, or AT_FDCWD) appended to `b`; ERR_LIMIT when over
 * b->max, ERR_GONE when there is none, ERR_IO. */
int file_read(int dir_fd, const char *path, struct buf *b, struct err *err);
/* What is left of an open file, appended to `b`; the same errors.  On failure b->n is as before. */
int file_read_fd(int fd, struct buf *b, struct err *err);

/*
 * A file that appears whole or not at all: create `name`.tmp, append, publish (fsync, rename, fsync
 * of the directory).  file_discard after a success only closes; before it removes the .tmp.
 */
struct file;
int file_create_tmp(int dir_fd, const char *name, mode_t mode, struct file **ret, struct err *err);
int file_append(struct file *f, const void *p, size_t n, struct err *err);
uint64_t file_size(const struct file *f); /* bytes appended */
int file_publish(struct file *f, struct err *err);
void file_discard(struct file **pf);

/* All of it in one call: publish `s` as `name`. */
int file_replace(int dir_fd, const char *name, mode_t mode, struct str s, struct err *err);

int file_sync_dir(int dir_fd, struct err *err);

/* mkdir -p below dir_fd with `mode`; existing directories are fine. */
int file_make_dirs(int dir_fd, const char *path, mode_t mode, struct err *err);
int file_open_dir(int dir_fd, const char *path, int *ret_fd, struct err *err);
/* rm -r of `path` below dir_fd; absent is fine. */
int file_remove_tree(int dir_fd, const char *path, struct err *err);

/* Call fn for each entry but . and .. ; stops when fn returns non-zero and returns that. */
typedef int file_dir_fn(void *arg, int dir_fd, const char *name, struct err *err);
int file_walk(int dir_fd, file_dir_fn *fn, void *arg, struct err *err);

/* Take an exclusive lock on `name` in dir_fd, creating it, and write our pid into it.  Held until
 * the descriptor is closed.  ERR_EXISTS names the pid that holds it. */
int file_lock(int dir_fd, const char *name, int *ret_fd, struct err *err);

/* Whoever starts a program may have closed its standard streams.  Hold those that are, so that no
 * file or socket becomes one of them and gets what is meant to be told; reading and writing there
 * fails as before (EBADF).  First thing in main.  ERR_IO. */
int file_hold_standard(struct err *err);

#endif
