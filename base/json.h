/*
 * base/json.h - JSON in: a pull reader that copies nothing; JSON out: a streaming writer.
 *
 * The reader is for log lines and API bodies alike.  It is RFC 8259 in structure, numbers, literals
 * and escapes; in strings it lets any other byte pass, control bytes and ill-formed UTF-8 too,
 * because programs log them.  What stands behind the top-level value is the caller's business
 * (json_rest), and LogQL's comma before a closing bracket must be asked for.  It never recurses and
 * its depth is bounded.  The writer makes valid UTF-8 whatever bytes it is given (ill-formed parts
 * become U+FFFD).
 */
#ifndef LOGQ_BASE_JSON_H
#define LOGQ_BASE_JSON_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum json_type {
    JSON_END, /* the top-level value is complete */
    JSON_OBJECT,
    JSON_OBJECT_END,
    JSON_ARRAY,
    JSON_ARRAY_END,
    JSON_KEY,
    JSON_STRING,
    JSON_NUMBER,
    JSON_TRUE,
    JSON_FALSE,
    JSON_NULL,
};

enum { JSON_DEPTH_MAX = 64 };

struct json_token {
    enum json_type type;
    struct str raw; /* in the input; KEY, STRING: between the quotes, escapes as they stand */
    bool escaped;   /* raw holds a backslash: json_unescape before use */
    size_t offset;  /* of the token's first byte in the input */
};

/* Visible so that it can live on the stack; all fields are private. */
struct json_reader {
    const char *begin, *p, *end;
    unsigned depth;
    uint64_t in_object; /* bit per depth */
    unsigned char state;
    bool lenient;
};

/* Start reading `text`, which is borrowed until the reader is no longer used. */
void json_reader_init(struct json_reader *r, struct str text);

/* Start reading `part`, a value inside `text`; offsets count from the beginning of `text`. */
void json_reader_init_part(struct json_reader *r, struct str text, struct str part);

/* From now on accept, as LogQL does, one comma before } and ], and in objects and arrays as a
 * number all that begins with a digit or a minus, up to a blank, comma or closing bracket: raw is
 * any bytes then. */
void json_reader_lenient(struct json_reader *r);

/* The next token.  0, or ERR_CORRUPT naming the byte offset; behind an error there are only errors,
 * behind JSON_END only JSON_END. */
int json_next(struct json_reader *r, struct json_token *ret, struct err *err);

/* After a KEY, inside an array, or at the start: skip the value that comes next, whole, checking
 * it.  *raw (may be NULL) gets its text.  1: there is none, the array ends here (and is left);
 * ERR_CORRUPT. */
int json_skip(struct json_reader *r, struct str *raw, struct err *err);

/*
 * The members of an object, one after the other:
 *
 *     int e = json_reader_init_object(&r, text, &err);
 *
 *     while (e == 0 && (e = json_member(&r, &key, &err)) == 0)
 *         if (str_eq(key.raw, STR("a")) && !take_a(&r))
 *             return false;
 *     return e == 1;
 *
 * A member's value is read whole or not at all: json_member skips, and checks, one that was not.
 * Keys come as they stand, in their order, and as often as they do.
 */

/* Begin to read the object that comes next.  0; ERR_CORRUPT: it is broken, or no object. */
int json_object(struct json_reader *r, struct err *err);

/* json_reader_init and json_object in one. */
int json_reader_init_object(struct json_reader *r, struct str text, struct err *err);

/* As json_object, but null passes for an object without members.  1: it is null. */
int json_object_or_null(struct json_reader *r, struct err *err);

/* The key of the object's next member.  0; 1: the object has ended, and is left; ERR_CORRUPT. */
int json_member(struct json_reader *r, struct json_token *key, struct err *err);

/* The text of the string that comes next, as json_text gives it; null leaves *ret as it is.
 * ERR_CORRUPT: it is broken, or neither; arena_err: `a` is full. */
int json_string_or_null(struct json_reader *r, struct arena *a, struct str *ret, struct err *err);

/* Bytes not read yet: after JSON_END what follows the top-level value and its blanks. */
struct str json_rest(const struct json_reader *r);

/* The text of a KEY or STRING: tok->raw itself when it has no escapes, else a copy in `a` with
 * escapes and surrogate pairs resolved (a lone surrogate becomes U+FFFD).  ret->p == NULL when `a`
 * is full. */
struct str json_text(const struct json_token *tok, struct arena *a);

/*
 * Writer.  Commas and colons come by themselves:
 *
 *     json_writer_init(&w, &buf);
 *     json_put_object(&w);
 *     json_put_key(&w, STR("a"));
 *     json_put_u64(&w, 1);
 *     json_put_object_end(&w);
 *
 * Overflow shows in the buf (buf_err).  At most JSON_DEPTH_MAX - 1 levels.
 */
struct json_writer {
    struct buf *out;
    unsigned depth;
    uint64_t has_item; /* bit per depth */
    bool after_key;
};

void json_writer_init(struct json_writer *w, struct buf *out);
void json_put_object(struct json_writer *w);
void json_put_object_end(struct json_writer *w);
void json_put_array(struct json_writer *w);
void json_put_array_end(struct json_writer *w);
void json_put_key(struct json_writer *w, struct str key);
void json_put_string(struct json_writer *w, struct str s);
void json_put_u64(struct json_writer *w, uint64_t v);
void json_put_i64(struct json_writer *w, int64_t v);
void json_put_f64(struct json_writer *w, double v); /* digits as it takes; NaN and Inf as null */
void json_put_bool(struct json_writer *w, bool v);
void json_put_null(struct json_writer *w);
void json_put_raw(struct json_writer *w, struct str json); /* text that is JSON already */

/* key and value in one */
void json_put_kv_str(struct json_writer *w, const char *key, struct str value);
void json_put_kv_u64(struct json_writer *w, const char *key, uint64_t value);

/* Append `s` as a JSON string with its quotes. */
void json_quote(struct buf *out, struct str s);

#endif
