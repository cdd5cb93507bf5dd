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

/* A rate that records are counted in, and the clocks of who counts. */
struct world {
    struct rules_bucket buckets[RULES_BUCKETS];
    unsigned closed;
    ts_ns wall;
    dur_ns mono;
};

/* One of time `at`: is it kept? */
static bool count(struct world *w, ts_ns at)
{
    const struct profile *p = profile_of_log(profiles, &config->sources[0], &WEB, NULL);
    struct rules_record rec = {.line = STR("x"), .stream = DECODE_STDOUT, .labels = &WEB};
    struct rules_time t = {.record = at, .wall = w->wall, .mono = w->mono};
    struct rules_decision d;

    w->closed = rules_reopen(p->rules, p->of, &t, w->buckets, w->closed);
    d = rules_decide(p->rules, p->of, w->closed, &rec);
    assert_int_equal(d.limit, 1);
    w->closed = rules_count(p->rules, &d, &t, w->buckets, w->closed);
    return d.by == RULES_KEEP;
}

/* `n` records, `gap` apart; how many are kept? */
static unsigned flood(unsigned n, dur_ns gap, ts_ns *at, struct world *w)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < n; i++, *at += gap)
        kept += count(w, *at);
    return kept;
}

/* As they are written: the clocks go on with them. */
static unsigned live(unsigned n, dur_ns gap, dur_ns late, struct world *w)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < n; i++, w->wall += gap, w->mono += gap)
        kept += count(w, w->wall - late);
    return kept;
}

enum { LONG_AGO = 1000, NOW = 2000000 }; /* seconds */
static struct world world(void)
{
    return (struct world){.wall = NOW * NS_PER_S, .mono = 77 * NS_PER_S};
}

static void a_rate_is_counted_in_the_time_of_the_records(void **state)
{
    struct world w = world();
    ts_ns at = LONG_AGO * NS_PER_S;

    (void)state;
    load(INPUT "rules: [{rate: 100, burst: 300}]\n");
    assert_int_equal(flood(1000, 0, &at, &w), 300); /* all at once */
    assert_int_equal(flood(1000, 0, &at, &w), 0);
    at += 10 * NS_PER_S; /* it opens again for the first that finds it so, and holds the burst */
    assert_int_equal(flood(1000, 0, &at, &w), 300);
    at += 10 * NS_PER_S;
    assert_in_range(flood(10000, NS_PER_MS, &at, &w), 1100, 1310); /* ten seconds */
    at += 10 * NS_PER_S;
    assert_int_equal(flood(1, 0, &at, &w), 1);
    assert_int_equal(flood(1000, 20 * NS_PER_MS, &at, &w), 1000); /* slow enough */
}

static void what_comes_slower_than_its_rate_is_kept(void **state)
{
    static const dur_ns GAPS[] = {NS_PER_S, 2 * NS_PER_S, NS_PER_MIN, NS_PER_H, NS_PER_DAY};

    (void)state;
    load(INPUT "rules: [{rate: 1}]\n");
    for (size_t i = 0; i < sizeof(GAPS) / sizeof(GAPS[0]); i++) {
        struct world w = world();
        ts_ns at = LONG_AGO * NS_PER_S;
        assert_int_equal(live(40, GAPS[i], 0, &w), 40);
        w = world();
        assert_int_equal(live(40, GAPS[i], NS_PER_H, &w), 40); /* its clock is behind */
        if (GAPS[i] > NS_PER_MIN) /* in a backlog it takes two to leap */
            continue;
        w = world();
        assert_int_equal(flood(40, GAPS[i], &at, &w), 40);
        assert_int_equal(flood(40, GAPS[0] / 2, &at, &w), 20);
    }
    load(INPUT "rules: [{rate: 5, burst: 2}]\n");
    for (unsigned i = 0; i < 10; i++) { /* after a pause there is the burst */
        static struct world w;
        ts_ns at = (LONG_AGO + 2 * (ts_ns)i) * NS_PER_S;
        if (i == 0)
            w = world();
        assert_int_equal(flood(10, NS_PER_MS, &at, &w), 2);
    }
}

/* A record that only looks whether a rate is open again takes nothing and moves nothing. */
static void who_finds_a_rate_used_up_leaves_it_so(void **state)
{
    const struct profile *p;
    struct world w = world();
    struct rules_bucket before;
    ts_ns at = LONG_AGO * NS_PER_S;

    (void)state;
    load(INPUT "rules: [{rate: 10}]\n");
    p = profile_of_log(profiles, &config->sources[0], &WEB, NULL);
    assert_int_equal(flood(100, 0, &at, &w), 10);
    before = w.buckets[0];
    for (unsigned i = 0; i < 100; i++) {
        ts_ns ats[] = {at + 900 * NS_PER_MS, at + NS_PER_H, w.wall + NS_PER_DAY, at - NS_PER_S};
        struct rules_time t = {.record = ats[i % 4], .wall = w.wall, .mono = w.mono};
        assert_int_equal(rules_reopen(p->rules, p->of, &t, w.buckets, w.closed), w.closed);
        assert_int_equal(rules_reopen(p->rules, 0, &t, w.buckets, w.closed), w.closed);
    }
    assert_memory_equal(&before, &w.buckets[0], sizeof(before));
    at += NS_PER_S;
    assert_int_equal(flood(100, 0, &at, &w), 10);
}

/* In whatever order they come: the burst, and what opens again with a second's worth. */
static void times_that_go_back_make_no_more_of_a_rate(void **state)
{
    struct world w = world();
    unsigned kept = 0;
    ts_ns at = LONG_AGO * NS_PER_S;

    (void)state;
    load(INPUT "rules: [{rate: 10}]\n");
    assert_int_equal(flood(2000, NS_PER_MS, &at, &w), 20);

    w = world();
    at = LONG_AGO * NS_PER_S; /* each second one 100 ms early */
    for (unsigned i = 0; i < 2000; i++, at += NS_PER_MS)
        kept += count(&w, i % 2 == 0 ? at : at - 100 * NS_PER_MS);
    assert_int_equal(kept, 20);

    w = world();
    kept = 0; /* the same second again and again */
    for (unsigned i = 0; i < 20; i++) {
        at = LONG_AGO * NS_PER_S;
        kept += flood(100, 10 * NS_PER_MS, &at, &w);
    }
    assert_int_equal(kept, 10);

    w = world();
    kept = 0; /* ten clients over the same five seconds, one behind the other */
    for (unsigned i = 0; i < 10; i++) {
        at = LONG_AGO * NS_PER_S;
        kept += flood(101, 50 * NS_PER_MS, &at, &w);
    }
    assert_in_range(kept, 50, 60);
}

/* One whose clock is behind, and one line that was ahead: they have the rate of their arrival. */
static void a_time_that_is_behind_counts_when_it_arrives(void **state)
{
    struct world w = world();
    ts_ns at = LONG_AGO * NS_PER_S;

    (void)state;
    load(INPUT "rules: [{rate: 10}]\n");
    assert_true(count(&w, w.wall));
    assert_int_equal(live(500, 200 * NS_PER_MS, NS_PER_H, &w), 500); /* slow enough, an hour late */
    assert_in_range(live(5000, NS_PER_MS, NS_PER_H, &w), 40, 60);    /* five seconds of a flood */
    (void)flood(1000, 0, &at, &w);
    w.mono += 10 * NS_PER_S; /* no time but that of arrival opens it again */
    assert_int_equal(flood(1000, 0, &at, &w), 10);
}

/* Be it a year: the others' time goes on. */
static void a_time_in_the_future_takes_no_time_from_others(void **state)
{
    struct world w = world();

    (void)state;
    load(INPUT "rules: [{rate: 10}]\n");
    assert_true(count(&w, w.wall + 365 * NS_PER_DAY));
    w.wall += NS_PER_S;
    w.mono += NS_PER_S;
    assert_int_equal(live(500, 200 * NS_PER_MS, 0, &w), 500);
    assert_true(count(&w, INT64_MAX));
    w.wall += NS_PER_S;
    w.mono += NS_PER_S;
    assert_int_equal(live(500, 200 * NS_PER_MS, 0, &w), 500);
    w = world();
    assert_true(count(&w, INT64_MIN));
    assert_true(count(&w, INT64_MAX));
    w.wall -= NS_PER_H; /* our own clock is set back: by what goes on meanwhile */
    assert_int_equal(live(500, 200 * NS_PER_MS, 0, &w), 500);
    assert_in_range(live(5000, NS_PER_MS, 0, &w), 40, 60);
}

/* Nor in a backlog, where no clock of ours goes on; wherever such records are, if not two together.
 */
static void a_time_that_leaps_ahead_is_not_that_of_the_others(void **state)
{
    struct world w = world();
    unsigned kept = 0;
    ts_ns at = LONG_AGO * NS_PER_S;

    (void)state;
    load(INPUT "rules: [{rate: 10}]\n");
    assert_true(count(&w, INT64_MAX));
    for (unsigned i = 0; i < 5000; i++, at += 200 * NS_PER_MS)
        kept += count(&w, i % 10 == 3 ? w.wall + NS_PER_DAY : at);
    assert_int_equal(kept, 5000);
    assert_in_range(flood(2000, NS_PER_MS, &at, &w), 10, 30);
    at += NS_PER_DAY; /* but all may leap */
    assert_int_equal(flood(1000, 0, &at, &w), 10);
    kept = 0;
    for (unsigned i = 0; i < 100; i++, at += 5 * NS_PER_MIN)
        kept += count(&w, at);
    assert_in_range(kept, 97, 99);
    w = world(); /* one behind the other, two clocks an hour apart */
    at = LONG_AGO * NS_PER_S;
    kept = 0;
    for (unsigned i = 0; i < 2000; i++, at += NS_PER_MS)
        kept += count(&w, i % 2 == 0 ? at : at + NS_PER_H);
    assert_int_equal(kept, 20);
}

/* What was written while nobody read comes in its own time, also if it begins a little early. */
static void a_pause_of_the_reader_is_no_time_of_the_records(void **state)
{
    struct world w = world();
    ts_ns at = w.wall;

    (void)state;
    load(INPUT "rules: [{rate: 10}]\n");
    assert_int_equal(live(100, 200 * NS_PER_MS, 0, &w), 100);
    at = w.wall - NS_PER_MS * 250;
    w.wall += NS_PER_H;
    w.mono += NS_PER_H;
    assert_int_equal(flood(5 * 3600, 200 * NS_PER_MS, &at, &w), 5 * 3600);
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
           TEST(what_comes_slower_than_its_rate_is_kept),
           TEST(who_finds_a_rate_used_up_leaves_it_so),
           TEST(times_that_go_back_make_no_more_of_a_rate),
           TEST(a_time_that_is_behind_counts_when_it_arrives),
           TEST(a_time_in_the_future_takes_no_time_from_others),
           TEST(a_time_that_leaps_ahead_is_not_that_of_the_others),
           TEST(a_pause_of_the_reader_is_no_time_of_the_records),
           TEST(containers_are_selected_by_their_labels),
           TEST(a_container_may_ask_for_more_and_not_for_less))
