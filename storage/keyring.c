/*
 * storage/keyring.c - the key ladder in one small SQLite file.  Contract: keyring.h.
 *
 * A key is stored only wrapped, bound by associated data to what it is for, so that rows cannot be
 * exchanged.  Only the master key stays in memory: keys are asked for when a partition is opened,
 * a few dozen microseconds against the file's I/O.
 *
 * Shredding overwrites the row (secure_delete zeroes the freed cell), then checkpoints and
 * truncates SQLite's journal, so that neither file still holds the wrapped key.  What a file
 * system or a disk keeps of freed blocks is beyond a program; the master key outside of DATA is the
 * second lock.
 *
 * Invariants
 *   (1) the WAL key exists from the first open on and proves that the master key fits;
 *   (2) a partition key's row exists only while its tenant's does.
 */
#include "storage/keyring.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/obj.h"
#include "storage/crypt.h"
#include "storage/db.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { VERSION = 1 };

static const char SCHEMA[] =
    "CREATE TABLE IF NOT EXISTS wal_key("
    " id INTEGER PRIMARY KEY CHECK (id = 1), wrapped BLOB NOT NULL);"
    "CREATE TABLE IF NOT EXISTS tenant_key("
    " tenant INTEGER PRIMARY KEY, wrapped BLOB NOT NULL);"
    "CREATE TABLE IF NOT EXISTS partition_key("
    " tenant INTEGER NOT NULL REFERENCES tenant_key(tenant), day INTEGER NOT NULL,"
    " wrapped BLOB NOT NULL, PRIMARY KEY (tenant, day)) WITHOUT ROWID;";

struct keyring {
    unsigned magic;
#define KEYRING_MAGIC 0x6b3e9a17u
    pthread_mutex_t mutex; /* guards db, which is one connection: held across its I/O on purpose */
    struct db *db;         /* owned */
    uint8_t master[KEY_BYTES];
};

_Static_assert((int)KEY_BYTES == (int)CRYPT_KEY, "one size of key");

/* Where a wrapped key stands: how to find its row, and what its wrapping is bound to. */
struct place {
    const char *select, *insert;
    uint64_t tenant;
    int32_t day;
    bool has_tenant, has_day;
    char aad[64];
};

static struct place wal_place(void)
{
    return (struct place){
        .select = "SELECT wrapped FROM wal_key WHERE id = 1",
        .insert = "INSERT INTO wal_key(wrapped, id) VALUES (?1, 1)",
        .aad = "logq wal key",
    };
}

static struct place tenant_place(uint64_t tenant)
{
    struct place p = {
        .select = "SELECT wrapped FROM tenant_key WHERE tenant = ?2",
        .insert = "INSERT INTO tenant_key(wrapped, tenant) VALUES (?1, ?2)",
        .tenant = tenant,
        .has_tenant = true,
    };

    (void)snprintf(p.aad, sizeof(p.aad), "logq tenant key %016" PRIx64, tenant);
    return p;
}

static struct place partition_place(uint64_t tenant, int32_t day)
{
    struct place p = {
        .select = "SELECT wrapped FROM partition_key WHERE tenant = ?2 AND day = ?3",
        .insert = "INSERT INTO partition_key(wrapped, tenant, day) VALUES (?1, ?2, ?3)",
        .tenant = tenant,
        .day = day,
        .has_tenant = true,
        .has_day = true,
    };

    (void)snprintf(p.aad, sizeof(p.aad), "logq partition key %016" PRIx64 "/%d", tenant, (int)day);
    return p;
}

static void bind_place(struct sqlite3_stmt *st, const struct place *p)
{
    if (p->has_tenant)
        db_bind_u64(st, 2, p->tenant);
    if (p->has_day)
        db_bind_u64(st, 3, (uint64_t)(int64_t)p->day);
}

/* Unwrap the key at `p` with `kek`.  1: there is none. */
static int get_key(struct keyring *k, const struct place *p, const uint8_t kek[KEY_BYTES],
                   uint8_t ret[KEY_BYTES], struct err *err)
{
    uint8_t wrapped[CRYPT_WRAPPED];
    struct sqlite3_stmt *st;
    struct str s;
    int r;

    r = db_prepare(k->db, p->select, &st, err);
    if (r < 0)
        return r;
    bind_place(st, p);
    r = db_step(k->db, st, err);
    if (r != 0)
        return r;
    s = db_column_str(st, 0);
    if (s.n != sizeof(wrapped)) {
        r = err_set(err, ERR_CORRUPT, "%s has %zu bytes", p->aad, s.n);
        db_reset(st);
        return r;
    }
    memcpy(wrapped, s.p, sizeof(wrapped));
    db_reset(st);
    r = crypt_unwrap(kek, str_of(p->aad), wrapped, ret, err);
    return r < 0 ? err_wrap(err, "%s", p->aad) : 0;
}

static int put_key(struct keyring *k, const struct place *p, const uint8_t kek[KEY_BYTES],
                   const uint8_t key[KEY_BYTES], struct err *err)
{
    uint8_t wrapped[CRYPT_WRAPPED];
    struct sqlite3_stmt *st = NULL;
    int r;

    r = crypt_wrap(kek, str_of(p->aad), key, wrapped, err);
    if (r == 0)
        r = db_prepare(k->db, p->insert, &st, err);
    if (r < 0)
        return r;
    bind_place(st, p);
    db_bind_blob(st, 1, wrapped, sizeof(wrapped));
    r = db_step(k->db, st, err);
    return r < 0 ? r : 0;
}

/* The key at `p`, drawn now if there is none and `make`.  ERR_GONE. */
static int need_key(struct keyring *k, const struct place *p, const uint8_t kek[KEY_BYTES],
                    bool make, uint8_t ret[KEY_BYTES], struct err *err)
{
    int r;

    r = get_key(k, p, kek, ret, err);
    if (r <= 0)
        return r;
    if (!make)
        return err_set(err, ERR_GONE, "%s does not exist", p->aad);
    r = crypt_random(ret, KEY_BYTES, err);
    return r < 0 ? r : put_key(k, p, kek, ret, err);
}

int keyring_make_master(const char *path, struct err *err)
{
    uint8_t key[KEY_BYTES];
    const char *slash = strrchr(path, '/');
    char *dir = slash == NULL ? mem_dup(".", 1) : mem_dup(path, (size_t)(slash - path) + 1);
    bool made = false;
    int dir_fd = -1;
    int fd = -1;
    int r;

    r = file_open_dir(AT_FDCWD, dir, &dir_fd, err);
    if (r == 0)
        r = crypt_random(key, sizeof(key), err);
    if (r == 0) {
        fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        made = fd >= 0;
        if (!made && errno == EEXIST)
            r = err_set(err, ERR_EXISTS, "there is a master key '%s' already", path);
        else if (!made)
            r = err_sys(err, "create master key '%s'", path);
    }
    if (r == 0)
        r = file_write_all(fd, key, sizeof(key), err);
    if (r == 0 && fsync(fd) != 0)
        r = err_sys(err, "fsync master key '%s'", path);
    if (r == 0)
        r = file_sync_dir(dir_fd, err);
    if (r < 0 && made)
        (void)unlink(path); /* half a key is worse than none; the error is reported */
    if (fd >= 0)
        (void)close(fd); /* synced */
    if (dir_fd >= 0)
        (void)close(dir_fd);
    crypt_wipe(key, sizeof(key));
    free(dir);
    return r;
}

static int read_master(const char *path, uint8_t ret[KEY_BYTES], struct err *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int r = 0;

    if (fd < 0)
        return err_sys(err, "open master key '%s'", path);
    if (fstat(fd, &st) != 0)
        r = err_sys(err, "stat master key '%s'", path);
    else if (!S_ISREG(st.st_mode) || st.st_size != KEY_BYTES)
        r = err_set(err, ERR_INVALID, "master key '%s' is no file of %d bytes", path, KEY_BYTES);
    else if ((st.st_mode & 077) != 0)
        r = err_set(err, ERR_INVALID, "master key '%s' is open to others: chmod 600 it", path);
    if (r == 0)
        r = file_pread_all(fd, ret, KEY_BYTES, 0, err);
    (void)close(fd); /* only read from */
    return r;
}

/* Keeps (1). */
static int prove_master(struct keyring *k, struct err *err)
{
    struct place p = wal_place();
    uint8_t key[KEY_BYTES];
    int r;

    r = need_key(k, &p, k->master, true, key, err);
    crypt_wipe(key, sizeof(key));
    if (r == ERR_CORRUPT)
        return err_set(err, ERR_DENIED, "the master key does not fit this keyring");
    return r;
}

int keyring_open(const char *db_path, const char *master_path, struct keyring **ret,
                 struct err *err)
{
    struct keyring *k = mem_new(sizeof(*k));
    int r;

    k->magic = KEYRING_MAGIC;
    (void)pthread_mutex_init(&k->mutex, NULL); /* cannot fail for a default mutex here */
    r = read_master(master_path, k->master, err);
    if (r == 0)
        r = db_open(db_path, SCHEMA, VERSION, &k->db, err);
    if (r == 0)
        r = db_exec(k->db, "PRAGMA secure_delete=ON", err);
    if (r == 0)
        r = prove_master(k, err);
    if (r < 0) {
        keyring_close(&k);
        return err_wrap(err, "open keyring");
    }
    *ret = k;
    return 0;
}

void keyring_close(struct keyring **pk)
{
    struct keyring *k = *pk;

    if (k == NULL)
        return;
    OBJ_CHECK(k, KEYRING_MAGIC);
    db_close(&k->db);
    (void)pthread_mutex_destroy(&k->mutex);
    crypt_wipe(k, sizeof(*k));
    free(k);
    *pk = NULL;
}

/* Both rungs in one transaction, so that half a ladder never stays. */
static int climb(struct keyring *k, uint64_t tenant_id, int32_t day, bool make,
                 uint8_t ret[KEY_BYTES], struct err *err)
{
    struct place tp = tenant_place(tenant_id);
    struct place pp = partition_place(tenant_id, day);
    uint8_t key[KEY_BYTES];
    int r;

    if (make) {
        r = db_begin(k->db, err);
        if (r < 0)
            return r;
    }
    r = need_key(k, &tp, k->master, make, key, err);
    if (r == 0)
        r = need_key(k, &pp, key, make, ret, err);
    crypt_wipe(key, sizeof(key));
    if (make && r == 0)
        return db_commit(k->db, err);
    if (make)
        db_rollback(k->db);
    return r;
}

int keyring_partition(struct keyring *k, uint64_t tenant_id, int32_t day, int make,
                      uint8_t ret[KEY_BYTES], struct err *err)
{
    int r;

    OBJ_CHECK(k, KEYRING_MAGIC);
    (void)pthread_mutex_lock(&k->mutex);
    r = climb(k, tenant_id, day, false, ret, err);
    if (r == ERR_GONE && make != 0)
        r = climb(k, tenant_id, day, true, ret, err);
    (void)pthread_mutex_unlock(&k->mutex);
    if (r < 0)
        crypt_wipe(ret, KEY_BYTES);
    return r;
}

int keyring_wal(struct keyring *k, uint8_t ret[KEY_BYTES], struct err *err)
{
    struct place p = wal_place();
    int r;

    OBJ_CHECK(k, KEYRING_MAGIC);
    (void)pthread_mutex_lock(&k->mutex);
    r = need_key(k, &p, k->master, false, ret, err);
    (void)pthread_mutex_unlock(&k->mutex);
    return r;
}

/* Run the statements in order, each with tenant and day bound; then leave nothing in the journal.
 */
static int shred(struct keyring *k, const char *const *sql, uint64_t tenant_id, int32_t day,
                 struct err *err)
{
    struct sqlite3_stmt *st;
    int r;

    (void)pthread_mutex_lock(&k->mutex);
    r = db_begin(k->db, err);
    for (; r == 0 && *sql != NULL; sql++) {
        r = db_prepare(k->db, *sql, &st, err);
        if (r < 0)
            break;
        db_bind_u64(st, 1, tenant_id);
        db_bind_u64(st, 2, (uint64_t)(int64_t)day); /* ignored where there is no ?2 */
        r = db_step(k->db, st, err) < 0 ? err->code : 0;
    }
    if (r == 0)
        r = db_commit(k->db, err);
    else
        db_rollback(k->db);
    if (r == 0)
        r = db_exec(k->db, "PRAGMA wal_checkpoint(TRUNCATE)", err);
    (void)pthread_mutex_unlock(&k->mutex);
    return r;
}

int keyring_shred_partition(struct keyring *k, uint64_t tenant_id, int32_t day, struct err *err)
{
    static const char *const SQL[] = {
        "UPDATE partition_key SET wrapped = zeroblob(60) WHERE tenant = ?1 AND day = ?2",
        "DELETE FROM partition_key WHERE tenant = ?1 AND day = ?2",
        NULL,
    };

    OBJ_CHECK(k, KEYRING_MAGIC);
    return shred(k, SQL, tenant_id, day, err);
}

int keyring_shred_tenant(struct keyring *k, uint64_t tenant_id, struct err *err)
{
    static const char *const SQL[] = {
        "UPDATE partition_key SET wrapped = zeroblob(60) WHERE tenant = ?1",
        "DELETE FROM partition_key WHERE tenant = ?1",
        "UPDATE tenant_key SET wrapped = zeroblob(60) WHERE tenant = ?1",
        "DELETE FROM tenant_key WHERE tenant = ?1",
        NULL,
    };

    OBJ_CHECK(k, KEYRING_MAGIC);
    return shred(k, SQL, tenant_id, 0, err);
}
