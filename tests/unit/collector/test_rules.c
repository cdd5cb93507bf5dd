/* Unit tests of collector/rules and profile: who is kept, and what a container may ask for. */
#include "collector/profile.h"

#include "collector/metrics.h"
#include "tests/lib/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct config *config;
static struct profiles *profiles;
static struct label of_web[] = {{STR_INIT("app"), STR_INIT("web-1")},
                                {STR_INIT("namespace"), STR_INIT("shop")}};
static const struct labels WEB = {of_web, 2};

static void load(const char *more)
{
    struct conf_errors errors;
    struct err err;
    struct buf text;

    profiles_free(&profiles);
    config_free(&config);
    buf_init(&text, 1 << 16);
    buf_addf(&text, "server: {address: 'unix:/x', tls: false}\n%s", more);
    if (config_parse("c.yaml", STR("/"), buf_str(&text), &config, &errors, &err) < 0)
        fail_msg("%s: %.*s", err.text, STR_ARG(errors.v[0]));
    buf_fini(&text);
    assert_int_equal(profiles_new(config, &profiles, &err), 0);
}

static int teardown(void **state)
{
    (void)state;
    profiles_free(&profiles);
    config_free(&config);
    return 0;
}

#define INPUT "inputs: [{type: cri}]\n"

static struct rules_decision decide(const char *line, enum decode_stream stream, uint64_t place)
{
    const struct profile *p = profile_of_log(profiles, &config->sources[0], &WEB, NULL);
    struct rules_record rec = {
        .line = str_of(line), .stream = stream, .labels = &WEB, .place = place};

    return rules_decide(p->rules, p->of, 0, &rec);
}

static void the_first_rule_that_fits_decides(void **state)
{
    (void)state;
    load(INPUT "rules:\n"
               "- {name: other, if: {labels: {app: db}}, then: drop}\n"
               "- {name: keep, if: {line: 'GET /health', level: error}}\n"
               "- {name: probes, if: {line: 'GET /health', labels: {app: 'web-*'}}, then: drop}\n"
               "- {name: chatter, if: {level: [debug, trace], stream: stderr}, then: drop}\n"
               "- {name: re, if: {pattern: 'took [0-9]ms$'}, then: drop}\n");
    assert_int_equal(decide("anything", DECODE_STDOUT, 1).by, RULES_KEEP);
    assert_int_equal(decide("error: GET /health", DECODE_STDOUT, 1).by, RULES_KEEP);
    assert_int_equal(decide("GET /health", DECODE_STDOUT, 1).by, RULES_DROP);
    assert_string_equal(rules_name(profile_of_log(profiles, &config->sources[0], &WEB, NULL)->rules,
                                   decide("GET /health", DECODE_STDOUT, 1).rule),
                        "probes");
    assert_int_equal(decide("level=debug x", DECODE_STDOUT, 1).by, RULES_KEEP);
    assert_int_equal(decide("level=debug x", DECODE_STDERR, 1).by, RULES_DROP);
    assert_int_equal(decide("it took 5ms", DECODE_STDOUT, 1).by, RULES_DROP);
    assert_int_equal(decide("it took 15ms or so", DECODE_STDOUT, 1).by, RULES_KEEP);
}

/* In a line that is very long: what was not looked at is not passed. */
static void a_rule_that_cannot_be_looked_at_drops(void **state)
{
    struct rules_decision d;
    struct buf rules, line;

    (void)state;
    buf_init(&rules, 1 << 16);
    buf_init(&line, 1 << 20);
    while (line.n < 300 << 10)
        buf_add_char(&line, 'a');
    buf_add_char(&line, '\0');
    buf_add_z(&rules, INPUT "rules:\n");
    for (int i = 0; i < 16; i++)
        buf_addf(&rules, "- {name: r%d, if: {pattern: 'b[0-9]%d'}, then: drop}\n", i, i);
    buf_add_z(&rules, "- {name: keeps, if: {pattern: 'aaaa'}}\n"
                      "- {name: other, if: {stream: stderr, pattern: 'b[0-9]'}, then: drop}\n"
                      "- {name: late, if: {pattern: 'b[0-9]'}, sample: 0.5}\n");
    buf_add_char(&rules, '\0');
    load(rules.p);
    assert_int_equal(decide("aaaa", DECODE_STDOUT, 1).by, RULES_KEEP);
    d = decide(line.p, DECODE_STDOUT, 1);
    assert_int_equal(d.by, RULES_UNSEARCHED);
    assert_string_equal(
        rules_name(profile_of_log(profiles, &config->sources[0], &WEB, NULL)->rules, d.rule),
        "late");
    buf_fini(&rules);
    buf_fini(&line);
}

static void a_sample_is_the_part_that_was_asked_for(void **state)
{
    unsigned kept = 0;

    (void)state;
    load(INPUT "rules: [{sample: 0.25}, {then: drop}]\n");
    for (uint64_t place = 0; place < 10000; place++) {
        struct rules_decision d = decide("x", DECODE_STDOUT, place);
        assert_int_equal(d.by, decide("x", DECODE_STDOUT, place).by); /* the same again */
        kept += d.by == RULES_KEEP;
    }
    assert_in_range(kept, 2300, 2700);
    load(INPUT "rules: [{sample: 0}]\n");
    for (uint64_t place = 0; place < 1000; place++)
        assert_int_equal(decide("x", DECODE_STDOUT, place).by, RULES_SAMPLE);
}

/* `n` records, `gap` apart; how many are kept? */
static unsigned flood(unsigned n, dur_ns gap, ts_ns *at, struct rules_bucket *buckets,
                      unsigned *closed)
{
    const struct profile *p = profile_of_log(profiles, &config->sources[0], &WEB, NULL);
    unsigned kept = 0;

    for (unsigned i = 0; i < n; i++, *at += gap) {
        struct rules_record rec = {.line = STR("x"), .stream = DECODE_STDOUT, .labels = &WEB};
        struct rules_decision d = rules_decide(p->rules, p->of, *closed, &rec);
        assert_int_equal(d.limit, 1);
        kept += d.by == RULES_KEEP;
        *closed = rules_count(p->rules, &d, *at, buckets, *closed);
    }
    return kept;
}

static void a_rate_is_counted_in_the_time_of_the_records(void **state)
{
    struct rules_bucket buckets[RULES_BUCKETS] = {{0}};
    unsigned closed = 0;
    ts_ns at = 1000 * NS_PER_S;

    (void)state;
    load(INPUT "rules: [{rate: 100, burst: 300}]\n");
    assert_int_equal(flood(1000, 0, &at, buckets, &closed), 300); /* all at once */
    assert_int_equal(flood(1000, 0, &at, buckets, &closed), 0);
    at += 10 * NS_PER_S; /* it opens again with the first that finds it so, and holds the burst */
    assert_int_equal(flood(1000, 0, &at, buckets, &closed), 300);
    at += 10 * NS_PER_S;
    assert_in_range(flood(10000, NS_PER_MS, &at, buckets, &closed), 1100, 1310); /* ten seconds */
    at += 10 * NS_PER_S;
    assert_int_equal(flood(1, 0, &at, buckets, &closed), 0);
    assert_int_equal(flood(1000, 20 * NS_PER_MS, &at, buckets, &closed), 1000); /* slow enough */
    at -= 500 * NS_PER_S; /* a clock that goes back neither opens nor closes anything */
    assert_int_equal(flood(100, 20 * NS_PER_MS, &at, buckets, &closed), 100);
}

static void containers_are_selected_by_their_labels(void **state)
{
    (void)state;
    load("inputs: [{type: cri, select: {include: {namespace: 'sh*'}}},\n"
         "         {type: cri, select: {include: {namespace: other}}},\n"
         "         {type: cri, select: {exclude: {namespace: shop, app: 'web-?'}}},\n"
         "         {type: cri, select: {exclude: {namespace: shop, nobody: x}}}]\n");
    assert_false(profile_of_log(profiles, &config->sources[0], &WEB, NULL)->excluded);
    assert_true(profile_of_log(profiles, &config->sources[1], &WEB, NULL)->excluded);
    assert_true(profile_of_log(profiles, &config->sources[2], &WEB, NULL)->excluded);
    assert_false(profile_of_log(profiles, &config->sources[3], &WEB, NULL)->excluded);
}

static void a_container_may_ask_for_more_and_not_for_less(void **state)
{
    struct profile_hints h = {.exclude = STR("true")};
    const struct profile *p;

    (void)state;
    load("redact: {detectors: jwt}\ninputs: [{type: cri}, {type: cri, hints: false}]\n");
    assert_true(profile_of_log(profiles, &config->sources[0], &WEB, &h)->excluded);
    assert_false(profile_of_log(profiles, &config->sources[1], &WEB, &h)->excluded);
    h = (struct profile_hints){.exclude = STR("false"), .redact = STR("ip, card nonsense")};
    p = profile_of_log(profiles, &config->sources[0], &WEB, &h);
    assert_false(p->excluded);
    assert_int_equal(p->redact_types, redact_by_name(STR("ip")) | redact_by_name(STR("card")) |
                                          redact_by_name(STR("jwt")));
    assert_ptr_equal(p, profile_of_log(profiles, &config->sources[0], &WEB, &h)); /* shared */
    h.redact = STR("none");
    assert_int_equal(profile_of_log(profiles, &config->sources[0], &WEB, &h)->redact_types,
                     redact_by_name(STR("jwt")));
    h = (struct profile_hints){.redact = STR("all"), .multiline = STR("java")};
    p = profile_of_log(profiles, &config->sources[0], &WEB, &h);
    assert_int_equal(p->redact_types, REDACT_ALL);
    assert_string_equal(p->multiline, "java");
    assert_non_null(profile_of_other(profiles, false)->redact);
    assert_null(profile_of_other(profiles, true)->redact);
}

#define TEST(name) cmocka_unit_test_teardown(name, teardown)
CHECK_MAIN(TEST(the_first_rule_that_fits_decides), TEST(a_rule_that_cannot_be_looked_at_drops),
           TEST(a_sample_is_the_part_that_was_asked_for),
           TEST(a_rate_is_counted_in_the_time_of_the_records),
           TEST(containers_are_selected_by_their_labels),
           TEST(a_container_may_ask_for_more_and_not_for_less))
