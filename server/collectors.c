/*
 * server/collectors.c - contract: collectors.h.
 *
 * Entries keep their place for ever, so that a page of them (PAGE) is one saved value; saving
 * writes the pages that have changed.  What a collector counts begins at 0 with its start: what it
 * said before is added up here, so that losses do not vanish with a restart.
 *
 * Saved: space "collectors", key: page number in four digits, value:
 *     {"v":1,"collectors":[{"tenant":"...", ..., "incarnations":[id,next, id,next ...]}]}
 */
#include "server/collectors.h"

#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/obj.h"
#include "base/vec.h"
#include "server/auth.h"
#include "server/metrics.h"

#include <inttypes.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PAGE = 256,
    PAGES = (COLLECTORS_MAX + PAGE - 1) / PAGE,
    PAGE_BYTES = 8 << 20,
    INCARNATIONS = 8, /* remembered of a collector, newest last */
    READ_ARENA = 1 << 20,
    KEY_MAX = 1024,
};

static const char SPACE[] = "collectors";

struct incarnation {
    uint64_t id, next;
};

struct collectors_entry {
    size_t place;
    unsigned connections;
    char *tenant, *identity, *host, *version, *address; /* owned */
    uint64_t first_seen, seen, started, not_after;      /* ns since 1970; 0: not known */
    struct forward_status status;
    uint64_t gaps, gap_bytes, twice_bytes; /* of its earlier starts */
    uint64_t chunks, duplicates, refused;
    struct incarnation incarnations[INCARNATIONS];
    size_t n_incarnations;
};

struct collectors {
    unsigned magic;
#define COLLECTORS_MAGIC 0xc011ec75u
    pthread_mutex_t mutex; /* guards the rest */
    struct map *by_key;    /* key_of -> entry */
    VEC(struct collectors_entry *) all;
    bool dirty[PAGES];
    pthread_mutex_t saving; /* held over a whole collectors_save */
};

/* ---- names ---- */

/* "logq://<tenant>/collector/<name>" */
static bool take_apart(struct str identity, struct str *tenant, struct str *name)
{
    struct str rest = identity;

    if (!str_starts(rest, STR("logq://")))
        return false;
    rest = str_from(rest, 7);
    *tenant = str_cut(&rest, '/');
    if (!auth_tenant_ok(*tenant) || !str_starts(rest, STR("collector/")))
        return false;
    *name = str_from(rest, 10);
    return true;
}

struct str collectors_tenant(struct str identity, struct str fallback)
{
    struct str tenant, name;

    return take_apart(identity, &tenant, &name) ? tenant : fallback;
}

struct str collectors_name(struct str identity)
{
    struct str tenant, name;

    return take_apart(identity, &tenant, &name) ? name : identity;
}

/* ---- entries ---- */

static struct str key_of(struct str tenant, struct str identity, struct str host,
                         char text[KEY_MAX])
{
    int n = snprintf(text, KEY_MAX, "%.*s\n%.*s\n%.*s", STR_ARG(tenant), STR_ARG(identity),
                     STR_ARG(host));

    return (struct str){text, n < KEY_MAX ? (size_t)n : KEY_MAX - 1};
}

static struct str key_of_entry(const struct collectors_entry *e, char text[KEY_MAX])
{
    return key_of(str_of(e->tenant), str_of(e->identity), str_of(e->host), text);
}

static void entry_free(void *value)
{
    struct collectors_entry *e = value;

    free(e->tenant);
    free(e->identity);
    free(e->host);
    free(e->version);
    free(e->address);
    free(e);
}

static void set_text(char **at, struct str text)
{
    if (*at != NULL && str_eq(str_of(*at), text))
        return;
    free(*at);
    *at = mem_dup(text.p == NULL ? "" : text.p, text.n);
}

static void mark(struct collectors *c, const struct collectors_entry *e)
{
    c->dirty[e->place / PAGE] = true;
}

/* The one that may make room; NULL: all are connected. */
static struct collectors_entry *find_oldest(const struct collectors *c)
{
    struct collectors_entry *oldest = NULL;

    for (size_t i = 0; i < c->all.n; i++) {
        struct collectors_entry *e = c->all.p[i];
        if (e->connections == 0 && (oldest == NULL || e->seen < oldest->seen))
            oldest = e;
    }
    return oldest;
}

/* NULL: no room. */
static struct collectors_entry *add_entry(struct collectors *c, struct str tenant,
                                          struct str identity, struct str host)
{
    struct collectors_entry *e = mem_new(sizeof(*e));
    char text[KEY_MAX];

    set_text(&e->tenant, tenant);
    set_text(&e->identity, identity);
    set_text(&e->host, host);
    set_text(&e->version, STR(""));
    set_text(&e->address, STR(""));
    if (c->all.n < COLLECTORS_MAX) {
        e->place = c->all.n;
        VEC_PUSH(&c->all, e);
    } else {
        struct collectors_entry *oldest = find_oldest(c);
        metric_add(METRIC_COLLECTORS_FORGOTTEN, 1);
        if (oldest == NULL) {
            entry_free(e);
            return NULL;
        }
        e->place = oldest->place;
        c->all.p[e->place] = e;
        (void)map_remove(c->by_key, key_of_entry(oldest, text)); /* frees it */
    }
    INVARIANT(map_put(c->by_key, key_of_entry(e, text), e)); /* it has no limit */
    return e;
}

/* ---- what they say ---- */

/* The highest `next` of incarnation `id`; a new one takes the place of the oldest. */
static struct incarnation *find_incarnation(struct collectors_entry *e, uint64_t id)
{
    for (size_t i = 0; i < e->n_incarnations; i++)
        if (e->incarnations[i].id == id)
            return &e->incarnations[i];
    if (e->n_incarnations == INCARNATIONS) {
        memmove(&e->incarnations[0], &e->incarnations[1],
                (INCARNATIONS - 1) * sizeof(e->incarnations[0]));
        e->n_incarnations--;
    }
    e->incarnations[e->n_incarnations] = (struct incarnation){.id = id};
    return &e->incarnations[e->n_incarnations++];
}

static void take_hello(struct collectors_entry *e, const struct forward_hello *h)
{
    if (h->started_ns != e->started) {
        e->gaps += e->status.gaps;
        e->gap_bytes += e->status.gap_bytes;
        e->twice_bytes += e->status.twice_bytes;
        e->status.gaps = e->status.gap_bytes = e->status.twice_bytes = 0;
    }
    e->started = h->started_ns;
    set_text(&e->version, h->version);
    if (h->incarnation != 0)
        (void)find_incarnation(e, h->incarnation);
}

static void take_next(struct collectors_entry *e, uint64_t incarnation, uint64_t next)
{
    struct incarnation *i;

    if (incarnation == 0 || next == 0)
        return;
    i = find_incarnation(e, incarnation);
    i->next = next > i->next ? next : i->next;
}

static void take_about(struct collectors *c, struct collectors_entry *e, uint64_t incarnation,
                       const struct forward_about *about)
{
    if (about->has_hello)
        take_hello(e, &about->hello);
    if (about->has_status)
        e->status = about->status;
    take_next(e, incarnation, about->next);
    e->seen = (uint64_t)time_now();
    mark(c, e);
}

/* The incarnation that speaks is the last of the list. */
static uint64_t put_last(struct collectors_entry *e, uint64_t id)
{
    struct incarnation now;

    if (id == 0)
        return 0;
    now = *find_incarnation(e, id);
    for (size_t i = 0; i + 1 < e->n_incarnations; i++)
        if (e->incarnations[i].id == id) {
            memmove(&e->incarnations[i], &e->incarnations[i + 1],
                    (e->n_incarnations - i - 1) * sizeof(now));
            e->incarnations[e->n_incarnations - 1] = now;
        }
    return now.next;
}

struct collectors_entry *collectors_enter(struct collectors *c, const struct collectors_peer *peer,
                                          const struct forward_about *about, uint64_t *known)
{
    struct collectors_entry *e;
    char text[KEY_MAX];

    OBJ_CHECK(c, COLLECTORS_MAGIC);
    *known = 0;
    (void)pthread_mutex_lock(&c->mutex);
    e = map_get(c->by_key, key_of(peer->tenant, peer->identity, about->hello.host, text));
    if (e == NULL)
        e = add_entry(c, peer->tenant, peer->identity, about->hello.host);
    if (e != NULL) {
        e->connections++;
        set_text(&e->address, peer->address);
        e->not_after = (uint64_t)peer->not_after;
        *known = put_last(e, about->hello.incarnation);
        take_about(c, e, about->hello.incarnation, about);
        if (e->first_seen == 0)
            e->first_seen = e->seen;
    }
    (void)pthread_mutex_unlock(&c->mutex);
    return e;
}

void collectors_leave(struct collectors *c, struct collectors_entry **pe)
{
    struct collectors_entry *e = *pe;

    if (e == NULL)
        return;
    *pe = NULL;
    (void)pthread_mutex_lock(&c->mutex);
    e->connections--;
    (void)pthread_mutex_unlock(&c->mutex);
}

void collectors_note(struct collectors *c, struct collectors_entry *e, uint64_t incarnation,
                     const struct forward_about *about)
{
    if (e == NULL)
        return;
    (void)pthread_mutex_lock(&c->mutex);
    take_about(c, e, incarnation, about);
    (void)pthread_mutex_unlock(&c->mutex);
}

void collectors_count(struct collectors *c, struct collectors_entry *e, enum store_outcome outcome)
{
    if (e == NULL)
        return;
    (void)pthread_mutex_lock(&c->mutex);
    e->chunks++;
    e->duplicates += outcome == STORE_DUPLICATE;
    e->refused += outcome == STORE_REFUSED;
    e->seen = (uint64_t)time_now();
    mark(c, e);
    (void)pthread_mutex_unlock(&c->mutex);
}

/* ---- saving ---- */

struct member {
    const char *key;
    size_t offset;
};
#define AT(field) offsetof(struct collectors_entry, field)
static const struct member TEXTS[] = {
    {"tenant", AT(tenant)},   {"identity", AT(identity)}, {"host", AT(host)},
    {"version", AT(version)}, {"address", AT(address)},
};
static const struct member NUMBERS[] = {
    {"first_seen", AT(first_seen)},
    {"seen", AT(seen)},
    {"started", AT(started)},
    {"not_after", AT(not_after)},
    {"files", AT(status.files)},
    {"lag_bytes", AT(status.lag_bytes)},
    {"lag_s", AT(status.lag_s)},
    {"now_gaps", AT(status.gaps)},
    {"now_gap_bytes", AT(status.gap_bytes)},
    {"now_twice_bytes", AT(status.twice_bytes)},
    {"restarts", AT(status.restarts)},
    {"gaps", AT(gaps)},
    {"gap_bytes", AT(gap_bytes)},
    {"twice_bytes", AT(twice_bytes)},
    {"chunks", AT(chunks)},
    {"duplicates", AT(duplicates)},
    {"refused", AT(refused)},
};
enum {
    N_TEXTS = sizeof(TEXTS) / sizeof(TEXTS[0]),
    N_NUMBERS = sizeof(NUMBERS) / sizeof(NUMBERS[0])
};

static char **text_at(struct collectors_entry *e, size_t i)
{
    return (char **)(void *)((char *)e + TEXTS[i].offset);
}

static uint64_t *number_at(struct collectors_entry *e, size_t i)
{
    return (uint64_t *)(void *)((char *)e + NUMBERS[i].offset);
}

static void save_entry(struct json_writer *w, struct collectors_entry *e)
{
    json_put_object(w);
    for (size_t i = 0; i < N_TEXTS; i++)
        json_put_kv_str(w, TEXTS[i].key, str_of(*text_at(e, i)));
    for (size_t i = 0; i < N_NUMBERS; i++)
        json_put_kv_u64(w, NUMBERS[i].key, *number_at(e, i));
    json_put_key(w, STR("incarnations"));
    json_put_array(w);
    for (size_t i = 0; i < e->n_incarnations; i++) {
        json_put_u64(w, e->incarnations[i].id);
        json_put_u64(w, e->incarnations[i].next);
    }
    json_put_array_end(w);
    json_put_object_end(w);
}

/* Take page `i` if it has changed. */
static bool take_page(struct collectors *c, size_t i, struct buf *out)
{
    struct json_writer w;
    bool dirty;

    (void)pthread_mutex_lock(&c->mutex);
    dirty = c->dirty[i];
    c->dirty[i] = false;
    if (dirty) {
        json_writer_init(&w, out);
        json_put_object(&w);
        json_put_kv_u64(&w, "v", 1);
        json_put_key(&w, STR("collectors"));
        json_put_array(&w);
        for (size_t at = i * PAGE; at < c->all.n && at < (i + 1) * PAGE; at++)
            save_entry(&w, c->all.p[at]);
        json_put_array_end(&w);
        json_put_object_end(&w);
    }
    (void)pthread_mutex_unlock(&c->mutex);
    return dirty;
}

int collectors_save(struct collectors *c, struct store *s, struct err *err)
{
    struct buf out;
    char key[16];
    int r = 0;

    OBJ_CHECK(c, COLLECTORS_MAGIC);
    buf_init(&out, PAGE_BYTES);
    (void)pthread_mutex_lock(&c->saving);
    for (size_t i = 0; r == 0 && i < PAGES; i++) {
        buf_clear(&out);
        if (!take_page(c, i, &out))
            continue;
        (void)snprintf(key, sizeof(key), "%04zu", i);
        r = buf_err(&out, "collectors", err);
        if (r == 0)
            r = store_kv_put(s, SPACE, str_of(key), buf_str(&out), err);
        if (r < 0) {
            (void)pthread_mutex_lock(&c->mutex);
            c->dirty[i] = true;
            (void)pthread_mutex_unlock(&c->mutex);
        }
    }
    (void)pthread_mutex_unlock(&c->saving);
    buf_fini(&out);
    return r;
}

/* ---- loading: our own bytes, and still checked ---- */

struct page_reader {
    struct json_reader json;
    struct arena *a;
    struct err *err;
};

static int expect(struct page_reader *r, enum json_type type, struct json_token *t)
{
    int e = json_next(&r->json, t, r->err);

    if (e < 0)
        return e;
    return t->type == type ? 0 : err_set(r->err, ERR_CORRUPT, "a saved collector is not one");
}

static int read_incarnations(struct page_reader *r, struct collectors_entry *e)
{
    uint64_t v[2 * INCARNATIONS];
    struct json_token t;
    size_t n = 0;
    int x = expect(r, JSON_ARRAY, &t);

    while (x == 0 && (x = json_next(&r->json, &t, r->err)) == 0 && t.type == JSON_NUMBER)
        if (n < 2 * INCARNATIONS && str_to_u64(t.raw, &v[n]))
            n++;
    if (x < 0)
        return x;
    for (e->n_incarnations = 0; 2 * e->n_incarnations + 1 < n; e->n_incarnations++)
        e->incarnations[e->n_incarnations] =
            (struct incarnation){v[2 * e->n_incarnations], v[2 * e->n_incarnations + 1]};
    return t.type == JSON_ARRAY_END ? 0 : err_set(r->err, ERR_CORRUPT, "incarnations are no list");
}

/* The value of `key`; one that nobody knows is passed over. */
static int read_member(struct page_reader *r, struct str key, struct collectors_entry *e)
{
    struct json_token t;
    struct str raw;
    int x;

    for (size_t i = 0; i < N_TEXTS; i++) {
        if (!str_eq(key, str_of(TEXTS[i].key)))
            continue;
        x = expect(r, JSON_STRING, &t);
        if (x == 0)
            set_text(text_at(e, i), json_text(&t, r->a));
        return x;
    }
    for (size_t i = 0; i < N_NUMBERS; i++) {
        if (!str_eq(key, str_of(NUMBERS[i].key)))
            continue;
        x = expect(r, JSON_NUMBER, &t);
        if (x == 0)
            (void)str_to_u64(t.raw, number_at(e, i)); /* else it stays 0 */
        return x;
    }
    if (str_eq(key, STR("incarnations")))
        return read_incarnations(r, e);
    return json_skip(&r->json, &raw, r->err);
}

/* The members of one object whose brace was read. */
static int read_entry(struct page_reader *r, struct collectors *c)
{
    struct collectors_entry read = {0}, *e;
    struct json_token t;
    char text[KEY_MAX];
    int x;

    for (size_t i = 0; i < N_TEXTS; i++)
        set_text(text_at(&read, i), STR(""));
    while ((x = json_next(&r->json, &t, r->err)) == 0 && t.type == JSON_KEY) {
        x = read_member(r, json_text(&t, r->a), &read);
        if (x < 0)
            break;
    }
    if (x == 0 && t.type == JSON_OBJECT_END &&
        map_get(c->by_key, key_of_entry(&read, text)) == NULL && c->all.n < COLLECTORS_MAX) {
        e = mem_new(sizeof(*e));
        *e = read;
        e->place = c->all.n;
        VEC_PUSH(&c->all, e);
        INVARIANT(map_put(c->by_key, key_of_entry(e, text), e));
        return 0;
    }
    for (size_t i = 0; i < N_TEXTS; i++)
        free(*text_at(&read, i));
    return x;
}

static int read_page(struct collectors *c, struct str text, struct err *err)
{
    struct page_reader r = {.a = arena_new(NULL, READ_ARENA), .err = err};
    struct json_token t;
    struct str raw;
    int x;

    json_reader_init(&r.json, text);
    x = expect(&r, JSON_OBJECT, &t);
    while (x == 0 && (x = json_next(&r.json, &t, err)) == 0 && t.type == JSON_KEY) {
        if (!str_eq(t.raw, STR("collectors"))) {
            x = json_skip(&r.json, &raw, err);
            continue;
        }
        x = expect(&r, JSON_ARRAY, &t);
        while (x == 0 && (x = json_next(&r.json, &t, err)) == 0 && t.type == JSON_OBJECT) {
            x = read_entry(&r, c);
            arena_reset(r.a);
        }
    }
    arena_free(&r.a);
    return x;
}

struct loading {
    struct collectors *c;
    size_t lost;
};

static int load_page(void *arg, struct str key, struct str value)
{
    struct loading *l = arg;
    struct err err;

    (void)key;
    if (read_page(l->c, value, &err) < 0)
        l->lost++;
    return 0;
}

int collectors_load(struct collectors *c, struct store *s, size_t *lost, struct err *err)
{
    struct loading l = {.c = c};
    int r;

    OBJ_CHECK(c, COLLECTORS_MAGIC);
    (void)pthread_mutex_lock(&c->mutex);
    r = store_kv_each(s, SPACE, load_page, &l, err);
    (void)pthread_mutex_unlock(&c->mutex);
    *lost = l.lost;
    return r;
}

/* ---- for people ---- */

static void put_time(struct json_writer *w, const char *key, uint64_t t)
{
    char text[TIME_TEXT_MAX];

    if (t != 0)
        json_put_kv_str(w, key, time_format_rfc3339((ts_ns)t, text));
}

static void print_entry(struct json_writer *w, const struct collectors_entry *e)
{
    char id[20];

    json_put_object(w);
    json_put_kv_str(w, "tenant", str_of(e->tenant));
    json_put_kv_str(w, "name", collectors_name(str_of(e->identity)));
    json_put_kv_str(w, "identity", str_of(e->identity));
    json_put_kv_str(w, "host", str_of(e->host));
    json_put_kv_str(w, "version", str_of(e->version));
    json_put_kv_str(w, "address", str_of(e->address));
    json_put_kv_u64(w, "connections", e->connections);
    put_time(w, "first_seen", e->first_seen);
    put_time(w, "seen", e->seen);
    put_time(w, "started", e->started);
    put_time(w, "expires", e->not_after);
    json_put_kv_u64(w, "files", e->status.files);
    json_put_kv_u64(w, "lag_bytes", e->status.lag_bytes);
    json_put_kv_u64(w, "lag_s", e->status.lag_s);
    json_put_kv_u64(w, "gaps", e->gaps + e->status.gaps);
    json_put_kv_u64(w, "gap_bytes", e->gap_bytes + e->status.gap_bytes);
    json_put_kv_u64(w, "twice_bytes", e->twice_bytes + e->status.twice_bytes);
    json_put_kv_u64(w, "restarts", e->status.restarts);
    json_put_kv_u64(w, "chunks", e->chunks);
    json_put_kv_u64(w, "duplicates", e->duplicates);
    json_put_kv_u64(w, "refused", e->refused);
    if (e->n_incarnations > 0) {
        (void)snprintf(id, sizeof(id), "%016" PRIx64, e->incarnations[e->n_incarnations - 1].id);
        json_put_kv_str(w, "incarnation", str_of(id));
    }
    json_put_object_end(w);
}

static int by_name(const void *a, const void *b)
{
    const struct collectors_entry *x = *(struct collectors_entry *const *)a;
    const struct collectors_entry *y = *(struct collectors_entry *const *)b;
    int r = strcmp(x->tenant, y->tenant);

    if (r == 0)
        r = strcmp(x->identity, y->identity);
    return r != 0 ? r : strcmp(x->host, y->host);
}

static bool is_among(const struct str *tenants, size_t n, const char *tenant)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(tenants[i], str_of(tenant)))
            return true;
    return false;
}

void collectors_print(struct collectors *c, const struct str *tenants, size_t n, struct buf *out)
{
    struct collectors_entry **sorted;
    struct json_writer w;
    size_t found = 0;

    OBJ_CHECK(c, COLLECTORS_MAGIC);
    (void)pthread_mutex_lock(&c->mutex);
    sorted = mem_new((c->all.n + 1) * sizeof(struct collectors_entry *));
    for (size_t i = 0; i < c->all.n; i++)
        if (is_among(tenants, n, c->all.p[i]->tenant))
            sorted[found++] = c->all.p[i];
    qsort(sorted, found, sizeof(struct collectors_entry *), by_name);
    json_writer_init(&w, out);
    json_put_array(&w);
    for (size_t i = 0; i < found; i++)
        print_entry(&w, sorted[i]);
    json_put_array_end(&w);
    (void)pthread_mutex_unlock(&c->mutex);
    free(sorted);
}

size_t collectors_n(struct collectors *c)
{
    size_t n;

    (void)pthread_mutex_lock(&c->mutex);
    n = c->all.n;
    (void)pthread_mutex_unlock(&c->mutex);
    return n;
}

/* ---- life ---- */

struct collectors *collectors_new(void)
{
    struct collectors *c = mem_new(sizeof(*c));

    c->magic = COLLECTORS_MAGIC;
    c->by_key = map_new(0, entry_free);        /* add_entry bounds it */
    (void)pthread_mutex_init(&c->mutex, NULL); /* cannot fail for default mutexes here */
    (void)pthread_mutex_init(&c->saving, NULL);
    return c;
}

void collectors_free(struct collectors **pc)
{
    struct collectors *c = *pc;

    if (c == NULL)
        return;
    OBJ_CHECK(c, COLLECTORS_MAGIC);
    map_free(&c->by_key);
    VEC_FINI(&c->all);
    (void)pthread_mutex_destroy(&c->mutex);
    (void)pthread_mutex_destroy(&c->saving);
    c->magic = 0;
    free(c);
    *pc = NULL;
}
