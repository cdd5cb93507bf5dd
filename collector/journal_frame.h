/*
 * collector/journal_frame.h - what the process that reads the journal and the worker tell each
 * other, on a stream of bytes.
 *
 * A frame: its length behind these four bytes, type, time, total, and each field as its length + 1
 * (0: there is none) and its bytes; numbers are little-endian.  Both ends are of one program, and
 * still neither trusts the other with lengths.
 */
#ifndef LOGQ_COLLECTOR_JOURNAL_FRAME_H
#define LOGQ_COLLECTOR_JOURNAL_FRAME_H

#include "base/buf.h"
#include "base/err.h"
#include "base/record.h"
#include "base/time.h"

enum journal_type {
    JOURNAL_START,  /* worker to reader, once: `cursor` is where to begin; empty: as configured */
    JOURNAL_ENTRY,  /* an entry that was asked for */
    JOURNAL_HERE,   /* all up to `cursor` was looked at, and there is no more now */
    JOURNAL_GAP,    /* what came behind `cursor` is gone: `total` entries at most, 0: not known */
    JOURNAL_DAMAGE, /* `total` entries up to the one at `cursor` cannot be read */
    JOURNAL_TYPES
};

enum journal_field {
    JOURNAL_CURSOR,
    JOURNAL_MESSAGE,
    JOURNAL_ID,         /* CONTAINER_ID_FULL */
    JOURNAL_NAME,       /* CONTAINER_NAME */
    JOURNAL_IMAGE,      /* IMAGE_NAME */
    JOURNAL_PARTIAL,    /* CONTAINER_PARTIAL_MESSAGE */
    JOURNAL_PARTIAL_ID, /* CONTAINER_PARTIAL_ID */
    JOURNAL_ORDINAL,    /* CONTAINER_PARTIAL_ORDINAL */
    JOURNAL_PRIORITY,   /* PRIORITY */
    JOURNAL_IDENTIFIER, /* SYSLOG_IDENTIFIER */
    JOURNAL_UNIT,       /* _SYSTEMD_UNIT */
    JOURNAL_COMM,       /* _COMM */
    JOURNAL_UID,        /* _UID: who wrote it; the one of these that nobody else can say */
    JOURNAL_FIELDS
};

enum {
    JOURNAL_CURSOR_MAX = 256,
    JOURNAL_VALUE_MAX = 1024, /* of a field other than the message */
    JOURNAL_FRAME_MAX = RECORD_LINE_MAX + (64 << 10),
};

struct journal_frame {
    enum journal_type type;
    ts_ns time;
    uint64_t total;               /* ENTRY: bytes of the message before it was cut; else entries */
    struct str v[JOURNAL_FIELDS]; /* p == NULL: there is none */
};

/* Append `f`; what is too long shows in buf_err.  An empty field comes back as an empty one. */
void journal_frame_put(struct buf *out, const struct journal_frame *f);

/* The frame at the beginning of `bytes`, *used bytes long; its fields are views.  1: it is not
 * whole yet; ERR_CORRUPT. */
int journal_frame_take(struct str bytes, struct journal_frame *ret, size_t *used, struct err *err);

#endif
