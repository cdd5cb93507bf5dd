/* storage/db.c: what SQLite says, in our words. */
#include "storage/db.h"

#include "base/fault.h"
#include "tests/lib/check.h"
#include "tests/lib/tmpdir.h"

#include <sqlite3.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char SCHEMA[] = "CREATE TABLE IF NOT EXISTS t(k BLOB PRIMARY KEY, v INTEGER)";

static char path[TMPDIR_PATH_MAX + 16];

static int open_dir(void)
{
    char dir[TMPDIR_PATH_MAX];
    int fd = tmpdir_open(dir);

    (void)snprintf(path, sizeof(path), "%s/x.db", dir);
    return fd;
}

static int put(struct db *d, struct str k, uint64_t v, struct err *err)
{
    struct sqlite3_stmt *st;
    int r = db_prepare(d, "INSERT INTO t(k, v) VALUES (?1, ?2)", &st, err);

    if (r < 0)
        return r;
    db_bind_blob(st, 1, k.p, k.n);
    db_bind_u64(st, 2, v);
    return db_step(d, st, err);
}

static int get(struct db *d, struct str k, uint64_t *ret, struct err *err)
{
    struct sqlite3_stmt *st;
    int r = db_prepare(d, "SELECT v, k FROM t WHERE k = ?1", &st, err);

    if (r < 0)
        return r;
    db_bind_blob(st, 1, k.p, k.n);
    r = db_step(d, st, err);
    if (r == 0) {
        *ret = db_column_u64(st, 0);
        assert_true(str_eq(db_column_str(st, 1), k));
        db_reset(st);
    }
    return r;
}

static void keeps_values_over_a_reopen(void **state)
{
    int dir = open_dir();
    struct db *d = NULL;
    struct stat st;
    struct err err;
    uint64_t v = 0;
    (void)state;

    assert_int_equal(db_open(path, SCHEMA, 3, &d, &err), 0);
    assert_int_equal(put(d, STR("a\0b"), UINT64_MAX, &err), 1);
    assert_int_equal(put(d, STR(""), 7, &err), 1);
    assert_int_equal(put(d, STR(""), 7, &err), ERR_EXISTS);
    db_close(&d);
    assert_null(d);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(db_open(path, SCHEMA, 3, &d, &err), 0);
    assert_int_equal(get(d, STR("a\0b"), &v, &err), 0);
    assert_true(v == UINT64_MAX);
    assert_int_equal(get(d, STR(""), &v, &err), 0);
    assert_int_equal(v, 7);
    assert_int_equal(get(d, STR("absent"), &v, &err), 1);
    db_close(&d);
    tmpdir_close(dir);
}

static void refuses_another_version(void **state)
{
    int dir = open_dir();
    struct db *d = NULL;
    struct err err;
    (void)state;

    assert_int_equal(db_open(path, SCHEMA, 2, &d, &err), 0);
    db_close(&d);
    assert_int_equal(db_open(path, SCHEMA, 1, &d, &err), ERR_INVALID);
    assert_null(d);
    tmpdir_close(dir);
}

static void refuses_what_is_no_database(void **state)
{
    int dir = open_dir();
    struct db *d = NULL;
    struct err err;
    int fd;
    (void)state;

    fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(write(fd, "not a database. ", 16), 16);
    (void)close(fd);
    assert_int_equal(db_open(path, SCHEMA, 1, &d, &err), ERR_CORRUPT);
    tmpdir_close(dir);
}

static void a_damaged_page_is_found_at_open(void **state)
{
    int dir = open_dir();
    struct db *d = NULL;
    struct err err;
    int fd;
    (void)state;

    assert_int_equal(db_open(path, SCHEMA, 1, &d, &err), 0);
    assert_int_equal(db_begin(d, &err), 0);
    for (uint64_t i = 0; i < 2000; i++) {
        char key[16];
        assert_int_equal(
            put(d, (struct str){key, (size_t)snprintf(key, 16, "key%05u", (unsigned)i)}, i, &err),
            1);
    }
    assert_int_equal(db_commit(d, &err), 0);
    db_close(&d);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    for (int page = 2; page < 8; page++)
        assert_int_equal(pwrite(fd, "\xff\xff\xff\xff\xff\xff\xff\xff", 8, page * 4096), 8);
    (void)close(fd);
    assert_int_equal(db_open(path, SCHEMA, 1, &d, &err), ERR_CORRUPT);
    tmpdir_close(dir);
}

static void a_failed_commit_leaves_nothing_and_no_transaction(void **state)
{
    int dir = open_dir();
    struct db *d = NULL;
    struct err err;
    uint64_t v;
    (void)state;

    assert_int_equal(db_open(path, SCHEMA, 1, &d, &err), 0);
    fault_start("db.commit");
    assert_true(fault_next());
    assert_int_equal(db_begin(d, &err), 0);
    assert_int_equal(put(d, STR("a"), 1, &err), 1);
    assert_int_equal(db_commit(d, &err), ERR_IO);
    assert_int_equal(err.sys, ENOSPC);
    while (fault_next()) /* disarm */
        ;
    assert_int_equal(get(d, STR("a"), &v, &err), 1);
    assert_int_equal(db_begin(d, &err), 0);
    assert_int_equal(put(d, STR("a"), 1, &err), 1);
    assert_int_equal(db_commit(d, &err), 0);
    assert_int_equal(get(d, STR("a"), &v, &err), 0);
    db_close(&d);
    tmpdir_close(dir);
}

static void a_full_database_says_no_space(void **state)
{
    int dir = open_dir();
    struct db *d = NULL;
    struct err err;
    char big[5000];
    int r = 1;
    (void)state;

    memset(big, 'x', sizeof(big));
    assert_int_equal(db_open(path, SCHEMA, 1, &d, &err), 0);
    assert_int_equal(db_exec(d, "PRAGMA max_page_count=8", &err), 0);
    for (int i = 0; r == 1 && i < 100; i++) {
        big[0] = (char)i;
        r = put(d, (struct str){big, sizeof(big)}, 1, &err);
    }
    assert_int_equal(r, ERR_IO);
    assert_int_equal(err.sys, ENOSPC);
    db_close(&d);
    tmpdir_close(dir);
}

CHECK_MAIN(cmocka_unit_test(keeps_values_over_a_reopen), cmocka_unit_test(refuses_another_version),
           cmocka_unit_test(refuses_what_is_no_database),
           cmocka_unit_test(a_damaged_page_is_found_at_open),
           cmocka_unit_test(a_failed_commit_leaves_nothing_and_no_transaction),
           cmocka_unit_test(a_full_database_says_no_space))
