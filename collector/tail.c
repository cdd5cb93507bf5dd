/* collector/tail.c - contract: tail.h.  A file's life and identity. */
#include "collector/tail.h"

#include "base/arena.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/obj.h"
#include "collector/keep.h"
#include "collector/metrics.h"
#include "collector/tail_turn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    READ_BYTES = 256 << 10,
    LINE_SLACK = 64 << 10, /* what a line may have around max_line of text */
    JOINS_BYTES = 64 << 20,
    LABELS_BYTES = 256 << 10,
    DESCRIBE_MS = 2000, /* how long a container may stay unknown */
    KEY_UNKNOWN = CHECKPOINT_KEY_STDOUT | CHECKPOINT_KEY_STDERR | CHECKPOINT_KEY_MAYBE,
    REDACTED_BYTES = 8 << 20, /* marks may be longer than what they stand for */
};

void tail_reader_init(struct tail_reader *rd, struct checkpoint *checkpoint, size_t max_line,
                      dur_ns partial_timeout)
{
    memset(rd, 0, sizeof(*rd));
    decoder_init(&rd->decoder);
    rd->cap = READ_BYTES;
    rd->buf = mem_new(rd->cap);
    rd->line_max = max_line + LINE_SLACK > READ_BYTES ? max_line + LINE_SLACK : READ_BYTES;
    rd->joins = (struct mem_budget){.name = "unfinished lines", .limit = JOINS_BYTES};
    rd->limits = (struct join_limits){.max_line = max_line, .budget = &rd->joins};
    rd->partial_timeout = partial_timeout;
    rd->multiline_timeout = NS_PER_S;
    rd->checkpoint = checkpoint;
    redact_scratch_init(&rd->redacted, REDACTED_BYTES);
}

void tail_reader_fini(struct tail_reader *rd)
{
    decoder_fini(&rd->decoder);
    free(rd->buf);
    VEC_FINI(&rd->fills);
    VEC_FINI(&rd->held);
    redact_scratch_fini(&rd->redacted);
}

static struct tail *tail_new(const char *path, const struct source *source)
{
    struct tail *t = mem_new(sizeof(*t));

    t->magic = TAIL_MAGIC;
    t->from.fd = -1;
    t->path = mem_dup(path, strlen(path));
    t->set = source_set_ref(source->set);
    t->source = source;
    t->profile = source_profile(source, STR_NULL, NULL, 0);
    t->trace = source->trace;
    t->wd = -1;
    t->opened_at = t->seen_at = time_mono();
    return t;
}

int tail_open(struct reader *from, const char *path, const struct source *source, struct tail **ret,
              struct err *err)
{
    struct tail *t;
    struct stat st;
    int r = 0;

    if (fstat(from->fd, &st) < 0)
        r = err_sys(err, "stat");
    else if (!S_ISREG(st.st_mode))
        r = err_set(err, ERR_INVALID, "not a regular file");
    if (r < 0) {
        reader_close(from);
        return r;
    }
    t = tail_new(path, source);
    t->from = *from;
    if (from->kept == NULL) {
        t->dev = st.st_dev;
        t->ino = st.st_ino;
    }
    *ret = t;
    return 0;
}

void tail_free(struct tail **pt, struct tail_reader *rd)
{
    struct tail *t = *pt;

    if (t == NULL)
        return;
    OBJ_CHECK(t, TAIL_MAGIC);
    if (t->file != NULL)
        t->file->user = NULL;
    keep_writer_free(&t->keeping);
    join_fini(&t->join, &rd->limits);
    multiline_free(&t->multi, &rd->limits);
    chunk_names_unref(&t->names);
    free(t->rates.buckets);
    source_set_unref(&t->set);
    reader_close(&t->from);
    free(t->path);
    t->magic = 0;
    free(t);
    *pt = NULL;
}

static size_t size_of(const struct labels *l)
{
    size_t n = l->n * sizeof(l->v[0]);

    for (size_t i = 0; i < l->n; i++)
        n += l->v[i].name.n + l->v[i].value.n;
    return n;
}

static struct str put_bytes(char **at, struct str s)
{
    struct str r = {*at, s.n};

    if (s.n > 0)
        memcpy(*at, s.p, s.n);
    *at += s.n;
    return r;
}

/* As much memory as they need and no more: there may be ten thousand of us. */
static void keep_names(struct tail *t, const struct labels *labels, const struct labels *attrs)
{
    struct chunk_names *made = mem_new(sizeof(*made) + size_of(labels) + size_of(attrs) + 1);
    const struct labels *from[2] = {labels, attrs};
    struct labels *to[2] = {&made->labels, &made->attrs};
    struct label *v = (struct label *)(made + 1);
    char *at = (char *)(v + labels->n + attrs->n);

    made->refs = 1;
    for (int k = 0; k < 2; k++) {
        *to[k] = (struct labels){v, from[k]->n};
        for (size_t i = 0; i < from[k]->n; i++, v++) {
            v->name = put_bytes(&at, from[k]->v[i].name);
            v->value = put_bytes(&at, from[k]->v[i].value);
        }
    }
    chunk_names_unref(&t->names);
    t->names = made;
    t->labels = made->labels;
    t->attrs = made->attrs;
}

static void set_profile(struct tail *t, const struct profile *profile)
{
    t->profile = profile;
    t->trace = profile_trace(profile, &t->source->trace);
}

bool tail_describe(struct tail *t)
{
    bool last = time_mono() - t->opened_at >= DESCRIBE_MS * NS_PER_MS;
    struct source_description is = {.profile = t->profile};
    struct arena *a;
    int r;

    if (t->described)
        return true;
    a = arena_new(NULL, LABELS_BYTES);
    r = source_describe(t->source, str_of(t->path), last, a, &is);
    t->described = r == 0 || last;
    if (t->described) {
        keep_names(t, &is.labels, &is.attrs);
        set_profile(t, is.profile);
        if (t->profile->excluded)
            log_info("file.excluded", LOG_Z("file", t->path));
    }
    if (t->described && (r != 0 || is.is_unresolved))
        log_warn("file.unresolved", LOG_Z("file", t->path));
    arena_free(&a);
    return t->described;
}

void tail_describe_again(struct tail *t)
{
    struct source_description is;
    struct arena *a;

    OBJ_CHECK(t, TAIL_MAGIC);
    if (!t->described)
        return;
    a = arena_new(NULL, LABELS_BYTES);
    if (source_describe(t->source, str_of(t->path), false, a, &is) == 0) {
        if (!labels_equal(&t->labels, &is.labels) || !labels_equal(&t->attrs, &is.attrs))
            keep_names(t, &is.labels, &is.attrs);
        if (t->profile != is.profile)
            set_profile(t, is.profile);
    }
    arena_free(&a);
}

void tail_set_names(struct tail *t, const struct labels *labels, const struct labels *attrs)
{
    keep_names(t, labels, attrs);
    t->described = true;
    set_profile(t,
                source_profile(t->source, str_of(t->path), &t->labels, t->profile->redact_types));
}

void tail_set_source(struct tail *t, const struct source *source)
{
    struct source_set *old = t->set;
    struct source_description is;
    struct arena *a;

    OBJ_CHECK(t, TAIL_MAGIC);
    t->set = source_set_ref(source->set);
    t->source = source;
    a = arena_new(NULL, LABELS_BYTES);
    if (t->described && source_describe(source, str_of(t->path), false, a, &is) == 0)
        set_profile(t, is.profile);
    else /* its container may be gone */
        set_profile(t,
                    source_profile(source, str_of(t->path), &t->labels, t->profile->redact_types));
    arena_free(&a);
    free(t->rates.buckets); /* of other rules */
    t->rates = (struct rules_rates){0};
    source_set_unref(&old);
}

/* ---- identity ---- */

/* Are `hash` those of bytes [start, start + n)?  As tail_is_file. */
static int has_hash(struct reader *from, uint64_t start, size_t n, uint64_t hash)
{
    char bytes[CHECKPOINT_HEAD_MAX];
    ssize_t got = n == 0 ? 0 : reader_read(from, bytes, n, start);

    if (got < 0 && errno != EBADMSG)
        return -1;
    return n == 0 || (got >= 0 && (size_t)got == n && hash_bytes(bytes, n, 0) == hash);
}

/* Does the file begin as `f` says?  One that was empty when it was seen begins with anything. */
static int has_head(struct reader *from, const struct checkpoint_file *f)
{
    return has_hash(from, 0, f->head_len, f->head_hash);
}

/* A log that was cut under a writer who goes on at his old place begins with zeros as it did
 * before; but where lines were read there is nothing else then. */
static int is_hole(struct reader *from, uint64_t end)
{
    char piece[16 << 10];
    char last = 0;
    uint64_t at = 0;

    if (!reader_is_plain(from) || end == 0)
        return 0;
    if (reader_read(from, &last, 1, end - 1) < 0)
        return -1;
    if (last != '\0')
        return 0;
    while (at < end) {
        size_t want = end - at < sizeof(piece) ? (size_t)(end - at) : sizeof(piece);
        ssize_t n = reader_read(from, piece, want, at);
        if (n <= 0)
            return n < 0 ? -1 : 1;
        if (piece[0] != '\0' || memcmp(piece, piece + 1, (size_t)n - 1) != 0)
            return 0;
        at = reader_pass_hole(from, at + (uint64_t)n, end);
    }
    return 1;
}

int tail_is_file(struct reader *from, const struct checkpoint_file *f)
{
    int r = has_head(from, f);

    if (r == 1)
        r = reader_reaches(from, checkpoint_file_end(f));
    if (r == 1) {
        int hole = is_hole(from, checkpoint_file_end(f));
        r = hole < 0 ? hole : !hole;
    }
    return r;
}

/* Do the bytes in front of where it was read last stand there? */
static int has_last(const struct tail *t, struct reader *from)
{
    char last[TAIL_LAST_BYTES];
    ssize_t got = t->last_n == 0 ? 0 : reader_read(from, last, t->last_n, t->last_at - t->last_n);

    if (got < 0 && errno != EBADMSG)
        return -1;
    return got == t->last_n && memcmp(last, t->last, t->last_n) == 0;
}

void tail_remember(struct tail *t, const char *p, size_t n, uint64_t at)
{
    size_t before = at - n == t->last_at ? t->last_n : 0;

    if (n > TAIL_LAST_BYTES) {
        p += n - TAIL_LAST_BYTES;
        n = TAIL_LAST_BYTES;
    }
    if (before > TAIL_LAST_BYTES - n)
        before = TAIL_LAST_BYTES - n;
    memmove(t->last, t->last + t->last_n - before, before);
    memcpy(t->last + before, p, n);
    t->last_n = (uint8_t)(before + n);
    t->last_at = at;
}

int tail_is_current(const struct tail *t)
{
    struct reader from = t->from;
    int r;

    if (!reader_is_plain(&t->from) || t->file == NULL)
        return 1; /* nobody writes to those */
    r = has_head(&from, t->file);
    return r == 1 ? has_last(t, &from) : r;
}

int tail_is_copy(const struct tail *t, struct reader *from)
{
    int r = t->file == NULL ? 0 : has_head(from, t->file);

    if (r == 1)
        r = reader_reaches(from, t->pos);
    return r == 1 ? has_last(t, from) : r;
}

void tail_adopt(struct tail *t, struct checkpoint_file *f)
{
    INVARIANT(t->file == NULL && f->user == NULL);
    t->file = f;
    f->user = t;
    f->dev = t->dev;
    f->ino = t->ino;
    t->pos = t->seen = t->scanned = checkpoint_file_end(f);
    t->looked = UINT64_MAX; /* never: it may have been cut to nothing since */
    t->holes_due = t->adopted = true;
    if (t->pos == 0)
        t->keys = KEY_UNKNOWN;
}

static bool ends_in_zero(const struct tail *t, uint64_t size)
{
    struct reader from = t->from;
    char last = 1;

    return size > 0 && reader_read(&from, &last, 1, size - 1) == 1 && last == '\0';
}

/* Without zeros at its end: that is room for lines to come.  Where there is nothing else they are
 * all there is to tell it by, unless they may be room, too. */
static uint32_t head_end(const struct tail *t, const char *head, uint32_t len, uint64_t size)
{
    uint32_t n = len;

    while (n > 0 && head[n - 1] == '\0')
        n--;
    return n == 0 && (t->pos > 0 || !ends_in_zero(t, size)) ? len : n;
}

/* As much of its head as there is to tell it by; written down when that has doubled. */
static void learn_head(struct tail *t, struct tail_reader *rd, uint64_t size)
{
    uint32_t len = size < CHECKPOINT_HEAD_MAX ? (uint32_t)size : CHECKPOINT_HEAD_MAX;
    struct checkpoint_file *f = t->file;
    char head[CHECKPOINT_HEAD_MAX];

    if (len <= f->head_len || (len < CHECKPOINT_HEAD_MAX && len < 2 * f->head_len) ||
        reader_read(&t->from, head, len, 0) != (ssize_t)len)
        return;
    if (f->head_len > 0 && hash_bytes(head, f->head_len, 0) != f->head_hash)
        return; /* it is another's by now: whoever reads it finds out */
    len = head_end(t, head, len, size);
    if (len <= f->head_len)
        return;
    f->head_len = len;
    f->head_hash = hash_bytes(head, len, 0);
    checkpoint_file_changed(rd->checkpoint, f);
}

void tail_learn(struct tail *t, struct tail_reader *rd)
{
    if (reader_is_plain(&t->from) && t->from.fd >= 0)
        learn_head(t, rd, t->seen);
}

void tail_register(struct tail *t, struct tail_reader *rd)
{
    struct reader_stat st;

    INVARIANT(t->file == NULL);
    t->file = checkpoint_file_new(rd->checkpoint, t->dev, t->ino, t->path);
    t->file->user = t;
    t->keys = KEY_UNKNOWN;
    if (reader_reaches(&t->from, CHECKPOINT_HEAD_MAX) == 1)
        learn_head(t, rd, CHECKPOINT_HEAD_MAX);
    else if (reader_stat(&t->from, &st) == 0)
        learn_head(t, rd, st.size);
}

int tail_identify(struct tail *t, struct tail_reader *rd, uint64_t size)
{
    int r;

    if (t->file == NULL)
        tail_register(t, rd);
    if (!reader_is_plain(&t->from))
        return 1; /* nobody writes to those */
    r = size < t->pos ? 0 : tail_is_current(t);
    if (r == 1)
        learn_head(t, rd, size);
    return r;
}

/* ---- changes ---- */

/* Whoever is done with a log gives back the room behind its last line, be that read or not. */
static bool may_be_cut_to(const struct tail *t, uint64_t size)
{
    return size >= t->seen ||
           (t->ends_in_zero && size >= t->pos && (t->pos > 0 || t->file->head_len > 0));
}

enum tail_look tail_look(struct tail *t)
{
    struct reader_stat st;
    int r = 1;

    OBJ_CHECK(t, TAIL_MAGIC);
    if (t->from.fd < 0 || reader_stat(&t->from, &st) < 0)
        return TAIL_SAME;
    t->unlinked = st.unlinked;
    t->disk = st.disk;
    if (!reader_is_plain(&t->from) || t->file == NULL)
        return st.size > t->seen ? TAIL_GREW : TAIL_SAME;
    if (!may_be_cut_to(t, st.size))
        return TAIL_REPLACED;
    if (st.size != t->looked)
        r = tail_is_current(t);
    if (r == 0)
        return TAIL_REPLACED;
    if (r < 0)
        return TAIL_SAME; /* reading it says so */
    t->looked = st.size;
    if (st.size == t->seen)
        return TAIL_SAME;
    t->seen = st.size; /* or there is less room than there was */
    t->ends_in_zero = ends_in_zero(t, st.size);
    t->seen_at = time_mono();
    t->caught_up = false;
    return TAIL_GREW;
}

void tail_written(struct tail *t)
{
    if (tail_end(t) < t->seen)
        t->has_room = t->caught_up = false;
}

struct tail *tail_split(struct tail *t)
{
    struct tail *old = tail_new(t->path, t->source);

    OBJ_CHECK(t, TAIL_MAGIC);
    old->file = t->file;
    if (old->file != NULL)
        old->file->user = old;
    old->pos = old->scanned = t->pos;
    old->seen = t->seen;
    old->last_ts = t->last_ts;
    old->last_at = t->last_at;
    old->last_n = t->last_n;
    memcpy(old->last, t->last, sizeof(old->last));
    old->join = t->join;
    old->profile = t->profile;
    old->rates.closed = t->rates.closed;
    old->keys = t->keys;
    old->multi = t->multi;
    old->trace = t->trace;
    old->holes_due = t->holes_due;
    old->resumed = t->resumed;
    old->begun = t->begun;
    old->adopted = old->came = true;
    old->described = t->described; /* nobody may be able to say it again */
    keep_names(old, &t->labels, &t->attrs);
    memset(&t->join, 0, sizeof(t->join));
    t->multi = NULL;
    t->file = NULL;
    t->pos = t->seen = t->scanned = t->zeros = t->room = t->room_end = 0;
    t->looked = t->last_at = t->resumed = 0;
    t->last_n = 0;
    t->caught_up = t->has_room = t->ends_in_zero = t->drained = t->holes_due = t->begun =
        t->adopted = false;
    t->successor_at = 0;
    metric_add(METRIC_FILES_TRUNCATED, 1);
    return old;
}

void tail_hand_over(struct tail *from, struct tail *to, struct tail_reader *rd)
{
    join_move(&from->join, &to->join, &rd->limits);
    if (to->pos == 0)
        to->keys = from->keys;
    if (!multiline_is_open(from->multi))
        return;
    if (to->multi == NULL)
        to->multi = mem_new(sizeof(*to->multi));
    multiline_move(from->multi, to->multi, &to->trace, &rd->limits);
}

void tail_each_held(const struct tail *t, tail_held_fn *fn, void *arg)
{
    for (int s = 0; s < DECODE_STREAMS; s++) {
        for (size_t i = 0; i < t->join.s[s].held.n; i++)
            fn(arg, &t->join.s[s].held.p[i]);
        for (size_t i = 0; t->multi != NULL && i < t->multi->s[s].held.n; i++)
            fn(arg, &t->multi->s[s].held.p[i]);
    }
}

void tail_forget_held(struct tail *t, struct tail_reader *rd)
{
    for (int s = 0; s < DECODE_STREAMS; s++) {
        join_done(&t->join, (enum decode_stream)s, &rd->limits);
        if (t->multi != NULL)
            multiline_done(&t->multi->s[s], &rd->limits);
    }
}

bool tail_is_holding(const struct tail *t)
{
    return join_is_open(&t->join) || multiline_is_open(t->multi);
}

bool tail_is_settled(const struct tail *t)
{
    const struct checkpoint_file *f = t->file;

    if (t->pos < t->seen || tail_is_holding(t))
        return false;
    if (f == NULL)
        return t->pos == 0;
    return f->unacked == 0 && (t->pos == 0 || (f->planned.n == 1 && f->planned.p[0].start == 0 &&
                                               f->planned.p[0].end >= t->pos));
}
