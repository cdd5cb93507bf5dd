/*
 * storage/keyring.h - DOOR: keys for data at rest, and their ladder.
 *
 *     master key (a file, outside DATA)
 *       wraps  tenant key, WAL key              in DATA/keyring.db
 *         tenant key wraps  partition key (tenant, day)   in DATA/keyring.db and nowhere else
 *           partition key wraps  segment key     in the segment's header
 *
 * Destroying a partition key, or a tenant key, makes its segments unreadable for ever, in backups
 * too, while their hashes still verify.  Keys in memory are wiped when freed.  Thread-safe;
 * blocking (SQLite).
 */
#ifndef LOGQ_STORAGE_KEYRING_H
#define LOGQ_STORAGE_KEYRING_H

#include "base/err.h"

#include <stdint.h>

enum { KEY_BYTES = 32 };

struct keyring;

/* Draw a new master key into `path` (mode 0600); ERR_EXISTS if there is a file. */
int keyring_make_master(const char *path, struct err *err);

/* `db_path` is made if absent.  ERR_DENIED: the master key does not fit the keyring; ERR_INVALID:
 * the key file has not 32 bytes or others may read it. */
int keyring_open(const char *db_path, const char *master_path, struct keyring **ret,
                 struct err *err);
void keyring_close(struct keyring **pk);

/* The key of a partition; made when absent and `make`.  ERR_GONE: destroyed, or never made. */
int keyring_partition(struct keyring *k, uint64_t tenant_id, int32_t day, int make,
                      uint8_t ret[KEY_BYTES], struct err *err);
/* The key that wraps the WAL files' keys. */
int keyring_wal(struct keyring *k, uint8_t ret[KEY_BYTES], struct err *err);

/* Crypto-shredding: overwritten and deleted, durable on return. */
int keyring_shred_partition(struct keyring *k, uint64_t tenant_id, int32_t day, struct err *err);
int keyring_shred_tenant(struct keyring *k, uint64_t tenant_id, struct err *err);

#endif
