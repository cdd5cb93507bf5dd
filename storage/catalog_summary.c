/* storage/catalog_summary.c - see catalog_summary.h. */
#include "storage/catalog_summary.h"

#include "base/mem.h"
#include "base/obj.h"
#include "storage/catalog_blob.h"
#include "storage/catalog_index.h"
#include "storage/catalog_internal.h"
#include "storage/catalog_run.h"
#include "storage/varint.h"

#include <stdlib.h>

enum {
    VERSION = 1,
    NAMES_MAX = 256,
    VALUES_MAX = 64,        /* of one name; more are too many */
    NAME_BYTES = 4 << 10,   /* of the values of one name */
    TOTAL_BYTES = 24 << 10, /* from here on names come without values */
    KEY_MAX = 1 << 24,
};

static void put_text(struct buf *b, struct str s)
{
    varint_put(b, s.n);
    buf_add_str(b, s);
}

static bool get_text(struct str *in, struct str *ret)
{
    uint64_t n;

    if (!varint_get(in, &n) || n > in->n)
        return false;
    *ret = str_sub(*in, 0, (size_t)n);
    *in = str_from(*in, (size_t)n);
    return true;
}

/* ---- making ---- */

struct maker {
    struct buf out;  /* of the names so far, without their count */
    struct buf name; /* the one being gathered */
    struct buf values, last;
    size_t n_values, n_names;
    bool open, many;
};

static void end_name(struct maker *m)
{
    if (!m->open)
        return;
    m->many = m->many || m->out.n + m->values.n > TOTAL_BYTES;
    put_text(&m->out, buf_str(&m->name));
    varint_put(&m->out, m->many ? 0 : m->n_values);
    if (!m->many)
        buf_add_str(&m->out, buf_str(&m->values));
    m->n_names++;
    m->open = false;
}

/* A pair, in order; true: no more values of this name are wanted. */
static bool add_pair(struct maker *m, struct str name, struct str value)
{
    if (!m->open || !str_eq(buf_str(&m->name), name)) {
        end_name(m);
        buf_clear(&m->name);
        buf_add_str(&m->name, name);
        buf_clear(&m->values);
        buf_clear(&m->last);
        m->n_values = 0;
        m->many = false;
        m->open = true;
    } else if (str_eq(buf_str(&m->last), value)) {
        return false; /* from another run */
    }
    put_text(&m->values, value);
    buf_clear(&m->last);
    buf_add_str(&m->last, value);
    m->many = ++m->n_values > VALUES_MAX || m->values.n > NAME_BYTES;
    return m->many;
}

static int gather(struct maker *m, struct catalog_runs *rs, struct err *err)
{
    struct buf key;
    int r;

    buf_init(&key, KEY_MAX);
    r = catalog_runs_seek(rs, STR(""), err);
    while (r == 0 && rs->at != SIZE_MAX && m->n_names <= NAMES_MAX) {
        struct str have = rs->cur[rs->at].key;
        size_t nul = str_find_char(have, '\0');
        if (nul == SIZE_MAX) {
            r = err_set(err, ERR_CORRUPT, "catalog: key of the index");
            break;
        }
        if (!add_pair(m, str_sub(have, 0, nul), str_from(have, nul + 1))) {
            r = catalog_runs_next(rs, err);
            continue;
        }
        buf_clear(&key);
        buf_add_str(&key, str_sub(have, 0, nul));
        buf_add_char(&key, '\1'); /* behind all of its values */
        r = catalog_runs_seek(rs, buf_str(&key), err);
    }
    end_name(m);
    buf_fini(&key);
    return r;
}

static int seal(struct catalog *c, struct maker *m, struct buf *ret, struct err *err)
{
    struct buf plain, sealed;
    int r;

    buf_init(&plain, CATALOG_BLOB_MAX);
    buf_init(&sealed, CATALOG_BLOB_MAX);
    buf_add_char(&plain, VERSION);
    varint_put(&plain, m->n_names);
    buf_add_str(&plain, buf_str(&m->out));
    r = buf_err(&plain, "labels of a partition", err);
    if (r == 0)
        r = catalog_blob_seal(c->labels, (struct catalog_blob_id){CATALOG_SUMMARY, 0},
                              buf_str(&plain), &sealed, err);
    if (r == 0)
        buf_add_str(ret, buf_str(&sealed));
    buf_fini(&plain);
    buf_fini(&sealed);
    return r;
}

int catalog_summary(struct catalog *c, struct buf *ret, struct err *err)
{
    struct catalog_run runs[CATALOG_RUNS_MAX];
    struct catalog_runs *rs = mem_new(sizeof(*rs));
    struct maker m = {.n_names = 0};
    size_t n = 0;
    int r;

    OBJ_CHECK(c, CATALOG_MAGIC);
    buf_init(&m.out, CATALOG_BLOB_MAX);
    buf_init(&m.name, KEY_MAX);
    buf_init(&m.values, CATALOG_BLOB_MAX);
    buf_init(&m.last, KEY_MAX);
    r = catalog_run_list(c, runs, &n, err);
    if (r == 0)
        r = catalog_runs_open(rs, c, runs, n, err);
    if (r == 0)
        r = gather(&m, rs, err);
    if (r == 0 && m.n_names <= NAMES_MAX && m.out.n <= 4 * (size_t)TOTAL_BYTES)
        r = seal(c, &m, ret, err);
    catalog_runs_close(rs);
    free(rs);
    buf_fini(&m.out);
    buf_fini(&m.name);
    buf_fini(&m.values);
    buf_fini(&m.last);
    return r;
}

/* ---- asking ---- */

int catalog_summary_open(const uint8_t key[CRYPT_KEY], struct str sealed, struct arena *a,
                         struct str *ret, struct err *err)
{
    uint8_t labels_key[CRYPT_KEY];
    struct crypt *c;
    int r;

    catalog_labels_key(key, labels_key);
    c = crypt_new(labels_key);
    crypt_wipe(labels_key, sizeof(labels_key));
    r = catalog_blob_open(c, (struct catalog_blob_id){CATALOG_SUMMARY, 0}, sealed, a, ret, err);
    crypt_free(&c);
    return r;
}

/* The values of `name` as bytes, and how many; *n == 0: too many to tell.  1: there is no such
 * name; < 0: damage. */
static int find_name(struct str in, struct str name, struct str *values, uint64_t *n)
{
    uint64_t names;

    if (in.n == 0 || in.p[0] != VERSION)
        return -1;
    in = str_from(in, 1);
    if (!varint_get(&in, &names))
        return -1;
    for (; names > 0; names--) {
        struct str have, value;
        uint64_t k;
        if (!get_text(&in, &have) || !varint_get(&in, &k))
            return -1;
        if (str_eq(have, name)) {
            *values = in;
            *n = k;
            return 0;
        }
        for (; k > 0; k--)
            if (!get_text(&in, &value))
                return -1;
    }
    return 1;
}

static bool may_match(struct str summary, const struct matcher *m)
{
    struct str values, value;
    uint64_t n;
    int r;

    if (matcher_matches(m, STR("")))
        return true; /* by a stream that does not have it */
    r = find_name(summary, m->name, &values, &n);
    if (r != 0)
        return r < 0;
    if (n == 0)
        return true;
    for (; n > 0; n--)
        if (!get_text(&values, &value) || matcher_matches(m, value))
            return true;
    return false;
}

bool catalog_summary_may_match(struct str summary, const struct matcher *matchers, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!may_match(summary, &matchers[i]))
            return false;
    return true;
}

static int each_name(struct str in, catalog_summary_fn *fn, void *arg)
{
    uint64_t names;
    int r = 0;

    if (in.n == 0 || in.p[0] != VERSION)
        return 1;
    in = str_from(in, 1);
    if (!varint_get(&in, &names))
        return 1;
    for (; r == 0 && names > 0; names--) {
        struct str have, value;
        uint64_t k;
        if (!get_text(&in, &have) || !varint_get(&in, &k))
            return 1;
        for (; k > 0; k--)
            if (!get_text(&in, &value))
                return 1;
        r = fn(arg, have);
    }
    return r;
}

int catalog_summary_each(struct str summary, struct str name, catalog_summary_fn *fn, void *arg)
{
    struct str values, value;
    uint64_t n = 0;
    int r;

    if (name.n == 0)
        return each_name(summary, fn, arg);
    r = find_name(summary, name, &values, &n);
    if (r != 0)
        return r < 0;
    if (n == 0)
        return 1;
    for (; r == 0 && n > 0; n--) {
        if (!get_text(&values, &value))
            return 1;
        r = fn(arg, value);
    }
    return r;
}
