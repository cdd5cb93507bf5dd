/* storage/objstore.h is a seam: what a store does with files it does with objects in memory, and
 * both kinds keep the same contract. */
#include "tests/unit/storage/memstore.h"

#include "storage/store.h"
#include "tests/lib/feed.h"

#include <unistd.h>

/* ---- the contract ---- */

static int count_name(void *arg, const char *name, struct err *err)
{
    (void)name;
    (void)err;
    (*(unsigned *)arg)++;
    return 0;
}

static unsigned count(struct objstore *os)
{
    struct err err;
    unsigned n = 0;

    assert_int_equal(objstore_list(os, count_name, &n, &err), 0);
    return n;
}

static void write_object(struct objstore *os, const char *name, const char *text, bool publish)
{
    struct objstore_put *put = NULL;
    struct err err;

    assert_int_equal(objstore_put(os, name, &put, &err), 0);
    assert_int_equal(objstore_append(put, text, 2, &err), 0);
    assert_int_equal(objstore_append(put, text + 2, strlen(text) - 2, &err), 0);
    assert_int_equal(objstore_put_size(put), strlen(text));
    if (publish)
        assert_int_equal(objstore_publish(put, &err), 0);
    objstore_discard(&put);
}

static void check_contract(struct objstore *os)
{
    struct objstore_object *o = NULL;
    struct objstore_put *put = NULL;
    char got[8] = "";
    struct err err;

    assert_int_equal(count(os), 0);
    write_object(os, "half.lqs", "never there", false);
    assert_int_equal(objstore_open(os, "half.lqs", &o, &err), ERR_GONE);
    write_object(os, "one.lqs", "0123456789", true);
    assert_int_equal(count(os), 1);
    assert_int_equal(objstore_put(os, "one.lqs", &put, &err), ERR_EXISTS);
    assert_int_equal(objstore_put(os, "../up", &put, &err), ERR_INVALID);
    assert_int_equal(objstore_open(os, "one.lqs", &o, &err), 0);
    assert_int_equal(objstore_size(o), 10);
    assert_int_equal(objstore_read(o, 3, got, 4, &err), 0);
    assert_memory_equal(got, "3456", 4);
    assert_int_equal(objstore_read(o, 8, got, 4, &err), ERR_CORRUPT);
    assert_int_equal(objstore_delete(os, "one.lqs", &err), 0);
    assert_int_equal(objstore_delete(os, "one.lqs", &err), 0);
    assert_int_equal(count(os), 0);
    assert_int_equal(objstore_read(o, 0, got, 4, &err), 0); /* whoever has it goes on reading */
    assert_memory_equal(got, "0123", 4);
    objstore_close(&o);
}

static void both_kinds_keep_the_contract(void **state)
{
    char path[TMPDIR_PATH_MAX];
    int dir = tmpdir_open(path);
    struct memstore *m = memstore_new();
    struct objstore *os = NULL;
    struct err err;
    (void)state;

    assert_int_equal(objstore_fs_open(dir, &os, &err), 0);
    check_contract(os);
    objstore_free(&os);
    assert_int_equal(memstore_open(m, 1, 2, &os, &err), 0);
    check_contract(os);
    objstore_free(&os);
    memstore_free(m);
    tmpdir_close(dir);
}

/* ---- a store on it ---- */

struct world {
    struct feed f;
    struct memstore *m;
};

static void init(struct world *w)
{
    w->m = memstore_new();
    feed_init(&w->f);
    w->f.opt.objects = memstore_open;
    w->f.opt.objects_arg = w->m;
    w->f.opt.retention = 2 * NS_PER_DAY;
    time_set(FEED_DAY + NS_PER_H);
    feed_open(&w->f);
}

static void fini(struct world *w)
{
    feed_fini(&w->f);
    memstore_free(w->m);
    time_unset();
}

static void put(struct world *w, int day, const char *app, const char *line)
{
    char text[128];

    (void)snprintf(text, sizeof(text), "R %lld %s %s\n",
                   (long long)(FEED_DAY + day * NS_PER_DAY + NS_PER_MIN), app, line);
    assert_int_equal(feed_put(&w->f, "t", text), STORE_STORED);
}

static void flush(struct world *w)
{
    struct err err;

    if (store_flush(w->f.s, &err) != 0)
        fail_msg("flush: %s", err.text);
}

static int note_file(void *arg, int dir_fd, const char *name, struct err *err)
{
    int fd = -1;

    if (strstr(name, ".lqs") != NULL)
        (*(unsigned *)arg)++;
    else if (file_open_dir(dir_fd, name, &fd, err) == 0) {
        (void)file_walk(fd, note_file, arg, err);
        (void)close(fd);
    }
    return 0;
}

static void a_store_keeps_its_segments_where_it_is_told(void **state)
{
    struct world w;
    struct err err;
    unsigned files = 0;
    int fd = -1;
    (void)state;

    init(&w);
    put(&w, -1, "a", "one");
    flush(&w);
    put(&w, 0, "b", "two");
    flush(&w);
    feed_check(&w.f, "t", "one\ntwo\n");
    assert_int_equal(memstore_count(w.m), 2);
    assert_int_equal(file_open_dir(w.f.dir, "data/tenants", &fd, &err), 0);
    assert_int_equal(file_walk(fd, note_file, &files, &err), 0);
    (void)close(fd);
    assert_int_equal(files, 0);
    feed_reopen(&w.f);
    feed_check(&w.f, "t", "one\ntwo\n");
    fini(&w);
}

static void a_lost_catalog_is_made_again_from_them(void **state)
{
    char command[TMPDIR_PATH_MAX + 64];
    struct world w;
    (void)state;

    init(&w);
    put(&w, 0, "a", "one");
    flush(&w);
    put(&w, 0, "b", "two");
    store_close(&w.f.s);
    (void)snprintf(command, sizeof(command), "rm '%s'/tenants/*/*/catalog.db*", w.f.data);
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
    assert_int_equal(system(command), 0);
    feed_open(&w.f);
    feed_check(&w.f, "t", "one\ntwo\n");
    fini(&w);
}

static void compaction_and_deletes_work_on_them(void **state)
{
    struct world w;
    struct matcher m;
    struct store_delete d = {.query = STR_INIT("{app=\"b\"}"),
                             .matchers = &m,
                             .n_matchers = 1,
                             .from = 0,
                             .to = INT64_MAX};
    struct err err;
    (void)state;

    init(&w);
    for (int i = 0; i < 5; i++) {
        put(&w, 0, i % 2 == 0 ? "a" : "b", i % 2 == 0 ? "kept" : "deleted");
        flush(&w);
    }
    assert_int_equal(memstore_count(w.m), 5);
    assert_int_equal(store_compact(w.f.s, &err), 0);
    assert_int_equal(memstore_count(w.m), 1);
    feed_check(&w.f, "t", "kept\ndeleted\nkept\ndeleted\nkept\n");
    assert_int_equal(matcher_init(&m, MATCH_EQ, STR("app"), STR("b"), &err), 0);
    assert_int_equal(store_delete_add(w.f.s, STR("t"), &d, &err), 0);
    time_set(time_now() + STORE_DELETE_GRACE);
    assert_int_equal(store_retire(w.f.s, time_now(), &err), 0);
    assert_int_equal(store_compact(w.f.s, &err), 0);
    assert_int_equal(store_retire(w.f.s, time_now(), &err), 0);
    feed_check(&w.f, "t", "kept\nkept\nkept\n");
    feed_reopen(&w.f);
    feed_check(&w.f, "t", "kept\nkept\nkept\n");
    assert_int_equal(memstore_count(w.m), 1);
    matcher_fini(&m);
    fini(&w);
}

/* A copy of every object; put_back puts in those that are not there any more. */
static struct memstore *copy_all(struct memstore *m)
{
    struct memstore *copy = memstore_new();

    for (const struct memstore_blob *b = m->first; b != NULL; b = b->next) {
        struct memstore_blob *own = mem_new(sizeof(*own));
        *own = *b;
        own->bytes = mem_dup(b->bytes, (size_t)b->size);
        own->refs = 1;
        own->next = copy->first;
        copy->first = own;
    }
    return copy;
}

static void put_back(struct memstore *m, struct memstore *copy)
{
    struct memstore_blob *b;

    while ((b = copy->first) != NULL) {
        bool found = false;
        copy->first = b->next;
        for (const struct memstore_blob *k = m->first; k != NULL && !found; k = k->next)
            found = strcmp(k->name, b->name) == 0;
        b->next = m->first;
        if (found)
            memstore_drop(b);
        else
            m->first = b;
    }
    memstore_free(copy);
}

/* The file from before a delete, still there when the catalog is lost, is not the one to believe;
 * which of the two has the lower uuid is chance, so there are many. */
static void a_lost_catalog_brings_no_deleted_record_back(void **state)
{
    enum { DAYS = 8 };
    char command[TMPDIR_PATH_MAX + 64];
    struct memstore *before;
    struct world w;
    struct matcher m;
    struct store_delete d = {.query = STR_INIT("{app=\"b\"}"),
                             .matchers = &m,
                             .n_matchers = 1,
                             .from = 0,
                             .to = INT64_MAX};
    struct err err;
    (void)state;

    init(&w);
    store_close(&w.f.s);
    w.f.opt.retention = 0;
    w.f.opt.no_compaction = true;
    feed_open(&w.f);
    for (int i = 0; i < DAYS; i++) {
        put(&w, -i, "a", "kept");
        put(&w, -i, "b", "deleted");
    }
    flush(&w);
    assert_int_equal(matcher_init(&m, MATCH_EQ, STR("app"), STR("b"), &err), 0);
    assert_int_equal(store_delete_add(w.f.s, STR("t"), &d, &err), 0);
    time_set(time_now() + STORE_DELETE_GRACE);
    assert_int_equal(store_retire(w.f.s, time_now(), &err), 0);
    before = copy_all(w.m);
    assert_int_equal(store_compact(w.f.s, &err), 0);
    assert_int_equal(store_retire(w.f.s, time_now(), &err), 0);
    store_close(&w.f.s);
    put_back(w.m, before);
    assert_int_equal(memstore_count(w.m), 2 * DAYS);
    (void)snprintf(command, sizeof(command), "rm '%s'/tenants/*/*/catalog.db*", w.f.data);
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
    assert_int_equal(system(command), 0);
    feed_open(&w.f);
    feed_check(&w.f, "t", "kept\nkept\nkept\nkept\nkept\nkept\nkept\nkept\n");
    matcher_fini(&m);
    fini(&w);
}

static void retention_removes_them(void **state)
{
    struct world w;
    struct err err;
    (void)state;

    init(&w);
    put(&w, 0, "a", "one");
    flush(&w);
    put(&w, 5, "a", "kept");
    flush(&w);
    assert_int_equal(store_retire(w.f.s, FEED_DAY + 4 * NS_PER_DAY, &err), 0);
    assert_int_equal(memstore_count(w.m), 1);
    feed_check(&w.f, "t", "kept\n");
    fini(&w);
}

CHECK_MAIN(cmocka_unit_test(both_kinds_keep_the_contract),
           cmocka_unit_test(a_store_keeps_its_segments_where_it_is_told),
           cmocka_unit_test(a_lost_catalog_is_made_again_from_them),
           cmocka_unit_test(compaction_and_deletes_work_on_them),
           cmocka_unit_test(a_lost_catalog_brings_no_deleted_record_back),
           cmocka_unit_test(retention_removes_them))
