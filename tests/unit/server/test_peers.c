/* server/peers.c: wrong clocks by sender, in a bounded way. */
#include "server/peers.h"

#include "tests/lib/check.h"

#include <stdio.h>
#include <string.h>

static void senders_are_kept_apart_up_to_a_bound(void **state)
{
    struct peers *p = peers_new();
    struct ingest_times t = {.ahead = 2, .late = 1};
    struct buf out;
    (void)state;

    buf_init(&out, 1 << 20);
    peers_write(p, &out);
    assert_int_equal(out.n, 0);
    peers_note(p, STR("a \"b\""), &t);
    peers_note(p, STR("a \"b\""), &t);
    peers_note(p, STR("fine"), &(struct ingest_times){0, 0});
    for (int i = 0; i < 2 * PEERS_MAX; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "p%d", i);
        peers_note(p, str_of(name), &t);
    }
    peers_write(p, &out);
    buf_add_char(&out, '\0');
    assert_non_null(
        strstr(out.p, "logq_ingest_peer_records_ahead_total{peer=\"a \\\"b\\\"\"} 4\n"));
    assert_non_null(strstr(out.p, "logq_ingest_peer_records_late_total{peer=\"p62\"} 1\n"));
    assert_non_null(strstr(out.p, "logq_ingest_peer_records_late_total{peer=\"(others)\"} 65\n"));
    assert_null(strstr(out.p, "fine"));
    assert_null(strstr(out.p, "\"p63\""));
    peers_note(NULL, STR("a"), &t);
    peers_free(&p);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(senders_are_kept_apart_up_to_a_bound)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
