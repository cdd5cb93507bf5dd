/*
 * collector/journal_pages.h - gives back the memory of files that libsystemd has mapped.
 *
 * It maps a journal in windows of 8 MiB, 64 of them and more, and keeps them while the journal is
 * open (sd-journal's mmap-cache.c, systemd 252).  Who reads a long journal so comes to hundreds of
 * MB in RSS and PSS, of clean pages of the page cache.  So from time to time they are dropped from
 * our tables (madvise(2), MADV_DONTNEED); a mapping of a file that is shared gets them again from
 * the page cache when it is read.  The cgroup that first read a page keeps the charge for it, and
 * can reclaim one that nobody has mapped the sooner.
 *
 * Which mappings there are stands in /proc/self/maps (proc(5)), which is opened before the sandbox
 * would refuse it.  For one thread.
 */
#ifndef LOGQ_COLLECTOR_JOURNAL_PAGES_H
#define LOGQ_COLLECTOR_JOURNAL_PAGES_H

#include <stddef.h>

enum { JOURNAL_PAGES_BYTES = 8 << 20 }; /* read, after which pages are given back */

struct journal_pages {
    int fd; /* of /proc/self/maps; -1: nothing is given back */
    size_t n_read;
};

void journal_pages_init(struct journal_pages *pp);
void journal_pages_fini(struct journal_pages *pp);

/* About `bytes` of mapped files were read: at JOURNAL_PAGES_BYTES all shared read-only mappings of
 * files with ".journal" in their path are given back.  What fails is left as it is. */
void journal_pages_count(struct journal_pages *pp, size_t bytes);

#endif
