/* base/level.h: Loki's rule for detected_level, case by case. */
#include "base/level.h"

#include "tests/lib/check.h"

#include <string.h>

static struct str name_of(const char *line)
{
    static const struct labels NONE = {NULL, 0};

    return level_name(level_of(&NONE, NULL, 0, str_of(line)));
}

static void finds_levels_in_lines(void **state)
{
    static const struct {
        const char *line, *level;
    } CASES[] = {
        {"", "unknown"},
        {"nothing to see", "unknown"},
        {"{\"level\":\"error\",\"msg\":\"info\"}", "error"},
        {"{\"msg\":\"error\",\"LEVEL\":\"Warning\"}", "warn"},
        {"{\"log\":{\"severity\":\"DEBUG\"},\"x\":1}", "debug"},
        {"{\"a\":{\"b\":{\"level\":\"fatal\"}}}",
         "fatal"}, /* too deep for a key, but a word of the text */
        {"{\"a\":{\"c\":1,\"lvl\":\"trc\"}}", "trace"},
        {"{\"level\":\"notice\",\"msg\":\"warn me\"}",
         "warn"}, /* a level we do not know: the text decides */
        {"{\"level\":\"error\"", "error"},
        {"level=warn msg=\"an error\"", "warn"},
        {"ts=1 lvl=\"ERR\" msg=x", "error"},
        {"sublevel=debug msg=info", "debug"}, /* no key we know: the first level word counts */
        {"log.level=critical x=y", "critical"},
        {"2026-11-21 ERROR [main] failed with warnings", "error"},
        {"WARN: errors follow", "warn"},
        {"terror and debugger", "unknown"},
        {"[info] started", "info"},
        {"an informational note", "info"},
        {"code=error_total", "unknown"},
        {"\xff\xfe warn \x00", "warn"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++)
        if (!str_eq(name_of(CASES[i].line), str_of(CASES[i].level)))
            fail_msg("'%s': %.*s, not %s", CASES[i].line, STR_ARG(name_of(CASES[i].line)),
                     CASES[i].level);
}

/* Lines are looked at sixteen bytes at a time. */
static void a_word_is_found_wherever_it_lies(void **state)
{
    static const char *const WORDS[] = {"err", "Warning", "INFORMATIONAL", "fatal"};
    static const enum level LEVELS[] = {LEVEL_ERROR, LEVEL_WARN, LEVEL_INFO, LEVEL_FATAL};
    static const char BEFORE[] = " .\"[@`{/:\t\x01";
    static const char INSIDE[] = "aZ_09\xc3\xff";
    (void)state;

    for (size_t i = 0; i < 4; i++) {
        for (size_t at = 1; at < 50; at++) {
            size_t n = strlen(WORDS[i]);
            char line[80];
            for (size_t tail = 0; tail < 17; tail++) {
                struct str s = {line, at + n + tail};
                memset(line, '-', sizeof(line));
                memcpy(line + at, WORDS[i], n);
                line[at - 1] = BEFORE[(at + tail) % (sizeof(BEFORE) - 1)];
                assert_int_equal(level_of_line(s), LEVELS[i]);
                line[at - 1] = INSIDE[(at + tail) % (sizeof(INSIDE) - 1)];
                assert_int_equal(level_of_line(s), LEVEL_UNKNOWN);
                line[at - 1] = '-';
                line[at + n] = INSIDE[(at + tail) % (sizeof(INSIDE) - 1)];
                assert_int_equal(level_of_line(s), tail == 0 ? LEVELS[i] : LEVEL_UNKNOWN);
            }
        }
    }
}

static void labels_and_attributes_come_before_the_line(void **state)
{
    struct label stream[] = {{STR("app"), STR("x")}, {STR("level"), STR("wrn")}};
    struct label attr[] = {{STR("severity_text"), STR("FATAL")}};
    struct labels l = {stream, 2};
    struct labels plain = {stream, 1};
    (void)state;

    assert_int_equal(level_of(&l, attr, 1, STR("error")), LEVEL_WARN);
    assert_int_equal(level_of(&plain, attr, 1, STR("error")), LEVEL_FATAL);
    attr[0].value = STR("loud");
    assert_int_equal(level_of(&plain, attr, 1, STR("error")), LEVEL_ERROR);
}

static void names_are_those_of_levels(void **state)
{
    enum level level = LEVEL_UNKNOWN;

    (void)state;
    for (int i = 0; i < LEVEL_COUNT; i++) {
        assert_true(level_by_name(level_name((enum level)i), &level));
        assert_int_equal(level, i);
    }
    assert_false(level_by_name(STR("warning"), &level));
}

CHECK_MAIN(cmocka_unit_test(finds_levels_in_lines),
           cmocka_unit_test(a_word_is_found_wherever_it_lies),
           cmocka_unit_test(labels_and_attributes_come_before_the_line),
           cmocka_unit_test(names_are_those_of_levels))
