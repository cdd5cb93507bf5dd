/*
 * storage/verify_segment.c - one segment, byte by byte, then row by row.
 *
 * Without a key: header, trailer and footer have checksums; the leaf hash of every block is
 * computed again from its stored bytes, the root from the leaves; block headers and index must
 * agree and add up to the footer; the id filter has checksums.  There is no byte that none of these
 * covers.
 * With the key: every frame opens, keys and plans decode, and what they say lies within what the
 * headers say and adds up to the stream table; a seq is there once in the whole day; every page of
 * the id filter opens and decodes.
 */
#include "storage/verify_internal.h"

#include "base/map.h"
#include "base/mem.h"
#include "storage/le.h"
#include "storage/objstore.h"
#include "storage/segment_format.h"
#include "storage/segment_reader.h"

#include <inttypes.h>
#include <stdlib.h>

/* ---- seqs of a day ---- */

enum { SEQS_BITS = 15, SEQS_WORDS = 1 << (SEQS_BITS - 6), SEQS_PAGES = 1 << 16 /* 256 MiB */ };

/* A bitmap over all numbers, in pages that are made where one is set. */
struct verify_seqs {
    struct map *pages;
    uint64_t number; /* of `last` */
    uint64_t *last;
    bool full; /* more pages than may be held */
};

void verify_seqs_free(struct verify_seqs **ps)
{
    if (*ps == NULL)
        return;
    map_free(&(*ps)->pages);
    free(*ps);
    *ps = NULL;
}

/* false: it was there. */
static bool add_seq(struct verify_seqs *s, uint64_t seq)
{
    uint64_t number = seq >> SEQS_BITS;
    uint64_t bit = UINT64_C(1) << (seq & 63);
    size_t word = (seq & ((1 << SEQS_BITS) - 1)) >> 6;
    uint8_t key[8];
    bool is_new;

    if (s->last == NULL || s->number != number) {
        le_put64(key, number);
        s->last = map_get(s->pages, (struct str){(const char *)key, sizeof(key)});
        if (s->last == NULL) {
            s->last = mem_new(SEQS_WORDS * sizeof(*s->last));
            if (!map_put(s->pages, (struct str){(const char *)key, sizeof(key)}, s->last)) {
                free(s->last);
                s->last = NULL;
                s->full = true;
                return true;
            }
        }
        s->number = number;
    }
    is_new = (s->last[word] & bit) == 0;
    s->last[word] |= bit;
    return is_new;
}

static int check_seqs(struct verify_day *d, const struct verify_finding *at, const uint64_t *seq,
                      size_t n)
{
    bool was_full;

    if (d->is_stray)
        return 0;
    if (d->seqs == NULL) {
        d->seqs = mem_new(sizeof(*d->seqs));
        d->seqs->pages = map_new(SEQS_PAGES, free);
    }
    was_full = d->seqs->full;
    for (size_t i = 0; i < n && !d->seqs->full; i++) {
        if (add_seq(d->seqs, seq[i]))
            continue;
        verify_tell(d->v, VERIFY_DAMAGE, at, "the record with seq %" PRIu64 " is there twice",
                    seq[i]);
        return 1;
    }
    if (d->seqs->full && !was_full)
        verify_tell(d->v, VERIFY_UNCHECKED, at,
                    "the day's seqs lie too far apart to be compared with each other");
    return 0;
}

/* ---- the walk ---- */

/* What the blocks of a segment add up to. */
struct sums {
    uint64_t rows, raw_bytes, min_seq, max_seq;
    ts_ns min_ts, max_ts, min_received, max_received;
};

struct stream_sums {
    uint64_t rows;
    ts_ns min_ts, max_ts;
};

struct walk {
    struct verify_day *d;
    char file[VERIFY_NAME];
    struct segment_reader *reader;
    struct segment_info *info;
    struct arena *arena, *frame;
    struct merkle_hash *leaf;
    bool leaves_ok, sums_ok; /* nothing was passed over */
    bool opens;              /* with the key */
    struct sums sums;
    struct stream_sums *streams; /* with the key: of each of its streams */
    struct block_keys keys;      /* with the key: of the block at hand */
    struct lines_plan *plan;     /* of its lines */
};

static struct verify_finding at(const struct walk *w, int64_t block, uint64_t offset)
{
    return (struct verify_finding){.file = w->file, .block = block, .offset = (int64_t)offset};
}

/* Where the footer is that does not read well: at its place if the trailer still names one. */
static uint64_t place_of_footer(struct walk *w)
{
    struct objstore_object *o = NULL;
    uint8_t end[SEGMENT_TRAILER];
    char name[SEGMENT_NAME_MAX];
    struct segment_trailer t;
    uint64_t offset = 0;
    uint64_t size = 0;
    struct err err;

    (void)str_to_z(str_from(str_of(w->file), strlen(w->d->dir) + 1), name, sizeof(name));
    if (objstore_open(w->d->objects, name, &o, &err) == 0) {
        size = objstore_size(o);
        offset = size < SEGMENT_TRAILER ? 0 : size - SEGMENT_TRAILER;
        if (size >= SEGMENT_TRAILER && objstore_read(o, offset, end, sizeof(end), &err) == 0 &&
            segment_trailer_get(end, size, &t, &err) == 0)
            offset = t.footer;
    }
    objstore_close(&o);
    return offset;
}

/* The footer, then the same with the key.  1: it cannot be read, which was told. */
static int open_segment(struct walk *w, const uint8_t *uuid, struct err *err)
{
    struct verify_day *d = w->d;
    struct verify_finding where = at(w, -1, 0);
    int r = segment_reader_open(d->objects, uuid, NULL, &w->reader, err);

    if (r == 0) {
        where.offset = -1;
        r = segment_reader_info(w->reader, d->v->opt->budget, &w->info, err);
        if (r < 0)
            where.offset = (int64_t)place_of_footer(w);
    }
    if (r == 0 && (w->info->tenant_id != d->tenant_id || w->info->day != d->day)) {
        r = err_set(err, ERR_CORRUPT, "it is a segment of another tenant or day");
        where.offset = 0;
    }
    if (r < 0) {
        r = verify_note(d->v, &where, err);
        return r < 0 ? r : 1;
    }
    if (!d->has_key)
        return 0;
    segment_reader_free(&w->reader);
    where.offset = SEGMENT_HEADER_BOUND;
    r = segment_reader_open(d->objects, uuid, d->key, &w->reader, err);
    if (r == 0) {
        struct segment_info *whole = NULL;
        where.offset = (int64_t)w->info->footer_offset;
        r = segment_reader_info(w->reader, d->v->opt->budget, &whole, err);
        if (r == 0) {
            segment_info_free(&w->info);
            w->info = whole;
            w->opens = true;
            return 0;
        }
    }
    r = verify_note(d->v, &where, err);
    if (r == 0 && w->reader == NULL)
        r = segment_reader_open(d->objects, uuid, NULL, &w->reader, err) < 0 ? 1 : 0;
    return r;
}

static void add_block(struct sums *s, const struct block_header *h)
{
    bool first = s->rows == 0;

    s->rows += h->rows;
    s->raw_bytes += h->raw_bytes;
    s->min_ts = first || h->min_ts < s->min_ts ? h->min_ts : s->min_ts;
    s->max_ts = first || h->max_ts > s->max_ts ? h->max_ts : s->max_ts;
    s->min_seq = first || h->min_seq < s->min_seq ? h->min_seq : s->min_seq;
    s->max_seq = first || h->max_seq > s->max_seq ? h->max_seq : s->max_seq;
    s->min_received =
        first || h->min_received < s->min_received ? h->min_received : s->min_received;
    s->max_received =
        first || h->max_received > s->max_received ? h->max_received : s->max_received;
}

static void check_sums(struct walk *w)
{
    const struct segment_info *i = w->info;
    const struct sums *s = &w->sums;
    const struct verify_finding where = at(w, -1, i->footer_offset);
    const struct {
        const char *what;
        uint64_t blocks, footer;
    } pair[] = {
        {"rows", s->rows, i->rows},
        {"raw bytes", s->raw_bytes, i->raw_bytes},
        {"first time", (uint64_t)s->min_ts, (uint64_t)i->min_ts},
        {"last time", (uint64_t)s->max_ts, (uint64_t)i->max_ts},
        {"least seq", s->min_seq, i->min_seq},
        {"greatest seq", s->max_seq, i->max_seq},
        {"first receive time", (uint64_t)s->min_received, (uint64_t)i->min_received},
        {"last receive time", (uint64_t)s->max_received, (uint64_t)i->max_received},
    };

    for (size_t k = 0; k < sizeof(pair) / sizeof(pair[0]); k++)
        if (pair[k].blocks != pair[k].footer)
            verify_tell(w->d->v, VERIFY_DAMAGE, &where,
                        "%s: the blocks say %" PRIu64 ", the footer %" PRIu64, pair[k].what,
                        pair[k].blocks, pair[k].footer);
}

/* ---- with the key ---- */

static int frame_of(struct walk *w, const struct segment_reader_block *b,
                    enum block_frame_kind kind, struct str *ret, struct err *err)
{
    int r = segment_reader_frame(w->reader, b, kind, 0, w->arena, ret, err);

    return r == 1 ? err_set(err, ERR_CORRUPT, "the block has no frame of kind %d", (int)kind) : r;
}

static int wrong(const char *what, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "%s", what);
}

static int check_keys(struct walk *w, const struct segment_reader_block *b,
                      const struct verify_finding *where, struct err *err)
{
    const struct block_header *h = &b->header;
    struct block_shape shape = {h->rows, h->first_stream, h->last_stream};
    struct block_keys k = {NULL};
    struct str frame = STR_NULL;
    ts_ns least, most;
    int r = frame_of(w, b, BLOCK_KEYS, &frame, err);

    if (r == 0)
        r = block_keys_decode(frame, &shape, BLOCK_WANT_KEYS, w->arena, &k, err);
    if (r < 0)
        return r;
    least = most = k.ts[0];
    for (size_t i = 0; i < h->rows; i++) {
        struct stream_sums *s = &w->streams[k.stream[i]];
        s->min_ts = s->rows == 0 || k.ts[i] < s->min_ts ? k.ts[i] : s->min_ts;
        s->max_ts = s->rows == 0 || k.ts[i] > s->max_ts ? k.ts[i] : s->max_ts;
        s->rows++;
        least = k.ts[i] < least ? k.ts[i] : least;
        most = k.ts[i] > most ? k.ts[i] : most;
    }
    if (least != h->min_ts || most != h->max_ts)
        return wrong("times are not those of the block header", err);
    if (k.seq[0] != h->min_seq || k.seq[h->rows - 1] != h->max_seq)
        return wrong("seqs are not those of the block header", err);
    (void)check_seqs(w->d, where, k.seq, h->rows);
    w->keys = k;
    return 0;
}

/* Plans decode; *n_lines, *n_attrs: data frames of each.  The bytes of the frame go to both. */
static int check_plans(struct walk *w, const struct segment_reader_block *b, uint64_t *n_lines,
                       uint64_t *n_attrs, double *share, struct err *err)
{
    struct mem_budget *budget = w->d->v->opt->budget;
    struct block_plans plans = {STR_NULL, STR_NULL};
    struct lines_plan *plan = NULL;
    struct str frame = STR_NULL;
    int r = frame_of(w, b, BLOCK_PLAN, &frame, err);

    if (r == 0)
        r = block_plans_split(frame, &plans, err);
    if (r == 0)
        r = lines_plan_new(plans.lines, b->header.rows, budget, &w->plan, err);
    if (r < 0)
        return r;
    *n_lines = w->plan->n_frames;
    *n_attrs = 0;
    *share = (double)plans.lines.n / (double)(plans.lines.n + plans.attrs.n);
    if (plans.attrs.n == 0)
        return 0;
    r = lines_plan_new(plans.attrs, b->header.rows, budget, &plan, err);
    if (r == 0)
        *n_attrs = plan->n_frames;
    lines_plan_free(&plan);
    return r;
}

static int check_rollup(struct walk *w, const struct segment_reader_block *b, struct err *err)
{
    const struct block_header *h = &b->header;
    struct block_shape shape = {h->rows, h->first_stream, h->last_stream};
    bool has = b->count[BLOCK_ROLLUP] > 0;
    struct block_rollup rollup;
    struct str frame = STR_NULL;
    int r;

    if (has != ((h->flags & BLOCK_FLAG_ROLLUP) != 0))
        return wrong("the header's flags and the frames disagree about a rollup", err);
    if (!has)
        return 0;
    r = frame_of(w, b, BLOCK_ROLLUP, &frame, err);
    return r < 0 ? r : block_rollup_decode(frame, &shape, w->arena, &rollup, err);
}

/* Rows of each stream as the keys have them, of each template as the plan has them. */
static int check_census(struct walk *w, const struct segment_reader_block *b, struct err *err)
{
    const struct block_header *h = &b->header;
    struct block_shape shape = {h->rows, h->first_stream, h->last_stream};
    size_t n_streams = (size_t)h->last_stream - h->first_stream + 1;
    struct block_census u = {.n = 0};
    struct str frame = STR_NULL;
    uint64_t *of_stream;
    uint64_t *of_template;
    int r = b->count[BLOCK_CENSUS] == 0 ? 1 : frame_of(w, b, BLOCK_CENSUS, &frame, err);

    if (r == 0)
        r = block_census_decode(frame, &shape, w->plan->n_templates, w->arena, &u, err);
    if (r != 0)
        return r < 0 ? r : 0;
    of_stream = arena_alloc(w->arena, n_streams * sizeof(*of_stream));
    of_template = arena_alloc(w->arena, w->plan->n_templates * sizeof(*of_template));
    if (of_stream == NULL || of_template == NULL)
        return arena_err(w->arena, err);
    for (size_t i = 0; i < u.n_runs; i++)
        for (uint32_t k = 0; k < u.run[i].n; k++) {
            uint32_t rows = u.entry[u.run[i].first + k].rows;
            of_stream[u.run[i].stream - h->first_stream] += rows;
            of_template[u.run[i].template] += rows;
        }
    for (size_t i = 0; i < h->rows; i++)
        of_stream[w->keys.stream[i] - h->first_stream]--;
    for (size_t i = 0; i < n_streams; i++)
        if (of_stream[i] != 0)
            return wrong("the census has other rows of a stream than the keys", err);
    for (size_t i = 0; i < w->plan->n_templates; i++)
        if (of_template[i] != w->plan->template[i].rows)
            return wrong("the census has other rows of a template than the plan", err);
    return 0;
}

/* What each frame is for, by its kind; without the key plans and data are the lines'. */
static void count_bytes(struct walk *w, const struct segment_reader_block *b, uint64_t n_lines,
                        double share)
{
    struct verify_bytes *bytes = &w->d->v->ret->bytes;

    for (uint32_t i = 0; i < b->header.frames; i++) {
        struct block_frame_entry e = block_frame_get(b->entry + i * (size_t)BLOCK_FRAME_ENTRY);
        uint64_t n = (uint64_t)e.stored_bytes + BLOCK_FRAME_ENTRY;
        uint64_t of_lines = (uint64_t)((double)n * share);
        if (e.kind == BLOCK_KEYS) {
            bytes->time += n;
        } else if (e.kind == BLOCK_ROLLUP || e.kind == BLOCK_CENSUS) {
            bytes->rollup += n;
        } else if (e.kind == BLOCK_PLAN) {
            bytes->lines += of_lines;
            bytes->attrs += n - of_lines;
        } else if (e.kind == BLOCK_DATA && i - b->first[BLOCK_DATA] < n_lines) {
            bytes->lines += n;
        } else if (e.kind == BLOCK_DATA) {
            bytes->attrs += n;
        } else {
            bytes->overhead += n;
        }
        w->d->v->ret->frames++;
    }
    bytes->overhead += BLOCK_HEADER_STORED;
}

static int check_data(struct walk *w, const struct segment_reader_block *b, struct err *err)
{
    struct str plain;
    int r = 0;

    for (uint32_t i = 0; r == 0 && i < b->count[BLOCK_DATA]; i++) {
        arena_reset(w->frame);
        r = segment_reader_frame(w->reader, b, BLOCK_DATA, i, w->frame, &plain, err);
    }
    return r;
}

static int open_block(struct walk *w, uint32_t index, const struct verify_finding *where,
                      struct err *err)
{
    struct segment_reader_block b;
    uint64_t n_lines = UINT64_MAX;
    uint64_t n_attrs = 0;
    double share = 1;
    int r = segment_reader_block(w->reader, &w->info->blocks[index], index, w->arena, &b, err);

    if (r < 0)
        return r;
    if (w->opens) {
        r = check_keys(w, &b, where, err);
        if (r == 0)
            r = check_plans(w, &b, &n_lines, &n_attrs, &share, err);
        if (r == 0 && n_lines + n_attrs != b.count[BLOCK_DATA])
            r = wrong("plans and data frames disagree about their count", err);
        if (r == 0)
            r = check_rollup(w, &b, err);
        if (r == 0)
            r = check_census(w, &b, err);
        lines_plan_free(&w->plan);
        if (r == 0)
            r = check_data(w, &b, err);
    }
    count_bytes(w, &b, n_lines, share);
    return r;
}

/* ---- blocks ---- */

static int check_block(struct walk *w, uint32_t index, struct err *err)
{
    const struct segment_block *b = &w->info->blocks[index];
    struct verify_finding where = at(w, index, b->offset);
    struct block_header h;
    struct str bytes;
    int r = verify_is_cancelled(w->d->v, err);

    if (r < 0)
        return r;
    arena_reset(w->arena);
    w->leaf[index] = b->leaf;
    w->d->v->ret->blocks++;
    r = segment_reader_raw(w->reader, b, index, w->arena, &h, &bytes, err);
    if (r == 0 && h.raw_bytes != b->raw_bytes)
        r = wrong("raw bytes are not those of the footer", err);
    if (r < 0) {
        w->leaves_ok = w->sums_ok = false;
        return verify_note(w->d->v, &where, err);
    }
    add_block(&w->sums, &h);
    arena_reset(w->arena);
    r = open_block(w, index, &where, err);
    if (r < 0)
        w->sums_ok = false;
    return r < 0 ? verify_note(w->d->v, &where, err) : 0;
}

static void check_streams(struct walk *w)
{
    const struct verify_finding where = at(w, -1, w->info->footer_offset);

    for (uint32_t i = 0; i < w->info->n_streams; i++) {
        const struct segment_stream *s = &w->info->streams[i];
        const struct stream_sums *sum = &w->streams[i];
        if (s->rows == sum->rows && s->min_ts == sum->min_ts && s->max_ts == sum->max_ts)
            continue;
        verify_tell(w->d->v, VERIFY_DAMAGE, &where,
                    "stream %u: its blocks have %" PRIu64 " rows, the stream table says %" PRIu64
                    ", or their times differ",
                    i, sum->rows, s->rows);
        return;
    }
}

static int check_blocks(struct walk *w, struct err *err)
{
    const struct segment_info *info = w->info;
    const struct verify_finding where = at(w, -1, info->footer_offset);
    struct merkle_hash root;
    int r = 0;

    w->leaves_ok = w->sums_ok = true;
    w->leaf = mem_new(info->n_blocks * sizeof(*w->leaf) + 1);
    if (w->opens)
        w->streams = mem_new(info->n_streams * sizeof(*w->streams) + 1);
    for (uint32_t i = 0; r == 0 && i < info->n_blocks; i++)
        r = check_block(w, i, err);
    if (r < 0)
        return r;
    root = merkle_root(w->leaf, info->n_blocks);
    if (memcmp(root.b, info->root.b, MERKLE_HASH) != 0)
        verify_tell(w->d->v, VERIFY_DAMAGE, &where, "the root is not that of the leaves");
    if (w->leaves_ok)
        check_sums(w);
    if (w->sums_ok && w->opens)
        check_streams(w);
    return 0;
}

/* ---- the id filter ---- */

static int check_filter(struct walk *w, struct err *err)
{
    uint64_t place;
    int r = segment_reader_verify_filter(w->reader, w->info, &place, err);

    if (r < 0) {
        const struct verify_finding where = at(w, -1, place);
        return verify_note(w->d->v, &where, err);
    }
    return 0;
}

int verify_segment(struct verify_day *d, const uint8_t *uuid, struct segment_info **ret,
                   struct err *err)
{
    struct walk w = {.d = d};
    struct verify_result *res = d->v->ret;
    int r;

    verify_segment_file(d, uuid, w.file);
    w.arena = arena_new(d->v->opt->budget, 0);
    w.frame = arena_new(d->v->opt->budget, 0);
    *ret = NULL;
    res->segments++;
    r = open_segment(&w, uuid, err);
    if (r == 0) {
        res->rows += w.info->rows;
        res->bytes.total += w.info->file_bytes;
        res->bytes.overhead += w.info->data_offset + (w.info->file_bytes - w.info->footer_offset);
        res->bytes.filters += w.info->footer_offset - w.info->data_end;
        r = check_blocks(&w, err);
        if (r == 0)
            r = check_filter(&w, err);
        *ret = w.info;
    } else {
        segment_info_free(&w.info);
    }
    segment_reader_free(&w.reader);
    arena_free(&w.arena);
    arena_free(&w.frame);
    free(w.leaf);
    free(w.streams);
    if (r < 0)
        segment_info_free(ret);
    return r < 0 ? r : 0;
}
