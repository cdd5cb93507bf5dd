/*
 * wire/forward_render.c - contract: forward_render.h.
 *
 * Invariants
 *   (1) recursion is as deep as the value, which msgpack-c ends at 32;
 *   (2) once `text` is over its maximum nothing more is rendered: work is bounded by
 * FORWARD_RENDER_MAX a level.
 */
#include "wire/forward_render.h"

#include "base/json.h"
#include "base/mem.h"
#include "base/obj.h"
#include "base/utf8.h"
#include "wire/forward_time.h"
#include "wire/mp.h"

#include <inttypes.h>
#include <stdlib.h>

#include <msgpack.h>
#include <openssl/evp.h>

enum {
    ZONE_BYTES = 8192,
    TEXT_KEPT_MAX = 1 << 20, /* a larger scratch is given back after use */
};

struct forward_render {
    unsigned magic;
#define FORWARD_RENDER_MAGIC 0x7e3d1a05u
    msgpack_zone *zone; /* owned; NULL until the first nested value */
    struct buf text;
};

struct forward_render *forward_render_new(void)
{
    struct forward_render *r = mem_new(sizeof(*r));

    r->magic = FORWARD_RENDER_MAGIC;
    buf_init(&r->text, FORWARD_RENDER_MAX);
    return r;
}

void forward_render_free(struct forward_render **pr)
{
    struct forward_render *r = *pr;

    if (r == NULL)
        return;
    OBJ_CHECK(r, FORWARD_RENDER_MAGIC);
    if (r->zone != NULL)
        msgpack_zone_free(r->zone);
    buf_fini(&r->text);
    r->magic = 0;
    free(r);
    *pr = NULL;
}

static void add_base64(struct buf *b, struct str s)
{
    size_t n = (s.n + 2) / 3 * 4;
    char *room = buf_room(b, n + 1); /* the library writes a NUL behind */

    if (room == NULL)
        return;
    (void)EVP_EncodeBlock((unsigned char *)room, (const unsigned char *)s.p, (int)s.n);
    b->n += n;
}

/* The text of an ext; true: it is a time. */
static bool add_ext(struct buf *b, const struct mp_value *v)
{
    char text[TIME_TEXT_MAX];
    ts_ns t;

    if (forward_time_ext(v, &t)) {
        buf_add_str(b, time_format_rfc3339nano(t, text));
        return true;
    }
    if (v->n > FORWARD_RENDER_MAX)
        b->over = true;
    else
        add_base64(b, v->body);
    return false;
}

/* NOLINTBEGIN(misc-no-recursion): bounded, (1) */
static void json_of(struct json_writer *w, const msgpack_object *o);

/* A JSON key is a string: other kinds of key become the text of their JSON. */
static void json_key_of(struct json_writer *w, const msgpack_object *o)
{
    struct json_writer key;
    struct buf text;

    if (o->type == MSGPACK_OBJECT_STR) {
        json_put_key(w, (struct str){o->via.str.ptr, o->via.str.size});
        return;
    }
    if (o->type == MSGPACK_OBJECT_BIN) {
        json_put_key(w, (struct str){o->via.bin.ptr, o->via.bin.size});
        return;
    }
    buf_init(&text, FORWARD_RENDER_MAX);
    json_writer_init(&key, &text);
    json_of(&key, o);
    json_put_key(w, buf_str(&text));
    if (text.over)
        w->out->over = true;
    buf_fini(&text);
}

/* Bytes that are text as text, others in base64: JSON has no third way. */
static void json_bin(struct json_writer *w, struct str s)
{
    struct buf text;

    if (utf8_valid(s) == s.n) {
        json_put_string(w, s);
        return;
    }
    buf_init(&text, FORWARD_RENDER_MAX);
    if (s.n > FORWARD_RENDER_MAX)
        text.over = true;
    else
        add_base64(&text, s);
    json_put_string(w, buf_str(&text));
    if (text.over)
        w->out->over = true;
    buf_fini(&text);
}

static void json_ext(struct json_writer *w, const msgpack_object_ext *e)
{
    struct mp_value v = {.type = MP_EXT, .ext = e->type, .n = e->size, .body = {e->ptr, e->size}};
    struct buf text;

    buf_init(&text, FORWARD_RENDER_MAX);
    (void)add_ext(&text, &v); /* a time and base64 are strings alike */
    json_put_string(w, buf_str(&text));
    if (text.over)
        w->out->over = true;
    buf_fini(&text);
}

/* Both stop where they are once the text is over: its writer is not used any more then. */
static void json_array_of(struct json_writer *w, const msgpack_object_array *array)
{
    uint32_t i;

    json_put_array(w);
    for (i = 0; i < array->size; i++) {
        json_of(w, &array->ptr[i]);
        if (w->out->over) /* keeps (2) */
            return;
    }
    json_put_array_end(w);
}

static void json_map_of(struct json_writer *w, const msgpack_object_map *map)
{
    uint32_t i;

    json_put_object(w);
    for (i = 0; i < map->size; i++) {
        json_key_of(w, &map->ptr[i].key);
        if (!w->out->over)
            json_of(w, &map->ptr[i].val);
        if (w->out->over) /* keeps (2) */
            return;
    }
    json_put_object_end(w);
}

static void json_of(struct json_writer *w, const msgpack_object *o)
{
    switch (o->type) {
    case MSGPACK_OBJECT_NIL:
        json_put_null(w);
        break;
    case MSGPACK_OBJECT_BOOLEAN:
        json_put_bool(w, o->via.boolean);
        break;
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        json_put_u64(w, o->via.u64);
        break;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        json_put_i64(w, o->via.i64);
        break;
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        json_put_f64(w, o->via.f64);
        break;
    case MSGPACK_OBJECT_STR:
        json_put_string(w, (struct str){o->via.str.ptr, o->via.str.size});
        break;
    case MSGPACK_OBJECT_BIN:
        json_bin(w, (struct str){o->via.bin.ptr, o->via.bin.size});
        break;
    case MSGPACK_OBJECT_EXT:
        json_ext(w, &o->via.ext);
        break;
    case MSGPACK_OBJECT_ARRAY:
        json_array_of(w, &o->via.array);
        break;
    case MSGPACK_OBJECT_MAP:
        json_map_of(w, &o->via.map);
        break;
    }
}

/* NOLINTEND(misc-no-recursion) */

static int unpack(struct forward_render *r, struct str *rest, msgpack_object *ret, struct err *err)
{
    size_t used = 0;
    msgpack_unpack_return u;

    if (r->zone == NULL)
        r->zone = msgpack_zone_new(ZONE_BYTES);
    if (r->zone == NULL)
        return err_set(err, ERR_NOMEM, "no memory for a nested value");
    u = msgpack_unpack(rest->p, rest->n, &used, r->zone, ret);
    if (u == MSGPACK_UNPACK_SUCCESS || u == MSGPACK_UNPACK_EXTRA_BYTES) {
        *rest = str_from(*rest, used);
        return 0;
    }
    if (u == MSGPACK_UNPACK_NOMEM_ERROR)
        return err_set(err, ERR_LIMIT, "a nested value is too large or too deep");
    return err_set(err, ERR_CORRUPT, "a nested value is no msgpack");
}

/* The scratch text into the arena, and ready for the next. */
static int text_done(struct forward_render *r, struct arena *a, struct str *ret, struct err *err)
{
    struct str copy;
    int e = buf_err(&r->text, "a rendered value", err);

    if (e == 0) {
        copy = arena_str(a, buf_str(&r->text));
        if (copy.p == NULL)
            e = arena_err(a, err);
        else
            *ret = copy;
    }
    if (r->text.cap > TEXT_KEPT_MAX)
        buf_fini(&r->text);
    buf_clear(&r->text);
    return e;
}

static int render_nested(struct forward_render *r, struct str *rest, struct arena *a,
                         struct str *ret, struct err *err)
{
    struct json_writer w;
    msgpack_object o;
    int e = unpack(r, rest, &o, err);

    if (e == 0) {
        json_writer_init(&w, &r->text);
        json_of(&w, &o);
        e = text_done(r, a, ret, err);
    }
    if (r->zone != NULL)
        msgpack_zone_clear(r->zone);
    return e;
}

static int render_number(struct forward_render *r, const struct mp_value *v, struct arena *a,
                         struct forward_field *ret, struct err *err)
{
    struct json_writer w;

    json_writer_init(&w, &r->text);
    ret->type = FORWARD_INT;
    if (v->type == MP_UINT) {
        json_put_u64(&w, v->u);
    } else if (v->type == MP_INT) {
        json_put_i64(&w, v->i);
    } else {
        ret->type = FORWARD_FLOAT;
        json_put_f64(&w, v->f);
    }
    return text_done(r, a, &ret->text, err);
}

int forward_render_value(struct forward_render *r, struct str *rest, struct arena *a,
                         struct forward_field *ret, struct err *err)
{
    struct mp_value v;
    size_t head;

    OBJ_CHECK(r, FORWARD_RENDER_MAGIC);
    if (mp_head(*rest, &v, &head) == 0 && (v.type == MP_ARRAY || v.type == MP_MAP)) {
        ret->type = FORWARD_NESTED;
        return render_nested(r, rest, a, &ret->text, err);
    }
    if (mp_next(rest, &v) != 0)
        return err_set(err, ERR_CORRUPT, "a value is no msgpack or cut off");
    switch (v.type) {
    case MP_NIL:
        ret->type = FORWARD_NIL;
        ret->text = STR("null");
        return 0;
    case MP_BOOL:
        ret->type = FORWARD_BOOL;
        ret->text = v.u != 0 ? STR("true") : STR("false");
        return 0;
    case MP_STR:
    case MP_BIN:
        ret->type = FORWARD_STR;
        ret->text = v.body;
        return 0;
    case MP_EXT:
        ret->type = add_ext(&r->text, &v) ? FORWARD_TIME : FORWARD_STR;
        return text_done(r, a, &ret->text, err);
    case MP_UINT:
    case MP_INT:
    case MP_FLOAT:
    case MP_ARRAY:
    case MP_MAP:
        break;
    }
    return render_number(r, &v, a, ret, err);
}
