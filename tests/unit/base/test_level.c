/* base/level.h: Loki's rule for detected_level, case by case. */
#include "base/level.h"

#include "tests/lib/check.h"

#include <string.h>

static struct str name_of(const char *line)
{
    return level_name(level_of_line(str_of(line)));
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
        {"code=error_total", "unknown"},
        {"\xff\xfe warn \x00", "warn"},
        {"a warn\r\n", "warn"},
        /* a colon in front makes one word of two, and so do others that are no boundary */
        {"x:error", "unknown"},
        {"misc:error, then info", "info"},
        {"/error/", "unknown"},
        {"info.", "unknown"},
        {"-info", "unknown"},
        {"error;", "unknown"},
        {"<error>", "unknown"},
        {"error: x", "error"},
        {"(fatal)", "fatal"},
        {"{debug}", "debug"},
        {"'err'!", "error"},
        {"a|trace|b", "trace"},
        {"wrn", "unknown"},
        {"information", "unknown"},
        {"an informational note", "unknown"},
        {"the trc of a dbg inf", "unknown"},
        /* the first key with a text decides, in a JSON line */
        {"{\"lvl\":\"error\",\"level\":\"debug\"}", "error"},
        {"{\"a\":{\"lvl\":\"error\"},\"level\":\"debug\"}", "error"},
        {"{\"level\":30,\"severity\":\"wrn\"}", "warn"},
        {"{\"level\":\"NA\",\"severity\":\"wrn\"}", "unknown"},
        {"{\"level\":\"\\u0077rn\",\"severity\":\"wrn\"}", "unknown"},
        {"{\"a\":[{\"level\":\"wrn\"}]}", "unknown"},
        {"{\"lvl\":\"wrn\"} and more", "unknown"},
        {"  {\"lvl\":\"wrn\"} \n", "warn"},
        /* the foremost key of the list in one of pairs, whatever its case */
        {"lvl=error level=debug", "debug"},
        {"lvl=error severity=dbg", "debug"},
        {"lvl=error LeVeL=dbg", "debug"},
        {"level=wrn level=error", "warn"},
        {"level=NA lvl=wrn", "unknown"},
        {"level lvl=wrn", "unknown"},
        {"level= lvl=wrn", "unknown"},
        {"msg=\"a level=trc in it\" level=inf", "info"},
        {"msg=\"a \\\" level=trc in it\"level=inf", "info"},
        {"a=b=c level=wrn", "unknown"}, /* behind what is no pair none counts */
        {"a \"b\" level=wrn", "unknown"},
        {"=a level=wrn", "unknown"},
        {"level=\"wrn", "unknown"},
        {"/?level=wrn x=y", "unknown"},
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
    static const char *const WORDS[] = {"err", "Warning", "CRITICAL", "fatal"};
    static const enum level LEVELS[] = {LEVEL_ERROR, LEVEL_WARN, LEVEL_CRITICAL, LEVEL_FATAL};
    static const char BEFORE[] = " \"[{\t\n('=|";
    static const char BEHIND[] = " \"[{\t\n('=|])}:,!";
    static const char INSIDE[] = "aZ_09\xc3\xff.@`/\x01;-?";
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
                line[at + n] = BEHIND[(at + 3 * tail) % (sizeof(BEHIND) - 1)];
                assert_int_equal(level_of_line(s), LEVELS[i]);
                line[at - 1] = INSIDE[(at + tail) % (sizeof(INSIDE) - 1)];
                assert_int_equal(level_of_line(s), LEVEL_UNKNOWN);
                line[at - 1] = ' ';
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
    struct str other;
    (void)state;

    assert_int_equal(level_of(&l, attr, 1, STR("error"), &other), LEVEL_WARN);
    assert_int_equal(level_of(&plain, attr, 1, STR("error"), &other), LEVEL_FATAL);
    attr[0].value = STR("");
    assert_int_equal(level_of(&plain, attr, 1, STR("error"), &other), LEVEL_ERROR);
    attr[0].value = STR("unknown");
    assert_int_equal(level_of(&plain, attr, 1, STR("error"), &other), LEVEL_UNKNOWN);
}

static void of_several_keys_the_foremost_counts(void **state)
{
    struct label attr[] = {{STR("lvl"), STR("error")}, {STR("level"), STR("debug")}};
    struct label stream[] = {{STR("lvl"), STR("info")}, {STR("severity"), STR("error")}};
    struct labels l = {stream, 2};
    struct labels none = {NULL, 0};
    struct str other;
    (void)state;

    assert_int_equal(level_of(&none, attr, 2, STR("x"), &other), LEVEL_DEBUG);
    assert_int_equal(level_of(&l, NULL, 0, STR("x"), &other), LEVEL_ERROR);
    assert_int_equal(level_of(&l, attr, 2, STR("x"), &other), LEVEL_ERROR);
}

static void what_a_client_calls_a_level_is_one(void **state)
{
    static const struct labels NONE = {NULL, 0};
    struct label attr[] = {{STR("detected_level"), STR("ERR")}, {STR("level"), STR("notice")}};
    char text[LEVEL_OTHER_MAX + 1];
    struct str other;
    (void)state;

    assert_int_equal(level_of(&NONE, attr, 2, STR("info"), &other), LEVEL_ERROR);
    attr[0].value = STR("Loud");
    assert_int_equal(level_of(&NONE, attr, 2, STR("info"), &other), LEVEL_OTHER);
    assert_true(str_eq(other, STR("Loud")));
    assert_int_equal(level_of(&NONE, attr + 1, 1, STR("info"), &other), LEVEL_OTHER);
    assert_true(str_eq(other, STR("notice")));
    memset(text, 'x', sizeof(text));
    attr[1].value = (struct str){text, sizeof(text)};
    assert_int_equal(level_of(&NONE, attr + 1, 1, STR("info"), &other), LEVEL_INFO);
    attr[1].value.n--;
    assert_int_equal(level_of(&NONE, attr + 1, 1, STR("info"), &other), LEVEL_OTHER);
}

static void numbers_of_opentelemetry_come_before_the_line(void **state)
{
    static const struct {
        const char *number;
        enum level level;
    } CASES[] = {
        {"1", LEVEL_TRACE},
        {"4", LEVEL_TRACE},
        {"5", LEVEL_DEBUG},
        {"8", LEVEL_DEBUG},
        {"9", LEVEL_INFO},
        {"12", LEVEL_INFO},
        {"13", LEVEL_WARN},
        {"16", LEVEL_WARN},
        {"17", LEVEL_ERROR},
        {"20", LEVEL_ERROR},
        {"21", LEVEL_FATAL},
        {"24", LEVEL_FATAL},
        /* none: the line decides */
        {"0", LEVEL_CRITICAL},
        {"25", LEVEL_CRITICAL},
        {"-1", LEVEL_CRITICAL},
        {"9.0", LEVEL_CRITICAL},
        {"", LEVEL_CRITICAL},
    };
    static const struct labels NONE = {NULL, 0};
    struct label attr[] = {{STR("severity_number"), STR("")}, {STR("severity_text"), STR("wrn")}};
    struct labels stream = {attr, 1};
    struct str other;
    (void)state;

    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        attr[0].value = str_of(CASES[i].number);
        assert_int_equal(level_of(&NONE, attr, 1, STR("a critical x"), &other), CASES[i].level);
        assert_int_equal(level_of(&NONE, attr, 2, STR("a critical x"), &other), LEVEL_WARN);
        assert_int_equal(level_of(&stream, NULL, 0, STR("x"), &other), LEVEL_UNKNOWN);
    }
}

static void names_are_those_of_levels(void **state)
{
    enum level level = LEVEL_UNKNOWN;

    (void)state;
    for (int i = 0; i < LEVEL_OTHER; i++) {
        assert_true(level_by_name(level_name((enum level)i), &level));
        assert_int_equal(level, i);
    }
    assert_false(level_by_name(STR("warning"), &level));
}

CHECK_MAIN(cmocka_unit_test(finds_levels_in_lines),
           cmocka_unit_test(a_word_is_found_wherever_it_lies),
           cmocka_unit_test(labels_and_attributes_come_before_the_line),
           cmocka_unit_test(of_several_keys_the_foremost_counts),
           cmocka_unit_test(what_a_client_calls_a_level_is_one),
           cmocka_unit_test(numbers_of_opentelemetry_come_before_the_line),
           cmocka_unit_test(names_are_those_of_levels))
