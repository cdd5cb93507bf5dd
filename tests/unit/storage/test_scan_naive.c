/*
 * storage/scan.h over storage/store.h, by contract alone: whatever was appended, flushed,
 * compacted, deleted and opened again, a scan gives exactly what a walk over the records in memory
 * gives.
 *
 * LOGQ_SEEDS=N tries N worlds instead of a few (LOGQ_SEED=S: from that one on).
 * LOGQ_REAL_DATA=DIR makes records of the lines of DIR's *.log.zst, *.jsonl.zst, *.log and *.jsonl.
 */
#include "storage/scan.h"

#include "base/file.h"
#include "tests/lib/check.h"
#include "tests/lib/naive_world.h"

#include <dirent.h>

/* Under TSan, where every access costs tenfold, what matters is the threads, not the worlds. */
#ifdef __SANITIZE_THREAD__
enum { SEEDS_MIN = 3 };
#else
enum { SEEDS_MIN = 8 };
#endif
enum { SEEDS = 24, SHORT_S = 15, EDGES_MAX = 12, GROUPS_MAX = 1 << 14 };

/* What is asked besides which records. */
struct ask {
    struct naive_run *r;
    const struct naive_step *st;
    uint64_t rng;
    struct str tenants[2];
    size_t n_tenants;
    struct scan_filter f[NAIVE_FILTERS];
    struct scan_request req;
    struct mem_budget budget;
    uint32_t *want; /* records, by (ts, seq); owned */
    size_t n_want;
};

/* ---- the naive answer ---- */

static const struct naive_run *sorting; /* for qsort */

static int by_time(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    ts_ns tx = sorting->w->d.v[x].ts;
    ts_ns ty = sorting->w->d.v[y].ts;

    if (tx != ty)
        return tx < ty ? -1 : 1;
    return (sorting->seq[x] > sorting->seq[y]) - (sorting->seq[x] < sorting->seq[y]);
}

static void ask_init(struct ask *k, struct naive_run *r, const struct naive_step *st)
{
    *k = (struct ask){.r = r, .st = st, .rng = st->seed | 1};
    k->want = calloc(r->w->d.n + 1, sizeof(*k->want));
    for (size_t i = 0; i < r->w->d.n; i++)
        if (naive_alive(r, i) && naive_selects(&st->s, &r->w->d, &r->w->d.v[i]))
            k->want[k->n_want++] = (uint32_t)i;
    sorting = r;
    qsort(k->want, k->n_want, sizeof(*k->want), by_time);
    for (unsigned t = 0; t < 2; t++)
        if ((st->s.tenants >> t & 1) != 0)
            k->tenants[k->n_tenants++] = *naive_tenant(t);
    naive_scan_filters(&st->s, k->f);
    k->budget = (struct mem_budget){.name = "query", .limit = (size_t)256 << 20};
    k->req = (struct scan_request){.tenants = k->tenants,
                                   .n_tenants = k->n_tenants,
                                   .matchers = st->s.m,
                                   .n_matchers = st->s.n_m,
                                   .from = st->s.from,
                                   .to = st->s.to,
                                   .filters = k->f,
                                   .n_filters = st->s.n_f,
                                   .budget = &k->budget};
}

/* ---- records ---- */

static int wrong_record(struct ask *k, const char *what, const struct batch *b,
                        const struct record *got, const struct naive_record *want)
{
    struct buf t;

    buf_init(&t, 1 << 16);
    if (b != NULL) {
        buf_addf(&t, " got ts %lld seq %llu ", (long long)got->ts, (unsigned long long)got->seq);
        labels_format(&t, &b->streams[got->stream]);
        naive_show(&t, got->line);
    }
    if (want != NULL) {
        buf_addf(&t, " want #%zu ts %lld seq %llu ", (size_t)(want - k->r->w->d.v),
                 (long long)want->ts, (unsigned long long)k->r->seq[want - k->r->w->d.v]);
        naive_show(&t, want->line);
    }
    (void)naive_wrong(k->r, "%s:%.*s (order %d, need_line %d, need_attrs %d, batch %zu)", what,
                      STR_ARG(buf_str(&t)), (int)k->req.order, k->req.need_line, k->req.need_attrs,
                      k->req.batch_records);
    buf_fini(&t);
    return -1;
}

static int check_record(struct ask *k, const struct batch *b, const struct record *got,
                        const struct naive_record *want)
{
    const struct labels *l = &k->r->w->d.stream[want->stream];

    if (got->ts != want->ts || got->seq != k->r->seq[want - k->r->w->d.v])
        return wrong_record(k, "another record", b, got, want);
    if (!labels_equal(&b->streams[got->stream], l))
        return wrong_record(k, "labels", b, got, want);
    if (k->req.need_line && !str_eq(got->line, want->line))
        return wrong_record(k, "line", b, got, want);
    if (!k->req.need_attrs)
        return 0;
    if (got->n_attr != want->n_attr)
        return wrong_record(k, "count of attributes", b, got, want);
    for (uint32_t i = 0; i < got->n_attr; i++)
        if (!str_eq(got->attr[i].name, want->attr[i].name) ||
            !str_eq(got->attr[i].value, want->attr[i].value))
            return wrong_record(k, "attributes", b, got, want);
    return 0;
}

/* Where (ts, seq) is in k->want; n_want: nowhere. */
static size_t place_of(const struct ask *k, const struct record *got)
{
    size_t lo = 0;
    size_t hi = k->n_want;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        ts_ns ts = k->r->w->d.v[k->want[mid]].ts;
        uint64_t seq = k->r->seq[k->want[mid]];
        if (ts < got->ts || (ts == got->ts && seq < got->seq))
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static int check_batch(struct ask *k, const struct batch *b, bool *seen, size_t *n)
{
    for (uint32_t i = 0; i < b->n_records; i++) {
        const struct record *got = &b->records[i];
        size_t at = k->req.order == SCAN_FORWARD ? *n : k->n_want - 1 - *n;
        if (*n == k->n_want)
            return wrong_record(k, "one too many", b, got, NULL);
        if (k->req.order == SCAN_ANY)
            at = place_of(k, got);
        if (at >= k->n_want || seen[at])
            return wrong_record(k, "not asked for, or twice", b, got, NULL);
        if (check_record(k, b, got, &k->r->w->d.v[k->want[at]]) < 0)
            return -1;
        seen[at] = true;
        (*n)++;
    }
    if (k->req.batch_records != 0 && b->n_records > k->req.batch_records)
        return naive_wrong(k->r, "a batch of %u records", b->n_records);
    return 0;
}

static int ask_records(struct ask *k)
{
    size_t limit = naive_below(&k->rng, 3) == 0 ? naive_below(&k->rng, 50) : SIZE_MAX;
    bool *seen = calloc(k->n_want + 1, 1);
    struct scan_stats stats;
    struct scan *sc = NULL;
    struct err err;
    size_t n = 0;
    int r;

    k->req.order = (enum scan_order)naive_below(&k->rng, 3);
    k->req.need_line = naive_below(&k->rng, 4) != 0;
    k->req.need_attrs = naive_below(&k->rng, 4) != 0;
    k->req.batch_records = naive_below(&k->rng, 2) == 0 ? 1 + naive_below(&k->rng, 200) : 0;
    k->req.expect = naive_below(&k->rng, 3) == 0 ? 1 + naive_below(&k->rng, 60) : 0;
    r = scan_open(k->r->s, &k->req, &sc, &err);
    while (r == 0 && n < limit) {
        struct batch *b = NULL;
        r = scan_next(sc, &b, &err);
        if (r == 0 && check_batch(k, b, seen, &n) < 0)
            r = -1000;
        if (r != 1)
            batch_unref(&b);
    }
    if (sc != NULL)
        scan_stats(sc, &stats);
    if (r < 0 && r != -1000)
        r = naive_wrong(k->r, "scan: %s", err.text);
    if (r == 1 && n < k->n_want)
        r = wrong_record(
            k, "the first missing", NULL, NULL,
            &k->r->w->d.v[k->want[k->req.order == SCAN_BACKWARD ? k->n_want - 1 - n : n]]);
    if (r >= 0 && (stats.damaged_blocks != 0 || stats.partial[0] != '\0'))
        r = naive_wrong(k->r, "damage: %s %s", stats.damage, stats.partial);
    scan_close(&sc);
    if (r >= 0 && k->budget.used != 0)
        r = naive_wrong(k->r, "%zu bytes of the budget are not given back", k->budget.used);
    free(seen);
    return r < 0 ? -1 : 0;
}

/* ---- counts ---- */

struct group {
    struct str key; /* in the arena */
    struct scan_cells got, want;
};

struct tally {
    struct ask *k;
    struct arena *arena;
    struct scan_count c;
    ts_ns edge[EDGES_MAX];
    struct str attrs[3];
    struct group *v; /* owned */
    size_t n;
    const char *wrong;
};

static struct group *group_of(struct tally *t, const struct labels *l, const struct label *attr,
                              uint32_t n_attr)
{
    struct buf b;
    struct group *g = NULL;

    buf_init(&b, 1 << 20);
    labels_format(&b, l);
    for (uint32_t i = 0; i < n_attr; i++) {
        buf_addf(&b, "|%.*s=", STR_ARG(attr[i].name));
        quote_add(&b, attr[i].value);
    }
    for (size_t i = 0; i < t->n && g == NULL; i++)
        if (str_eq(t->v[i].key, buf_str(&b)))
            g = &t->v[i];
    if (g == NULL && t->n < GROUPS_MAX) {
        g = &t->v[t->n++];
        g->key = arena_str(t->arena, buf_str(&b));
        g->got.rows = arena_alloc(t->arena, t->c.n_edges * sizeof(uint64_t));
        g->want.rows = arena_alloc(t->arena, t->c.n_edges * sizeof(uint64_t));
        if (t->c.bytes) {
            g->got.bytes = arena_alloc(t->arena, t->c.n_edges * sizeof(uint64_t));
            g->want.bytes = arena_alloc(t->arena, t->c.n_edges * sizeof(uint64_t));
        }
    }
    buf_fini(&b);
    return g;
}

static int cells(void *arg, const struct scan_key *key, struct scan_cells **ret, struct err *err)
{
    struct tally *t = arg;
    struct group *g = group_of(t, key->stream, key->attr, key->n_attr);

    if (g == NULL)
        return err_set(err, ERR_LIMIT, "too many groups");
    *ret = &g->got;
    return 0;
}

static bool counts_attr(const struct tally *t, struct str name)
{
    bool found = t->c.all_attrs;

    for (size_t i = 0; i < t->c.n_attrs; i++)
        found = found || str_eq(t->c.attrs[i], name);
    return found;
}

static void count_naively(struct tally *t)
{
    const struct naive_data *d = &t->k->r->w->d;

    for (size_t i = 0; i < d->n; i++) {
        const struct naive_record *rec = &d->v[i];
        struct naive_select s = t->k->st->s;
        struct label attr[RECORD_ATTRS_MAX];
        struct group *g;
        uint32_t n = 0;
        size_t b = 0;
        s.from = t->edge[0];
        s.to = t->edge[t->c.n_edges - 1];
        if (!naive_alive(t->k->r, i) || !naive_selects(&s, d, rec))
            continue;
        for (uint32_t a = 0; a < rec->n_attr; a++)
            if (counts_attr(t, rec->attr[a].name))
                attr[n++] = rec->attr[a];
        while (rec->ts >= t->edge[b + 1])
            b++;
        g = group_of(t, &d->stream[rec->stream], attr, n);
        if (g == NULL) {
            t->wrong = "the test has no room for so many groups";
            return;
        }
        g->want.rows[b]++;
        if (t->c.bytes)
            g->want.bytes[b] += rec->line.n;
    }
}

static void draw_edges(struct tally *t, const struct naive_data *d, uint64_t *rng)
{
    dur_ns width = (d->to - d->from) / (dur_ns)(1 + naive_below(rng, 10)) + 1;
    ts_ns at = d->from;

    if (naive_below(rng, 2) == 0)
        at = d->v[naive_below(rng, d->n)].ts;
    if (naive_below(rng, 3) == 0) { /* whole minutes, as rollups have them */
        width = NS_PER_MIN * (1 + (dur_ns)naive_below(rng, 90));
        at -= at % NS_PER_MIN;
    }
    t->c.n_edges = 2 + naive_below(rng, EDGES_MAX - 2);
    for (size_t i = 0; i < t->c.n_edges; i++)
        t->edge[i] = at + (ts_ns)i * width;
    t->c.edge = t->edge;
}

static int check_tally(struct tally *t)
{
    for (size_t i = 0; i < t->n; i++) {
        const struct group *g = &t->v[i];
        for (size_t b = 0; b + 1 < t->c.n_edges; b++) {
            if (g->got.rows[b] != g->want.rows[b])
                return naive_wrong(
                    t->k->r, "count %.*s bucket %zu [%lld, %lld): %llu rows, not %llu",
                    STR_ARG(g->key), b, (long long)t->edge[b], (long long)t->edge[b + 1],
                    (unsigned long long)g->got.rows[b], (unsigned long long)g->want.rows[b]);
            if (t->c.bytes && g->got.bytes[b] != g->want.bytes[b])
                return naive_wrong(t->k->r, "count %.*s bucket %zu: %llu bytes, not %llu",
                                   STR_ARG(g->key), b, (unsigned long long)g->got.bytes[b],
                                   (unsigned long long)g->want.bytes[b]);
        }
    }
    return 0;
}

static int ask_counts(struct ask *k)
{
    static const char *const ATTRS[] = {"detected_level", "code", "app", "trace_id", "key_7"};
    struct tally t = {.k = k, .arena = arena_new(NULL, 0), .c = {.req = k->req, .arg = &t}};
    struct scan_stats stats;
    struct err err;
    int r;

    t.v = calloc(GROUPS_MAX, sizeof(*t.v));
    t.c.cells = cells;
    t.c.bytes = naive_below(&k->rng, 2) == 0;
    t.c.all_attrs = naive_below(&k->rng, 8) == 0;
    t.c.n_attrs = t.c.all_attrs ? 0 : naive_below(&k->rng, 3);
    for (size_t i = 0; i < t.c.n_attrs; i++)
        t.attrs[i] = str_of(ATTRS[(i == 0 ? 0 : 3) + naive_below(&k->rng, i == 0 ? 3 : 2)]);
    t.c.attrs = t.attrs;
    draw_edges(&t, &k->r->w->d, &k->rng);
    r = scan_count(k->r->s, &t.c, &stats, &err);
    if (r < 0)
        r = naive_wrong(k->r, "scan_count: %s", err.text);
    else if (stats.damaged_blocks != 0)
        r = naive_wrong(k->r, "damage: %s", stats.damage);
    else if (r == 0) {
        count_naively(&t);
        r = t.wrong != NULL ? naive_wrong(k->r, "%s", t.wrong) : check_tally(&t);
    }
    arena_free(&t.arena);
    free(t.v);
    return r < 0 ? -1 : 0;
}

/* ---- streams, patterns ---- */

struct streams {
    const struct naive_data *d;
    bool *told;
    bool unknown;
};

static int add_stream(void *arg, const struct labels *l)
{
    struct streams *s = arg;
    bool known = false;

    for (uint32_t i = 0; i < s->d->n_streams; i++) {
        if (!labels_equal(&s->d->stream[i], l))
            continue;
        known = true;
        s->told[i] = true;
    }
    s->unknown = s->unknown || !known;
    return 0;
}

static int ask_streams(struct ask *k)
{
    const struct naive_data *d = &k->r->w->d;
    struct streams s = {.d = d, .told = calloc(d->n_streams, 1)};
    struct naive_select sel = k->st->s;
    struct err err;
    int r;

    sel.n_f = 0;
    k->req.n_filters = 0;
    r = scan_streams(k->r->s, &k->req, add_stream, &s, &err);
    if (r < 0)
        (void)naive_wrong(k->r, "scan_streams: %s", err.text);
    if (r >= 0 && s.unknown)
        r = naive_wrong(k->r, "a stream that nobody sent");
    for (size_t i = 0; r >= 0 && i < d->n; i++)
        if (naive_alive(k->r, i) && naive_selects(&sel, d, &d->v[i]) && !s.told[d->v[i].stream])
            r = naive_wrong(k->r, "stream of record #%zu is missing", i);
    for (uint32_t i = 0; r >= 0 && i < d->n_streams; i++)
        if (s.told[i] && !matchers_match(sel.m, sel.n_m, &d->stream[i]))
            r = naive_wrong(k->r, "stream %u does not match", i);
    free(s.told);
    return r;
}

struct sums {
    size_t n_buckets;
    uint64_t rows;
};

static int add_pattern(void *arg, struct str text, struct str level, const uint64_t *rows)
{
    struct sums *s = arg;

    (void)text;
    (void)level;
    for (size_t i = 0; i < s->n_buckets; i++)
        s->rows += rows[i];
    return 0;
}

static int ask_patterns(struct ask *k)
{
    struct tally t = {.k = k};
    struct sums sums = {.rows = 0};
    struct scan_patterns p = {.req = k->req, .pattern = add_pattern, .arg = &sums};
    struct naive_select sel = k->st->s;
    struct scan_stats stats;
    uint64_t left_out = 0;
    uint64_t want = 0;
    struct err err;

    p.req.n_filters = 0;
    sel.n_f = 0;
    draw_edges(&t, &k->r->w->d, &k->rng);
    p.edge = t.edge;
    p.n_edges = t.c.n_edges;
    sums.n_buckets = t.c.n_edges - 1;
    sel.from = t.edge[0];
    sel.to = t.edge[t.c.n_edges - 1];
    for (size_t i = 0; i < k->r->w->d.n; i++)
        want += naive_alive(k->r, i) && naive_selects(&sel, &k->r->w->d, &k->r->w->d.v[i]);
    if (scan_patterns(k->r->s, &p, &left_out, &stats, &err) < 0)
        return naive_wrong(k->r, "scan_patterns: %s", err.text);
    if (sums.rows + left_out != want)
        return naive_wrong(k->r, "patterns of %llu rows and %llu left out, but there are %llu",
                           (unsigned long long)sums.rows, (unsigned long long)left_out,
                           (unsigned long long)want);
    return 0;
}

static int ask(struct naive_run *r, struct naive_step *st)
{
    struct ask k;
    int e;

    ask_init(&k, r, st);
    switch (naive_below(&k.rng, 12)) {
    case 0:
    case 1:
    case 2:
        e = ask_counts(&k);
        break;
    case 3:
        e = ask_streams(&k);
        break;
    case 4:
        e = ask_patterns(&k);
        break;
    default:
        e = ask_records(&k);
    }
    free(k.want);
    return e;
}

/* ---- worlds ---- */

static uint64_t number_of(const char *variable, uint64_t otherwise)
{
    const char *z = getenv(variable);
    uint64_t n = otherwise;

    if (z != NULL && !str_to_u64(str_of(z), &n))
        fail_msg("%s=%s is no number", variable, z);
    return n;
}

/* Most are small, so that much happens at the borders; one in eight has blocks of some size. */
static size_t records_of(uint64_t seed)
{
    static const size_t N[] = {12, 2500, 60, 600, 200, 12000, 1200, 400};

    return N[seed % 8];
}

static void scans_give_what_a_walk_over_all_records_gives(void **state)
{
    uint64_t first = number_of("LOGQ_SEED", 1);
    uint64_t seeds = number_of("LOGQ_SEEDS", getenv("LOGQ_SEED") != NULL ? 1 : 0);
    dur_ns end = time_mono() + SHORT_S * NS_PER_S;
    unsigned failed = 0;
    uint64_t done = 0;
    (void)state;

    naive_off_disk();
    for (; seeds != 0 ? done < seeds : done < SEEDS && (done < SEEDS_MIN || time_mono() < end);
         done++) {
        struct naive_plan plan = {.records = records_of(first + done), .asks = 120};
        failed += naive_check(first + done, &plan, ask) ? 0 : 1;
        if (seeds == 0 && failed != 0)
            break;
    }
    print_message("%llu worlds\n", (unsigned long long)done);
    if (failed != 0)
        fail_msg("%u worlds failed", failed);
}

/* ---- real lines ---- */

enum { REAL_LINES = 4000, REAL_WORLDS = 3, REAL_BYTES = 512 << 20 };

/* All of a file, unpacked. */
static void read_file(const char *dir, const char *name, struct buf *ret)
{
    char command[1024];
    FILE *f;
    size_t n = 1;

    (void)snprintf(command, sizeof(command), "zstd -dcfq -- '%s/%s'", dir, name);
    f = popen(command, "r");
    assert_non_null(f);
    while (n > 0) {
        char *room = buf_room(ret, 1 << 16);
        assert_non_null(room);
        n = fread(room, 1, 1 << 16, f);
        ret->n += n;
    }
    if (pclose(f) != 0)
        fail_msg("%s: zstd cannot unpack it", name);
}

static bool check_file(struct str text, uint64_t seed)
{
    struct str *line = calloc(REAL_LINES, sizeof(*line));
    struct naive_plan plan = {.records = REAL_LINES, .asks = 150, .text = line};
    uint64_t rng = seed | 1;
    bool ok = true;

    for (unsigned i = 0; i < REAL_WORLDS; i++) {
        struct str rest = str_from(text, i == 0 ? 0 : naive_below(&rng, text.n));
        for (plan.n_text = 0; plan.n_text < REAL_LINES && rest.n > 0; plan.n_text++)
            line[plan.n_text] = str_sub(str_cut(&rest, '\n'), 0, RECORD_LINE_MAX);
        plan.records = plan.n_text;
        ok = (plan.n_text == 0 || naive_check(seed + i, &plan, ask)) && ok;
    }
    free(line);
    return ok;
}

static void the_same_with_real_lines(void **state)
{
    const char *dir = getenv("LOGQ_REAL_DATA");
    DIR *d = dir == NULL ? NULL : opendir(dir);
    unsigned files = 0;
    unsigned failed = 0;
    const struct dirent *e;
    (void)state;

    if (dir == NULL) {
        print_message("LOGQ_REAL_DATA names no directory of log files: not tried\n");
        skip();
    }
    assert_non_null(d);
    naive_off_disk();
    while ((e = readdir(d)) != NULL) {
        struct buf b;
        if (strstr(e->d_name, ".log") == NULL && strstr(e->d_name, ".jsonl") == NULL)
            continue;
        buf_init(&b, REAL_BYTES);
        read_file(dir, e->d_name, &b);
        print_message("%s: %zu bytes\n", e->d_name, b.n);
        failed += check_file(buf_str(&b), number_of("LOGQ_SEED", 1) + 1000 * files) ? 0 : 1;
        files++;
        buf_fini(&b);
    }
    (void)closedir(d);
    assert_true(files > 0);
    assert_int_equal(failed, 0);
}

CHECK_MAIN(cmocka_unit_test(scans_give_what_a_walk_over_all_records_gives),
           cmocka_unit_test(the_same_with_real_lines))
