/* Unit tests of collector/journal_line: what an entry says of itself, and its line. */
#include "collector/journal_line.h"

#include "tests/lib/check.h"
#include "tests/unit/collector/journal_world.h"

static struct buf out, quoted;
static struct journal_stream s;
static struct journal_frame f;

static int setup(void **state)
{
    (void)state;
    memset(&s, 0, sizeof(s));
    f = journal_entry(1, "web", "x");
    buf_init(&out, 1 << 20);
    buf_init(&quoted, 1 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    buf_fini(&out);
    buf_fini(&quoted);
    return 0;
}

/* An entry of ssh.service. */
static void make_unit(void)
{
    f.v[JOURNAL_NAME] = f.v[JOURNAL_ID] = STR_NULL;
    f.v[JOURNAL_IDENTIFIER] = STR("sshd");
    f.v[JOURNAL_UNIT] = STR("ssh.service");
}

static const char *put(const struct journal_line *line)
{
    buf_clear(&out);
    journal_line_put(&out, line, 100, &quoted);
    buf_add_char(&out, '\0');
    return out.p;
}

static void an_entry_says_whose_it_is(void **state)
{
    char key[JOURNAL_KEY_MAX];

    (void)state;
    assert_true(journal_line_is_container(&f));
    check_str(journal_line_runtime(&f), "podman");
    check_str(journal_line_app(&f), "web");
    check_str(journal_line_level(&f), "");
    assert_int_equal(journal_line_stream(&f), DECODE_STDOUT);
    f.v[JOURNAL_PARTIAL_ID] = STR("77");
    check_str(journal_line_key(&f, key), "4f5e6a7b8c9d/o//");
    f.v[JOURNAL_UID] = STR("1000"); /* somebody else in its name */
    check_str(journal_line_key(&f, key), "4f5e6a7b8c9d/o/1000/");
    f.v[JOURNAL_UID] = STR_NULL;
    make_unit();
    assert_false(journal_line_is_container(&f));
    check_str(journal_line_runtime(&f), "");
    check_str(journal_line_app(&f), "sshd");
    check_str(journal_line_level(&f), "info");
    assert_int_equal(journal_line_stream(&f), DECODE_NONE);
    check_str(journal_line_key(&f, key), "sshd/o//");
}

static void its_runtime_says_more(void **state)
{
    struct label v[JOURNAL_LABELS_MAX];
    char app[] = "shop", image[] = "bb:2";

    (void)state;
    assert_int_equal(journal_line_labels(&f, &s, v), 4);
    check_str(v[0].value, "web");
    s.app = app;
    s.image = image;
    assert_int_equal(journal_line_labels(&f, &s, v), 5);
    check_str(v[0].value, "shop");
    check_str(v[1].value, "web");
    check_str(v[2].value, "bb:2");
    f.v[JOURNAL_IMAGE] = STR("bb:1"); /* the entry knows better */
    (void)journal_line_labels(&f, &s, v);
    check_str(v[2].value, "bb:1");
}

static void a_line_has_what_the_decoder_reads(void **state)
{
    struct journal_line line = {.head = &f, .stream = &s, .text = STR("a\"b"), .partial = true};
    struct decoder d;
    struct piece p;

    (void)state;
    decoder_init(&d);
    assert_true(decode_journal(&d, str_of(strtok((char *)(uintptr_t)put(&line), "\n")), &p));
    check_str(p.text, "a\"b");
    assert_true(p.partial && !p.none);
    assert_int_equal(p.ts, f.time);
    assert_int_equal(p.stream, DECODE_STDOUT);
    assert_int_equal(p.n_labels, 4);
    check_str(p.labels[3].value, "container");
    decoder_fini(&d);
}

static void what_grows_too_much_is_cut(void **state)
{
    static char text[8192];
    struct journal_line line = {.head = &f, .stream = &s, .text = {text, sizeof(text)}, .cut = 5};

    (void)state;
    memset(text, 1, sizeof(text));
    assert_true(str_find(str_of(put(&line)), STR("\"cut\":")) != SIZE_MAX);
    assert_true(quoted.n <= 100 + JOURNAL_LINE_ROOM);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
CHECK_MAIN(TEST(an_entry_says_whose_it_is), TEST(its_runtime_says_more),
           TEST(a_line_has_what_the_decoder_reads), TEST(what_grows_too_much_is_cut))
