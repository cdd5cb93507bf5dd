/* storage/keyring.c: the right key opens, the wrong one is denied, a shredded one is gone. */
#include "storage/keyring.h"

#include "base/buf.h"
#include "base/fault.h"
#include "base/file.h"
#include "storage/crypt.h"
#include "storage/db.h"
#include "tests/lib/check.h"
#include "tests/lib/tmpdir.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static char db[TMPDIR_PATH_MAX + 16], master[TMPDIR_PATH_MAX + 16], other[TMPDIR_PATH_MAX + 16];

static int open_dir(void)
{
    char dir[TMPDIR_PATH_MAX];
    struct err err;
    int fd = tmpdir_open(dir);

    (void)snprintf(db, sizeof(db), "%s/keyring.db", dir);
    (void)snprintf(master, sizeof(master), "%s/master.key", dir);
    (void)snprintf(other, sizeof(other), "%s/other.key", dir);
    assert_int_equal(keyring_make_master(master, &err), 0);
    assert_int_equal(keyring_make_master(other, &err), 0);
    return fd;
}

static void a_master_key_is_made_once_and_private(void **state)
{
    int dir = open_dir();
    struct stat st;
    struct err err;
    (void)state;

    assert_int_equal(stat(master, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(st.st_size, KEY_BYTES);
    assert_int_equal(keyring_make_master(master, &err), ERR_EXISTS);
    tmpdir_close(dir);
}

static void keys_are_the_same_after_a_reopen(void **state)
{
    int dir = open_dir();
    struct keyring *k = NULL;
    uint8_t wal[KEY_BYTES], a[KEY_BYTES], b[KEY_BYTES], c[KEY_BYTES], back[KEY_BYTES];
    struct err err;
    (void)state;

    assert_int_equal(keyring_open(db, master, &k, &err), 0);
    assert_int_equal(keyring_partition(k, 7, 20260101, 0, a, &err), ERR_GONE);
    assert_int_equal(keyring_partition(k, 7, 20260101, 1, a, &err), 0);
    assert_int_equal(keyring_partition(k, 7, 20260102, 1, b, &err), 0);
    assert_int_equal(keyring_partition(k, UINT64_MAX, 20260101, 1, c, &err), 0);
    assert_memory_not_equal(a, b, KEY_BYTES);
    assert_memory_not_equal(a, c, KEY_BYTES);
    assert_int_equal(keyring_wal(k, wal, &err), 0);
    keyring_close(&k);
    assert_int_equal(keyring_open(db, master, &k, &err), 0);
    assert_int_equal(keyring_partition(k, 7, 20260101, 0, back, &err), 0);
    assert_memory_equal(back, a, KEY_BYTES);
    assert_int_equal(keyring_partition(k, UINT64_MAX, 20260101, 1, back, &err), 0);
    assert_memory_equal(back, c, KEY_BYTES);
    assert_int_equal(keyring_wal(k, back, &err), 0);
    assert_memory_equal(back, wal, KEY_BYTES);
    keyring_close(&k);
    tmpdir_close(dir);
}

static void the_wrong_master_key_is_denied(void **state)
{
    int dir = open_dir();
    struct keyring *k = NULL;
    struct err err;
    (void)state;

    assert_int_equal(keyring_open(db, master, &k, &err), 0);
    keyring_close(&k);
    assert_int_equal(keyring_open(db, other, &k, &err), ERR_DENIED);
    assert_null(k);
    assert_int_equal(keyring_open(db, master, &k, &err), 0);
    keyring_close(&k);
    tmpdir_close(dir);
}

static void a_key_file_open_to_others_or_short_is_refused(void **state)
{
    int dir = open_dir();
    struct keyring *k = NULL;
    struct err err;
    (void)state;

    assert_int_equal(chmod(master, 0640), 0);
    assert_int_equal(keyring_open(db, master, &k, &err), ERR_INVALID);
    assert_int_equal(file_replace(dir, "other.key", 0600, STR("too short"), &err), 0);
    assert_int_equal(keyring_open(db, other, &k, &err), ERR_INVALID);
    tmpdir_close(dir);
}

/* Is `needle` anywhere in the keyring's files? */
static bool on_disk(int dir, struct str needle)
{
    static const char *const FILES[] = {"keyring.db", "keyring.db-wal"};
    bool found = false;

    for (size_t i = 0; i < 2; i++) {
        struct buf b;
        struct err err;
        buf_init(&b, 1 << 24);
        if (tmpdir_has(dir, FILES[i])) {
            assert_int_equal(file_read(dir, FILES[i], &b, &err), 0);
            found = found || str_find(buf_str(&b), needle) != SIZE_MAX;
        }
        buf_fini(&b);
    }
    return found;
}

/* The wrapped key of the only partition. */
static void find_wrapped(char ret[CRYPT_WRAPPED])
{
    struct sqlite3_stmt *st;
    struct db *d = NULL;
    struct err err;

    assert_int_equal(db_open(db, "", 1, &d, &err), 0);
    assert_int_equal(db_prepare(d, "SELECT wrapped FROM partition_key", &st, &err), 0);
    assert_int_equal(db_step(d, st, &err), 0);
    assert_int_equal(db_column_str(st, 0).n, CRYPT_WRAPPED);
    memcpy(ret, db_column_str(st, 0).p, CRYPT_WRAPPED);
    db_reset(st);
    db_close(&d);
}

static void a_shredded_key_is_gone_from_the_files_too(void **state)
{
    int dir = open_dir();
    struct keyring *k = NULL;
    char wrapped[CRYPT_WRAPPED];
    uint8_t a[KEY_BYTES], b[KEY_BYTES];
    struct err err;
    (void)state;

    assert_int_equal(keyring_open(db, master, &k, &err), 0);
    assert_int_equal(keyring_partition(k, 7, 20260102, 1, a, &err), 0);
    find_wrapped(wrapped);
    assert_true(on_disk(dir, (struct str){wrapped, sizeof(wrapped)}));
    assert_int_equal(keyring_shred_partition(k, 7, 20260102, &err), 0);
    assert_false(on_disk(dir, (struct str){wrapped, sizeof(wrapped)}));
    assert_int_equal(keyring_partition(k, 7, 20260102, 0, b, &err), ERR_GONE);
    assert_int_equal(keyring_partition(k, 7, 20260102, 1, b, &err), 0);
    assert_memory_not_equal(a, b, KEY_BYTES);
    keyring_close(&k);
    tmpdir_close(dir);
}

static void shredding_a_tenant_takes_all_its_days_and_no_others(void **state)
{
    int dir = open_dir();
    struct keyring *k = NULL;
    uint8_t a[KEY_BYTES], b[KEY_BYTES];
    struct err err;
    (void)state;

    assert_int_equal(keyring_open(db, master, &k, &err), 0);
    assert_int_equal(keyring_partition(k, 7, 20260101, 1, a, &err), 0);
    assert_int_equal(keyring_partition(k, 7, 20260102, 1, a, &err), 0);
    assert_int_equal(keyring_partition(k, 8, 20260101, 1, a, &err), 0);
    assert_int_equal(keyring_shred_tenant(k, 7, &err), 0);
    assert_int_equal(keyring_partition(k, 7, 20260101, 0, b, &err), ERR_GONE);
    assert_int_equal(keyring_partition(k, 7, 20260102, 0, b, &err), ERR_GONE);
    assert_int_equal(keyring_partition(k, 8, 20260101, 0, b, &err), 0);
    assert_memory_equal(a, b, KEY_BYTES);
    assert_int_equal(keyring_shred_tenant(k, 7, &err), 0); /* again is fine */
    keyring_close(&k);
    tmpdir_close(dir);
}

static void a_failed_commit_makes_no_half_of_a_ladder(void **state)
{
    int dir = open_dir();
    struct keyring *k = NULL;
    uint8_t a[KEY_BYTES], b[KEY_BYTES];
    struct err err;
    (void)state;

    assert_int_equal(keyring_open(db, master, &k, &err), 0);
    FAULT_EACH("db.commit") {
        int r = keyring_partition(k, 9, 20260101, 1, a, &err);
        assert_true(r == 0 || r == ERR_IO);
        assert_int_equal(keyring_partition(k, 9, 20260101, 0, b, &err), r == 0 ? 0 : ERR_GONE);
    }
    assert_memory_equal(a, b, KEY_BYTES);
    keyring_close(&k);
    tmpdir_close(dir);
}

CHECK_MAIN(cmocka_unit_test(a_master_key_is_made_once_and_private),
           cmocka_unit_test(keys_are_the_same_after_a_reopen),
           cmocka_unit_test(the_wrong_master_key_is_denied),
           cmocka_unit_test(a_key_file_open_to_others_or_short_is_refused),
           cmocka_unit_test(a_shredded_key_is_gone_from_the_files_too),
           cmocka_unit_test(shredding_a_tenant_takes_all_its_days_and_no_others),
           cmocka_unit_test(a_failed_commit_makes_no_half_of_a_ladder))
