/*
 * collector/input_file_lag.c - how far behind each file is, in bytes and in seconds.
 *
 * Bytes: what is on disk and not acknowledged.  Seconds: how long the oldest of these bytes has
 * been there, found by marks: at a look the size is noted with the time; while it is not
 * acknowledged up to there the lag is the mark's age, and when it is, the next mark is set.  So it
 * is right to within the time from look to look.
 */
#include "base/json.h"
#include "base/obj.h"
#include "collector/input_file_internal.h"
#include "collector/metrics.h"

/* Everything before is acknowledged, if nothing of the file is on its way: what is planned of it
 * without a hole. */
static uint64_t planned_end(const struct tail *t)
{
    const struct checkpoint_file *f = t->file;

    return f->planned.n > 0 && f->planned.p[0].start == 0 ? f->planned.p[0].end : 0;
}

/* What is on its way is not acknowledged. */
static void look_at_chunks(const struct input_file *in)
{
    const struct checkpoint_chunk *c;

    for (size_t i = 0; (c = checkpoint_chunk_at(in->opt.checkpoint, i)) != NULL; i++)
        for (size_t k = 0; k < c->parts.n; k++) {
            struct tail *t = c->parts.p[k].file->user;
            if (t != NULL && t->acked > c->parts.p[k].start)
                t->acked = c->parts.p[k].start;
        }
}

static uint64_t bytes_of(const struct tail *t)
{
    return tail_end(t) > t->acked ? tail_end(t) - t->acked : 0;
}

static dur_ns age_of(const struct tail *t, dur_ns now)
{
    return bytes_of(t) == 0 ? 0 : now - t->mark_at;
}

static struct input_file_lag sum(const struct input_file *in, dur_ns now)
{
    struct input_file_lag lag = {0};

    for (size_t i = 0; i < in->tails.n; i++) {
        lag.bytes += bytes_of(in->tails.p[i]);
        if (age_of(in->tails.p[i], now) > lag.age)
            lag.age = age_of(in->tails.p[i], now);
    }
    return lag;
}

void input_file_look_at_lag(struct input_file *in, dur_ns now)
{
    struct input_file_lag lag;

    for (size_t i = 0; i < in->tails.n; i++)
        in->tails.p[i]->acked = planned_end(in->tails.p[i]);
    look_at_chunks(in);
    for (size_t i = 0; i < in->tails.n; i++) {
        struct tail *t = in->tails.p[i];
        if (t->acked >= t->mark || t->mark > tail_end(t)) {
            t->mark = tail_end(t);
            t->mark_at = now;
        }
    }
    lag = sum(in, now);
    metric_set(METRIC_LAG_BYTES, lag.bytes);
    metric_set(METRIC_LAG_SECONDS, (uint64_t)(lag.age / NS_PER_S));
}

struct input_file_lag input_file_lag(const struct input_file *in)
{
    OBJ_CHECK(in, INPUT_FILE_MAGIC);
    return sum(in, time_mono());
}

static const char *state_of(const struct tail *t)
{
    if (t->failed != 0)
        return "unreadable";
    if (t->from.kept != NULL)
        return "kept";
    if (t->unlinked)
        return "unlinked";
    return t->drained ? "rotated" : "followed";
}

static uint64_t lost_of(const struct slot *s)
{
    uint64_t lost = s->lost;

    for (size_t i = 0; i < s->of.n; i++)
        lost += s->of.p[i]->lost;
    return lost;
}

void input_file_list(const struct input_file *in, struct buf *out)
{
    struct json_writer w;
    dur_ns now = time_mono();

    OBJ_CHECK(in, INPUT_FILE_MAGIC);
    json_writer_init(&w, out);
    json_put_array(&w);
    for (size_t i = 0; i < in->tails.n; i++) {
        const struct tail *t = in->tails.p[i];
        json_put_object(&w);
        json_put_kv_str(&w, "path", str_of(t->path));
        json_put_kv_str(&w, "id", str_of(t->file->id));
        json_put_kv_str(&w, "state", str_of(state_of(t)));
        json_put_kv_u64(&w, "size", t->seen);
        json_put_kv_u64(&w, "read", t->pos);
        json_put_kv_u64(&w, "acked", t->acked);
        json_put_kv_u64(&w, "lag_bytes", bytes_of(t));
        json_put_kv_u64(&w, "lag_s", (uint64_t)(age_of(t, now) / NS_PER_S));
        json_put_kv_u64(&w, "lost", lost_of(t->slot));
        json_put_object_end(&w);
    }
    json_put_array_end(&w);
    buf_add_char(out, '\n');
}
