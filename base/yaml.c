/*
 * base/yaml.c - libyaml's events into the tree of yaml.h.
 *
 * Why events and not libyaml's own document: that one follows aliases, knows no limits, and forgets
 * where a key stood.  The tree is built with a stack of open maps and lists, not by recursion.
 *
 * Invariants
 *   (1) stack[0..depth) are the open maps and lists, outermost first; a node is linked into its
 *       parent when it begins, so the tree is whole when the last one ends;
 *   (2) key is set only in an open map, between a key and its value.
 */
#include "base/yaml.h"

#include "base/obj.h"

#include <stdio.h>
#include <stdlib.h>
#include <yaml.h>

struct open_node {
    struct yaml_node *node;
    struct yaml_node *last; /* child */
    struct yaml_node *key;  /* waits for its value */
};

struct builder {
    const char *file;
    struct arena *a;
    struct yaml_node *root;
    struct open_node stack[YAML_DEPTH_MAX];
    unsigned depth;
    size_t nodes;
    unsigned documents;
};

static int complain(const char *file, unsigned line, unsigned column, const char *what,
                    struct err *err)
{
    return err_set(err, ERR_INVALID, "%.100s:%u:%u: %s", file, line, column, what);
}

static int complain_at(const struct builder *b, const yaml_mark_t *at, const char *what,
                       struct err *err)
{
    return complain(b->file, (unsigned)at->line + 1, (unsigned)at->column + 1, what, err);
}

/* ---- duplicate keys ---- */

static int by_text_then_place(const void *a, const void *b)
{
    const struct yaml_node *x = *(const struct yaml_node *const *)a;
    const struct yaml_node *y = *(const struct yaml_node *const *)b;
    int c = str_cmp(x->text, y->text);

    if (c != 0)
        return c;
    if (x->line != y->line)
        return x->line < y->line ? -1 : 1;
    return x->column < y->column ? -1 : x->column > y->column;
}

/* Sorting, not comparing each with each: a map may hold YAML_NODES_MAX / 2 keys. */
static int refuse_duplicates(const struct builder *b, const struct yaml_node *map, struct err *err)
{
    const struct yaml_node **keys;
    size_t n = 0;

    if (map->count < 2)
        return 0;
    keys = arena_alloc(b->a, map->count * sizeof(*keys));
    if (keys == NULL)
        return arena_err(b->a, err);
    for (const struct yaml_node *item = map->first; item != NULL; item = item->next)
        keys[n++] = item->key;
    qsort(keys, n, sizeof(*keys), by_text_then_place);
    for (size_t i = 1; i < n; i++) {
        char what[128];
        if (!str_eq(keys[i - 1]->text, keys[i]->text))
            continue;
        (void)snprintf(what, sizeof(what), "key '%.*s' stands here twice",
                       keys[i]->text.n > 60 ? 60 : (int)keys[i]->text.n, keys[i]->text.p);
        return complain(b->file, keys[i]->line, keys[i]->column, what, err);
    }
    return 0;
}

/* ---- building ---- */

/* Link `node` where the document stands now. */
static int link_node(struct builder *b, struct yaml_node *node, const yaml_mark_t *at,
                     struct err *err)
{
    struct open_node *open;

    if (b->depth == 0) {
        b->root = node;
        return 0;
    }
    open = &b->stack[b->depth - 1];
    if (open->node->kind == YAML_MAP && open->key == NULL) {
        if (node->kind != YAML_SCALAR)
            return complain_at(b, at, "a key must be plain text", err);
        open->key = node; /* keeps (2) */
        return 0;
    }
    node->key = open->key;
    open->key = NULL;
    if (open->last == NULL)
        open->node->first = node;
    else
        open->last->next = node;
    open->last = node;
    open->node->count++;
    return 0;
}

/* NULL: `err` says why. */
static struct yaml_node *new_node(struct builder *b, enum yaml_kind kind, const yaml_mark_t *at,
                                  struct err *err)
{
    struct yaml_node *node;

    if (b->nodes == YAML_NODES_MAX) {
        (void)complain_at(b, at, "too many values", err);
        return NULL;
    }
    b->nodes++;
    node = arena_alloc(b->a, sizeof(*node));
    if (node == NULL) {
        (void)arena_err(b->a, err);
        return NULL;
    }
    node->kind = kind;
    node->line = (unsigned)at->line + 1;
    node->column = (unsigned)at->column + 1;
    return link_node(b, node, at, err) < 0 ? NULL : node;
}

static bool is_null(struct str s)
{
    return str_eq(s, STR("null")) || str_eq(s, STR("~")) || str_eq(s, STR("Null")) ||
           str_eq(s, STR("NULL"));
}

static bool is_waiting_key(const struct builder *b, const struct yaml_node *node)
{
    return b->depth > 0 && b->stack[b->depth - 1].key == node;
}

static int add_scalar(struct builder *b, const yaml_event_t *ev, struct err *err)
{
    struct str text = {(const char *)ev->data.scalar.value, ev->data.scalar.length};
    struct yaml_node *node = new_node(b, YAML_SCALAR, &ev->start_mark, err);

    if (node == NULL)
        return err->code;
    node->quoted = ev->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    if (!node->quoted && !is_waiting_key(b, node) && is_null(text))
        text = STR("");
    node->text = arena_str(b->a, text);
    return node->text.p == NULL ? arena_err(b->a, err) : 0;
}

static int open_container(struct builder *b, enum yaml_kind kind, const yaml_mark_t *at,
                          struct err *err)
{
    struct yaml_node *node;

    if (b->depth == YAML_DEPTH_MAX)
        return complain_at(b, at, "nested too deep", err);
    node = new_node(b, kind, at, err);
    if (node == NULL)
        return err->code;
    b->stack[b->depth++] = (struct open_node){.node = node}; /* keeps (1) */
    return 0;
}

static int close_container(struct builder *b, struct err *err)
{
    const struct yaml_node *node;

    INVARIANT(b->depth > 0); /* libyaml's events are in pairs */
    node = b->stack[--b->depth].node;
    INVARIANT(node != NULL);
    return node->kind == YAML_MAP ? refuse_duplicates(b, node, err) : 0;
}

static int refuse_extras(const struct builder *b, const yaml_event_t *ev, const yaml_char_t *anchor,
                         const yaml_char_t *tag, struct err *err)
{
    if (anchor != NULL)
        return complain_at(b, &ev->start_mark, "anchors (&name) are not supported", err);
    if (tag != NULL)
        return complain_at(b, &ev->start_mark, "tags (!name) are not supported", err);
    return 0;
}

static int take_event(struct builder *b, const yaml_event_t *ev, struct err *err)
{
    int e;

    switch (ev->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (b->documents++ > 0)
            return complain_at(b, &ev->start_mark, "only one document is allowed", err);
        return 0;
    case YAML_ALIAS_EVENT:
        return complain_at(b, &ev->start_mark, "aliases (*name) are not supported", err);
    case YAML_SCALAR_EVENT:
        e = refuse_extras(b, ev, ev->data.scalar.anchor, ev->data.scalar.tag, err);
        return e < 0 ? e : add_scalar(b, ev, err);
    case YAML_SEQUENCE_START_EVENT:
        e = refuse_extras(b, ev, ev->data.sequence_start.anchor, ev->data.sequence_start.tag, err);
        return e < 0 ? e : open_container(b, YAML_LIST, &ev->start_mark, err);
    case YAML_MAPPING_START_EVENT:
        e = refuse_extras(b, ev, ev->data.mapping_start.anchor, ev->data.mapping_start.tag, err);
        return e < 0 ? e : open_container(b, YAML_MAP, &ev->start_mark, err);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return close_container(b, err);
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        break;
    }
    return 0;
}

/* ---- libyaml's own complaints ---- */

static int complain_parser(const char *file, struct str text, const yaml_parser_t *parser,
                           struct err *err)
{
    const char *what = parser->problem == NULL ? "not YAML" : parser->problem;
    unsigned line = (unsigned)parser->problem_mark.line + 1;
    unsigned column = (unsigned)parser->problem_mark.column + 1;

    if (parser->error == YAML_MEMORY_ERROR)
        return err_set(err, ERR_NOMEM, "%.100s: out of memory", file);
    if (parser->error == YAML_READER_ERROR) { /* has an offset and no mark */
        struct str before = str_sub(text, 0, parser->problem_offset);
        line = 1;
        column = 1;
        for (size_t i = 0; i < before.n; i++) {
            column = before.p[i] == '\n' ? 1 : column + 1;
            line += before.p[i] == '\n';
        }
    }
    return complain(file, line, column, what, err);
}

static bool begins_line(struct str text, size_t at)
{
    struct str before = str_sub(text, 0, at);

    return at == 0 || before.p[at - 1] == '\n' || before.p[at - 1] == '\r' ||
           str_ends(before, STR("\xc2\x85")) || str_ends(before, STR("\xe2\x80\xa8")) ||
           str_ends(before, STR("\xe2\x80\xa9")) || str_eq(before, STR("\xef\xbb\xbf"));
}

/* libyaml compares each directive with all before it: a megabyte of them would take ten seconds. */
static int refuse_directives(const char *file, struct str text, struct err *err)
{
    size_t at = 0;

    while (at < text.n) {
        size_t next = str_find_char(str_from(text, at), '%');
        if (next == SIZE_MAX)
            break;
        at += next;
        if (begins_line(text, at)) {
            unsigned line = 1;
            for (size_t i = 0; i < at; i++)
                line += text.p[i] == '\n';
            return complain(file, line, 1, "directives (%NAME) are not supported", err);
        }
        at++;
    }
    return 0;
}

int yaml_parse(const char *file, struct str text, struct arena *a, struct yaml_node **ret,
               struct err *err)
{
    struct builder b = {.file = file, .a = a};
    yaml_parser_t parser;
    bool more = true;
    int e = refuse_directives(file, text, err);

    if (e < 0)
        return e;
    if (yaml_parser_initialize(&parser) == 0)
        return err_set(err, ERR_NOMEM, "%.100s: out of memory", file);
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING); /* a byte order mark chooses nothing */
    yaml_parser_set_input_string(&parser, (const unsigned char *)(text.n == 0 ? "" : text.p),
                                 text.n);
    while (more && e == 0) {
        yaml_event_t ev;
        if (yaml_parser_parse(&parser, &ev) == 0) {
            e = complain_parser(file, text, &parser, err);
            break;
        }
        more = ev.type != YAML_STREAM_END_EVENT;
        e = take_event(&b, &ev, err);
        yaml_event_delete(&ev);
    }
    yaml_parser_delete(&parser);
    if (e < 0)
        return e;
    if (b.root != NULL && b.root->kind == YAML_SCALAR && !b.root->quoted && b.root->text.n == 0)
        b.root = NULL;
    *ret = b.root;
    return 0;
}

struct yaml_node *yaml_get(const struct yaml_node *map, const char *key)
{
    struct str name = str_of(key);

    if (map == NULL || map->kind != YAML_MAP)
        return NULL;
    for (struct yaml_node *item = map->first; item != NULL; item = item->next) {
        if (str_eq(item->key->text, name))
            return item;
    }
    return NULL;
}
