/*
 * base/json_write.c - the writer of json.h.
 *
 * Query results leave through here, so strings are copied in runs: a run ends at a byte that needs
 * an escape, and only a run with bytes over 0x7f in it is looked at again for ill-formed UTF-8.  As
 * an escape is never part of a longer sequence, that finds the same faults as looking at the whole.
 *
 * Invariant: bit d of has_item says that the container at depth d has an item already, so that the
 * next needs a comma; depth 0 is the top and never needs one.
 */
#include "base/json.h"

#include "base/obj.h"
#include "base/utf8.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* ---- strings ---- */

static bool is_plain(char c)
{
    unsigned char u = (unsigned char)c;

    return u >= 0x20 && u < 0x80 && u != '"' && u != '\\';
}

/* Where the run of plain ASCII at `p` ends. */
static const char *plain_end(const char *p, const char *end)
{
#if defined(__x86_64__)
    const __m128i quote = _mm_set1_epi8('"');
    const __m128i slash = _mm_set1_epi8('\\');
    const __m128i blank = _mm_set1_epi8(' ');

    for (; end - p >= 16; p += 16) {
        __m128i x = _mm_loadu_si128((const void *)p);
        __m128i hit = _mm_or_si128(_mm_cmpeq_epi8(x, quote), _mm_cmpeq_epi8(x, slash));
        /* signed, so that bytes over 0x7f count as less than a blank too */
        unsigned mask = (unsigned)_mm_movemask_epi8(_mm_or_si128(hit, _mm_cmplt_epi8(x, blank)));
        if (mask != 0)
            return p + __builtin_ctz(mask);
    }
#endif
    while (p < end && is_plain(*p))
        p++;
    return p;
}

/* Where the run of bytes over 0x7f at `p` ends. */
static const char *high_end(const char *p, const char *end)
{
    while (p < end && (unsigned char)*p >= 0x80)
        p++;
    return p;
}

static void add_escape(struct buf *out, char c)
{
    switch (c) {
    case '"':
        buf_add(out, "\\\"", 2);
        break;
    case '\\':
        buf_add(out, "\\\\", 2);
        break;
    case '\b':
        buf_add(out, "\\b", 2);
        break;
    case '\f':
        buf_add(out, "\\f", 2);
        break;
    case '\n':
        buf_add(out, "\\n", 2);
        break;
    case '\r':
        buf_add(out, "\\r", 2);
        break;
    case '\t':
        buf_add(out, "\\t", 2);
        break;
    default:
        buf_addf(out, "\\u%04x", (unsigned)(unsigned char)c);
        break;
    }
}

void json_quote(struct buf *out, struct str s)
{
    const char *p = s.p;
    const char *end;

    buf_add_char(out, '"');
    end = s.n == 0 ? p : p + s.n;
    while (p < end) {
        const char *stop = plain_end(p, end);
        buf_add(out, p, (size_t)(stop - p));
        p = stop;
        stop = high_end(p, end);
        if (stop > p) {
            utf8_repair(out, (struct str){p, (size_t)(stop - p)});
            p = stop;
        } else if (p < end) {
            add_escape(out, *p++);
        }
    }
    buf_add_char(out, '"');
}

/* ---- structure ---- */

static uint64_t depth_bit(const struct json_writer *w)
{
    return UINT64_C(1) << w->depth;
}

/* What has to stand before the next key or value. */
static void separate(struct json_writer *w)
{
    if (w->after_key) {
        w->after_key = false;
        return;
    }
    if (w->depth == 0)
        return;
    if ((w->has_item & depth_bit(w)) != 0)
        buf_add_char(w->out, ',');
    w->has_item |= depth_bit(w);
}

static void open_container(struct json_writer *w, char bracket)
{
    separate(w);
    INVARIANT(w->depth < JSON_DEPTH_MAX - 1);
    w->depth++;
    w->has_item &= ~depth_bit(w);
    buf_add_char(w->out, bracket);
}

static void close_container(struct json_writer *w, char bracket)
{
    INVARIANT(w->depth > 0 && !w->after_key);
    w->depth--;
    buf_add_char(w->out, bracket);
}

void json_writer_init(struct json_writer *w, struct buf *out)
{
    *w = (struct json_writer){.out = out};
}

void json_put_object(struct json_writer *w)
{
    open_container(w, '{');
}

void json_put_object_end(struct json_writer *w)
{
    close_container(w, '}');
}

void json_put_array(struct json_writer *w)
{
    open_container(w, '[');
}

void json_put_array_end(struct json_writer *w)
{
    close_container(w, ']');
}

void json_put_key(struct json_writer *w, struct str key)
{
    INVARIANT(w->depth > 0 && !w->after_key);
    separate(w);
    json_quote(w->out, key);
    buf_add_char(w->out, ':');
    w->after_key = true;
}

/* ---- values ---- */

void json_put_string(struct json_writer *w, struct str s)
{
    separate(w);
    json_quote(w->out, s);
}

void json_put_u64(struct json_writer *w, uint64_t v)
{
    separate(w);
    buf_addf(w->out, "%" PRIu64, v);
}

void json_put_i64(struct json_writer *w, int64_t v)
{
    separate(w);
    buf_add_i64(w->out, v);
}

void json_put_f64(struct json_writer *w, double v)
{
    char text[32];

    if (!isfinite(v)) {
        json_put_null(w);
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(text, sizeof(text), "%.*g", digits, v);
        if (!islessgreater(strtod(text, NULL), v))
            break;
    }
    separate(w);
    buf_add_z(w->out, text);
}

void json_put_bool(struct json_writer *w, bool v)
{
    separate(w);
    buf_add_z(w->out, v ? "true" : "false");
}

void json_put_null(struct json_writer *w)
{
    separate(w);
    buf_add_z(w->out, "null");
}

void json_put_raw(struct json_writer *w, struct str json)
{
    separate(w);
    buf_add_str(w->out, json);
}

void json_put_kv_str(struct json_writer *w, const char *key, struct str value)
{
    json_put_key(w, str_of(key));
    json_put_string(w, value);
}

void json_put_kv_u64(struct json_writer *w, const char *key, uint64_t value)
{
    json_put_key(w, str_of(key));
    json_put_u64(w, value);
}
