/*
 * collector/input_file_drops.c - contract: input_file_internal.h.  Telling what rules have dropped.
 *
 * The journal counts with each plan what rules dropped of a file, all in all, and how much of that
 * was told.  A notice says what is new since the last one and the sum up to then: should we be
 * killed before the journal has it, the notice itself, which is durable, says what was told.
 */
#include "base/json.h"
#include "base/log.h"
#include "collector/input_file_internal.h"
#include "collector/notice.h"

#include <stdlib.h>

enum { TELL_MS = 10000, TEXTS_BYTES = 1 << 16 };

static int tell(struct input_file *in, struct checkpoint_file *f, struct checkpoint_drop *d,
                struct err *err)
{
    int r;

    if (d->count <= d->told_count)
        return 0;
    r = notice_drop(in->opt.own, f, d, err);
    if (r == 0)
        checkpoint_drop_told(in->opt.checkpoint, f, d);
    return r;
}

bool input_file_tell_drops(struct input_file *in, struct checkpoint_file *f)
{
    struct checkpoint_drop *d;
    struct err err;

    VEC_EACH(&f->drops, d)
        if (tell(in, f, d, &err) < 0) {
            log_error("drops.not_written", LOG_ERR(&err));
            return false;
        }
    return true;
}

void input_file_tell_all_drops(struct input_file *in, dur_ns now)
{
    struct checkpoint_file *f;

    if (now - in->told_drops_at < TELL_MS * NS_PER_MS)
        return;
    in->told_drops_at = now;
    for (size_t i = 0; (f = checkpoint_file_at(in->opt.checkpoint, i)) != NULL; i++)
        (void)input_file_tell_drops(in, f); /* or in ten seconds */
}

/* ---- after a start ---- */

struct told {
    struct str rule, file_id;
    uint64_t count, bytes;
};

static bool take_member(struct json_reader *r, struct str key, struct arena *a, struct told *ret)
{
    struct json_token v;
    struct err err;

    if (json_next(r, &v, &err) < 0 || (v.type != JSON_STRING && v.type != JSON_NUMBER))
        return false;
    if (str_eq(key, STR("drop")))
        ret->rule = json_text(&v, a);
    else if (str_eq(key, STR("file_id")))
        ret->file_id = json_text(&v, a);
    else if (str_eq(key, STR("count_sum")))
        return str_to_u64(v.raw, &ret->count);
    else if (str_eq(key, STR("bytes_sum")))
        return str_to_u64(v.raw, &ret->bytes);
    return true;
}

static bool parse(struct str line, struct arena *a, struct told *ret)
{
    struct json_reader r;
    struct json_token key;
    struct err err;
    int e = json_reader_init_object(&r, line, &err);

    while (e == 0 && (e = json_member(&r, &key, &err)) == 0)
        if (!take_member(&r, key.raw, a, ret))
            return false;
    return ret->rule.n > 0 && ret->file_id.n > 0;
}

/* The file with that id: <incarnation>-<number>-<salt>, in hex. */
static struct checkpoint_file *find(const struct input_file *in, struct str id)
{
    struct checkpoint_file *f;
    struct str rest = id;
    char number[32];

    (void)str_cut(&rest, '-');
    (void)str_to_z(str_cut(&rest, '-'), number, sizeof(number));
    f = checkpoint_file_find(in->opt.checkpoint, strtoull(number, NULL, 16));
    return f != NULL && str_eq(str_of(f->id), id) ? f : NULL;
}

static void take_line(void *arg, struct str line)
{
    struct input_file *in = arg;
    struct arena *a = arena_new(NULL, TEXTS_BYTES);
    struct told told = {.count = 0};
    struct checkpoint_file *f;
    struct checkpoint_drop *d = NULL;
    char rule[CHECKPOINT_NAME_MAX];

    if (str_find(line, STR("\"drop\":")) != SIZE_MAX && parse(line, a, &told) &&
        (f = find(in, told.file_id)) != NULL)
        d = checkpoint_drop_find(f, str_to_z(told.rule, rule, sizeof(rule)));
    if (d != NULL && told.count > d->told_count) {
        d->told_count = told.count;
        d->told_bytes = told.bytes;
    }
    arena_free(&a);
}

void input_file_load_drops(struct input_file *in)
{
    struct err err;

    if (spool_replay(in->opt.own, take_line, in, &err) < 0)
        log_warn("drops.not_read", LOG_ERR(&err));
    in->told_drops_at = time_mono();
}
