/* collector/chunk.c - contract: chunk.h. */
#include "collector/chunk.h"

#include "base/obj.h"
#include "collector/metrics.h"
#include "wire/forward_pack.h"
#include "wire/forward_parse.h"

#include <stdlib.h>
#include <string.h>

enum {
    LABELS_MAX = 64 << 20,
    MESSAGE_MAX = 256 << 20,
    ROOM = 16 << 10,
    ENTRY_BYTES = 48, /* of an entry beside its texts, rather more than less */
    NAME_BYTES = 10,  /* of a label or an attribute beside its texts, at most */
};

#define TAG STR("logq")

/* The usual room at once, so that it does not move while it grows. */
static void begin(struct chunk *c)
{
    buf_clear(&c->message);
    (void)buf_room(&c->message, c->opt.bytes + ROOM);
    forward_pack_begin(&c->message, TAG);
    c->head = c->message.n;
}

struct chunk *chunk_new(const struct chunk_options *opt)
{
    struct chunk *c = mem_new(sizeof(*c));

    c->magic = CHUNK_FILLING_MAGIC;
    c->opt = *opt;
    if (c->opt.bytes_busy < opt->bytes)
        c->opt.bytes_busy = opt->bytes;
    buf_init(&c->message, 2 * (c->opt.bytes_busy + CHUNK_SLACK));
    begin(c);
    buf_init(&c->packed, 2 * (c->opt.bytes_busy + CHUNK_SLACK));
    c->arena = arena_new(NULL, LABELS_MAX);
    c->codec = codec_writer_new();
    return c;
}

void chunk_names_unref(struct chunk_names **pn)
{
    struct chunk_names *n = *pn;

    *pn = NULL;
    if (n != NULL && --n->refs == 0)
        free(n);
}

void chunk_hold(struct chunk *c, struct chunk_names *names)
{
    if (names == NULL || (c->names.n > 0 && c->names.p[c->names.n - 1] == names))
        return;
    names->refs++;
    VEC_PUSH(&c->names, names);
}

static void release_names(struct chunk *c)
{
    while (c->names.n > 0)
        chunk_names_unref(&c->names.p[--c->names.n]);
}

void chunk_free(struct chunk **pc)
{
    struct chunk *c = *pc;

    if (c == NULL)
        return;
    OBJ_CHECK(c, CHUNK_FILLING_MAGIC);
    buf_fini(&c->message);
    buf_fini(&c->packed);
    arena_free(&c->arena);
    codec_writer_free(&c->codec);
    VEC_FINI(&c->parts);
    VEC_FINI(&c->wire);
    VEC_FINI(&c->drops);
    release_names(c);
    VEC_FINI(&c->names);
    c->magic = 0;
    free(c);
    *pc = NULL;
}

/* One long line must not keep its memory for ever. */
static void shrink(struct buf *b, size_t usual)
{
    size_t max = b->max;

    buf_clear(b);
    if (b->cap > 2 * usual) {
        buf_fini(b);
        buf_init(b, max);
    }
}

void chunk_clear(struct chunk *c)
{
    OBJ_CHECK(c, CHUNK_FILLING_MAGIC);
    shrink(&c->message, c->opt.bytes_busy + ROOM);
    shrink(&c->packed, c->opt.bytes_busy);
    begin(c);
    arena_reset(c->arena);
    c->entries = c->next = c->dropped = c->named = 0;
    c->maybe_twice = false;
    c->parts.n = c->wire.n = c->drops.n = 0;
    release_names(c);
}

bool chunk_is_empty(const struct chunk *c)
{
    return c->parts.n == 0;
}

bool chunk_is_worth(const struct chunk *c)
{
    return c->message.n - c->head + c->named >= c->opt.bytes || c->parts.n >= CHUNK_PARTS_MAX;
}

bool chunk_is_full(const struct chunk *c)
{
    return c->message.n - c->head + c->dropped + c->named >= c->opt.bytes_busy ||
           c->parts.n >= CHUNK_PARTS_MAX;
}

bool chunk_is_over(const struct chunk *c)
{
    return c->message.over;
}

void chunk_add_entry(struct chunk *c, ts_ns ts, const struct label *fields, size_t n)
{
    forward_pack_entry(&c->message, ts, fields, n);
    c->entries++;
}

void chunk_add_drop(struct chunk *c, struct checkpoint_file *file, const char *rule, uint64_t bytes,
                    uint64_t packed)
{
    c->dropped += packed + ENTRY_BYTES;
    chunk_add_drops(c, file, rule, 1, bytes);
}

void chunk_add_drops(struct chunk *c, struct checkpoint_file *file, const char *rule,
                     uint64_t count, uint64_t bytes)
{
    struct chunk_drop new = {.file = file, .count = count, .bytes = bytes};

    for (size_t i = c->drops.n; i > 0; i--) { /* most likely the last */
        struct chunk_drop *d = &c->drops.p[i - 1];
        if (d->file == file && strcmp(d->rule, rule) == 0) {
            d->count += count;
            d->bytes += bytes;
            return;
        }
    }
    (void)str_to_z(str_of(rule), new.rule, sizeof(new.rule));
    VEC_PUSH(&c->drops, new);
}

static void push_part(struct chunk *c, const struct checkpoint_part *part)
{
    VEC_PUSH(&c->parts, *part);
}

static void push_wire(struct chunk *c, const struct forward_part *wire)
{
    VEC_PUSH(&c->wire, *wire);
}

static uint64_t bytes_of(const struct labels *l)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < l->n; i++)
        bytes += l->v[i].name.n + l->v[i].value.n + NAME_BYTES;
    return bytes;
}

void chunk_add_part(struct chunk *c, const struct checkpoint_part *part,
                    const struct labels *labels, const struct labels *attrs)
{
    struct forward_part wire = {
        .file_id = str_of(part->file->id),
        .start = part->start,
        .end = part->end,
        .count = part->count,
    };

    if (part->count > 0 && labels != NULL)
        wire.labels = *labels;
    if (part->count > 0 && attrs != NULL)
        wire.attrs = *attrs;
    c->named += bytes_of(&wire.labels) + bytes_of(&wire.attrs);
    push_part(c, part);
    push_wire(c, &wire);
}

struct chunk_mark chunk_mark(const struct chunk *c)
{
    return (struct chunk_mark){.bytes = c->message.n, .entries = c->entries};
}

void chunk_back(struct chunk *c, struct chunk_mark mark)
{
    INVARIANT(mark.bytes <= c->message.n && mark.entries <= c->entries);
    c->message.n = mark.bytes;
    c->message.over = false;
    c->entries = mark.entries;
}

int chunk_pack(struct chunk *c, struct buf *message, char token[CHUNK_TOKEN_BYTES], struct err *err)
{
    struct forward_chunk out = {
        .tag = TAG,
        .codec = c->opt.codec,
        .n_entries = c->entries,
        .parts = c->wire.p,
        .n_parts = c->wire.n,
        .next = c->next,
    };
    int r;

    OBJ_CHECK(c, CHUNK_FILLING_MAGIC);
    for (size_t i = 0; c->maybe_twice && i < c->wire.n; i++)
        c->wire.p[i].maybe_twice = true;
    forward_token(c->wire.p, c->wire.n, token);
    out.token = str_of(token);
    message->max += c->named;
    if (c->opt.codec == CODEC_NONE) {
        struct buf empty = *message;
        size_t max = c->message.max;
        c->message.max += c->named;
        forward_pack_end(&c->message, &out);
        *message = c->message;
        c->message = empty;
        c->message.max = max;
        return buf_err(message, "chunk", err);
    }
    buf_clear(&c->packed);
    r = codec_pack(c->codec, c->opt.codec, c->opt.level, str_from(buf_str(&c->message), c->head),
                   &c->packed, err);
    if (r < 0)
        return err_wrap(err, "compress chunk");
    out.payload = buf_str(&c->packed);
    forward_pack_chunk(message, &out);
    return buf_err(message, "chunk", err);
}

static int parse(struct str message, struct arena *a, struct forward_message *ret, struct err *err)
{
    static const struct forward_limits LIMITS = {.message_bytes = MESSAGE_MAX};

    return forward_parse(message, &LIMITS, a, ret, err);
}

/* Those of the message's parts that are refused, in the arena; NULL: ERR_NOMEM. */
static bool *refused_of(const struct forward_message *m, const struct forward_ack *why,
                        struct arena *a)
{
    bool *refused = arena_alloc(a, m->n_parts * sizeof(*refused) + 1);

    if (refused != NULL)
        forward_ack_parts(why, m->n_parts, refused);
    return refused;
}

void chunk_refused(struct str message, const struct forward_ack *why,
                   const struct checkpoint_part *parts, size_t n, bool *ret)
{
    struct arena *a = arena_new(NULL, LABELS_MAX);
    struct forward_message m;
    struct err err;
    const bool *refused = parse(message, a, &m, &err) == 0 ? refused_of(&m, why, a) : NULL;

    for (size_t i = 0, k = 0; i < n; i++) {
        const struct forward_part *p = refused != NULL && k < m.n_parts ? &m.parts[k] : NULL;
        bool sent = p != NULL && p->start == parts[i].start && p->end == parts[i].end &&
                    str_eq(p->file_id, str_of(parts[i].file->id));
        ret[i] = refused == NULL || (sent && refused[k]);
        k += sent;
    }
    arena_free(&a);
}

static int pack_field(struct buf *payload, const struct forward_entry *e, struct arena *a,
                      struct err *err)
{
    struct label *fields = arena_alloc(a, e->n_fields * sizeof(*fields) + 1);

    if (fields == NULL)
        return arena_err(a, err);
    for (size_t i = 0; i < e->n_fields; i++) /* what we send is flat, and text */
        fields[i] = (struct label){e->fields[i].key, e->fields[i].text};
    forward_pack_entry(payload, e->ts, fields, e->n_fields);
    return 0;
}

/* The entries of refused parts to out->payload, and these parts to the front of m->parts. */
static int pick(struct forward_message *m, const bool *refused, struct forward_reader *reader,
                struct arena *a, struct buf *payload, struct forward_chunk *out, struct err *err)
{
    struct forward_entry e;

    for (size_t i = 0; i < m->n_parts; i++) {
        for (uint32_t k = 0; k < m->parts[i].count; k++) {
            int r = forward_reader_next(reader, &e, err);
            if (r == 0 && refused[i])
                r = pack_field(payload, &e, a, err);
            if (r != 0)
                return r < 0 ? r : err_set(err, ERR_CORRUPT, "fewer entries than the parts count");
        }
        if (!refused[i])
            continue;
        out->n_entries += m->parts[i].count;
        m->parts[out->n_parts++] = m->parts[i];
    }
    out->parts = m->parts;
    return buf_err(payload, "refused parts", err);
}

int chunk_only_refused(struct str message, const struct forward_ack *why, struct buf *ret,
                       struct err *err)
{
    static const struct forward_limits LIMITS = {.message_bytes = MESSAGE_MAX};
    struct arena *a = arena_new(NULL, MESSAGE_MAX);
    struct forward_reader *reader = forward_reader_new();
    struct forward_chunk out = {.tag = TAG, .codec = CODEC_NONE};
    char token[CHUNK_TOKEN_BYTES];
    struct forward_message m;
    struct buf payload;
    const bool *refused = NULL;
    int r = parse(message, a, &m, err);

    buf_init(&payload, MESSAGE_MAX);
    if (r == 0 && (refused = refused_of(&m, why, a)) == NULL)
        r = arena_err(a, err);
    if (r == 0)
        r = forward_reader_start(reader, &m, &LIMITS, 0, a, err);
    if (r == 0)
        r = pick(&m, refused, reader, a, &payload, &out, err);
    if (r == 0) {
        forward_token(out.parts, out.n_parts, token);
        out.token = str_of(token);
        out.payload = buf_str(&payload);
        forward_pack_chunk(ret, &out);
        r = buf_err(ret, "refused parts", err);
    }
    buf_fini(&payload);
    forward_reader_free(&reader);
    arena_free(&a);
    return r;
}

static int mark(struct forward_message *m, uint64_t *n_entries, struct err *err)
{
    *n_entries = 0;
    for (size_t i = 0; i < m->n_parts; i++) {
        if (m->parts[i].maybe_twice)
            return err_set(err, ERR_EXISTS, "it is marked already");
        m->parts[i].maybe_twice = true;
        *n_entries += m->parts[i].count;
    }
    return 0;
}

int chunk_mark_twice(struct str message, char token[CHUNK_TOKEN_BYTES], struct buf *ret,
                     struct err *err)
{
    struct arena *a = arena_new(NULL, LABELS_MAX);
    struct forward_message m;
    struct forward_chunk out = {.tag = TAG};
    int r = parse(message, a, &m, err);

    if (r == 0)
        r = mark(&m, &out.n_entries, err);
    if (r == 0) {
        out.payload = m.entries;
        out.codec = m.codec;
        out.token = str_of(str_to_z(m.chunk, token, CHUNK_TOKEN_BYTES));
        out.parts = m.parts;
        out.n_parts = m.n_parts;
        out.next = m.about.next;
        forward_pack_chunk(ret, &out);
        r = buf_err(ret, "chunk", err);
    }
    arena_free(&a);
    return r;
}
