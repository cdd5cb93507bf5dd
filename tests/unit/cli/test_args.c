/* query/cli/args.c: flags in any order, times relative to now, and what is said about mistakes. */
#include "query/cli/args_table.h"

#include "tests/lib/check.h"

#include <string.h>

static const ts_ns NOW = INT64_C(1800000000) * NS_PER_S;

/* The words of one command line; getopt moves them about. */
struct line {
    char text[512];
    char *argv[32];
    int argc;
    struct args args;
    struct err err;
};

/* Words are separated by | because queries hold blanks. */
static int parse(struct line *l, const char *words)
{
    char *p = l->text;

    l->argc = 0;
    (void)str_to_z(str_of(words), l->text, sizeof(l->text));
    for (char *word; (word = strsep(&p, "|")) != NULL;)
        l->argv[l->argc++] = word;
    l->argv[l->argc] = NULL;
    return args_parse(l->argc, l->argv, NOW, &l->args, &l->err);
}

static void check_ok(struct line *l, const char *words)
{
    if (parse(l, words) < 0)
        fail_msg("'%s': %s", words, l->err.text);
}

static void check_bad(const char *words, const char *message)
{
    struct line l;

    assert_int_equal(parse(&l, words), ERR_INVALID);
    assert_string_equal(l.err.text, message);
}

static void flags_stand_before_and_behind_the_command(void **state)
{
    struct line l;

    (void)state;
    check_ok(&l, "logq|--tenant|a|query|-o|json|{a=\"b\"}|--limit=7");
    assert_int_equal(l.args.command, ARGS_QUERY);
    assert_int_equal(l.args.n_words, 1);
    assert_string_equal(l.args.words[0], "{a=\"b\"}");
    assert_string_equal(l.args.tenant, "a");
    assert_true(l.args.has_output);
    assert_int_equal(l.args.output, FORMAT_JSON);
    assert_true(l.args.has_limit);
    assert_int_equal(l.args.limit, 7);
}

static void nothing_given_means_the_last_hour(void **state)
{
    struct line l;

    (void)state;
    check_ok(&l, "logq|query|{a=\"b\"}");
    assert_int_equal(l.args.from, NOW - NS_PER_H);
    assert_int_equal(l.args.to, NOW);
    assert_false(l.args.has_span);
    assert_false(l.args.has_to);
    assert_false(l.args.has_limit);
    assert_false(l.args.has_output);
    assert_false(l.args.follow);
    assert_null(l.args.addr);
}

static void times_are_rfc3339_or_ago(void **state)
{
    struct line l;

    (void)state;
    check_ok(&l, "logq|query|x|--since|15m");
    assert_int_equal(l.args.from, NOW - 15 * NS_PER_MIN);
    check_ok(&l, "logq|query|x|--from|2h|--to|30m");
    assert_int_equal(l.args.from, NOW - 2 * NS_PER_H);
    assert_int_equal(l.args.to, NOW - 30 * NS_PER_MIN);
    assert_true(l.args.has_to);
    check_ok(&l, "logq|query|x|--from|1970-01-01T00:00:01.5Z|--to|now");
    assert_int_equal(l.args.from, NS_PER_S + NS_PER_S / 2);
    assert_int_equal(l.args.to, NOW);
    check_ok(&l, "logq|query|x|--to|1d"); /* alone: the hour before it */
    assert_int_equal(l.args.from, NOW - NS_PER_DAY - NS_PER_H);
    check_ok(&l, "logq|query|x|--from|2026-11-21 19:14|--to|2026-11-22|--utc");
    assert_true(l.args.from == INT64_C(1795288440) * NS_PER_S &&
                l.args.to == INT64_C(1795305600) * NS_PER_S);
}

static void tail_and_follow_are_the_same(void **state)
{
    struct line l;

    (void)state;
    check_ok(&l, "logq|tail|x");
    assert_true(l.args.follow);
    check_ok(&l, "logq|query|-f|x");
    assert_true(l.args.follow);
}

static void words_behind_two_dashes_are_no_flags(void **state)
{
    struct line l;

    (void)state;
    check_ok(&l, "logq|query|--|-1 > 0");
    assert_string_equal(l.args.words[0], "-1 > 0");
}

static void help_needs_nothing_else(void **state)
{
    struct line l;

    (void)state;
    check_ok(&l, "logq|--help");
    assert_true(l.args.help);
    assert_int_equal(l.args.command, ARGS_NONE);
    check_ok(&l, "logq|tail|-h");
    assert_true(l.args.help);
    assert_int_equal(l.args.command, ARGS_TAIL);
    check_ok(&l, "logq|help|series");
    assert_int_equal(l.args.command, ARGS_SERIES);
    check_ok(&l, "logq|-V");
    assert_true(l.args.version);
}

static void mistakes_are_named_as_they_were_typed(void **state)
{
    (void)state;
    check_bad("logq", "a command is needed");
    check_bad("logq|qery|x", "unknown command 'qery', did you mean 'query'?");
    check_bad("logq|query|--limti=3|x", "unknown flag --limti, did you mean --limit?");
    check_bad("logq|query|x|--o|json", "--o may be any of --overlap, --output");
    check_bad("logq|query|x|-q", "unknown flag -q");
    check_bad("logq|query|x|--limit", "--limit needs a value");
    check_bad("logq|query|x|-n", "-n needs a value");
    check_bad("logq|query|x|--follow=1", "--follow takes no value");
    check_bad("logq|query|x|--limit|-1", "--limit needs a whole number, not '-1'");
    check_bad("logq|query|x|--limit|18446744073709551616",
              "--limit needs a whole number, not '18446744073709551616'");
    check_bad("logq|query|x|-o|tabel", "--output cannot be 'tabel', did you mean 'table'?");
    check_bad("logq|query|x|--direction|", "--direction cannot be '': it is forward or backward");
    check_bad("logq|query|x|-o|xml",
              "--output cannot be 'xml': it is table, raw, jsonl, json, csv or logfmt");
    check_bad("logq|query|x|--since|yesterday", "--since needs a span like 1h, not 'yesterday'");
    check_bad("logq|query|x|--since|0", "--since needs a span like 1h, not '0'");
    check_bad("logq|query|x|--step|-1m", "--step needs a span like 1m, not '-1m'");
    check_bad("logq|query|x|--since|1h|--from|1h", "--since and --from exclude each other");
    check_bad("logq|query|x|--from|1h|--to|2h", "the span ends before it starts");
    check_bad("logq|query|x|--to|tomorrow",
              "--to needs a time like 2026-11-21T19:14:38Z or '2026-11-21 19:14', or how long ago "
              "like 15m, not 'tomorrow'");
}

static void a_command_takes_its_own_flags_and_operands_only(void **state)
{
    (void)state;
    check_bad("logq|labels|--follow", "labels knows no --follow");
    check_bad("logq|tail|x|--to|now", "tail knows no --to");
    check_bad("logq|query", "query needs QUERY");
    check_bad("logq|labels|a|b", "labels: one operand too many: 'b'");
    check_bad("logq|query|{a=|b}", "query: one operand too many: 'b}' (is the query in quotes?)");
}

static void numbers_have_bounds(void **state)
{
    struct line l;

    (void)state;
    check_ok(&l, "logq|query|x|-C|3|-A|5");
    assert_int_equal(l.args.before, 3);
    assert_int_equal(l.args.after, 5);
    check_ok(&l, "logq|export|x|f");
    assert_int_equal(l.args.parallel, 1);
    check_bad("logq|export|x|f|--parallel|0", "--parallel is a number from 1 to 16");
    check_bad("logq|export|x|f|--parallel|17", "--parallel is a number from 1 to 16");
    check_bad("logq|query|x|-B|101", "--before-context is a number from 0 to 100");
    check_bad("logq|fields|x|--sample|0", "--sample is a number from 1 to 1000000");
}

static void a_line_that_is_typed_has_no_flags_but_where_it_goes(void **state)
{
    struct line l;

    (void)state;
    check_ok(&l, "logq|__complete|query|--addr|http://a:1|--nonsense|");
    assert_int_equal(l.args.command, ARGS_COMPLETE);
    assert_int_equal(l.args.n_words, 5);
    assert_string_equal(l.args.addr, "http://a:1");
    check_bad("logq|__complet", "unknown command '__complet'");
}

static void every_command_has_help_examples_and_a_page(void **state)
{
    (void)state;
    for (unsigned i = ARGS_QUERY; i < ARGS_COMPLETE; i++) {
        struct buf out;

        buf_init(&out, 1 << 16);
        for (struct str rest = str_of(args_more((enum args_command)i)); rest.p != NULL;)
            assert_true(str_cut(&rest, '\n').n <= 80);
        args_help(&out, (enum args_command)i);
        assert_true(str_find(buf_str(&out), STR("Usage: logq ")) != SIZE_MAX);
        assert_true(str_find(buf_str(&out), STR("\nExamples\n")) != SIZE_MAX);
        assert_true(str_find(buf_str(&out), STR("(null)")) == SIZE_MAX);
        assert_true(str_find(buf_str(&out), STR("Exit: 0 ")) != SIZE_MAX);
        buf_clear(&out);
        args_man(&out, (enum args_command)i);
        assert_true(str_starts(buf_str(&out), STR(".TH LOGQ\\-")));
        assert_true(str_find(buf_str(&out), STR(".SH EXAMPLES\n")) != SIZE_MAX);
        assert_false(out.over);
        buf_fini(&out);
    }
}

static void delete_takes_a_query_or_a_verb(void **state)
{
    struct line l;

    (void)state;
    check_ok(&l, "logq|delete|{a=\"b\"}|--since|2h");
    assert_int_equal(l.args.command, ARGS_DELETE);
    assert_true(l.args.has_span);
    assert_false(l.args.force);
    check_ok(&l, "logq|delete|--force|cancel|0000000000000001");
    assert_int_equal(l.args.n_words, 2);
    assert_true(l.args.force);
    check_bad("logq|delete", "delete needs QUERY");
    check_bad("logq|series|{}|--force", "series knows no --force");
}

static void help_lists_what_the_command_takes(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out, 1 << 16);
    args_help(&out, ARGS_LABELS);
    assert_true(str_find(buf_str(&out), STR("--since SPAN")) != SIZE_MAX);
    assert_true(str_find(buf_str(&out), STR("-o, --output FORM")) != SIZE_MAX);
    assert_true(str_find(buf_str(&out), STR("--follow")) == SIZE_MAX);
    buf_clear(&out);
    args_help(&out, ARGS_DELETE);
    assert_true(str_find(buf_str(&out), STR("       logq delete [FLAGS] cancel ID\n")) != SIZE_MAX);
    buf_clear(&out);
    args_help(&out, ARGS_NONE);
    assert_true(str_find(buf_str(&out), STR("  series      SELECTOR...  ")) != SIZE_MAX);
    assert_false(out.over);
    buf_fini(&out);
}

CHECK_MAIN(cmocka_unit_test(flags_stand_before_and_behind_the_command),
           cmocka_unit_test(nothing_given_means_the_last_hour),
           cmocka_unit_test(times_are_rfc3339_or_ago),
           cmocka_unit_test(tail_and_follow_are_the_same),
           cmocka_unit_test(words_behind_two_dashes_are_no_flags),
           cmocka_unit_test(help_needs_nothing_else),
           cmocka_unit_test(mistakes_are_named_as_they_were_typed),
           cmocka_unit_test(a_command_takes_its_own_flags_and_operands_only),
           cmocka_unit_test(numbers_have_bounds),
           cmocka_unit_test(a_line_that_is_typed_has_no_flags_but_where_it_goes),
           cmocka_unit_test(every_command_has_help_examples_and_a_page),
           cmocka_unit_test(delete_takes_a_query_or_a_verb),
           cmocka_unit_test(help_lists_what_the_command_takes))
