/*
 * storage/store_internal.h - what the rest of storage may ask a store for.  Not a door.
 *
 * What the store in turn calls of partition.h (each call on one thread at a time but partition
 * reads):
 *
 *   int  partitions_open(int data_fd, struct keyring *keys, struct partitions **ret, struct err
 * *err); void partitions_close(struct partitions **pp); int  partition_write(struct partitions *ps,
 * const struct partition_input *in, struct partition_summary *ret, struct err *err);   one segment
 * + catalog commit; durable on return; all or nothing int  partition_summary(struct partitions *ps,
 * uint64_t tenant_id, int32_t day, struct partition_summary *ret, struct err *err);   1: there is
 * no such partition (no catalog) void partition_forget(struct partitions *ps, uint64_t tenant_id,
 * int32_t day);   its directory goes: close
 *
 * with struct partition_input   { tenant_id, day, const struct head_record *records, size_t
 * n_records, in append order, uint64_t wal_pos, ts_ns first_received, last_received } and  struct
 * partition_summary { wal_pos applied, ts_ns first, last, rows, bytes on disk, segments, ts_ns
 * last_received }   of the whole partition after the write. partition_write makes
 * DATA/tenants/<%016 PRIx64 tenant_id>/<day> and its key (keyring_partition, make = 1).
 */
#ifndef LOGQ_STORAGE_STORE_INTERNAL_H
#define LOGQ_STORAGE_STORE_INTERNAL_H

#include "storage/head.h"
#include "storage/store.h"

struct keyring;
struct partitions;

struct partitions *
store_partitions(struct store *s); /* lives as long as the store; may be NULL in tests */
struct keyring *store_keyring(struct store *s);
struct mem_budget *store_budget(struct store *s); /* may be NULL */

/* The id of a tenant that has stored something.  1: none of that name. */
int store_tenant(struct store *s, struct str name, uint64_t *ret);

/* An instant of the tenant's data: first this, then the list of days, then their segments (head.h
 * has the rule that joins them). */
void store_view(struct store *s, uint64_t tenant_id, struct head_view *ret);

/* The days of a tenant that have a partition, ascending, from..to inclusive (YYYYMMDD): a malloc'ed
 * array in *ret (NULL when there are none), its length returned.  A day may vanish (retention)
 * before it is opened. */
size_t store_days(struct store *s, uint64_t tenant_id, int32_t from, int32_t to, int32_t **ret);

/* A segment or block failed its checks when it was read: counted in store_stats. */
void store_segment_error(struct store *s);

#endif
