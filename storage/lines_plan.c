/*
 * storage/lines_plan.c - the plan of a block's lines or attributes, read.  Contract: lines.h;
 * bytes: docs/formats/segment.md, "Lines".
 *
 * Everything, the plan's own bytes included, is one allocation sized from the three counts at its
 * front, which are held against the bytes that follow first.
 */
#include "storage/lines_internal.h"

#include "base/mem.h"
#include "base/obj.h"
#include "storage/varint.h"

#include <string.h>

enum {
    TEMPLATE_BYTES_MIN = 4, /* kind, rows, slots, one piece */
    COLUMN_BYTES_MIN = 2,   /* a piece and the kind of a stamp */
};

/* What lies where in the allocation. */
struct parts {
    struct lines_plan *plan;
    struct lines_template *template;
    struct lines_column *column;
    struct str *piece;
    char *bytes;
};

static int corrupt(const char *what, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "plan of lines: %s", what);
}

static bool take_string(struct str *in, struct str *ret)
{
    uint64_t n;

    if (!varint_get(in, &n) || n > in->n)
        return false;
    *ret = str_sub(*in, 0, (size_t)n);
    *in = str_from(*in, (size_t)n);
    return true;
}

static size_t round_up(size_t n)
{
    return (n + 15) & ~(size_t)15;
}

/* Room for a plan of these counts, an arena of just that size; the counts fit the bytes, so the sum
 * is small. */
static int make_room(struct lines_plan *head, struct str frame, struct mem_budget *budget,
                     struct parts *ret, struct err *err)
{
    size_t at_template = round_up(sizeof(struct lines_plan));
    size_t at_column = at_template + round_up(head->n_templates * sizeof(struct lines_template));
    size_t at_piece = at_column + round_up(head->n_columns * sizeof(struct lines_column));
    size_t at_bytes =
        at_piece + round_up((head->n_columns + head->n_templates) * sizeof(struct str));
    char *p;

    head->arena = arena_new(budget, at_bytes + frame.n);
    p = arena_alloc(head->arena, at_bytes + frame.n);
    if (p == NULL)
        return arena_err(head->arena, err);
    ret->plan = (void *)p;
    ret->template = (void *)(p + at_template);
    ret->column = (void *)(p + at_column);
    ret->piece = (void *)(p + at_piece);
    ret->bytes = p + at_bytes;
    memcpy(ret->bytes, frame.p, frame.n);
    return 0;
}

/* One template; its pieces go to *piece. */
static int take_template(struct str *in, size_t rows_left, size_t columns_left, struct str *piece,
                         struct lines_template *ret, struct err *err)
{
    uint64_t rows;
    uint64_t slots;
    unsigned kind;

    if (in->n < 1)
        return corrupt("template is cut", err);
    kind = (uint8_t)in->p[0];
    *in = str_from(*in, 1);
    if (kind >= TEMPLATE_KINDS || !varint_get(in, &rows) || !varint_get(in, &slots))
        return corrupt("template is cut", err);
    if (rows == 0 || rows > rows_left)
        return corrupt("rows of a template", err);
    if (slots > TEMPLATE_SLOTS_MAX || slots > columns_left || (kind == TEMPLATE_RAW && slots != 1))
        return corrupt("slots of a template", err);
    for (uint64_t i = 0; i <= slots; i++)
        if (!take_string(in, &piece[i]))
            return corrupt("pieces of a template", err);
    for (uint64_t i = 1; kind == TEMPLATE_ATTRS && i < slots; i++)
        if (str_cmp(piece[i - 1], piece[i]) > 0)
            return corrupt("names out of order", err);
    ret->kind = (enum template_kind)kind;
    ret->rows = (uint32_t)rows;
    ret->n_slots = (uint32_t)slots;
    ret->piece = piece;
    return 0;
}

static int take_templates(struct str *in, struct parts *p, struct err *err)
{
    struct lines_plan *plan = p->plan;
    struct str *piece = p->piece;
    size_t rows = 0;
    size_t columns = 0;

    for (size_t i = 0; i < plan->n_templates; i++) {
        struct lines_template *t = &p->template[i];
        int r = take_template(in, plan->rows - rows, plan->n_columns - columns, piece, t, err);
        if (r < 0)
            return r;
        t->first_column = (uint32_t)columns;
        rows += t->rows;
        columns += t->n_slots;
        piece += t->n_slots + (size_t)1;
    }
    if (rows != plan->rows || columns != plan->n_columns)
        return corrupt("templates do not add up", err);
    return 0;
}

/* Frames so far, and the packed frame that is open for numbers and for text. */
struct places {
    uint64_t frames;
    struct {
        bool is_open;
        uint32_t frame;
        uint64_t at;
    } packed[2];
};

static int take_place(struct str *in, struct places *at, struct lines_column *c, struct err *err)
{
    bool is_text = lines_content_of(c->stamp.kind) == LINES_TEXT;
    unsigned place;

    if (c->stamp.kind == SLOT_CONST)
        return c->stamp.bytes == 0 ? 0 : corrupt("constant with bytes", err);
    if (in->n < 1)
        return corrupt("column is cut", err);
    place = (uint8_t)in->p[0];
    *in = str_from(*in, 1);
    if (place > LINES_PLACE_ALONE || (place == LINES_PLACE_NEXT && !at->packed[is_text].is_open))
        return corrupt("place of a column", err);
    if (c->stamp.bytes > LINES_FRAME_MAX)
        return corrupt("column is too long", err);
    if (place == LINES_PLACE_ALONE) {
        c->frame = (uint32_t)at->frames++;
        return 0;
    }
    if (place == LINES_PLACE_NEW) {
        at->packed[is_text].is_open = true;
        at->packed[is_text].frame = (uint32_t)at->frames++;
        at->packed[is_text].at = 0;
    }
    c->frame = at->packed[is_text].frame;
    c->offset = (uint32_t)at->packed[is_text].at;
    at->packed[is_text].at += c->stamp.bytes;
    if (at->packed[is_text].at > LINES_FRAME_MAX)
        return corrupt("frame is too long", err);
    return 0;
}

/* Slot `slot` of its template. */
static int take_column(struct str *in, struct places *at, struct lines_column *c, uint32_t slot,
                       struct err *err)
{
    uint64_t back;
    int r;

    if (in->n > 0 && (uint8_t)in->p[0] == LINES_SAME) {
        *in = str_from(*in, 1);
        if (!varint_get(in, &back) || back == 0 || back > slot)
            return corrupt("a column like one that is not there", err);
        *c = *(c - back);
        return 0;
    }
    r = slot_stamp_take(in, &c->stamp, err);
    return r < 0 ? r : take_place(in, at, c, err);
}

static int take_columns(struct str *in, struct parts *p, struct err *err)
{
    struct lines_plan *plan = p->plan;
    size_t id_bytes = lines_id_bytes(plan->n_templates);
    struct places at = {.frames = id_bytes > 0};

    if (id_bytes > 0)
        plan->ids.stamp = (struct slot_stamp){.kind = SLOT_INT,
                                              .max = plan->n_templates - 1,
                                              .bytes = (uint32_t)(plan->rows * id_bytes)};
    for (size_t t = 0; t < plan->n_templates; t++) {
        for (uint32_t k = 0; k < p->template[t].n_slots; k++) {
            int r = take_column(in, &at, &p->column[p->template[t].first_column + k], k, err);
            if (r < 0)
                return r;
        }
    }
    if (at.frames != plan->n_frames)
        return corrupt("count of frames", err);
    return in->n == 0 ? 0 : corrupt("bytes behind the last column", err);
}

static int take_head(struct str *in, size_t rows, struct lines_plan *ret, struct err *err)
{
    uint64_t templates;
    uint64_t columns;
    uint64_t frames;

    if (!varint_get(in, &templates) || !varint_get(in, &columns) || !varint_get(in, &frames))
        return corrupt("no head", err);
    if (templates == 0 || templates > LINES_TEMPLATES_MAX + 1 || templates > rows ||
        templates > in->n / TEMPLATE_BYTES_MIN)
        return corrupt("count of templates", err);
    if (columns > in->n / COLUMN_BYTES_MIN || frames > columns + 1)
        return corrupt("count of columns", err);
    ret->rows = rows;
    ret->n_templates = (size_t)templates;
    ret->n_columns = (size_t)columns;
    ret->n_frames = (size_t)frames;
    return 0;
}

int lines_plan_new(struct str frame, size_t rows, struct mem_budget *budget,
                   struct lines_plan **ret, struct err *err)
{
    struct lines_plan head = {.magic = LINES_PLAN_MAGIC};
    struct parts p = {NULL};
    struct str in = frame;
    int r = take_head(&in, rows, &head, err);

    if (r == 0)
        r = make_room(&head, frame, budget, &p, err);
    if (r == 0 && p.plan != NULL) {
        head.template = p.template;
        head.column = p.column;
        *p.plan = head;
        in = (struct str){p.bytes + (frame.n - in.n), in.n};
        r = take_templates(&in, &p, err);
        if (r == 0)
            r = take_columns(&in, &p, err);
    }
    if (r == 0)
        *ret = p.plan;
    else
        arena_free(&head.arena);
    return r;
}

void lines_plan_free(struct lines_plan **pp)
{
    struct arena *a;

    if (*pp == NULL)
        return;
    OBJ_CHECK(*pp, LINES_PLAN_MAGIC);
    a = (*pp)->arena; /* the plan itself lies in there */
    *pp = NULL;
    arena_free(&a);
}

size_t lines_plan_held(const struct lines_plan *p)
{
    OBJ_CHECK(p, LINES_PLAN_MAGIC);
    return arena_held(p->arena);
}
