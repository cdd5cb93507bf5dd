/* server/webhook.c: what an attempt says to a real receiver, and what it makes of the answer. */
#include "server/webhook.h"

#include "base/file.h"
#include "tests/lib/hook.h"
#include "tests/lib/tmpdir.h"

#include <fcntl.h>

static void attempt(const struct webhook_target *t, struct webhook_result *ret)
{
    struct webhook *w = NULL;
    struct err err;

    if (webhook_new(t, "msg_1", 1795289281 * NS_PER_S + 5, STR("{\"a\":1}"), &w, &err) < 0)
        fail_msg("%s", err.text);
    webhook_result(w, curl_easy_perform(webhook_handle(w)), ret);
    webhook_free(&w);
}

static void an_attempt_is_a_post_with_headers(void **state)
{
    struct hook h;
    char dir_path[TMPDIR_PATH_MAX];
    char token[TMPDIR_PATH_MAX + 8];
    int dir = tmpdir_open(dir_path);
    struct webhook_target t = {.url = h.url, .bearer_token_file = token};
    struct webhook_result result;
    const struct hook_request *got;
    struct err err;

    (void)state;
    hook_open(&h, HOOK_SCRIPT(204));
    (void)snprintf(token, sizeof(token), "%s/token", dir_path);
    assert_int_equal(file_replace(dir, "token", 0600, STR("s3cret\n"), &err), 0);
    attempt(&t, &result);
    got = hook_wait(&h, 1);
    assert_int_equal(result.outcome, WEBHOOK_DELIVERED);
    assert_int_equal(result.status, 204);
    assert_true(str_starts(str_of(got->head), STR("POST /hook HTTP/1.1\r\n")));
    check_str(hook_header(got, "Content-Type"), "application/json");
    check_str(hook_header(got, "User-Agent"), "Alertmanager/logq-" LOGQ_VERSION);
    check_str(hook_header(got, "webhook-id"), "msg_1");
    check_str(hook_header(got, "webhook-timestamp"), "1795289281");
    check_str(hook_header(got, "Authorization"), "Bearer s3cret");
    check_str(hook_header(got, "Expect"), "");
    assert_string_equal(got->body, "{\"a\":1}");
    hook_close(&h);
    tmpdir_close(dir);
}

static void answers_tell_what_to_do(void **state)
{
    static const struct {
        int status;
        enum webhook_outcome outcome;
    } ROWS[] = {
        {200, WEBHOOK_DELIVERED}, {202, WEBHOOK_DELIVERED}, {500, WEBHOOK_RETRY},
        {503, WEBHOOK_RETRY},     {429, WEBHOOK_RETRY},     {408, WEBHOOK_RETRY},
        {400, WEBHOOK_REFUSED},   {404, WEBHOOK_REFUSED},   {410, WEBHOOK_REFUSED},
        {0, WEBHOOK_RETRY},
    };
    struct webhook_target t = {.timeout = 30 * NS_PER_S};
    struct webhook_result result;
    struct hook h;

    (void)state;
    hook_open(&h, HOOK_SCRIPT(200));
    t.url = h.url;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        hook_answer(&h, HOOK_SCRIPT(ROWS[i].status), NULL);
        attempt(&t, &result);
        if (result.outcome != ROWS[i].outcome || result.status != ROWS[i].status)
            fail_msg("%d: outcome %d, status %ld", ROWS[i].status, (int)result.outcome,
                     result.status);
        assert_int_equal(result.why[0] == '\0', result.outcome == WEBHOOK_DELIVERED);
    }
    hook_answer(&h, HOOK_SCRIPT(429), "Retry-After: 7\r\n");
    attempt(&t, &result);
    assert_int_equal(result.retry_after, 7 * NS_PER_S);
    hook_close(&h);
}

static void redirects_are_not_followed(void **state)
{
    struct webhook_result result;
    struct webhook_target t = {0};
    struct hook h;

    (void)state;
    hook_open(&h, HOOK_SCRIPT(307));
    hook_answer(&h, HOOK_SCRIPT(307), "Location: /other\r\n");
    t.url = h.url;
    attempt(&t, &result);
    assert_int_equal(result.outcome, WEBHOOK_REFUSED);
    assert_int_equal(hook_count(&h), 1);
    hook_close(&h);
}

static void nobody_there_and_no_such_protocol(void **state)
{
    struct webhook_result result;
    struct webhook_target t = {.url = "file:///etc/passwd"};

    (void)state;
    attempt(&t, &result);
    assert_int_equal(result.outcome, WEBHOOK_RETRY);
    assert_true(str_find(str_of(result.why), STR("file")) != SIZE_MAX);
    t.url = "http://127.0.0.1:1/";
    attempt(&t, &result);
    assert_int_equal(result.outcome, WEBHOOK_RETRY);
    assert_int_equal(result.status, 0);
}

static void a_missing_token_is_an_error(void **state)
{
    struct webhook_target t = {.url = "http://127.0.0.1:1/", .bearer_token_file = "/nowhere/token"};
    struct webhook *w = NULL;
    struct err err;

    (void)state;
    assert_true(webhook_new(&t, "msg_1", 0, STR("{}"), &w, &err) < 0);
    assert_null(w);
    assert_true(str_find(str_of(err.text), STR("/nowhere/token")) != SIZE_MAX);
}

static void logs_show_the_origin_only(void **state)
{
    (void)state;
    check_str(webhook_origin(STR("https://h.example/services/T0/secret")), "https://h.example");
    check_str(webhook_origin(STR("http://[::1]:9?k=secret")), "http://[::1]:9");
    check_str(webhook_origin(STR("https://user:secret@h.example:1/x")), "h.example:1");
    check_str(webhook_origin(STR("secret")), "");
}

CHECK_MAIN(cmocka_unit_test(an_attempt_is_a_post_with_headers),
           cmocka_unit_test(answers_tell_what_to_do), cmocka_unit_test(redirects_are_not_followed),
           cmocka_unit_test(nobody_there_and_no_such_protocol),
           cmocka_unit_test(a_missing_token_is_an_error),
           cmocka_unit_test(logs_show_the_origin_only))
