/*
 * query/op_unpack.c - the stage `unpack`, see op.h.
 *
 * The reverse of what agents do that pack a line and its labels into one JSON object: the string
 * `_entry` becomes the line, the other strings become labels.  An object without `_entry` is left
 * as it is; members that are no strings are passed over.
 */
#include "query/op.h"

#include "base/json.h"

#define PACKED_ENTRY STR("_entry")

/* The next member that is a string.  1: there is none; ERR_CORRUPT: the object is broken. */
static int next_string(struct json_reader *r, struct json_token *key, struct json_token *value,
                       struct err *err)
{
    struct json_reader member;
    struct str raw;
    int x;

    do {
        x = json_next(r, key, err);
        if (x < 0 || key->type != JSON_KEY)
            return x < 0 ? x : 1;
        x = json_skip(r, &raw, err);
        if (x < 0)
            return x;
        json_reader_init(&member, raw);
        x = json_next(&member, value, err);
    } while (x == 0 && value->type != JSON_STRING);
    return x;
}

static bool begin(struct json_reader *r, struct str line)
{
    struct json_token tok;
    struct err ignored;

    json_reader_init(r, line);
    json_reader_lenient(r);
    return json_next(r, &tok, &ignored) == 0 && tok.type == JSON_OBJECT;
}

/* Look at the whole object first: a broken one changes nothing.  0; 1: broken; < 0: no memory. */
static int find_entry(struct entry *e, struct str *ret, struct err *err)
{
    struct json_reader r;
    struct json_token key;
    struct json_token value;
    struct err ignored;
    int x = 0;

    *ret = STR_NULL;
    if (!begin(&r, e->line))
        return 1;
    while ((x = next_string(&r, &key, &value, &ignored)) == 0) {
        if (!str_eq(key.raw, PACKED_ENTRY))
            continue;
        *ret = json_text(&value, e->arena);
        if (ret->p == NULL)
            return arena_err(e->arena, err);
    }
    return x < 0;
}

static int add_label(const struct json_token *key, const struct json_token *value, struct entry *e,
                     struct err *err)
{
    struct str name = json_text(key, e->arena);
    struct str text = op_json_text(value, e);

    if (name.p == NULL || text.p == NULL)
        return arena_err(e->arena, err);
    e->name.n = 0;
    entry_add_name(e, name);
    if (e->name.over || e->name.n == 0)
        return buf_err(&e->name, "label name", err);
    name = entry_name(e);
    if (name.p == NULL)
        return arena_err(e->arena, err);
    return entry_parsed(e, name, text, err);
}

int op_unpack(struct entry *e, struct err *err)
{
    struct json_reader r;
    struct json_token key;
    struct json_token value;
    struct err ignored;
    struct str line;
    int x;

    if (e->line.n == 0)
        return 1;
    x = find_entry(e, &line, err);
    if (x == 1 && !entry_is_done(e))
        entry_fail(e, STR("JSONParserErr"), STR("the line is no complete JSON object"));
    if (x != 0 || line.p == NULL)
        return x < 0 ? x : 1;
    (void)begin(&r, e->line); /* as find_entry has seen */
    while (x == 0 && next_string(&r, &key, &value, &ignored) == 0)
        if (!str_eq(key.raw, PACKED_ENTRY))
            x = add_label(&key, &value, e, err);
    e->line = line;
    return x < 0 ? x : 1;
}
