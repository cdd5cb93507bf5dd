/*
 * collector/reader.h - the bytes of a log by their offset: plain, packed, or kept by us (keep.h).
 *
 * A rotated log that was compressed before it was read is read through here as if it were not.
 * Packed bytes come out in order only, so a reader keeps a window from the last offset asked for;
 * a smaller one means from the beginning again.  Damage is found where it lies: what is in front of
 * it can be read.  Loop thread only; blocking calls.
 */
#ifndef LOGQ_COLLECTOR_READER_H
#define LOGQ_COLLECTOR_READER_H

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct keep_reader;
struct unpacker;

struct reader {
    int fd;                   /* owned; with `kept` its own */
    struct unpacker *packed;  /* NULL: not a packed file */
    struct keep_reader *kept; /* NULL: not from keep/ */
};

/* Is `name` one of a packed log: .gz, .zst? */
bool reader_is_packed(struct str name);

/* Takes `fd`; nothing is read. */
void reader_open(struct reader *r, int fd, bool packed);
/* Takes `kept`. */
void reader_open_kept(struct reader *r, struct keep_reader *kept);
void reader_close(struct reader *r);
/* The file itself, which may grow and be cut: not packed, not kept. */
bool reader_is_plain(const struct reader *r);

/* Like pread, but as much as there is up to n.  -1 and errno; EBADMSG: it is damaged there, or that
 * was not kept. */
ssize_t reader_read(struct reader *r, char *p, size_t n, uint64_t offset);

struct reader_stat {
    uint64_t size; /* of a packed file whose end was not reached yet: one more than is known of, */
    bool is_sure;  /* and this is false */
    bool damaged;  /* there was more behind them; of a kept one: reading came upon damage */
    bool unlinked; /* it has no name any more, */
    uint64_t disk; /* and takes this much of the disk, in the log's own place */
};
/* -1 and errno. */
int reader_stat(const struct reader *r, struct reader_stat *ret);
/* The first byte from `offset` on, `to` at most, that need not be zero: in front of it is a hole of
 * the file.  Where nobody can tell: `offset`. */
uint64_t reader_pass_hole(const struct reader *r, uint64_t offset, uint64_t to);
/* Are there `size` bytes?  Unpacks up to there.  1: yes, 0: no, -1 and errno: it cannot be read
 * now. */
int reader_reaches(struct reader *r, uint64_t size);

/* Give back the memory for unpacking until the next read. */
void reader_rest(struct reader *r);
bool reader_is_resting(const struct reader *r);

/* Does a packed file say itself that it is `size` bytes long?  By what gzip writes at the end: the
 * size modulo 2^32. */
bool reader_is_claimed(const struct reader *r, uint64_t size);
/* Is the shorter of the two the beginning of the other?  Judged by its last bytes; one of them is
 * plain at least.  As reader_reaches. */
int reader_have_same_bytes(struct reader *a, struct reader *b);

#endif
