/* collector/notice.c - contract: notice.h. */
#include "collector/notice.h"

#include "base/json.h"
#include "base/log.h"
#include "base/time.h"
#include "collector/metrics.h"

#include <inttypes.h>
#include <stdio.h>

enum { NOTICE_MAX = 1 << 16, TEXT_MAX = 1024 };

struct notice {
    struct buf line;
    struct json_writer w;
};

static void begin(struct notice *n)
{
    char time[TIME_TEXT_MAX];

    buf_init(&n->line, NOTICE_MAX);
    json_writer_init(&n->w, &n->line);
    json_put_object(&n->w);
    json_put_key(&n->w, STR("time"));
    json_put_string(&n->w, time_format_rfc3339(time_now(), time));
}

static void put_range(struct notice *n, struct str path, struct str file_id, uint64_t start,
                      uint64_t end)
{
    if (path.n > 0)
        json_put_kv_str(&n->w, "file", path);
    if (file_id.n > 0)
        json_put_kv_str(&n->w, "file_id", file_id);
    json_put_kv_u64(&n->w, "start", start);
    json_put_kv_u64(&n->w, "end", end);
    json_put_kv_u64(&n->w, "bytes", end - start);
}

/* Append the line; it is gone afterwards. */
static int end(struct notice *n, struct spool *own, struct err *err)
{
    int r;

    json_put_object_end(&n->w);
    buf_add_char(&n->line, '\n');
    r = buf_err(&n->line, "notice", err);
    if (r == 0)
        r = spool_keep(own, buf_str(&n->line), err);
    buf_fini(&n->line);
    return r;
}

/* The same, for what is not told again. */
static int end_once(struct notice *n, struct spool *own, struct err *err)
{
    int r = end(n, own, err);

    spool_missed(own)->others += r < 0;
    return r;
}

int notice_gap_begin(struct spool *own, const struct notice_gap *gap, struct err *err)
{
    struct notice n;
    int r;

    begin(&n);
    json_put_kv_str(&n.w, "gap", str_of(gap->cause));
    put_range(&n, gap->path, gap->file_id, gap->start, gap->end);
    if (gap->count > 1)
        json_put_kv_u64(&n.w, "count", gap->count);
    if (gap->container_id.n > 0)
        json_put_kv_str(&n.w, "container_id", gap->container_id);
    if (gap->text.n > 0)
        json_put_kv_str(&n.w, "text", str_sub(gap->text, 0, TEXT_MAX));
    r = end(&n, own, err);
    if (r < 0) {
        spool_missed(own)->gaps += gap->count > 1 ? gap->count : 1;
        spool_missed(own)->bytes += gap->end - gap->start;
    }
    metric_add(METRIC_GAPS, 1);
    metric_add(METRIC_GAP_BYTES, gap->end - gap->start);
    log_error("gap", LOG_Z("cause", gap->cause), LOG_STR("file", gap->path),
              LOG_U64("start", gap->start), LOG_U64("end", gap->end));
    return r;
}

int notice_gap(struct spool *own, const struct notice_gap *gap, struct err *err)
{
    int r = notice_gap_begin(own, gap, err);

    if (r == 0)
        (void)notice_retry(own); /* which says why not, and holds it */
    return r;
}

static int tell_missed(struct spool *own, const struct spool_missed *missed, struct err *err)
{
    struct notice n;

    begin(&n);
    json_put_kv_str(&n.w, "gap", STR("not_told"));
    json_put_kv_u64(&n.w, "bytes", missed->bytes);
    json_put_kv_u64(&n.w, "count", missed->gaps);
    json_put_kv_u64(&n.w, "others", missed->others);
    return end(&n, own, err);
}

bool notice_retry(struct spool *own)
{
    struct spool_missed *missed = spool_missed(own);
    struct err err;

    if (!spool_retry(own))
        return false;
    if (missed->gaps + missed->others == 0)
        return true;
    log_error("gaps.not_told", LOG_U64("gaps", missed->gaps), LOG_U64("bytes", missed->bytes),
              LOG_U64("others", missed->others));
    if (tell_missed(own, missed, &err) < 0)
        return false; /* it is tried again */
    *missed = (struct spool_missed){.gaps = 0};
    return spool_retry(own);
}

static void put_id(struct notice *n, const char *key, uint64_t id)
{
    char text[20];

    (void)snprintf(text, sizeof(text), "%016" PRIx64, id);
    json_put_kv_str(&n->w, key, str_of(text));
}

int notice_incarnation(struct spool *own, const struct checkpoint *c,
                       const struct checkpoint_file *file, uint64_t start, uint64_t stop,
                       struct err *err)
{
    static const char *const CAUSES[] = {"", "journal_lost", "journal_damaged", "journal_old"};
    struct notice n;

    begin(&n);
    put_id(&n, "incarnation", checkpoint_incarnation(c));
    if (checkpoint_previous(c) != 0)
        put_id(&n, "previous", checkpoint_previous(c));
    json_put_kv_str(&n.w, "cause", str_of(CAUSES[checkpoint_renewal(c)]));
    if (file != NULL)
        put_range(&n, str_of(file->path), str_of(file->id), start, stop);
    return end(&n, own, err);
}

int notice_failover(struct spool *own, const struct notice_failover *f, struct err *err)
{
    struct notice n;

    begin(&n);
    json_put_kv_str(&n.w, "failover", str_of(f->to));
    json_put_kv_str(&n.w, "from", str_of(f->from));
    json_put_kv_u64(&n.w, "files", f->files);
    json_put_kv_u64(&n.w, "chunks", f->chunks);
    json_put_kv_u64(&n.w, "ranges", f->ranges);
    json_put_kv_u64(&n.w, "bytes", f->bytes);
    metric_add(METRIC_MAYBE_TWICE_BYTES, f->bytes);
    return end_once(&n, own, err);
}

void notice_maybe_twice(struct spool *own, const struct checkpoint_part *part)
{
    struct notice n;
    struct err err;

    begin(&n);
    json_put_kv_str(&n.w, "maybe_twice", STR("journal_old"));
    put_range(&n, str_of(part->file->path), str_of(part->file->id), part->start, part->end);
    metric_add(METRIC_MAYBE_TWICE_BYTES, part->end - part->start);
    if (end_once(&n, own, &err) < 0)
        log_error("maybe_twice.not_written", LOG_ERR(&err));
}

int notice_drop(struct spool *own, const struct checkpoint_file *file,
                const struct checkpoint_drop *drop, struct err *err)
{
    struct notice n;

    begin(&n);
    json_put_kv_str(&n.w, "drop", str_of(drop->name));
    json_put_kv_str(&n.w, "file", str_of(file->path));
    json_put_kv_str(&n.w, "file_id", str_of(file->id));
    json_put_kv_u64(&n.w, "count", drop->count - drop->told_count);
    json_put_kv_u64(&n.w, "bytes", drop->bytes - drop->told_bytes);
    json_put_kv_u64(&n.w, "count_sum", drop->count);
    json_put_kv_u64(&n.w, "bytes_sum", drop->bytes);
    return end(&n, own, err);
}
