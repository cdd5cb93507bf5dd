/* storage/catalog_internal.h - the inside of a catalog, for its writing and its reading half. */
#ifndef LOGQ_STORAGE_CATALOG_INTERNAL_H
#define LOGQ_STORAGE_CATALOG_INTERNAL_H

#include "storage/crypt.h"

struct db;

enum { CATALOG_HASH = 16 };

struct catalog {
    unsigned magic;
#define CATALOG_MAGIC 0xca7a106eu
    struct db *db;        /* owned */
    struct crypt *labels; /* owned; seals the labels of streams */
    uint8_t hash_key[CRYPT_KEY];
    uint64_t generation, streams_state;
};

/* Streams come or go in the transaction that is open. */
void catalog_streams_changed(struct catalog *c);

/* The key that seals labels, from the partition's (catalog.c). */
void catalog_labels_key(const uint8_t key[CRYPT_KEY], uint8_t ret[CRYPT_KEY]);

#endif
