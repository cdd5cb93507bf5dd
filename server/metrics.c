/* server/metrics.c - see metrics.h. */
#include "server/metrics.h"

#include "query/query.h"
#include "server/collectors.h"
#include "server/server.h"

#include <malloc.h>

static const struct metric_def DEFS[] = {
#define X(id, type, name, labels, help) {name, labels, help, METRIC_TYPE_##type},
#include "server/metrics.def"
#undef X
};

void metrics_setup(void)
{
    metric_setup(DEFS, sizeof(DEFS) / sizeof(DEFS[0]));
}

static uint64_t allocated_bytes(void)
{
    struct mallinfo2 m = mallinfo2();

    return (uint64_t)m.uordblks + m.hblkhd; /* in heaps; mapped one by one */
}

void metrics_update(struct server *s)
{
    struct query_cache_stats results;
    struct store_stats st;
    enum store_state state = store_state(s->store, NULL, 0);

    store_stats(s->store, &st);
    if (s->collectors != NULL)
        metric_set(METRIC_COLLECTORS, collectors_n(s->collectors));
    metric_set(METRIC_STORE_RECORDS, st.records);
    metric_set(METRIC_STORE_LINE_BYTES, st.line_bytes);
    metric_set(METRIC_STORE_REFUSED_PARTS, st.refused_parts);
    metric_set(METRIC_STORE_DUPLICATE_PARTS, st.duplicate_parts);
    metric_set(METRIC_STORE_DUPLICATE_CHUNKS, st.duplicate_chunks);
    metric_set(METRIC_STORE_TWICE_BYTES, st.twice_bytes);
    metric_set(METRIC_STORE_OVERLAPS, st.overlaps);
    metric_set(METRIC_STORE_OVERLAPS_DROPPED, st.overlaps_dropped);
    metric_set(METRIC_STORE_REFUSED, st.refused_chunks);
    metric_set(METRIC_STORE_WAL_BYTES, st.wal_bytes);
    metric_set(METRIC_STORE_WAL_SYNCS, st.wal_syncs);
    metric_set(METRIC_STORE_WAL_REPLAYED, st.wal_replayed_frames);
    metric_set(METRIC_STORE_WAL_TORN, st.wal_torn_bytes);
    metric_set(METRIC_STORE_WAL_SKIPPED, st.wal_skipped_frames);
    metric_set(METRIC_STORE_HEAD_BYTES, st.head_bytes);
    metric_set(METRIC_STORE_HEAD_RECORDS, st.head_records);
    metric_set(METRIC_STORE_FLUSHES, st.flushes);
    metric_set(METRIC_STORE_SEGMENTS, st.segments);
    metric_set(METRIC_STORE_SEGMENT_BYTES, st.segment_bytes);
    metric_set(METRIC_STORE_PARTITIONS, st.partitions);
    metric_set(METRIC_STORE_DROPPED, st.partitions_dropped);
    metric_set(METRIC_STORE_DROPPED_SIZE, st.partitions_dropped_size);
    metric_set(METRIC_STORE_DELETES, st.deletes);
    metric_set(METRIC_STORE_DAMAGED, st.segment_errors);
    metric_set(METRIC_STORE_CATALOGS_REBUILT, st.catalogs_rebuilt);
    metric_set(METRIC_STORE_FLUSH_FAILED, st.flush_failures);
    metric_set(METRIC_STORE_COMPACTED, st.compacted_segments);
    metric_set(METRIC_STORE_COMPACTED_IN, st.compacted_bytes_in);
    metric_set(METRIC_STORE_COMPACTED_OUT, st.compacted_bytes_out);
    metric_set(METRIC_STORE_COMPACTED_LEFT_OUT, st.compacted_rows_left_out);
    metric_set(METRIC_STORE_COMPACT_CPU, st.compact_cpu_ns / (uint64_t)NS_PER_S);
    metric_set(METRIC_STORE_COMPACT_THROTTLED, st.compact_throttled_ns / (uint64_t)NS_PER_S);
    metric_set(METRIC_STORE_COMPACT_FAILED, st.compact_failures);
    metric_set(METRIC_STORE_COMPACT_DAMAGED, st.compact_damaged);
    metric_set(METRIC_STORE_COMPACT_REBUILT, st.compact_rebuilt);
    metric_set(METRIC_STORE_RETIRED, st.segments_retired);
    metric_set(METRIC_STORE_CACHE_HITS, st.cache_hits);
    metric_set(METRIC_STORE_CACHE_MISSES, st.cache_misses);
    metric_set(METRIC_STORE_CACHE_EVICTIONS, st.cache_evictions);
    metric_set(METRIC_STORE_CACHE_BYTES, st.cache_bytes);
    metric_set(METRIC_STORE_FULL_SECONDS, st.full_seconds);
    metric_set(METRIC_STORE_REPLAY_BYTES, st.replay_bytes);
    metric_set(METRIC_STORE_REPLAYED_BYTES, st.replay_done_bytes);
    metric_set(METRIC_STORE_REPLAYED_RECORDS, st.replay_records);
    metric_set(METRIC_STORE_REPLAYED_LINES, st.replay_line_bytes);
    metric_set(METRIC_STORE_REPLAY_MS, st.replay_ns / (uint64_t)NS_PER_MS);
    metric_set(METRIC_STORE_LATE_BYTES, st.late_bytes);
    metric_set(METRIC_STORE_LATE_DAYS, st.late_days);
    metric_set(METRIC_STORE_STUCK_BYTES, st.stuck_bytes);
    metric_set(METRIC_STORE_STUCK_DAYS, st.stuck_days);
    metric_set(METRIC_STORE_CLOCK_AHEAD, st.clock_ahead_seconds);
    metric_set(METRIC_STORE_DROPPED_FULL, st.partitions_dropped_full);
    metric_set(METRIC_STORE_REPLAYING, state == STORE_REPLAYING);
    metric_set(METRIC_STORE_STATE_READY, state == STORE_READY || state == STORE_REPLAYING);
    if (s->results != NULL) {
        query_cache_stats(s->results, &results);
        metric_set(METRIC_QUERY_RESULTS_HITS, results.hits);
        metric_set(METRIC_QUERY_RESULTS_MISSES, results.misses);
        metric_set(METRIC_QUERY_RESULTS_EVICTIONS, results.evictions);
        metric_set(METRIC_QUERY_RESULTS_JOINED, results.joined);
        metric_set(METRIC_QUERY_RESULTS_ALONE, results.alone);
        metric_set(METRIC_QUERY_RESULTS_REFUSED, results.refused);
        metric_set(METRIC_QUERY_RESULTS_BYTES, results.bytes);
    }
    metric_set(METRIC_MEMORY_USED, s->memory.used);
    metric_set(METRIC_MEMORY_PEAK, s->memory.peak);
    metric_set(METRIC_MEMORY_ALLOCATED, allocated_bytes());
}
