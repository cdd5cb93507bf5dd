/* storage/catalog_streams.h - what catalog_sweep.c needs of catalog_streams.c. */
#ifndef LOGQ_STORAGE_CATALOG_STREAMS_H
#define LOGQ_STORAGE_CATALOG_STREAMS_H

#include "storage/catalog_index.h"

/* Take out the labels and hashes of all streams but `ids`, whose numbers stay; in a transaction. */
int catalog_streams_keep(struct catalog *c, const struct idset *ids, struct err *err);

#endif
