/*
 * tests/fuzz/fuzz_wal.c - any bytes as a WAL file under a known key, and any bytes as a body.
 *
 * First byte: 0 a whole file, 1 what follows a good header, 2 frames made of the input and sealed
 * properly (so that their contents are reached), 3 a body.  Bit 7: recover.
 */
#include "base/file.h"
#include "storage/le.h"
#include "storage/wal.h"
#include "storage/wal_entry.h"
#include "storage/wal_format.h"
#include "tests/fuzz/scratch.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t KEK[CRYPT_KEY] = {1}, KEY[CRYPT_KEY] = {2};

enum { BASE = 1000, FILE_MAX = 1 << 20 };

static void read_body(struct str bytes)
{
    struct wal_entry e;
    struct record_part part;
    struct err err;
    struct str rest;
    uint32_t n = 0;

    if (wal_entry_read(bytes, &e, &err) != 0)
        return;
    rest = e.parts;
    while (wal_entry_part(&rest, &part) == 0) {
        if (part.file_id.n > RECORD_FILE_ID_MAX || part.start > part.end)
            abort();
        n++;
    }
    if (n != e.n_parts || rest.n != 0)
        abort();
}

static int see(void *arg, const struct wal_body *body, struct err *err)
{
    uint64_t *last = arg;

    (void)err;
    if (body->gap)
        return 0;
    if (body->position <= *last || body->bytes.n > WAL_BODY_MAX)
        abort();
    *last = body->position;
    read_body(body->bytes);
    return 0;
}

static void add_header(struct buf *b)
{
    struct wal_header h = {.number = 1, .base = BASE, .after = 0};
    char bytes[WAL_HEADER];
    struct err err;

    wal_format_header(&h, bytes);
    if (crypt_wrap(KEK, (struct str){bytes, WAL_HEADER_AAD}, KEY, h.wrapped, &err) != 0)
        abort();
    wal_format_header(&h, bytes);
    buf_add(b, bytes, sizeof(bytes));
}

/* Each frame: flags, number skips, length, bytes; flags bit 6: leave it unsealed. */
static void add_frames(struct buf *b, struct str in)
{
    struct crypt *c = crypt_new(KEY);
    uint64_t number = 0;
    struct err err;

    while (in.n >= 4 && b->n < FILE_MAX / 2) {
        uint8_t how = (uint8_t)in.p[0];
        struct wal_frame f = {
            .flags = how & 3,
            .number = number + ((uint8_t)in.p[1] & 1 ? (uint8_t)in.p[1] : 0),
            .position = BASE + b->n + (how & 8 ? 1 : 0),
            .synced = how & 16 ? BASE + b->n : BASE,
        };
        struct str plain = str_sub(str_from(in, 4), 0, le_get16(in.p + 2));
        uint8_t nonce[CRYPT_NONCE];
        char *at;
        f.length = (uint32_t)(plain.n + CRYPT_TAG);
        at = buf_room(b, WAL_FRAME + f.length);
        if (at == NULL)
            break;
        wal_format_frame(&f, at);
        crypt_nonce(f.number, nonce);
        if (crypt_seal(c, nonce, (struct str){at, WAL_FRAME}, plain, at + WAL_FRAME, &err) != 0)
            abort();
        if (how & 64)
            at[WAL_FRAME] ^= 1;
        b->n += WAL_FRAME + f.length;
        number = f.number + 1;
        in = str_from(in, 4 + plain.n);
    }
    crypt_free(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = {(const char *)data, size};
    struct wal_options opt = {.key = KEK, .file_bytes = FILE_MAX};
    char name[WAL_NAME + 1];
    struct wal *w = NULL;
    uint64_t last = 0;
    struct err err;
    struct buf b;
    int fd, dir = scratch_dir();

    if (size < 1 || size > FILE_MAX / 2)
        return 0;
    if ((data[0] & 3) == 3) {
        read_body(str_from(in, 1));
        return 0;
    }
    buf_init(&b, FILE_MAX);
    if ((data[0] & 3) != 0)
        add_header(&b);
    if ((data[0] & 3) == 2)
        add_frames(&b, str_from(in, 1));
    else
        buf_add_str(&b, str_from(in, 1));
    wal_format_name(1, name);
    fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || file_write_all(fd, b.p, b.n, &err) != 0)
        abort();
    (void)close(fd);
    buf_fini(&b);
    opt.dir_fd = dir;
    opt.recover = (data[0] & 128) != 0;
    if (wal_open(&opt, &w, &err) == 0)
        (void)wal_replay(w, see, &last, &err);
    wal_close(&w);
    return 0;
}
