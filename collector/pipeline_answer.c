/*
 * collector/pipeline_answer.c - what a server says to a chunk: it is stored, refused for good, or
 * partly there already.  Contract and invariants: pipeline_internal.h.
 *
 * Of a number there may be several messages, one after the other, when files cannot be read for a
 * while; it is acknowledged in the journal when all of it is.
 */
#include "base/log.h"
#include "base/mem.h"
#include "collector/metrics.h"
#include "collector/notice.h"
#include "collector/pipeline_internal.h"

#include <stdlib.h>
#include <string.h>

void pipeline_on_acked(void *arg, uint64_t no)
{
    struct pipeline *p = arg;
    bool is_all = true;

    for (size_t i = 0; i < p->put_off.n; i++)
        if (p->put_off.p[i].no == no) {
            p->put_off.p[i].on_its_way = false;
            is_all = false; /* the rest is still to come */
        }
    if (is_all)
        checkpoint_ack(p->opt.checkpoint, no);
    if (p->opt.acked != NULL)
        p->opt.acked(p->opt.arg);
}

/* Are these our own gap records?  Those are not reported by more of them. */
static bool is_own_part(const struct checkpoint_part *p)
{
    return strstr(p->file->path, "/" SPOOL_DIR "/" SPOOL_OWN "/") != NULL;
}

static bool is_own(const struct checkpoint_chunk *c)
{
    for (size_t i = 0; i < c->parts.n; i++)
        if (!is_own_part(&c->parts.p[i]))
            return false;
    return true;
}

/*
 * The server has some of a part and not the rest: then we do not remember what we sent, because the
 * journal is an older one that was put back.  Nobody can tell the new records from the others; so
 * all are sent once more, and it is said which: those that `sent` says are in the message.
 */
static int send_twice(struct pipeline *p, const struct checkpoint_chunk *c, struct str message,
                      const bool *sent, struct err *err)
{
    char token[CHUNK_TOKEN_BYTES];
    struct buf marked;
    int r;

    buf_init(&marked, message.n + PIPELINE_MESSAGE_SLACK);
    r = chunk_mark_twice(message, token, &marked, err);
    for (size_t i = 0; r == 0 && !is_own(c) && i < c->parts.n; i++)
        if (sent[i]) /* a full disk, and full memory, are no reason to lose the chunk */
            notice_maybe_twice(p->opt.own, &c->parts.p[i]);
    (void)notice_retry(p->opt.own);
    if (r == 0)
        fleet_add(p->fleet, pipeline_index_of(p, pipeline_lane_of_chunk(p, c)), c->no, token,
                  &marked);
    buf_fini(&marked);
    return r;
}

static void tell_gap(struct pipeline *p, const struct checkpoint_part *part,
                     const struct forward_ack *why)
{
    struct notice_gap gap = {.cause = "refused",
                             .path = str_of(part->file->path),
                             .file_id = str_of(part->file->id),
                             .text = why->text,
                             .start = part->start,
                             .end = part->end};
    struct err err;

    if (notice_gap_begin(p->opt.own, &gap, &err) < 0)
        log_error("gap.not_written", LOG_ERR(&err));
}

/* Only what `refused` says, with bytes in front that were held for it: of the others it was told
 * why they are not there, or they are to come, or they are stored. */
static void tell_refused(struct pipeline *p, const struct checkpoint_chunk *c, const bool *refused,
                         const struct forward_ack *why)
{
    for (size_t i = 0, told = 0; i < c->parts.n; i++) {
        const struct checkpoint_part *part = &c->parts.p[i];
        size_t first = i;
        if (!refused[i])
            continue;
        metric_add(METRIC_PARTS_REFUSED, why->has_parts);
        if (is_own(c) || (why->has_parts && is_own_part(part)))
            continue;
        while (first > told && (c->parts.p[first - 1].flags & CHECKPOINT_FILL) != 0)
            first--;
        for (size_t k = first; k <= i; k++)
            tell_gap(p, &c->parts.p[k], why);
        told = i + 1;
    }
}

/* What is refused, in refused/. */
static void keep_refused(struct pipeline *p, uint64_t no, struct str message,
                         const struct forward_ack *why)
{
    struct buf only;
    struct err err;

    buf_init(&only, message.n + p->opt.chunk.bytes_busy + 2 * PIPELINE_MESSAGE_SLACK);
    if (why->has_parts && chunk_only_refused(message, why, &only, &err) == 0)
        message = buf_str(&only);
    refused_keep(p->refused, no, message);
    buf_fini(&only);
}

void pipeline_on_refused(void *arg, uint64_t no, struct str message, const struct forward_ack *why)
{
    struct pipeline *p = arg;
    const struct checkpoint_chunk *c = checkpoint_chunk_find(p->opt.checkpoint, no);
    size_t n = c == NULL ? 0 : c->parts.n;
    bool *refused = mem_new((n + 1) * sizeof(*refused)), again = false;
    struct err err;

    if (c != NULL)
        chunk_refused(message, why, c->parts.p, n, refused);
    if (c != NULL && !why->has_parts && str_eq(why->code, STR("EXISTS")))
        again = send_twice(p, c, message, refused, &err) == 0;
    if (again) {
        log_warn("ship.maybe_twice", LOG_U64("chunk", no), LOG_STR("text", why->text));
    } else {
        log_error("ship.refused", LOG_U64("chunk", no),
                  LOG_Z("what", why->has_parts ? "some parts" : "all of it"),
                  LOG_STR("code", why->code), LOG_STR("text", why->text));
        keep_refused(p, no, message, why);
        if (c != NULL)
            tell_refused(p, c, refused, why);
        (void)notice_retry(p->opt.own);
        pipeline_on_acked(p, no); /* keeps (3) */
    }
    free(refused);
}
