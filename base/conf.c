/*
 * base/conf.c - YAML and a table of options in, a filled struct or a list of complaints out.
 *
 * Loading goes on behind an error, so that one run tells everything that is wrong with a file.  It
 * has two steps: walk() follows the file and finds for each option the value that stands there,
 * complaining about keys nobody knows; fill() follows the table and puts values or defaults into
 * the struct.
 *
 * A section ("http" in "http.listen") is nothing but the beginning of an option's path.  Sections
 * and lists of maps are followed by recursion, which YAML_DEPTH_MAX and the depth of the table
 * bound.
 */
#include "base/conf.h"

#include "base/conf_path.h"
#include "base/labels.h"
#include "base/near.h"
#include "base/utf8.h"
#include "base/yaml.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TEXT_MAX = 1 << 16, /* of one scalar, after ${env:} */
    SHOWN_MAX = 60,     /* bytes of a value in a message */
};

struct place {
    unsigned line, column;
};

/* A list of maps, and which of them. */
struct level {
    const struct level *outer;
    const char *list;
    size_t index;
};

struct loader {
    const char *file;
    struct arena *a;
    struct conf_errors *errors;
    struct place places[CONF_ERRORS_MAX];  /* of errors->v, to sort by */
    const struct conf_option *fallback_of; /* its default is being loaded, and not the file */
    const struct level *level;             /* that is being loaded; NULL: the outermost */
    struct str of;                         /* the option of it, or a section; NULL: none */
    bool full;                             /* the arena is */
};

/* One level of the file against one table. */
struct table {
    const struct conf_option *options;
    size_t n;
    const struct yaml_node **values; /* per option; NULL: absent */
    char *target;
    unsigned line, column; /* of the map that the table describes */
};

static void load_table(struct loader *l, struct table *t, const struct yaml_node *map);

/* ---- complaints ---- */

static struct str format_at(struct loader *l, unsigned line, unsigned column, const char *what)
{
    struct str text = arena_printf(l->a, "%s:%u:%u: %s", l->file, line, column, what);

    if (text.p == NULL)
        l->full = true;
    return text;
}

/* "inputs.3." into `to`; how many bytes that is. */
static size_t put_level(const struct level *level, char *to, size_t cap)
{
    size_t n = level == NULL ? 0 : put_level(level->outer, to, cap);
    int more = level == NULL || n >= cap
                   ? 0
                   : snprintf(to + n, cap - n, "%s.%zu.", level->list, level->index);

    return more < 0 ? n : n + (size_t)more;
}

/* What the error that is being told is about. */
static struct str format_of(struct loader *l)
{
    char level[256] = "";
    struct str text;

    if (l->of.p == NULL)
        return STR_NULL;
    (void)put_level(l->level, level, sizeof(level));
    text = arena_printf(l->a, "%s%.*s", level, STR_ARG(l->of));
    l->full = l->full || text.p == NULL;
    return text;
}

/* In the order of the file, which is not that of finding. */
static void add_error(struct loader *l, struct place at, const char *what)
{
    struct conf_errors *errors = l->errors;
    size_t i = errors->n++;

    if (i >= CONF_ERRORS_MAX)
        return;
    while (i > 0 && (l->places[i - 1].line > at.line ||
                     (l->places[i - 1].line == at.line && l->places[i - 1].column > at.column))) {
        errors->v[i] = errors->v[i - 1];
        errors->of[i] = errors->of[i - 1];
        l->places[i] = l->places[i - 1];
        i--;
    }
    l->places[i] = at;
    errors->v[i] = format_at(l, at.line, at.column, what);
    errors->of[i] = format_of(l);
}

static void add_warning(struct loader *l, const struct yaml_node *node, const char *what)
{
    if (l->errors->n_warnings++ < CONF_ERRORS_MAX)
        l->errors->warnings[l->errors->n_warnings - 1] =
            format_at(l, node->line, node->column, what);
}

static void complain_at(struct loader *l, unsigned line, unsigned column, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
static void complain_at(struct loader *l, unsigned line, unsigned column, const char *fmt, ...)
{
    char what[512];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    if (l->fallback_of != NULL) { /* the option is not in the file: there is no place to name */
        char more[640];
        (void)snprintf(more, sizeof(more), "%s (in its default)", what);
        add_error(l, (struct place){1, 1}, more);
        return;
    }
    add_error(l, (struct place){line, column}, what);
}

#define COMPLAIN(l, node, ...) complain_at(l, (node)->line, (node)->column, __VA_ARGS__)

/* "'http.port': 'x' is not <what>" */
static void complain_value(struct loader *l, const struct conf_option *o,
                           const struct yaml_node *node, struct str text, const char *what)
{
    struct str shown = str_sub(text, 0, SHOWN_MAX);

    COMPLAIN(l, node, "'%s': '%.*s%s' is not %s", o->path, STR_ARG(shown),
             shown.n < text.n ? "..." : "", what);
}

/* ---- keys ---- */

static void unknown_key(struct loader *l, const struct table *t, struct str prefix,
                        const struct yaml_node *key)
{
    struct str shown = str_sub(key->text, 0, SHOWN_MAX);
    struct near near;

    near_begin(&near, key->text);
    for (size_t i = 0; i < t->n; i++)
        near_offer(&near, conf_path_component(&t->options[i], prefix));
    if (near.best.p == NULL)
        COMPLAIN(l, key, "unknown key '%.*s'", STR_ARG(shown));
    else
        COMPLAIN(l, key, "unknown key '%.*s', did you mean '%.*s'?", STR_ARG(shown),
                 STR_ARG(near.best));
}

static bool is_absent(const struct yaml_node *node)
{
    return node == NULL || (node->kind == YAML_SCALAR && !node->quoted && node->text.n == 0);
}

/* The first option that is, or lies in the section, prefix + key; NULL if there is none. */
static const struct conf_option *find_option(const struct table *t, struct str prefix,
                                             struct str key)
{
    if (key.n == 0 || str_find_char(key, '.') != SIZE_MAX)
        return NULL;
    for (size_t i = 0; i < t->n; i++) {
        if (str_eq(conf_path_component(&t->options[i], prefix), key))
            return &t->options[i];
    }
    return NULL;
}

static void no_section(struct loader *l, const struct yaml_node *item, struct str path)
{
    l->of = path;
    COMPLAIN(l, item, "'%.*s' must be a map of options", STR_ARG(path));
    l->of = STR_NULL;
}

static void walk(struct loader *l, struct table *t, const struct yaml_node *map, struct str prefix)
{
    for (const struct yaml_node *item = map->first; item != NULL; item = item->next) {
        const struct conf_option *o = find_option(t, prefix, item->key->text);
        size_t n = prefix.n + item->key->text.n;
        if (o == NULL)
            unknown_key(l, t, prefix, item->key);
        else if (is_absent(item))
            continue;
        else if (o->path[n] == '\0')
            t->values[o - t->options] = item;
        else if (item->kind == YAML_MAP)
            walk(l, t, item, (struct str){o->path, n + 1});
        else
            no_section(l, item, (struct str){o->path, n});
    }
}

/* ---- ${env:} ---- */

static bool is_env_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && (i == 0 || c < '0' || c > '9'))
            return false;
    }
    return s.n > 0;
}

/* `inner` is what stands between "${env:" and "}". */
static bool expand_one(struct loader *l, const struct yaml_node *node, struct str inner,
                       struct buf *out)
{
    size_t at = str_find(inner, STR(":-"));
    struct str name = str_sub(inner, 0, at);
    const char *value;
    char z[256];

    if (!is_env_name(name) || name.n >= sizeof(z)) {
        COMPLAIN(l, node, "'${env:%.*s}' names no environment variable",
                 STR_ARG(str_sub(inner, 0, SHOWN_MAX)));
        return false;
    }
    /* no program of ours calls setenv */
    value = getenv(str_to_z(name, z, sizeof(z))); /* NOLINT(concurrency-mt-unsafe) */
    if (at != SIZE_MAX && (value == NULL || value[0] == '\0')) {
        buf_add_str(out, str_from(inner, at + 2));
    } else if (value == NULL) {
        COMPLAIN(l, node, "environment variable %s is not set", z);
        return false;
    } else {
        buf_add_z(out, value);
    }
    return true;
}

static bool expand_all(struct loader *l, const struct yaml_node *node, struct buf *out)
{
    const struct str open = STR("${env:");
    struct str rest = node->text;

    while (rest.n > 0) {
        size_t at = str_find(rest, open);
        size_t end;
        if (at != SIZE_MAX && at > 0 && rest.p[at - 1] == '$') { /* $${env: */
            buf_add_str(out, str_sub(rest, 0, at - 1));
            buf_add_str(out, open);
            rest = str_from(rest, at + open.n);
            continue;
        }
        buf_add_str(out, str_sub(rest, 0, at));
        if (at == SIZE_MAX)
            break;
        rest = str_from(rest, at + open.n);
        end = str_find_char(rest, '}');
        if (end == SIZE_MAX) {
            COMPLAIN(l, node, "'${env:' without a '}'");
            return false;
        }
        if (!expand_one(l, node, str_sub(rest, 0, end), out))
            return false;
        rest = str_from(rest, end + 1);
    }
    return true;
}

/* The text of a scalar, NUL-terminated, with its variables filled in.  false: complained. */
static bool get_text(struct loader *l, const struct conf_option *o, const struct yaml_node *node,
                     struct str *ret)
{
    struct buf out;
    bool ok;

    if (node->kind != YAML_SCALAR) {
        COMPLAIN(l, node, "'%s' must be a single value, not a %s", o->path,
                 node->kind == YAML_MAP ? "map" : "list");
        return false;
    }
    buf_init(&out, TEXT_MAX);
    ok = expand_all(l, node, &out);
    if (ok && out.over) {
        COMPLAIN(l, node, "'%s' is longer than %d bytes", o->path, TEXT_MAX);
        ok = false;
    } else if (ok && utf8_valid(buf_str(&out)) < out.n) {
        COMPLAIN(l, node, "'%s' is not UTF-8", o->path);
        ok = false;
    } else if (ok && str_find_char(buf_str(&out), '\0') != SIZE_MAX) {
        COMPLAIN(l, node, "'%s' holds a zero byte", o->path);
        ok = false;
    }
    if (ok) {
        *ret = arena_str(l->a, buf_str(&out));
        l->full = l->full || ret->p == NULL;
        ok = ret->p != NULL;
    }
    buf_fini(&out);
    return ok;
}

/* ---- numbers ---- */

static bool parse_bytes(struct str text, int64_t *ret)
{
    static const struct {
        struct str suffix;
        int64_t factor;
    } UNITS[] = {
        {{"", 0}, 1},
        {{"B", 1}, 1},
        {{"KB", 2}, 1000},
        {{"MB", 2}, 1000000},
        {{"GB", 2}, 1000000000},
        {{"TB", 2}, INT64_C(1000000000000)},
        {{"KiB", 3}, 1 << 10},
        {{"MiB", 3}, 1 << 20},
        {{"GiB", 3}, 1 << 30},
        {{"TiB", 3}, INT64_C(1) << 40},
    };
    size_t digits = 0;
    uint64_t v;

    while (digits < text.n && text.p[digits] >= '0' && text.p[digits] <= '9')
        digits++;
    if (!str_to_u64(str_sub(text, 0, digits), &v))
        return false;
    for (size_t i = 0; i < sizeof(UNITS) / sizeof(UNITS[0]); i++) {
        if (!str_eq(str_from(text, digits), UNITS[i].suffix))
            continue;
        if (v > (uint64_t)(INT64_MAX / UNITS[i].factor))
            return false;
        *ret = (int64_t)v * UNITS[i].factor;
        return true;
    }
    return false;
}

static bool parse_number(const struct conf_option *o, struct str text, int64_t *ret)
{
    if (o->type == CONF_BYTES)
        return parse_bytes(text, ret);
    if (o->type == CONF_DUR)
        return dur_parse(text, o->max > o->min && o->min < 0, ret);
    return str_to_i64(text, ret);
}

static struct str format_number(const struct conf_option *o, int64_t v, char *dst)
{
    if (o->type == CONF_BYTES)
        return conf_format_bytes(v, dst);
    if (o->type == CONF_DUR)
        return dur_format(v, dst);
    return (struct str){dst, (size_t)snprintf(dst, TIME_TEXT_MAX, "%" PRId64, v)};
}

static void set_number(struct loader *l, const struct conf_option *o, const struct yaml_node *node,
                       struct str text, char *field)
{
    char low[TIME_TEXT_MAX];
    char high[TIME_TEXT_MAX];
    char what[4 * TIME_TEXT_MAX];
    int64_t v;

    if (!parse_number(o, text, &v)) {
        complain_value(l, o, node, text,
                       o->type == CONF_BYTES ? "a size like 500, 64KB or 64MiB"
                       : o->type == CONF_DUR ? "a duration like 30s, 5m or 1h30m"
                                             : "a whole number");
        return;
    }
    if (o->max > o->min && (v < o->min || v > o->max)) {
        struct str a = format_number(o, o->min, low);
        struct str b = format_number(o, o->max, high);
        (void)snprintf(what, sizeof(what), "within %.*s..%.*s", STR_ARG(a), STR_ARG(b));
        complain_value(l, o, node, text, what);
        return;
    }
    memcpy(field, &v, sizeof(v));
}

/* ---- the other types ---- */

static void set_enum(struct loader *l, const struct conf_option *o, const struct yaml_node *node,
                     struct str text, char *field)
{
    char what[256] = "one of";
    size_t n = strlen(what);

    for (int i = 0; o->choices[i] != NULL; i++) {
        if (str_eq(text, str_of(o->choices[i]))) {
            memcpy(field, &i, sizeof(i));
            return;
        }
        if (n < sizeof(what))
            n += (size_t)snprintf(what + n, sizeof(what) - n, "%s %s", i == 0 ? "" : ",",
                                  o->choices[i]);
    }
    complain_value(l, o, node, text, what);
}

static void set_bool(struct loader *l, const struct conf_option *o, const struct yaml_node *node,
                     struct str text, char *field)
{
    bool v = str_eq(text, STR("true"));

    if (v || str_eq(text, STR("false")))
        memcpy(field, &v, sizeof(v));
    else
        complain_value(l, o, node, text, "true or false");
}

static void *get_array(struct loader *l, size_t n, size_t size)
{
    void *v = n == 0 ? NULL : arena_alloc(l->a, n * size); /* n <= YAML_NODES_MAX, size is ours */

    if (n > 0 && v == NULL)
        l->full = true;
    return v;
}

static void set_strs(struct loader *l, const struct conf_option *o, const struct yaml_node *node,
                     char *field)
{
    struct conf_strs strs = {NULL, 0};
    const struct yaml_node *item = node->kind == YAML_LIST ? node->first : node;
    size_t n = node->kind == YAML_LIST ? node->count : 1;

    if (node->kind == YAML_MAP) {
        COMPLAIN(l, node, "'%s' must be a list of texts, not a map", o->path);
        return;
    }
    strs.v = get_array(l, n, sizeof(*strs.v));
    for (; strs.v != NULL && item != NULL; item = node->kind == YAML_LIST ? item->next : NULL) {
        if (is_absent(item))
            COMPLAIN(l, item, "'%s' has an item without a text", o->path);
        else if (get_text(l, o, item, &strs.v[strs.n]))
            strs.n++;
    }
    memcpy(field, &strs, sizeof(strs));
}

static void set_labels(struct loader *l, const struct conf_option *o, const struct yaml_node *node,
                       char *field)
{
    struct labels labels = {NULL, 0};

    if (node->kind != YAML_MAP) {
        COMPLAIN(l, node, "'%s' must be a map of label names to values", o->path);
        return;
    }
    labels.v = get_array(l, node->count, sizeof(*labels.v));
    for (const struct yaml_node *item = node->first; labels.v != NULL && item != NULL;
         item = item->next) {
        struct label *label = &labels.v[labels.n];
        label->name = item->key->text;
        if (!label_name_ok(label->name))
            COMPLAIN(l, item->key, "'%.*s' is not a label name",
                     STR_ARG(str_sub(label->name, 0, SHOWN_MAX)));
        else if (get_text(l, o, item, &label->value))
            labels.n++;
    }
    labels.n = labels_sort(labels.v, labels.n);
    memcpy(field, &labels, sizeof(labels));
}

static void set_maps(struct loader *l, const struct conf_option *o, const struct yaml_node *node,
                     char *target)
{
    struct level level = {.outer = l->level, .list = o->path};
    char *items;
    size_t n = 0;

    if (node->kind != YAML_LIST) {
        COMPLAIN(l, node, "'%s' must be a list of maps", o->path);
        return;
    }
    items = get_array(l, node->count, o->sub_size);
    for (const struct yaml_node *item = node->first; items != NULL && item != NULL;
         item = item->next) {
        struct table t = {.options = o->sub,
                          .n = o->n_sub,
                          .target = items + n * o->sub_size,
                          .line = item->line,
                          .column = item->column};
        if (item->kind == YAML_MAP) {
            level.index = n++;
            l->level = &level;
            l->of = STR_NULL;
            load_table(l, &t, item);
            l->level = level.outer;
            l->of = str_of(o->path);
        } else {
            COMPLAIN(l, item, "'%s' must be a list of maps", o->path);
        }
    }
    memcpy(target + o->offset, &items, sizeof(items));
    memcpy(target + o->count_offset, &n, sizeof(n));
}

/* "(set)" is what conf_print writes in place of a secret. */
static bool is_placeholder(const struct conf_option *o, const struct yaml_node *node)
{
    return o->type == CONF_SECRET && node->kind == YAML_SCALAR && str_eq(node->text, STR("(set)"));
}

static void set_scalar(struct loader *l, const struct conf_option *o, const struct yaml_node *node,
                       char *field)
{
    struct str text;

    if (!get_text(l, o, node, &text))
        return;
    switch (o->type) {
    case CONF_STR:
    case CONF_SECRET:
        memcpy(field, &text, sizeof(text));
        break;
    case CONF_INT:
    case CONF_BYTES:
    case CONF_DUR:
        set_number(l, o, node, text, field);
        break;
    case CONF_BOOL:
        set_bool(l, o, node, text, field);
        break;
    case CONF_ENUM:
        set_enum(l, o, node, text, field);
        break;
    case CONF_STRS:
    case CONF_LABELS:
    case CONF_MAPS:
        break; /* not scalars: set_option */
    }
}

static void set_option(struct loader *l, const struct conf_option *o, const struct yaml_node *node,
                       char *target)
{
    if (o->type == CONF_STRS)
        set_strs(l, o, node, target + o->offset);
    else if (o->type == CONF_LABELS)
        set_labels(l, o, node, target + o->offset);
    else if (o->type == CONF_MAPS)
        set_maps(l, o, node, target);
    else
        set_scalar(l, o, node, target + o->offset);
}

/* ---- the table ---- */

static void set_fallback(struct loader *l, const struct conf_option *o, char *target)
{
    const struct conf_option *outer = l->fallback_of;
    struct yaml_node *node = NULL;
    struct err err;
    int e = yaml_parse("default", str_of(o->fallback), l->a, &node, &err);

    l->fallback_of = o;
    if (e == ERR_INVALID)
        complain_at(l, 1, 1, "'%s': %s", o->path, err.text);
    else if (e < 0)
        l->full = true;
    else if (node != NULL)
        set_option(l, o, node, target);
    else if (o->type == CONF_STR || o->type == CONF_SECRET)
        memcpy(target + o->offset, &STR(""), sizeof(struct str));
    else if (o->type != CONF_STRS && o->type != CONF_LABELS && o->type != CONF_MAPS)
        complain_at(l, 1, 1, "'%s' has no value", o->path); /* lists are empty as they are */
    l->fallback_of = outer;
}

static void fill(struct loader *l, const struct table *t, const struct conf_option *o,
                 const struct yaml_node *value)
{
    l->of = str_of(o->path);
    if (value != NULL && is_placeholder(o, value)) {
        char what[256];
        if (o->fallback == NULL) {
            COMPLAIN(l, value, "'%s' says (set), not the secret itself", o->path);
            return;
        }
        (void)snprintf(what, sizeof(what), "'%s' says (set) and counts as absent", o->path);
        add_warning(l, value, what);
        value = NULL;
    }
    if (value != NULL)
        set_option(l, o, value, t->target);
    else if (o->fallback != NULL)
        set_fallback(l, o, t->target);
    else
        complain_at(l, t->line, t->column, "option '%s' is required", o->path);
    l->of = STR_NULL;
}

/* Load `map` (NULL: empty) by t->options into t->target. */
static void load_table(struct loader *l, struct table *t, const struct yaml_node *map)
{
    t->values = get_array(l, t->n, sizeof(const struct yaml_node *));
    if (t->values == NULL)
        return;
    if (map != NULL)
        walk(l, t, map, STR(""));
    for (size_t i = 0; i < t->n && !l->full; i++)
        fill(l, t, &t->options[i], t->values[i]);
}

/* NOLINTNEXTLINE(readability-function-size): parameters; each program calls this once */
int conf_load(const char *file, struct str text, const struct conf_option *options, size_t n,
              void *target, struct arena *a, struct conf_errors *errors, struct err *err)
{
    struct loader l = {.file = file, .a = a, .errors = errors};
    struct table t = {.options = options, .n = n, .target = target, .line = 1, .column = 1};
    struct yaml_node *root = NULL;
    int e;

    memset(errors, 0, sizeof(*errors));
    e = yaml_parse(file, text, a, &root, err);
    if (e == ERR_INVALID) {
        errors->of[0] = STR("");
        errors->v[errors->n++] = arena_str(a, str_of(err->text));
        return errors->v[0].p == NULL ? arena_err(a, err) : e;
    }
    if (e < 0)
        return e;
    if (root != NULL && root->kind != YAML_MAP) {
        l.of = STR("");
        COMPLAIN(&l, root, "a map of options must stand here");
    } else {
        load_table(&l, &t, root);
    }
    if (l.full)
        return arena_err(a, err);
    if (errors->n == 0)
        return 0;
    return err_set(err, ERR_INVALID, "%.*s", STR_ARG(str_sub(errors->v[0], 0, 200)));
}

/* ---- complaints of the program ---- */

static const struct yaml_node *find_path(const struct yaml_node *node, const char *path)
{
    struct str rest = str_of(path);

    while (node != NULL && rest.n > 0) {
        struct str part = str_cut(&rest, '.');
        uint64_t index = 0;
        bool in_list = node->kind == YAML_LIST;
        if (in_list && !str_to_u64(part, &index))
            return NULL;
        if (node->kind == YAML_SCALAR && rest.n == 0 && str_eq(part, STR("0")))
            return node; /* it is the list */
        node = node->first;
        while (node != NULL && (in_list ? index-- > 0 : !str_eq(node->key->text, part)))
            node = node->next;
    }
    return node;
}

void conf_complain(struct conf_errors *errors, struct arena *a, const char *file, struct str text,
                   const char *path, const char *message)
{
    struct loader l = {.file = file, .a = a, .errors = errors};
    struct yaml_node *root = NULL;
    const struct yaml_node *node = NULL;
    struct err ignored; /* the message matters more than its place */

    if (yaml_parse(file, text, a, &root, &ignored) == 0)
        node = find_path(root, path);
    if (errors->n < CONF_ERRORS_MAX) { /* behind those that are there */
        errors->of[errors->n] = STR_NULL;
        errors->v[errors->n] =
            format_at(&l, node == NULL ? 1 : node->line, node == NULL ? 1 : node->column, message);
    }
    errors->n++;
}

/* Is `b` the option `a`, or something in it? */
static bool holds(struct str a, struct str b)
{
    return str_starts(b, a) && (a.n == 0 || a.n == b.n || b.p[a.n] == '.');
}

bool conf_is_wrong(const struct conf_errors *errors, const char *path)
{
    for (size_t i = 0; i < errors->n && i < CONF_ERRORS_MAX; i++)
        if (errors->of[i].p != NULL &&
            (holds(errors->of[i], str_of(path)) || holds(str_of(path), errors->of[i])))
            return true;
    return errors->n > CONF_ERRORS_MAX;
}
