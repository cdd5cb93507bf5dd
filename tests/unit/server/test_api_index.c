/* index/stats, index/volume, index/volume_range, detected_labels: how much there is, and of what.
 */
#include "tests/unit/server/caller.h"

#define STATS "/loki/api/v1/index/stats?" DAY
#define VOL   "/loki/api/v1/index/volume?start=1768003200&end=1768003260"
#define RANGE "/loki/api/v1/index/volume_range?start=1768003200&end=1768003260&step=20"

#define WEB "query=%7Bapp%3D~%22.%2B%22%7D"

/* 30 bytes of web, 6 of them in zone b; 4 of db. */
static void push_some(struct fixture *f)
{
    struct request r = push_of(STR(
        "{\"streams\":["
        "{\"stream\":{\"app\":\"web\",\"zone\":\"a\"},\"values\":["
        "[\"1768003200000000001\",\"0123456789ab\"],[\"1768003245000000000\",\"0123456789ab\"]]},"
        "{\"stream\":{\"app\":\"web\",\"zone\":\"b\"},\"values\":[[\"1768003200000000002\","
        "\"012345\"]]},"
        "{\"stream\":{\"app\":\"db\"},\"values\":[[\"1768003221000000000\",\"0123\"]]}]}"));

    check(f, &r, 204, NULL);
}

static void flush(struct fixture *f)
{
    struct err err;

    assert_int_equal(store_flush(f->w->server.store, &err), 0);
}

static void stats_count_streams_rows_and_bytes(void **state)
{
    struct fixture *f = *state;

    push_some(f);
    for (int stored = 0; stored <= 1; stored++) { /* in memory, in segments */
        check_get(f, "/loki/api/v1/index/stats?start=1768003200&end=1768003260&" WEB, 200,
                  "\"bytes\":34,\"entries\":4}");
        check_get(f, "/loki/api/v1/index/stats?start=1768003200&end=1768003260", 200,
                  "{\"streams\":3,\"chunks\":");
        check_get(f, STATS "&query=%7Bzone%3D%22b%22%7D", 200, "\"bytes\":6,\"entries\":1}");
        check_get(f, STATS "&" WEB, 200, "\"bytes\":18,\"entries\":2}"); /* one second of it */
        check_get(f, STATS "&query=%7Bapp%3D%22none%22%7D", 200,
                  "{\"streams\":0,\"chunks\":0,\"bytes\":0,\"entries\":0}");
        flush(f);
    }
    check_get(f, STATS "&query=%7Bapp%3D%22web%22%7D%7C%3D%22x%22", 400,
              "only label matchers are supported");
    check_get(f, "/loki/api/v1/index/stats?start=now", 400, "'start': 'now' is no time");
}

static void volumes_are_bytes_by_the_labels_asked_for(void **state)
{
    struct fixture *f = *state;

    push_some(f);
    flush(f);
    check_get(f, VOL "&" WEB, 200,
              "{\"resultType\":\"vector\",\"result\":["
              "{\"metric\":{\"app\":\"web\"},\"value\":[1768003260,\"30\"]},"
              "{\"metric\":{\"app\":\"db\"},\"value\":[1768003260,\"4\"]}]");
    /* a stream without the label has no part in it */
    check_get(f, VOL "&" WEB "&targetLabels=zone", 200,
              "\"result\":[{\"metric\":{\"zone\":\"a\"},\"value\":[1768003260,\"24\"]},"
              "{\"metric\":{\"zone\":\"b\"},\"value\":[1768003260,\"6\"]}]");
    check_get(f, VOL "&" WEB "&targetLabels=zone,%20app&limit=1", 200,
              "\"result\":[{\"metric\":{\"app\":\"web\",\"zone\":\"a\"},\"value\":[1768003260,"
              "\"24\"]}]");
    check_get(f, VOL, 200, "{\"metric\":{\"app\":\"web\",\"service_name\":\"web\",\"zone\":\"a\"}");
    check_get(f, VOL "&aggregateBy=labels", 200,
              "\"result\":[{\"metric\":{\"app\":\"\"},\"value\":[1768003260,\"34\"]},"
              "{\"metric\":{\"service_name\":\"\"},\"value\":[1768003260,\"34\"]},"
              "{\"metric\":{\"zone\":\"\"},\"value\":[1768003260,\"30\"]}]");
    check_get(f, VOL "&" WEB "&aggregateBy=labels", 200,
              "\"result\":[{\"metric\":{\"app\":\"\"},\"value\":[1768003260,\"34\"]}]");
    check_get(f, VOL "&aggregateBy=streams", 400, "'aggregateBy': 'streams' is no way");
    check_get(f, VOL "&limit=0", 400, "'limit': '0' is no positive number");
}

static void a_volume_range_has_a_point_a_step(void **state)
{
    struct fixture *f = *state;

    push_some(f);
    flush(f);
    check_get(f, RANGE "&" WEB, 200,
              "{\"resultType\":\"matrix\",\"result\":["
              "{\"metric\":{\"app\":\"web\"},\"values\":[[1768003220,\"18\"],[1768003260,\"12\"]]},"
              "{\"metric\":{\"app\":\"db\"},\"values\":[[1768003240,\"4\"]]}]");
    check_get(f, RANGE "&query=%7Bapp%3D%22none%22%7D", 200,
              "{\"resultType\":\"matrix\",\"result\":[]");
    check_get(f, "/loki/api/v1/index/volume_range?start=1&end=1000000&step=1", 400, "'step'");
}

static void labels_that_are_only_ids_are_not_detected(void **state)
{
    struct fixture *f = *state;
    struct request r = push_of(
        STR("{\"streams\":[{\"stream\":{\"app\":\"web\",\"pod\":\"7\",\"pid\":\"12\",\"id\":"
            "\"123e4567-e89b-12d3-a456-426614174000\"},\"values\":[[\"1768003200000000001\",\"x\"]"
            "]}]}"));

    push_some(f);
    check(f, &r, 204, NULL);
    check_get(f, "/loki/api/v1/detected_labels?start=1768003200&end=1768003260", 200,
              "{\"detectedLabels\":[{\"label\":\"app\",\"cardinality\":2},{\"label\":\"pod\","
              "\"cardinality\":1},{\"label\":\"service_name\",\"cardinality\":2},{\"label\":"
              "\"zone\",\"cardinality\":2}]}");
    check_get(f, "/loki/api/v1/detected_labels?query=%7Bzone%3D%22b%22%7D&" DAY, 200,
              "{\"label\":\"app\",\"cardinality\":1}");
}

static void fields_are_found_in_a_sample(void **state)
{
    struct fixture *f = *state;
    struct request r =
        push_of(STR("{\"streams\":[{\"stream\":{\"app\":\"api\"},\"values\":["
                    "[\"1768003200000000001\",\"{\\\"status\\\":200,\\\"http\\\":{\\\"took\\\":"
                    "\\\"5ms\\\"}}\"],"
                    "[\"1768003200000000002\",\"{\\\"status\\\":404,\\\"http\\\":{\\\"took\\\":"
                    "\\\"7ms\\\"}}\"],"
                    "[\"1768003200000000003\",\"status=404 user=ann\",{\"trace\":\"t1\"}]]}]}"));

#define FIELDS "/loki/api/v1/detected_fields?query=%7Bapp%3D%22api%22%7D&" DAY
#define VALUES "/loki/api/v1/detected_field/status/values?query=%7Bapp%3D%22api%22%7D&" DAY
    check(f, &r, 204, NULL);
    check_get(f, FIELDS, 200,
              "{\"fields\":[{\"label\":\"detected_level\",\"type\":\"string\",\"cardinality\":1,"
              "\"parsers\":null},{\"label\":\"http_took\",\"type\":\"duration\",\"cardinality\":2,"
              "\"parsers\":[\"json\"],\"jsonPath\":[\"http\",\"took\"]},{\"label\":\"status\","
              "\"type\":\"int\",\"cardinality\":2,\"parsers\":[\"json\",\"logfmt\"],\"jsonPath\":"
              "[\"status\"]},{\"label\":\"trace\",\"type\":\"string\",\"cardinality\":1,"
              "\"parsers\":null},{\"label\":\"user\",\"type\":\"string\",\"cardinality\":1,"
              "\"parsers\":[\"logfmt\"]}],\"limit\":1000}");
    check_get(f, FIELDS "&line_limit=1", 200, /* the newest */
              "{\"label\":\"status\",\"type\":\"int\",\"cardinality\":1,\"parsers\":[\"logfmt\"]}");
    check_get(f, VALUES, 200, "{\"values\":[\"200\",\"404\"],\"limit\":1000}");
    check_get(f, VALUES "&limit=1", 200, "\"limit\":1}");
    check_get(f, "/loki/api/v1/detected_field/nothing/values?query=%7Bapp%3D%22api%22%7D&" DAY, 200,
              "{\"values\":[],");
    check_get(f, FIELDS "&line_limit=5001", 400, "max_entries_limit_per_query (5001 > 5000)");
    check_get(f, "/loki/api/v1/detected_fields", 400, "'query' is missing");
    check_get(f, "/loki/api/v1/detected_fields?query=1", 400, "log query");
}

static void an_index_query_keeps_to_its_budget(void **state)
{
    struct fixture *f = *state;

    push_some(f);
    f->w->server.conf.query.memory_bytes = 1 << 10;
    check_get(f, RANGE "&" WEB, 503, NULL);
    assert_true(metric_get(METRIC_QUERY_FAILED) >= 1);
}

/* A tenant's own limits hold for what is no query of LogQL, too. */
static void each_of_them_keeps_to_the_tenants_limits(void **state)
{
    static const char *const TARGETS[] = {
        STATS "&" WEB,
        VOL "&" WEB,
        RANGE "&" WEB,
        "/loki/api/v1/patterns?" WEB "&" DAY,
        "/loki/api/v1/labels?" DAY,
        "/loki/api/v1/label/app/values?" WEB "&" DAY,
        "/loki/api/v1/series?match[]=%7Bapp%3D%22web%22%7D&" DAY,
        "/loki/api/v1/detected_labels?" WEB "&" DAY,
        "/loki/api/v1/detected_fields?" WEB "&" DAY,
    };
    static struct server_conf_tenant_limits small = {.tenant = STR_INIT("default"),
                                                     .max_query_memory = 100};
    struct fixture *f = *state;

    push_some(f);
    flush(f);
    f->w->server.conf.query.tenant_limits = &small;
    f->w->server.conf.query.n_tenant_limits = 1;
    for (size_t i = 0; i < sizeof(TARGETS) / sizeof(TARGETS[0]); i++)
        check_get(f, TARGETS[i], 503, "the tenant's max_query_memory): memory budget 'query");
    small.max_query_memory = 0;
    small.query_timeout = 1;
    for (size_t i = 0; i < sizeof(TARGETS) / sizeof(TARGETS[0]); i++)
        check_get(f, TARGETS[i], 504, "query_timeout");
    small.tenant = STR("other");
    for (size_t i = 0; i < sizeof(TARGETS) / sizeof(TARGETS[0]); i++)
        check_get(f, TARGETS[i], 200, NULL);
}

CHECK_MAIN(T(stats_count_streams_rows_and_bytes), T(volumes_are_bytes_by_the_labels_asked_for),
           T(a_volume_range_has_a_point_a_step), T(labels_that_are_only_ids_are_not_detected),
           T(fields_are_found_in_a_sample), T(an_index_query_keeps_to_its_budget),
           T(each_of_them_keeps_to_the_tenants_limits))
