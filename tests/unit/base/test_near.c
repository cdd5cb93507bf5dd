/* base/near.c: a suggestion where one is likely, none where it would be a guess. */
#include "base/near.h"

#include "tests/lib/check.h"

static struct str nearest(const char *word)
{
    static const char *const KNOWN[] = {"forward", "format", "files", "listen", "on", "age"};
    struct near n;

    near_begin(&n, str_of(word));
    for (size_t i = 0; i < sizeof(KNOWN) / sizeof(KNOWN[0]); i++)
        near_offer(&n, str_of(KNOWN[i]));
    return n.best;
}

static void a_slip_finds_the_word(void **state)
{
    (void)state;
    check_str(nearest("fowrard"), "forward"); /* swapped */
    check_str(nearest("fforward"), "forward");
    check_str(nearest("forwrd"), "forward");
    check_str(nearest("fornat"), "format");
    check_str(nearest("file"), "files");
    check_str(nearest("LISTEN"), ""); /* six letters wrong */
    check_str(nearest("om"), "on");
}

static void a_strange_word_finds_nothing(void **state)
{
    (void)state;
    assert_null(nearest("zzz").p);
    assert_null(nearest("").p);
    assert_null(nearest("compress").p);
    assert_null(nearest("a-word-longer-than-any-that-is-considered-here").p);
}

static void of_equals_the_first_stays(void **state)
{
    struct near n;
    (void)state;

    near_begin(&n, STR("cat"));
    near_offer(&n, STR("bat"));
    near_offer(&n, STR("hat"));
    check_str(n.best, "bat");
    near_offer(&n, STR("cat"));
    check_str(n.best, "cat");
}

CHECK_MAIN(cmocka_unit_test(a_slip_finds_the_word), cmocka_unit_test(a_strange_word_finds_nothing),
           cmocka_unit_test(of_equals_the_first_stays))
