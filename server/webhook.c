/* server/webhook.c - see webhook.h. */
#include "server/webhook.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/obj.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOKEN_MAX = 4096, ANSWER_MAX = 1 << 20, TIMEOUT_MS = 10000 };

struct webhook {
    unsigned magic;
#define WEBHOOK_MAGIC 0x3eb400c4u
    CURL *curl;
    struct curl_slist *headers;
    size_t answer; /* bytes of it, thrown away */
    char why[CURL_ERROR_SIZE];
};

/* ---- making one ---- */

static int add_header(struct webhook *w, struct err *err, const char *fmt, ...) PRINTF_LIKE(3, 4);
static int add_header(struct webhook *w, struct err *err, const char *fmt, ...)
{
    char line[TOKEN_MAX + 64];
    struct curl_slist *more;
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    more = curl_slist_append(w->headers, line);
    explicit_bzero(line, sizeof(line)); /* it may have held the token */
    if (more == NULL)
        return err_set(err, ERR_NOMEM, "no memory for the headers of a webhook");
    w->headers = more;
    return 0;
}

static int add_token(struct webhook *w, const char *path, struct err *err)
{
    struct buf token;
    struct str text;
    int r;

    buf_init(&token, TOKEN_MAX);
    r = file_read(AT_FDCWD, path, &token, err);
    text = str_trim(buf_str(&token));
    if (r == 0 && (text.n == 0 || str_find_char(text, '\n') != SIZE_MAX ||
                   str_find_char(text, '\r') != SIZE_MAX))
        r = err_set(err, ERR_INVALID, "'%s' must hold one line, the token", path);
    if (r == 0)
        r = add_header(w, err, "Authorization: Bearer %.*s", STR_ARG(text));
    if (token.p != NULL)
        explicit_bzero(token.p, token.n);
    buf_fini(&token);
    return r < 0 ? err_wrap(err, "bearer_token_file") : 0;
}

static int add_headers(struct webhook *w, const struct webhook_target *t, const char *id,
                       ts_ns sent, struct err *err)
{
    int r = add_header(w, err, "Content-Type: application/json");

    if (r == 0)
        r = add_header(w, err, "Expect:"); /* no round trip before the body */
    if (r == 0)
        r = add_header(w, err, "webhook-id: %s", id);
    if (r == 0)
        r = add_header(w, err, "webhook-timestamp: %lld", (long long)(sent / NS_PER_S));
    if (r == 0 && t->bearer_token_file != NULL)
        r = add_token(w, t->bearer_token_file, err);
    return r;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): curl's type */
static size_t discard(char *p, size_t size, size_t n, void *arg)
{
    struct webhook *w = arg;

    (void)p;
    (void)size; /* is 1 */
    w->answer += n;
    return w->answer > ANSWER_MAX ? 0 : n;
}

static bool set_options(struct webhook *w, const struct webhook_target *t, struct str body)
{
    CURL *c = w->curl;
    long ms = t->timeout == 0 ? TIMEOUT_MS : (long)(t->timeout / NS_PER_MS);

    return curl_easy_setopt(c, CURLOPT_URL, t->url) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_PROXY, "") == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, ms) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_USERAGENT, "Alertmanager/logq-" LOGQ_VERSION) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_HTTPHEADER, w->headers) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_POSTFIELDS, body.p) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.n) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, discard) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_WRITEDATA, w) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_ERRORBUFFER, w->why) == CURLE_OK;
}

int webhook_new(const struct webhook_target *t, const char *id, ts_ns sent, struct str body,
                struct webhook **ret, struct err *err)
{
    struct webhook *w = mem_new(sizeof(*w));
    int r;

    w->magic = WEBHOOK_MAGIC;
    w->curl = curl_easy_init();
    r = w->curl == NULL ? err_set(err, ERR_NOMEM, "no memory for a webhook") : 0;
    if (r == 0)
        r = add_headers(w, t, id, sent, err);
    if (r == 0 && !set_options(w, t, body))
        r = err_set(err, ERR_NOMEM, "cannot prepare a webhook");
    if (r < 0)
        webhook_free(&w);
    else
        *ret = w;
    return r;
}

void webhook_free(struct webhook **pw)
{
    struct webhook *w = *pw;

    *pw = NULL;
    if (w == NULL)
        return;
    OBJ_CHECK(w, WEBHOOK_MAGIC);
    if (w->curl != NULL)
        curl_easy_cleanup(w->curl);
    curl_slist_free_all(w->headers);
    w->magic = 0;
    free(w);
}

CURL *webhook_handle(struct webhook *w)
{
    OBJ_CHECK(w, WEBHOOK_MAGIC);
    return w->curl;
}

/* ---- what came of it ---- */

static bool is_temporary(long status)
{
    return status >= 500 || status == 408 || status == 429;
}

void webhook_result(struct webhook *w, CURLcode code, struct webhook_result *ret)
{
    curl_off_t after = 0;

    OBJ_CHECK(w, WEBHOOK_MAGIC);
    memset(ret, 0, sizeof(*ret));
    (void)curl_easy_getinfo(w->curl, CURLINFO_RESPONSE_CODE, &ret->status); /* else it stays 0 */
    (void)curl_easy_getinfo(w->curl, CURLINFO_RETRY_AFTER, &after);
    if (after > 0)
        ret->retry_after = after > 86400 ? NS_PER_DAY : (dur_ns)after * NS_PER_S;
    if (ret->status >= 200 && ret->status < 300) {
        ret->outcome = WEBHOOK_DELIVERED; /* even if the rest of the answer was cut off */
        return;
    }
    ret->outcome = ret->status == 0 || is_temporary(ret->status) ? WEBHOOK_RETRY : WEBHOOK_REFUSED;
    if (ret->status != 0)
        (void)snprintf(ret->why, sizeof(ret->why), "the receiver answered %ld", ret->status);
    else
        (void)snprintf(ret->why, sizeof(ret->why), "%.190s",
                       w->why[0] != '\0' ? w->why : curl_easy_strerror(code));
}

struct str webhook_origin(struct str url)
{
    size_t scheme = str_find(url, STR("://"));
    size_t end;
    size_t user;
    struct str host;

    if (scheme == SIZE_MAX)
        return STR_NULL;
    host = str_from(url, scheme + 3);
    for (end = 0; end < host.n; end++) {
        if (host.p[end] == '/' || host.p[end] == '?' || host.p[end] == '#')
            break;
    }
    host.n = end;
    user = str_find_char(host, '@');
    return user == SIZE_MAX ? str_sub(url, 0, scheme + 3 + end) : str_from(host, user + 1);
}
