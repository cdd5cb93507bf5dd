/* server/rule_state.c: the state machine, minute by minute, as promtool 2.42 runs it. */
#include "server/rule_state.h"

#include "tests/lib/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SERIES = 3 };

/* Samples of one evaluation: series i has label pod=<i> and value v[i]; v[i] < 0 is absent. */
struct samples {
    struct query_result result;
    struct query_series series[SERIES];
    struct label labels[SERIES][2];
    char pods[SERIES][2];
    double values[SERIES];
    ts_ns ts;
};

static const struct query_result *sample(struct samples *s, const double *v)
{
    size_t n = 0;

    memset(s, 0, sizeof(*s));
    for (size_t i = 0; i < SERIES; i++) {
        if (v[i] < 0)
            continue;
        s->pods[i][0] = (char)('0' + i);
        s->labels[i][0] = (struct label){STR("__name__"), STR("x")};
        s->labels[i][1] = (struct label){STR("pod"), {s->pods[i], 1}};
        s->values[i] = v[i];
        s->series[n++] = (struct query_series){
            .labels = {s->labels[i], 2}, .n = 1, .ts = &s->ts, .value = &s->values[i]};
    }
    s->result = (struct query_result){.type = QUERY_VECTOR, .series = s->series, .n = n};
    return &s->result;
}

static const double NONE[SERIES] = {-1, -1, -1};

static struct rule_state_change eval(struct rule_state *s, const struct rule *rule, const double *v,
                                     int minute)
{
    struct rule_state_change change;
    struct samples samples;
    struct err err;

    if (rule_state_eval(s, rule, sample(&samples, v), minute * NS_PER_MIN, &change, &err) < 0)
        fail_msg("minute %d: %s", minute, err.text);
    return change;
}

/* One letter per alert: P, F, I; '-' for none at all. */
static char look(const struct rule_state *s)
{
    assert_true(rule_state_count(s) <= 1);
    if (rule_state_count(s) == 0)
        return '-';
    return "PFI"[rule_state_at(s, 0)->state];
}

/* `v`: one letter a minute from minute 0, '.' for no sample; `want` the states behind it. */
static void check_course(dur_ns hold, dur_ns keep, const char *v, const char *want)
{
    const struct rule rule = {.alert = STR("A"), .hold = hold, .keep_firing = keep};
    struct rule_state *s = rule_state_new(NULL);

    for (int m = 0; v[m] != '\0'; m++) {
        double values[SERIES] = {v[m] == '.' ? -1 : v[m] - '0', -1, -1};
        (void)eval(s, &rule, values, m);
        if (look(s) != want[m])
            fail_msg("'%s' at minute %d: %c, not %c", v, m, look(s), want[m]);
    }
    rule_state_free(&s);
}

static void states_follow_the_samples(void **state)
{
    (void)state;
    check_course(0, 0, "1", "F");
    check_course(0, 0, ".", "-");
    check_course(0, 0, "11.1", "FFIF");
    check_course(2 * NS_PER_MIN, 0, "1111.", "PPFFI");
    check_course(2 * NS_PER_MIN, 0, "11.11", "PP-PP");
    check_course(2 * NS_PER_MIN, 0, "111.1", "PPFIP");
    /* resolved ones stay 15 minutes */
    check_course(0, 0, "1.................", "FIIIIIIIIIIIIIIII-");
    /* for 2m, keep_firing_for 3m, samples from m1 to m5: firing from m3 to m8, over at m9 */
    check_course(2 * NS_PER_MIN, 3 * NS_PER_MIN, ".66666......", "-PPFFFFFFIII");
    check_course(0, 3 * NS_PER_MIN, "1..1...", "FFFFFFF");
    check_course(0, 3 * NS_PER_MIN, "1..1....", "FFFFFFFI");
    check_course(2 * NS_PER_MIN, 3 * NS_PER_MIN, "1.", "P-");
}

static void the_value_is_frozen_while_firing_is_kept(void **state)
{
    const struct rule rule = {.alert = STR("A"), .keep_firing = 3 * NS_PER_MIN};
    struct rule_state *s = rule_state_new(NULL);

    (void)state;
    (void)eval(s, &rule, (const double[]){6, -1, -1}, 0);
    (void)eval(s, &rule, (const double[]){9, -1, -1}, 1);
    assert_true(eval(s, &rule, NONE, 2).changed); /* keeping starts */
    assert_false(eval(s, &rule, NONE, 3).changed);
    assert_int_equal((int)rule_state_at(s, 0)->value, 9);
    assert_int_equal(rule_state_at(s, 0)->keep_since, 2 * NS_PER_MIN);
    rule_state_free(&s);
}

static void times_are_those_of_the_transitions(void **state)
{
    const struct rule rule = {.alert = STR("A"), .hold = NS_PER_MIN};
    struct rule_state *s = rule_state_new(NULL);
    const double one[] = {1, -1, -1};

    (void)state;
    assert_int_equal(rule_state_due(s, &rule), INT64_MAX);
    assert_true(eval(s, &rule, one, 3).changed);
    assert_int_equal(rule_state_due(s, &rule), 4 * NS_PER_MIN);
    assert_true(eval(s, &rule, one, 4).changed);
    assert_int_equal(rule_state_due(s, &rule), INT64_MAX);
    assert_false(eval(s, &rule, one, 5).changed);
    assert_true(eval(s, &rule, NONE, 6).changed);
    assert_int_equal(rule_state_at(s, 0)->active_at, 3 * NS_PER_MIN);
    assert_int_equal(rule_state_at(s, 0)->fired_at, 4 * NS_PER_MIN);
    assert_int_equal(rule_state_at(s, 0)->resolved_at, 6 * NS_PER_MIN);
    rule_state_free(&s);
}

static void alerts_of_a_rule_live_apart(void **state)
{
    const struct rule rule = {.alert = STR("A")};
    struct rule_state *s = rule_state_new(NULL);

    (void)state;
    (void)eval(s, &rule, (const double[]){1, 2, -1}, 0);
    assert_int_equal(rule_state_firing(s), 2);
    (void)eval(s, &rule, (const double[]){-1, 2, 3}, 1);
    assert_int_equal(rule_state_firing(s), 2);
    assert_int_equal(rule_state_count(s), 3);
    rule_state_free(&s);
}

/* ---- labels, annotations, what fails ---- */

static struct rule_text text(struct arena *a, const char *name, const char *template)
{
    struct rule_text t = {.name = str_of(name), .source = str_of(template)};
    struct err err;
    size_t offset;

    assert_int_equal(rule_template_parse(t.source, a, &t.text, &offset, &err), 0);
    return t;
}

static void an_alert_has_the_labels_of_sample_and_rule(void **state)
{
    struct arena *a = arena_new(NULL, 0);
    struct rule_text labels[] = {text(a, "empty", ""), text(a, "severity", "s{{ $labels.pod }}")};
    struct rule_text notes[] = {text(a, "bad", "{{ $labels.nope | humanize }}"),
                                text(a, "summary", "{{ $value }}")};
    const struct rule rule = {.alert = STR("A"),
                              .labels = labels,
                              .n_labels = 2,
                              .annotations = notes,
                              .n_annotations = 2};
    struct rule_state *s = rule_state_new(NULL);
    struct rule_state_change change = eval(s, &rule, (const double[]){-1, 7, -1}, 0);
    const struct rule_alert *alert = rule_state_at(s, 0);
    struct buf out;

    (void)state;
    buf_init(&out, 1000);
    labels_format(&out, &alert->labels);
    check_str(buf_str(&out), "{alertname=\"A\", pod=\"1\", severity=\"s1\"}");
    check_str(labels_get(&alert->annotations, STR("summary")), "7");
    check_str(labels_get(&alert->annotations, STR("bad")),
              "<error expanding template: text:1:18: executing \"text\" at <humanize>: error "
              "calling humanize: \"\" is no number>");
    assert_int_equal(change.failed, 1);
    (void)eval(s, &rule, (const double[]){-1, 8, -1}, 1);
    check_str(labels_get(&rule_state_at(s, 0)->annotations, STR("summary")), "8");
    buf_fini(&out);
    rule_state_free(&s);
    arena_free(&a);
}

static void equal_label_sets_fail_the_rule_and_change_nothing(void **state)
{
    struct arena *a = arena_new(NULL, 0);
    struct rule_text same = text(a, "pod", "same");
    const struct rule good = {.alert = STR("A")};
    const struct rule bad = {.alert = STR("A"), .labels = &same, .n_labels = 1};
    struct rule_state *s = rule_state_new(NULL);
    struct rule_state_change change;
    struct samples samples;
    struct err err;

    (void)state;
    (void)eval(s, &good, (const double[]){1, -1, -1}, 0);
    assert_int_equal(rule_state_eval(s, &bad, sample(&samples, (const double[]){1, 1, -1}),
                                     NS_PER_MIN, &change, &err),
                     ERR_INVALID);
    assert_false(change.changed);
    assert_int_equal(look(s), 'F');
    rule_state_free(&s);
    arena_free(&a);
}

static void over_the_limit_all_alerts_end(void **state)
{
    const struct rule rule = {.alert = STR("A"), .limit = 1};
    struct rule_state *s = rule_state_new(NULL);
    struct rule_state_change change;
    struct samples samples;
    struct err err;

    (void)state;
    (void)eval(s, &rule, (const double[]){1, -1, -1}, 0);
    assert_int_equal(rule_state_eval(s, &rule, sample(&samples, (const double[]){1, 1, -1}),
                                     NS_PER_MIN, &change, &err),
                     ERR_LIMIT);
    assert_true(change.changed);
    assert_int_equal(rule_state_firing(s), 0);
    rule_state_free(&s);
}

static void a_rule_that_is_gone_ends_its_alerts(void **state)
{
    const struct rule rule = {.alert = STR("A"), .keep_firing = NS_PER_H};
    struct rule_state *s = rule_state_new(NULL);
    struct rule_state_change change;

    (void)state;
    (void)eval(s, &rule, (const double[]){1, -1, -1}, 0);
    rule_state_end(s, NS_PER_MIN, &change);
    assert_true(change.changed);
    assert_int_equal(look(s), 'I');
    rule_state_end(s, 17 * NS_PER_MIN, &change);
    assert_true(change.changed);
    assert_int_equal(look(s), '-');
    rule_state_free(&s);
}

static void no_memory_changes_nothing(void **state)
{
    const struct rule rule = {.alert = STR("A")};
    struct mem_budget budget = {.name = "test", .limit = 100};
    struct rule_state *s = rule_state_new(&budget);
    struct rule_state_change change;
    struct samples samples;
    struct err err;

    (void)state;
    assert_int_equal(
        rule_state_eval(s, &rule, sample(&samples, (const double[]){1, 1, -1}), 1, &change, &err),
        ERR_NOMEM);
    assert_int_equal(rule_state_count(s), 0);
    assert_int_equal(budget.used, 0);
    rule_state_free(&s);
}

/* ---- restarts ---- */

static void a_restart_keeps_everything(void **state)
{
    const struct rule rule = {.alert = STR("A \xff"), .hold = 2 * NS_PER_MIN};
    struct rule_state *s = rule_state_new(NULL);
    struct rule_state *back = NULL;
    struct buf saved;
    struct buf again;
    struct err err;

    (void)state;
    buf_init(&saved, 1 << 20);
    buf_init(&again, 1 << 20);
    (void)eval(s, &rule, (const double[]){1, -1, 3}, 1);
    (void)eval(s, &rule, (const double[]){1, 0.25, 3}, 3);
    (void)eval(s, &rule, (const double[]){1, 0.25, -1}, 4);
    rule_state_save(s, &saved);
    assert_int_equal(rule_state_restore(buf_str(&saved), NS_PER_H, NULL, &back, &err), 0);
    rule_state_save(back, &again);
    assert_true(str_eq(buf_str(&saved), buf_str(&again)));
    assert_int_equal(rule_state_firing(back), 1);
    assert_int_equal(rule_state_pending(back), 1);
    (void)eval(back, &rule, (const double[]){1, 0.25, -1}, 5); /* the same alerts, found again */
    assert_int_equal(rule_state_count(back), 3);
    assert_int_equal(rule_state_firing(back), 2);
    rule_state_free(&s);
    rule_state_free(&back);
    buf_fini(&saved);
    buf_fini(&again);
}

static void after_a_long_outage_pending_starts_anew(void **state)
{
    const struct rule rule = {.alert = STR("A"), .hold = 2 * NS_PER_MIN};
    struct rule_state *s = rule_state_new(NULL);
    struct rule_state *back = NULL;
    struct buf saved;
    struct err err;

    (void)state;
    buf_init(&saved, 1 << 20);
    (void)eval(s, &rule, (const double[]){1, -1, -1}, 1);
    (void)eval(s, &rule, (const double[]){1, 1, -1}, 3);
    rule_state_save(s, &saved);
    assert_int_equal(rule_state_restore(buf_str(&saved), NS_PER_H + 1, NULL, &back, &err), 0);
    assert_int_equal(rule_state_count(back), 1);
    assert_int_equal(look(back), 'F');
    rule_state_free(&s);
    rule_state_free(&back);
    buf_fini(&saved);
}

static void what_is_no_saved_state_is_refused(void **state)
{
    static const char *const BAD[] = {
        "",
        "[]",
        "{}",
        "{\"v\":2,\"alerts\":[]}",
        "{\"v\":1,\"alerts\":[{}]}",
        "{\"v\":1,\"alerts\":[{\"labels\":{\"a\":1}}]}",
        "{\"v\":1,\"alerts\":[{\"labels\":{\"a\":\"b\"},\"state\":\"x\"}]}",
        "{\"v\":1,\"alerts\":[{\"labels\":{\"a\":\"b\"},\"active_at\":-1}]}",
        "{\"v\":1,\"alerts\":[{\"labels\":{\"a\":\"b\"}},{\"labels\":{\"a\":\"b\"}}]}",
        "{\"v\":1,\"alerts\":[{\"labels\":{\"a\":\"b\"},\"more\":1}]}",
        "{\"v\":1,\"alerts\":[",
        "{\"v\":1,\"alerts\":[3]}",
        "{\"v\":1,\"x\":[]}",
    };
    struct rule_state *back = NULL;
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        if (rule_state_restore(str_of(BAD[i]), 0, NULL, &back, &err) != ERR_CORRUPT)
            fail_msg("accepted: %s", BAD[i]);
    }
}

CHECK_MAIN(cmocka_unit_test(states_follow_the_samples),
           cmocka_unit_test(the_value_is_frozen_while_firing_is_kept),
           cmocka_unit_test(times_are_those_of_the_transitions),
           cmocka_unit_test(alerts_of_a_rule_live_apart),
           cmocka_unit_test(an_alert_has_the_labels_of_sample_and_rule),
           cmocka_unit_test(equal_label_sets_fail_the_rule_and_change_nothing),
           cmocka_unit_test(over_the_limit_all_alerts_end),
           cmocka_unit_test(a_rule_that_is_gone_ends_its_alerts),
           cmocka_unit_test(no_memory_changes_nothing),
           cmocka_unit_test(a_restart_keeps_everything),
           cmocka_unit_test(after_a_long_outage_pending_starts_anew),
           cmocka_unit_test(what_is_no_saved_state_is_refused))
