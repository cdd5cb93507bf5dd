/*
 * wire/forward_frame.c - where does a message end?  Contract: forward_parse.h, step 1.
 *
 * Forward has no length prefix: a message is one msgpack value, and only a walk over its heads
 * tells where it ends.  The walk stops at the last whole head and goes on from there, so a message
 * that comes in a thousand reads is walked once.
 *
 * Invariants
 *   (1) at <= message_bytes and due <= message_bytes - at: a value that cannot fit any more is
 * refused when the head that claims it is read, whatever memory its body would have taken; (2) due
 * is the sum of left[0..depth], and left[i] > 0 for every i > 0 up to depth.
 */
#include "wire/forward_parse.h"

#include "wire/mp.h"

static int too_large(const struct forward_limits *lim, struct err *err)
{
    return err_set(err, ERR_LIMIT, "a message is over %zu bytes", lim->message_bytes);
}

/* Account for one value whose head is `head` bytes long. */
static int take_value(struct forward_frame *f, const struct mp_value *v, size_t head,
                      const struct forward_limits *lim, struct err *err)
{
    uint64_t body = 0, children = 0;

    if (v->type == MP_STR || v->type == MP_BIN || v->type == MP_EXT)
        body = v->n;
    else if (v->type == MP_ARRAY)
        children = v->n;
    else if (v->type == MP_MAP)
        children = (uint64_t)v->n * 2;

    if (head > lim->message_bytes - f->at || body > lim->message_bytes - f->at - head)
        return too_large(lim, err);
    f->at += head + (size_t)body;
    f->values++;
    f->due--;
    f->left[f->depth]--;
    if (children > 0) {
        if (f->depth >= lim->depth)
            return err_set(err, ERR_LIMIT, "a message nests deeper than %u", lim->depth);
        f->left[++f->depth] = children;
        f->due += children;
    }
    while (f->depth > 0 && f->left[f->depth] == 0)
        f->depth--;
    if (f->due > lim->message_bytes - f->at) /* keeps (1) */
        return too_large(lim, err);
    return 0;
}

int forward_frame_scan(struct forward_frame *f, struct str bytes,
                       const struct forward_limits *limits, size_t *ret_n, struct err *err)
{
    struct forward_limits lim = forward_limits_resolve(limits);
    size_t need, head;
    struct mp_value v;
    int r;

    if (f->at == 0) {
        f->due = 1;
        f->left[0] = 1;
    }
    while (f->due > 0 && f->at < bytes.n) {
        r = mp_head((struct str){bytes.p + f->at, bytes.n - f->at}, &v, &head);
        if (r < 0)
            return err_set(err, ERR_CORRUPT, "byte %zu of a message is no msgpack", f->at);
        if (r == 1)
            break;
        r = take_value(f, &v, head, &lim, err);
        if (r < 0)
            return r;
    }
    need = f->at + (size_t)f->due;
    if (f->due > 0 && need <= bytes.n) /* a head is cut in the middle */
        need = bytes.n + 1;
    if (need > lim.message_bytes)
        return too_large(&lim, err);
    *ret_n = need;
    return need > bytes.n;
}
