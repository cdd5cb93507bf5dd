/*
 * query/tmpl_run.c - the life of a run, its errors and its bounds, see tmpl.h.
 */
#include "query/tmpl_internal.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum {
    ERROR_TEXT_MAX = 8192,
    NODE_TEXT_MAX = 1000, /* of a message: a node may be as long as the template */
    REGEXP_STEPS = 64     /* what compiling a pattern costs, per byte */
};

/* ---- errors ---- */

static void add_place(struct tmpl_run *r)
{
    struct str text = r->t->text;
    struct str node;
    unsigned line = 1;
    size_t start = 0;

    for (size_t i = 0; i < r->at->pos && i < text.n; i++) {
        if (text.p[i] == '\n') {
            line++;
            start = i + 1;
        }
    }
    buf_addf(&r->error, "%s:%u:%zu: executing ", r->t->env->name, line, r->at->pos - start);
    tmpl_quote(&r->error, r->define->name, false);
    buf_add_z(&r->error, " at <");
    buf_clear(&r->text); /* nobody needs it any more */
    tmpl_node_print(r->at, &r->text);
    node = buf_str(&r->text);
    buf_add_str(&r->error, str_sub(node, 0, NODE_TEXT_MAX));
    buf_add_z(&r->error, node.n > NODE_TEXT_MAX || r->text.over ? "...>: " : ">: ");
    buf_clear(&r->text);
}

/* A reason with names of kilobytes in it did not fit. */
static void add_if_over(struct tmpl_run *r)
{
    if (!r->error.over)
        return;
    r->error.over = false;
    buf_add_z(&r->error, "it failed; the reason is too long to be told");
}

int tmpl_error(struct tmpl_run *r, const char *fmt, ...)
{
    va_list ap;

    buf_clear(&r->error);
    buf_add_z(&r->error, "template: ");
    if (r->at != NULL)
        add_place(r);
    va_start(ap, fmt);
    buf_addv(&r->error, fmt, ap);
    va_end(ap);
    add_if_over(r);
    return ERR_INVALID;
}

int tmpl_fail(struct tmpl_run *r, const char *fmt, ...)
{
    va_list ap;

    buf_clear(&r->error);
    va_start(ap, fmt);
    buf_addv(&r->error, fmt, ap);
    va_end(ap);
    add_if_over(r);
    return ERR_INVALID;
}

int tmpl_step(struct tmpl_run *r, size_t n)
{
    if (n <= r->steps) {
        r->steps -= n;
        return 0;
    }
    r->steps = 0;
    return tmpl_fail(r, "it takes more than %d steps", TMPL_STEPS_MAX);
}

static bool charge(struct tmpl_run *r, size_t n)
{
    size_t steps = n / TMPL_STEP_BYTES;

    if (n > r->bytes || steps > r->steps) {
        r->over = true;
        return false;
    }
    r->bytes -= n;
    r->steps -= steps;
    return true;
}

char *tmpl_bytes(struct tmpl_run *r, size_t n)
{
    return charge(r, n) ? arena_bytes(r->in->arena, n) : NULL;
}

void *tmpl_alloc(struct tmpl_run *r, size_t n)
{
    return charge(r, n) ? arena_alloc(r->in->arena, n) : NULL;
}

int tmpl_full(struct tmpl_run *r)
{
    if (r->over)
        return tmpl_fail(r, "it makes more than %d bytes of text", TMPL_BYTES_MAX);
    return arena_err(r->in->arena, r->err);
}

int tmpl_ret_copy(struct tmpl_run *r, struct str text, struct tmpl_value *ret)
{
    char *p = tmpl_bytes(r, text.n);

    if (p == NULL)
        return tmpl_full(r);
    if (text.n > 0)
        memcpy(p, text.p, text.n);
    *ret = tmpl_of_str((struct str){p, text.n});
    return 0;
}

int tmpl_take(struct tmpl_run *r, struct buf *out, size_t from, struct tmpl_value *ret)
{
    struct str text = str_from(buf_str(out), from);
    int x;

    if (out->over)
        return tmpl_fail(r, "a text of more than %d bytes", TMPL_OUT_MAX);
    x = tmpl_ret_copy(r, text, ret);
    out->n = from;
    return x;
}

int tmpl_regexp(struct tmpl_run *r, struct str pattern, const struct regexp **ret)
{
    struct tmpl_regexp *oldest = &r->regexps[0];
    struct err err;
    int x;

    r->clock++;
    for (size_t i = 0; i < TMPL_REGEXPS; i++) {
        struct tmpl_regexp *e = &r->regexps[i];
        if (e->re != NULL && str_eq(regexp_pattern(e->re), pattern)) {
            e->used = r->clock;
            *ret = e->re;
            return 0;
        }
        if (e->re == NULL || (oldest->re != NULL && e->used < oldest->used))
            oldest = e;
    }
    x = tmpl_step(r, (pattern.n + 8) * REGEXP_STEPS);
    if (x < 0)
        return x;
    regexp_free(&oldest->re);
    x = regexp_new(pattern, false, &oldest->re, &err);
    if (x < 0)
        return tmpl_fail(r, "error parsing regexp: %s", err.text);
    oldest->used = r->clock;
    *ret = oldest->re;
    return 0;
}

/* ---- a run ---- */

struct tmpl_run *tmpl_run_new(void)
{
    struct tmpl_run *r = mem_new(sizeof(*r));

    r->magic = TMPL_RUN_MAGIC;
    buf_init(&r->out, TMPL_OUT_MAX);
    buf_init(&r->text, TMPL_OUT_MAX);
    buf_init(&r->error, ERROR_TEXT_MAX);
    return r;
}

void tmpl_run_free(struct tmpl_run **pr)
{
    struct tmpl_run *r = *pr;

    *pr = NULL;
    if (r == NULL)
        return;
    OBJ_CHECK(r, TMPL_RUN_MAGIC);
    for (size_t i = 0; i < TMPL_REGEXPS; i++)
        regexp_free(&r->regexps[i].re);
    buf_fini(&r->out);
    buf_fini(&r->text);
    buf_fini(&r->error);
    r->magic = 0;
    free(r);
}

int tmpl_execute(struct tmpl_run *r, const struct tmpl *t, const struct tmpl_input *in,
                 struct str *ret, struct err *err)
{
    int x;

    OBJ_CHECK(r, TMPL_RUN_MAGIC);
    r->t = t;
    r->in = in;
    r->err = err;
    r->at = NULL;
    r->define = NULL;
    r->slots = NULL;
    r->depth = 0;
    r->over = false;
    r->steps = TMPL_STEPS_MAX;
    r->bytes = TMPL_BYTES_MAX;
    buf_clear(&r->out);
    buf_clear(&r->text);
    buf_clear(&r->error);
    x = tmpl_run_define(r, t->root, &in->dot);
    if (x < 0 && x != ERR_INVALID)
        return x;
    *ret = arena_str(in->arena, buf_str(x < 0 ? &r->error : &r->out));
    if (ret->p == NULL)
        return arena_err(in->arena, err);
    return x < 0;
}

size_t tmpl_run_steps(const struct tmpl_run *r)
{
    OBJ_CHECK(r, TMPL_RUN_MAGIC);
    return TMPL_STEPS_MAX - r->steps;
}
