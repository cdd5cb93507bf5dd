/* collector/journal_state.c - contract: journal_state.h. */
#include "collector/journal_state.h"

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "collector/journal_place.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A state is at most JOURNAL_OPEN_MAX records and as many drops as there can be. */
enum { STATE_BYTES = 512 << 10, TEXTS_BYTES = 1 << 20 };

void journal_state_init(struct journal_state *s)
{
    memset(s, 0, sizeof(*s));
    s->open = mem_new(JOURNAL_OPEN_MAX * sizeof(s->open[0]));
}

void journal_state_fini(struct journal_state *s)
{
    free(s->open);
    s->open = NULL;
    journal_drops_fini(&s->drops);
}

uint64_t journal_state_key(struct str key)
{
    return hash_bytes(key.n == 0 ? "" : key.p, key.n, 0);
}

void journal_state_forget_open(struct journal_state *s)
{
    s->n_open = 0;
    s->from[0] = '\0';
}

static void put_key(struct json_writer *w, struct str key)
{
    char text[20];

    (void)snprintf(text, sizeof(text), "%016" PRIx64, journal_state_key(key));
    json_put_array(w);
    json_put_string(w, str_of(text));
}

/* The older of two cursors, of which the first may be none. */
static struct str older_of(struct str a, struct str b)
{
    return a.n == 0 || journal_state_is_later(a, b) ? b : a;
}

static struct str put_joins(const struct journal_joins *joins, struct str at, struct json_writer *w)
{
    struct str key, cursor, oldest = STR_NULL;

    json_put_key(w, STR("open"));
    json_put_array(w);
    for (size_t i = 0; i < journal_joins_count(joins); i++) {
        journal_joins_at(joins, i, &key, &cursor);
        put_key(w, key);
        json_put_string(w, journal_place_short(cursor, at));
        json_put_array_end(w);
        oldest = older_of(oldest, cursor);
    }
    json_put_array_end(w);
    return oldest;
}

static struct str put_lines(const struct journal_lines *lines, struct str at, struct json_writer *w)
{
    struct str key, cursor, end, oldest = STR_NULL;

    json_put_key(w, STR("lines"));
    json_put_array(w);
    for (size_t i = 0; i < journal_lines_count(lines); i++) {
        journal_lines_at(lines, i, &key, &cursor, &end);
        put_key(w, key);
        json_put_string(w, journal_place_short(cursor, at));
        json_put_string(w, journal_place_short(end, at));
        json_put_array_end(w);
        oldest = older_of(oldest, cursor);
    }
    json_put_array_end(w);
    return oldest;
}

void journal_state_put(const struct journal_state *s, const struct journal_joins *joins,
                       const struct journal_lines *lines, struct buf *out)
{
    struct str at = str_of(s->at), from = STR_NULL;
    struct json_writer w;

    json_writer_init(&w, out);
    json_put_object(&w);
    json_put_kv_str(&w, "at", at);
    if (journal_joins_count(joins) > 0)
        from = put_joins(joins, at, &w);
    if (journal_lines_count(lines) > 0) {
        struct str oldest = put_lines(lines, at, &w);
        from = older_of(from, oldest);
    }
    if (from.n > 0)
        json_put_kv_str(&w, "from", from);
    if (s->drops.n > 0) {
        json_put_key(&w, STR("dropped"));
        journal_drops_put(&s->drops, &w);
    }
    json_put_object_end(&w);
    buf_add_char(out, '\n');
}

/* ---- reading ---- */

static bool take_text(struct json_reader *r, struct arena *a, char *ret, size_t cap)
{
    struct err err;
    struct str text = {0};

    if (json_string_or_null(r, a, &text, &err) < 0 || text.p == NULL || text.n >= cap)
        return false;
    (void)str_to_z(text, ret, cap);
    return true;
}

static bool take_key(struct json_reader *r, uint64_t *ret)
{
    struct json_token t;
    struct err err;
    char text[20], *end;

    if (json_next(r, &t, &err) < 0 || t.type != JSON_STRING || t.raw.n != 16)
        return false;
    *ret = strtoull(str_to_z(t.raw, text, sizeof(text)), &end, 16);
    return *end == '\0';
}

/* The array behind "open" or, with a third member in each, "lines". */
static bool take_open(struct journal_state *s, struct json_reader *r, struct arena *a,
                      bool is_lines)
{
    struct json_token t;
    struct err err;

    if (json_next(r, &t, &err) < 0 || t.type != JSON_ARRAY)
        return false;
    for (;;) {
        struct journal_open *v = &s->open[s->n_open];
        if (json_next(r, &t, &err) < 0)
            return false;
        if (t.type == JSON_ARRAY_END)
            return true;
        if (t.type != JSON_ARRAY || s->n_open == JOURNAL_OPEN_MAX)
            return false;
        *v = (struct journal_open){.ended = false};
        if (!take_key(r, &v->key) || !take_text(r, a, v->begin, sizeof(v->begin)) ||
            (is_lines && !take_text(r, a, v->end, sizeof(v->end))) || json_next(r, &t, &err) < 0 ||
            t.type != JSON_ARRAY_END)
            return false;
        s->n_open++;
    }
}

static bool take_member(struct journal_state *s, struct json_reader *r, struct str key,
                        struct arena *a)
{
    if (str_eq(key, STR("at")))
        return take_text(r, a, s->at, sizeof(s->at));
    if (str_eq(key, STR("from")))
        return take_text(r, a, s->from, sizeof(s->from));
    if (str_eq(key, STR("open")))
        return take_open(s, r, a, false);
    if (str_eq(key, STR("lines")))
        return take_open(s, r, a, true);
    return !str_eq(key, STR("dropped")) || journal_drops_take(&s->drops, r, a);
}

bool journal_state_parse(struct journal_state *s, struct str line)
{
    struct arena *a = arena_new(NULL, TEXTS_BYTES);
    struct json_reader r;
    struct json_token key;
    struct err err;
    bool ok = true;
    int e = json_reader_init_object(&r, line, &err);

    while (ok && e == 0 && (e = json_member(&r, &key, &err)) == 0)
        ok = take_member(s, &r, key.raw, a);
    ok = ok && e == 1 && s->at[0] != '\0' && (s->n_open > 0) == (s->from[0] != '\0');
    if (!ok) {
        s->at[0] = '\0';
        s->drops.n = 0;
        journal_state_forget_open(s);
    }
    arena_free(&a);
    return ok;
}

static void see_line(void *arg, struct str head, uint64_t end)
{
    uint64_t *whole = arg;

    if (str_starts(head, STR(JOURNAL_STATE_BEGIN)))
        *whole = end;
}

/* What has no state behind it was being written. */
static int cut_torn(struct spool *spool, struct err *err)
{
    uint64_t whole = 0;
    int r = spool_heads(spool, see_line, &whole, err);

    if (r < 0 || whole == spool_size(spool))
        return r;
    log_info("journal.torn", LOG_U64("bytes", spool_size(spool) - whole));
    return spool_cut(spool, whole, err);
}

int journal_state_load(struct journal_state *s, struct spool *spool, struct err *err)
{
    char *line = mem_new(STATE_BYTES);
    size_t n = 0;
    int r = cut_torn(spool, err);

    if (r == 0)
        r = spool_end(spool, line, STATE_BYTES, &n, err);
    if (r == 0 && n > 0 && !journal_state_parse(s, (struct str){line, n}))
        log_error("journal.place_lost", LOG_Z("spool", SPOOL_JOURNALD));
    free(line);
    return r;
}

/* ---- the place ---- */

bool journal_state_is_later(struct str later, struct str than)
{
    struct journal_place a, b;

    if (!journal_place_parse(later, &a))
        return false;
    return !journal_place_parse(than, &b) || journal_place_cmp(&a, &b) > 0;
}
