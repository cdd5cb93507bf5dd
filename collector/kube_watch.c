/* collector/kube_watch.c - contract: kube_watch.h. */
#include "collector/kube_watch.h"

#include "base/json.h"

#include <string.h>

enum { USUAL_LINE = 256 << 10 };

/* ---- lines ---- */

void kube_watch_init(struct kube_watch *w)
{
    memset(w, 0, sizeof(*w));
    buf_init(&w->line, KUBE_WATCH_LINE_MAX);
}

void kube_watch_begin(struct kube_watch *w)
{
    buf_fini(&w->line);
    buf_init(&w->line, KUBE_WATCH_LINE_MAX);
    w->skipping = false;
    w->bytes = 0;
}

void kube_watch_fini(struct kube_watch *w)
{
    buf_fini(&w->line);
}

/* The bytes of one line, perhaps not its last ones.  true: *ret is the line, whole. */
static bool gather(struct kube_watch *w, struct str part, bool is_end, struct str *ret)
{
    if (w->skipping) {
        w->skipping = !is_end;
        return false;
    }
    *ret = part;
    if (is_end && w->line.n == 0 && part.n <= KUBE_WATCH_LINE_MAX)
        return true; /* nothing need be copied */
    buf_add_str(&w->line, part);
    *ret = buf_str(&w->line);
    if (!w->line.over)
        return is_end;
    w->too_long++;
    w->skipping = !is_end;
    buf_clear(&w->line);
    return false;
}

/* A large line must not keep its memory for ever. */
static void let_go(struct kube_watch *w)
{
    if (w->line.cap > USUAL_LINE) {
        buf_fini(&w->line);
        buf_init(&w->line, KUBE_WATCH_LINE_MAX);
    }
    buf_clear(&w->line);
}

int kube_watch_feed(struct kube_watch *w, struct str bytes, kube_watch_line_fn *fn, void *arg)
{
    if (bytes.n > KUBE_WATCH_STREAM_MAX - w->bytes)
        return ERR_LIMIT;
    w->bytes += bytes.n;
    while (bytes.n > 0) {
        size_t nl = str_find_char(bytes, '\n');
        bool is_end = nl != SIZE_MAX;
        struct str line = STR_NULL;
        int r = 0;
        if (gather(w, str_sub(bytes, 0, is_end ? nl : bytes.n), is_end, &line) &&
            str_trim(line).n > 0)
            r = fn(arg, str_trim(line));
        if (is_end)
            let_go(w);
        if (r != 0)
            return r;
        bytes = is_end ? str_from(bytes, nl + 1) : STR_NULL;
    }
    return 0;
}

/* ---- what is in them ---- */

/* The next member of the object that `r` is in: its key, and its value's text.  1: there is none
 * any more. */
static int next_member(struct json_reader *r, struct arena *a, struct str *key, struct str *value,
                       struct err *err)
{
    struct json_token t;
    int e = json_member(r, &t, err);

    if (e != 0)
        return e;
    *key = json_text(&t, a);
    if (key->p == NULL)
        return arena_err(a, err);
    return json_skip(r, value, err);
}

/* Begin to read `text`, which must be an object. */
static int enter(struct json_reader *r, struct str text, struct err *err)
{
    return json_reader_init_object(r, text, err) < 0 ? err_wrap(err, "the API server's answer") : 0;
}

/* A string's text; STR_NULL for any other value. */
static struct str text_of(struct str value, struct arena *a)
{
    struct json_reader r;
    struct json_token t;
    struct err err;

    json_reader_init(&r, value);
    if (json_next(&r, &t, &err) < 0 || t.type != JSON_STRING)
        return STR_NULL;
    return json_text(&t, a);
}

/* Nothing but blanks behind the value that `r` has read. */
static int leave(struct json_reader *r, struct err *err)
{
    if (str_trim(json_rest(r)).n > 0)
        return err_set(err, ERR_CORRUPT, "something stands behind what the API server answers");
    return 0;
}

static enum kube_watch_type type_of(struct str name)
{
    if (str_eq(name, STR("ADDED")) || str_eq(name, STR("MODIFIED")))
        return KUBE_WATCH_SET;
    if (str_eq(name, STR("DELETED")))
        return KUBE_WATCH_DELETED;
    if (str_eq(name, STR("BOOKMARK")))
        return KUBE_WATCH_BOOKMARK;
    return str_eq(name, STR("ERROR")) ? KUBE_WATCH_ERROR : KUBE_WATCH_OTHER;
}

int kube_watch_event(struct str line, struct arena *a, struct kube_watch_event *ret,
                     struct err *err)
{
    struct str key, value, type = STR_NULL;
    struct json_reader r;
    int e = enter(&r, line, err);

    *ret = (struct kube_watch_event){.type = KUBE_WATCH_OTHER};
    while (e == 0) {
        e = next_member(&r, a, &key, &value, err);
        if (e == 0 && str_eq(key, STR("type")))
            type = text_of(value, a);
        else if (e == 0 && str_eq(key, STR("object")))
            ret->object = value;
    }
    if (e > 0)
        e = leave(&r, err);
    if (e == 0 && (type.n == 0 || ret->object.n == 0))
        e = err_set(err, ERR_CORRUPT, "an event without a type or an object");
    ret->type = type_of(type);
    return e;
}

void kube_watch_status(struct str object, struct arena *a, struct kube_watch_status *ret)
{
    struct str key, value;
    struct json_reader r;
    struct err err;
    uint64_t code;
    int e = enter(&r, object, &err);

    *ret = (struct kube_watch_status){.code = 0};
    while (e == 0) {
        e = next_member(&r, a, &key, &value, &err);
        if (e == 0 && str_eq(key, STR("code")))
            ret->code = str_to_u64(value, &code) && code <= 999 ? (int)code : 0;
        else if (e == 0 && str_eq(key, STR("message")))
            ret->message = text_of(value, a);
    }
}

bool kube_watch_version_ok(struct str version)
{
    for (size_t i = 0; i < version.n; i++) {
        char c = version.p[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
            c != '-' && c != '.' && c != '_')
            return false;
    }
    return version.n > 0 && version.n <= KUBE_WATCH_VERSION_MAX;
}

static int read_list_metadata(struct str object, struct arena *a, struct kube_watch_page *ret,
                              struct err *err)
{
    struct str key, value;
    struct json_reader r;
    int e = enter(&r, object, err);

    while (e == 0) {
        e = next_member(&r, a, &key, &value, err);
        if (e == 0 && str_eq(key, STR("resourceVersion")))
            ret->version = text_of(value, a);
        else if (e == 0 && str_eq(key, STR("continue")))
            ret->more = text_of(value, a);
    }
    return e < 0 ? e : 0;
}

static int read_items(struct str array, kube_watch_object_fn *fn, void *arg, struct err *err)
{
    struct json_reader r;
    struct json_token t;
    struct str item;
    int e;

    json_reader_init(&r, array);
    e = json_next(&r, &t, err);
    if (e < 0 || t.type == JSON_NULL)
        return e;
    if (t.type != JSON_ARRAY)
        return err_set(err, ERR_CORRUPT, "a list's items are no array");
    while ((e = json_skip(&r, &item, err)) == 0)
        fn(arg, item);
    return e < 0 ? e : 0;
}

int kube_watch_page(struct str text, struct arena *a, kube_watch_object_fn *fn, void *arg,
                    struct kube_watch_page *ret, struct err *err)
{
    struct str key, value, metadata = STR_NULL, items = STR_NULL;
    struct json_reader r;
    int e = enter(&r, text, err);

    memset(ret, 0, sizeof(*ret));
    while (e == 0) {
        e = next_member(&r, a, &key, &value, err);
        if (e == 0 && str_eq(key, STR("metadata")))
            metadata = value;
        else if (e == 0 && str_eq(key, STR("items")))
            items = value;
    }
    if (e > 0)
        e = leave(&r, err);
    if (e == 0 && (metadata.n == 0 || items.n == 0))
        e = err_set(err, ERR_CORRUPT, "what the API server answers is no list");
    if (e == 0)
        e = read_list_metadata(metadata, a, ret, err);
    if (e == 0 && (!kube_watch_version_ok(ret->version) || ret->more.n > KUBE_WATCH_CONTINUE_MAX))
        e = err_set(err, ERR_CORRUPT, "a list without a usable resourceVersion");
    return e < 0 ? e : read_items(items, fn, arg, err);
}
