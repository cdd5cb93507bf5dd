/*
 * server/rules.c - see rules.h.
 *
 * Each level of a file (document, group, rule) has a table of its fields, walked in the order of
 * the file; what needs several fields at once is done behind the walk.  Loading goes on behind an
 * error, so that one run tells all of them; whatever was built is then thrown away.
 */
#include "server/rules.h"

#include "base/file.h"
#include "base/near.h"
#include "base/obj.h"
#include "base/utf8.h"
#include "base/vec.h"
#include "base/yaml.h"
#include "server/auth.h"
#include "server/rule_place.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    ARENA_MAX = 256 << 20,
    TEXTS_MAX = 100, /* labels or annotations of a rule, group's included */
    NAME_MAX_BYTES = 512,
    SHOWN_MAX = 60,
};

struct loader {
    const char *dir;  /* in front of messages; "" for none */
    const char *file; /* its name */
    struct str text;  /* of the file */
    struct rules *rules;
    VEC(struct rule_group) groups; /* of all files */
    struct str tenant;             /* of this file */
    size_t first;                  /* of groups: where this file's begin */
    struct buf *errors, *warnings;
    size_t n_errors;
    struct err *err; /* the first error */
};

struct field {
    const char *name;
    void (*load)(struct loader *l, void *target, const struct yaml_node *value);
};

/* ---- complaints ---- */

static void complain_at(struct loader *l, struct rule_place at, const char *what)
{
    if (l->n_errors++ == 0)
        (void)err_set(l->err, ERR_INVALID, "%.60s:%u:%u: %.150s", l->file, at.line, at.column,
                      what);
    if (l->n_errors <= RULES_ERRORS_MAX)
        buf_addf(l->errors, "%s%s:%u:%u: %s\n", l->dir, l->file, at.line, at.column, what);
    else if (l->n_errors == RULES_ERRORS_MAX + 1)
        buf_add_z(l->errors, "... and more\n");
}

static void complain(struct loader *l, const struct yaml_node *node, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
static void complain(struct loader *l, const struct yaml_node *node, const char *fmt, ...)
{
    char what[300];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    complain_at(l, (struct rule_place){node->line, node->column}, what);
}

static int shown(struct str s)
{
    return s.n > SHOWN_MAX ? SHOWN_MAX : (int)s.n;
}

/* ---- walking ---- */

static void complain_unknown(struct loader *l, const struct yaml_node *key,
                             const struct field *fields, size_t n, const char *what)
{
    struct near near;

    near_begin(&near, key->text);
    for (size_t i = 0; i < n; i++)
        near_offer(&near, str_of(fields[i].name));
    if (near.best.p != NULL)
        complain(l, key, "unknown field '%.*s' in a %s; did you mean '%.*s'?", shown(key->text),
                 key->text.p, what, STR_ARG(near.best));
    else
        complain(l, key, "unknown field '%.*s' in a %s", shown(key->text), key->text.p, what);
}

/* A field without a value counts as absent. */
static void walk(struct loader *l, const struct yaml_node *map, const struct field *fields,
                 size_t n, const char *what, void *target)
{
    if (map->kind != YAML_MAP) {
        complain(l, map, "a %s must be a map", what);
        return;
    }
    for (const struct yaml_node *item = map->first; item != NULL; item = item->next) {
        size_t i = 0;
        while (i < n && !str_eq(item->key->text, str_of(fields[i].name)))
            i++;
        if (i == n)
            complain_unknown(l, item->key, fields, n, what);
        else if (item->kind != YAML_SCALAR || item->quoted || item->text.n > 0)
            fields[i].load(l, target, item);
    }
}

static bool is_scalar(struct loader *l, const struct yaml_node *value)
{
    if (value->kind == YAML_SCALAR)
        return true;
    complain(l, value, "'%.*s' must be a single value", shown(value->key->text),
             value->key->text.p);
    return false;
}

static struct str keep(struct loader *l, struct str s)
{
    struct str copy = arena_str(l->rules->arena, s);

    if (copy.p == NULL)
        complain_at(l, (struct rule_place){1, 1}, "the rule files are too large");
    return copy.p == NULL ? STR("") : copy;
}

/* Zeroed; NULL, and said so, when the rules are too many. */
static void *room(struct loader *l, size_t bytes)
{
    void *p = arena_alloc(l->rules->arena, bytes == 0 ? 1 : bytes);

    if (p == NULL)
        complain_at(l, (struct rule_place){1, 1}, "the rule files are too large");
    return p;
}

static void load_name(struct loader *l, const struct yaml_node *value, struct str *ret)
{
    if (!is_scalar(l, value))
        return;
    if (value->text.n == 0 || value->text.n > NAME_MAX_BYTES ||
        str_find_char(value->text, '\0') != SIZE_MAX)
        complain(l, value, "'%.*s' must have 1 to %d bytes, none of them NUL",
                 shown(value->key->text), value->key->text.p, NAME_MAX_BYTES);
    *ret = keep(l, value->text);
}

static void load_dur(struct loader *l, const struct yaml_node *value, bool zero_ok, dur_ns *ret)
{
    if (!is_scalar(l, value))
        return;
    if (!dur_parse(value->text, false, ret))
        complain(l, value, "'%.*s' is no duration like 30s, 5m, 1h30m", shown(value->text),
                 value->text.p);
    else if (*ret == 0 && !zero_ok)
        complain(l, value, "'%.*s' must be more than 0", shown(value->key->text),
                 value->key->text.p);
}

/* ---- labels and annotations ---- */

static bool load_template(struct loader *l, const struct yaml_node *value, struct rule_text *ret)
{
    struct err err;
    size_t offset;

    ret->source = keep(l, value->text);
    if (rule_template_parse(ret->source, l->rules->arena, &ret->text, &offset, &err) == 0)
        return true;
    complain_at(l, rule_place_of(l->text, value, offset), err.text);
    return false;
}

static int by_name(const void *a, const void *b)
{
    return str_cmp(((const struct rule_text *)a)->name, ((const struct rule_text *)b)->name);
}

static void load_texts(struct loader *l, const struct yaml_node *map, struct rule_text **ret,
                       size_t *n)
{
    struct rule_text *v;

    if (map->kind != YAML_MAP || map->count > TEXTS_MAX) {
        complain(l, map, "'%.*s' must be a map of names to texts, at most %d",
                 STR_ARG(map->key->text), TEXTS_MAX);
        return;
    }
    v = room(l, map->count * sizeof(*v));
    if (v == NULL)
        return;
    *n = 0;
    for (const struct yaml_node *item = map->first; item != NULL; item = item->next) {
        struct str name = item->key->text;
        if (!label_name_ok(name) || str_eq(name, STR("__name__")))
            complain(l, item->key, "'%.*s' is no name of a label or annotation", shown(name),
                     name.p);
        else if (is_scalar(l, item) && load_template(l, item, &v[*n]))
            v[(*n)++].name = keep(l, name);
    }
    qsort(v, *n, sizeof(*v), by_name);
    *ret = v;
}

static void warn_of_values(struct loader *l, const struct yaml_node *map, const struct rule_text *v,
                           size_t n)
{
    for (const struct yaml_node *item = map->first; item != NULL; item = item->next) {
        for (size_t i = 0; i < n; i++) {
            if (str_eq(v[i].name, item->key->text) && rule_template_uses_value(v[i].text))
                buf_addf(l->warnings,
                         "%s%s:%u:%u: $value in a label makes a new alert of every change; put it "
                         "into an annotation\n",
                         l->dir, l->file, item->line, item->column);
        }
    }
}

/* ---- a rule ---- */

static void load_alert(struct loader *l, void *target, const struct yaml_node *value)
{
    load_name(l, value, &((struct rule *)target)->alert);
}

static void load_record(struct loader *l, void *target, const struct yaml_node *value)
{
    (void)target;
    complain(l, value->key, "recording rules (record) are not supported yet");
}

static void load_for(struct loader *l, void *target, const struct yaml_node *value)
{
    load_dur(l, value, true, &((struct rule *)target)->hold);
}

static void load_keep(struct loader *l, void *target, const struct yaml_node *value)
{
    load_dur(l, value, true, &((struct rule *)target)->keep_firing);
}

static void load_labels(struct loader *l, void *target, const struct yaml_node *value)
{
    struct rule *rule = target;

    load_texts(l, value, &rule->labels, &rule->n_labels);
    if (rule->labels != NULL)
        warn_of_values(l, value, rule->labels, rule->n_labels);
}

static void load_annotations(struct loader *l, void *target, const struct yaml_node *value)
{
    struct rule *rule = target;

    load_texts(l, value, &rule->annotations, &rule->n_annotations);
}

/* Byte of `text` at line and column, both from 1. */
static size_t offset_of(struct str text, unsigned line, unsigned column)
{
    size_t at = 0;

    for (; line > 1; line--) {
        size_t n = str_find_char(str_from(text, at), '\n');
        if (n == SIZE_MAX)
            break;
        at += n + 1;
    }
    return column > 0 ? at + column - 1 : at;
}

static void complain_query(struct loader *l, const struct yaml_node *value, unsigned line,
                           unsigned column, const char *what)
{
    static const char PREFIX[] = "parse error at line ";
    struct rule_place at = rule_place_of(l->text, value, offset_of(value->text, line, column));
    const char *colon = strstr(what, ": ");

    if (strncmp(what, PREFIX, sizeof(PREFIX) - 1) == 0 && colon != NULL)
        what = colon + 2; /* its place is one in the query, ours is one in the file */
    complain_at(l, at, what);
}

static void load_expr(struct loader *l, void *target, const struct yaml_node *value)
{
    struct rule *rule = target;
    unsigned line = 1;
    unsigned column = 1;
    struct err err;

    if (!is_scalar(l, value))
        return;
    rule->expr = keep(l, str_trim(value->text));
    if (query_parse(value->text, &rule->query, &line, &column, &err) < 0)
        complain_query(l, value, line, column, err.text);
    else if (query_kind(rule->query) != QUERY_METRIC)
        complain(l, value,
                 "expr must be a metric query compared with a threshold, like sum by (container) "
                 "(count_over_time({app=\"a\"} |= \"error\" [1m])) > 0");
}

static const struct field RULE_FIELDS[] = {
    {"alert", load_alert},
    {"record", load_record},
    {"expr", load_expr},
    {"for", load_for},
    {"labels", load_labels},
    {"annotations", load_annotations},
    {"keep_firing_for", load_keep},
};

static void load_rule(struct loader *l, const struct yaml_node *node, struct rule *rule)
{
    walk(l, node, RULE_FIELDS, sizeof(RULE_FIELDS) / sizeof(RULE_FIELDS[0]), "rule", rule);
    if (node->kind != YAML_MAP || yaml_get(node, "record") != NULL)
        return;
    if (rule->alert.p == NULL)
        complain(l, node, "the rule has no 'alert', its name");
    if (rule->expr.p == NULL)
        complain(l, node, "the rule has no 'expr'");
}

/* ---- a group ---- */

struct group_loading {
    struct rule_group *g;
    struct rule_text *labels;
    size_t n_labels;
};

static void load_group_name(struct loader *l, void *target, const struct yaml_node *value)
{
    struct rule_group *g = ((struct group_loading *)target)->g;

    load_name(l, value, &g->name);
    for (size_t i = l->first; i + 1 < l->groups.n; i++) {
        if (str_eq(l->groups.p[i].name, g->name))
            complain(l, value, "another group of this file is named '%.*s'", shown(g->name),
                     g->name.p);
    }
}

static void load_interval(struct loader *l, void *target, const struct yaml_node *value)
{
    load_dur(l, value, false, &((struct group_loading *)target)->g->interval);
}

static void load_offset(struct loader *l, void *target, const struct yaml_node *value)
{
    load_dur(l, value, true, &((struct group_loading *)target)->g->query_offset);
}

static void load_limit(struct loader *l, void *target, const struct yaml_node *value)
{
    struct rule_group *g = ((struct group_loading *)target)->g;

    if (is_scalar(l, value) && (!str_to_i64(value->text, &g->limit) || g->limit < 0))
        complain(l, value, "'limit' must be a number, 0 for none");
}

static void load_group_labels(struct loader *l, void *target, const struct yaml_node *value)
{
    struct group_loading *loading = target;

    load_texts(l, value, &loading->labels, &loading->n_labels);
    if (loading->labels != NULL)
        warn_of_values(l, value, loading->labels, loading->n_labels);
}

static void load_rules(struct loader *l, void *target, const struct yaml_node *list)
{
    struct rule_group *g = ((struct group_loading *)target)->g;

    if (list->kind != YAML_LIST) {
        complain(l, list, "'rules' must be a list");
        return;
    }
    if (list->count > RULES_MAX - l->rules->n_rules) {
        complain(l, list, "more than %d rules", RULES_MAX);
        return;
    }
    g->rules = room(l, list->count * sizeof(*g->rules));
    if (g->rules == NULL)
        return;
    l->rules->n_rules += list->count;
    for (const struct yaml_node *item = list->first; item != NULL; item = item->next)
        load_rule(l, item, &g->rules[g->n_rules++]);
}

static const struct field GROUP_FIELDS[] = {
    {"name", load_group_name},     {"interval", load_interval},   {"limit", load_limit},
    {"query_offset", load_offset}, {"labels", load_group_labels}, {"rules", load_rules},
};

/* The labels of the group go under those of the rule. */
static void merge_labels(struct loader *l, const struct group_loading *from, struct rule *rule)
{
    struct rule_text *v;
    size_t n = rule->n_labels;

    if (from->n_labels == 0)
        return;
    v = room(l, (from->n_labels + n) * sizeof(*v));
    if (v == NULL)
        return;
    for (size_t i = 0; i < n; i++)
        v[i] = rule->labels[i];
    for (size_t i = 0; i < from->n_labels; i++) {
        size_t k = 0;
        while (k < rule->n_labels && !str_eq(v[k].name, from->labels[i].name))
            k++;
        if (k == rule->n_labels)
            v[n++] = from->labels[i];
    }
    qsort(v, n, sizeof(*v), by_name);
    rule->labels = v;
    rule->n_labels = n;
}

static int by_alert(const void *a, const void *b)
{
    const struct rule *x = *(struct rule *const *)a;
    const struct rule *y = *(struct rule *const *)b;
    int c = str_cmp(x->alert, y->alert);

    return c != 0 ? c : x < y ? -1 : x > y;
}

static void number_rules(struct loader *l, const struct rule_group *g)
{
    struct rule **v = room(l, g->n_rules * sizeof(struct rule *));

    if (v == NULL)
        return;
    for (size_t i = 0; i < g->n_rules; i++)
        v[i] = &g->rules[i];
    qsort(v, g->n_rules, sizeof(struct rule *), by_alert);
    for (size_t i = 1; i < g->n_rules; i++) {
        if (str_eq(v[i]->alert, v[i - 1]->alert))
            v[i]->ordinal = v[i - 1]->ordinal + 1;
    }
}

static void load_group(struct loader *l, const struct yaml_node *node)
{
    struct group_loading loading = {0};

    VEC_PUSH(&l->groups, ((struct rule_group){.interval = NS_PER_MIN}));
    loading.g = &l->groups.p[l->groups.n - 1];
    loading.g->file = keep(l, str_of(l->file));
    loading.g->tenant = l->tenant;
    walk(l, node, GROUP_FIELDS, sizeof(GROUP_FIELDS) / sizeof(GROUP_FIELDS[0]), "group", &loading);
    if (node->kind == YAML_MAP && loading.g->name.p == NULL)
        complain(l, node, "the group has no 'name'");
    for (size_t i = 0; i < loading.g->n_rules; i++) {
        loading.g->rules[i].limit = loading.g->limit;
        merge_labels(l, &loading, &loading.g->rules[i]);
    }
    if (loading.g->n_rules > 0)
        number_rules(l, loading.g);
}

/* ---- a file ---- */

static void load_tenant(struct loader *l, void *target, const struct yaml_node *value)
{
    (void)target;
    if (!is_scalar(l, value))
        return;
    l->tenant = keep(l, value->text);
    if (!auth_tenant_ok(value->text))
        complain(l, value, "'%.*s' is no name of a tenant", shown(value->text), value->text.p);
}

static void load_groups(struct loader *l, void *target, const struct yaml_node *list)
{
    (void)target;
    if (list->kind != YAML_LIST) {
        complain(l, list, "'groups' must be a list");
        return;
    }
    if (list->count > RULES_MAX - l->groups.n) {
        complain(l, list, "more than %d groups", RULES_MAX);
        return;
    }
    for (const struct yaml_node *item = list->first; item != NULL; item = item->next)
        load_group(l, item);
}

static const struct field FILE_FIELDS[] = {{"groups", load_groups}, {"tenant", load_tenant}};

/* ":line:column: message", the file's name being empty. */
static void complain_yaml(struct loader *l, const char *text)
{
    struct str rest = str_of(text);
    uint64_t line = 1;
    uint64_t column = 1;

    (void)str_cut(&rest, ':');
    if (!str_to_u64(str_cut(&rest, ':'), &line) || !str_to_u64(str_cut(&rest, ':'), &column))
        rest = str_of(text); /* no memory, which has no place */
    complain_at(l, (struct rule_place){(unsigned)line, (unsigned)column}, str_trim(rest).p);
}

static void load_text(struct loader *l, const char *file, struct str text)
{
    struct arena *a = arena_new(NULL, ARENA_MAX);
    struct yaml_node *root = NULL;
    struct err err;

    l->file = file;
    l->text = text;
    l->tenant = STR("default");
    l->first = l->groups.n;
    if (yaml_parse("", text, a, &root, &err) < 0) {
        complain_yaml(l, err.text);
    } else if (root != NULL) {
        walk(l, root, FILE_FIELDS, 2, "rule file", NULL);
        for (size_t i = l->first; i < l->groups.n; i++)
            l->groups.p[i].tenant = l->tenant; /* which may stand behind the groups */
    }
    arena_free(&a);
}

/* ---- doors ---- */

static void loader_init(struct loader *l, struct buf *errors, struct buf *warnings, struct err *err)
{
    memset(l, 0, sizeof(*l));
    l->dir = "";
    l->errors = errors;
    l->warnings = warnings;
    l->err = err;
    l->rules = mem_new(sizeof(*l->rules));
    l->rules->magic = RULES_MAGIC;
    l->rules->refs = 1;
    l->rules->arena = arena_new(NULL, ARENA_MAX);
}

static void free_queries(struct rule_group *groups, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < groups[i].n_rules; k++)
            query_unref(&groups[i].rules[k].query);
}

static int loader_finish(struct loader *l, int r, struct rules **ret)
{
    struct rules *rules = l->rules;

    if (r == 0)
        rules->groups = room(l, l->groups.n * sizeof(*rules->groups));
    if (rules->groups != NULL) {
        if (l->groups.n > 0)
            memcpy(rules->groups, l->groups.p, l->groups.n * sizeof(*rules->groups));
        rules->n_groups = l->groups.n;
    } else { /* queries must go all the same */
        free_queries(l->groups.p, l->groups.n);
    }
    VEC_FINI(&l->groups);
    if (r == 0 && l->n_errors > 0)
        r = ERR_INVALID;
    if (r == 0)
        *ret = rules;
    else
        rules_unref(&rules);
    return r;
}

int rules_parse(const char *file, struct str text, struct buf *errors, struct buf *warnings,
                struct rules **ret, struct err *err)
{
    struct loader l;

    loader_init(&l, errors, warnings, err);
    load_text(&l, file, text);
    return loader_finish(&l, 0, ret);
}

struct names {
    VEC(char *) v;
};

static int add_name(void *arg, int dir_fd, const char *name, struct err *err)
{
    struct names *names = arg;
    struct str s = str_of(name);

    (void)dir_fd;
    if (name[0] == '.' || (!str_ends(s, STR(".yaml")) && !str_ends(s, STR(".yml"))))
        return 0;
    if (names->v.n == RULES_FILES_MAX)
        return err_set(err, ERR_LIMIT, "more than %d rule files", RULES_FILES_MAX);
    VEC_PUSH(&names->v, mem_dup(name, s.n));
    return 0;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int load_dir(struct loader *l, int fd, struct names *names, struct err *err)
{
    struct buf text;
    int r = file_walk(fd, add_name, names, err);

    buf_init(&text, RULES_FILE_BYTES);
    if (r == 0 && names->v.n > 0)
        qsort(names->v.p, names->v.n, sizeof(names->v.p[0]), by_text);
    for (size_t i = 0; r == 0 && i < names->v.n; i++) {
        struct err file_err;
        buf_clear(&text);
        l->file = names->v.p[i];
        if (file_read(fd, names->v.p[i], &text, &file_err) < 0)
            complain_at(l, (struct rule_place){1, 1}, file_err.text);
        else
            load_text(l, names->v.p[i], buf_str(&text));
    }
    buf_fini(&text);
    return r;
}

int rules_load(const char *dir, struct buf *errors, struct buf *warnings, struct rules **ret,
               struct err *err)
{
    struct names names = {0};
    char prefix[PATH_MAX + 1];
    struct loader l;
    int fd = -1;
    int r = file_open_dir(AT_FDCWD, dir, &fd, err);

    loader_init(&l, errors, warnings, err);
    (void)snprintf(prefix, sizeof(prefix), "%s/", dir);
    l.dir = prefix;
    if (r == 0)
        r = load_dir(&l, fd, &names, err);
    else if (r == ERR_GONE)
        r = 0;
    if (fd >= 0)
        (void)close(fd); /* it was only read */
    for (size_t i = 0; i < names.v.n; i++)
        free(names.v.p[i]);
    VEC_FINI(&names.v);
    l.file = ""; /* it was one of the names */
    return loader_finish(&l, r, ret);
}

struct rules *rules_ref(struct rules *r)
{
    OBJ_CHECK(r, RULES_MAGIC);
    r->refs++;
    return r;
}

void rules_unref(struct rules **pr)
{
    struct rules *r = *pr;

    *pr = NULL;
    if (r == NULL)
        return;
    OBJ_CHECK(r, RULES_MAGIC);
    if (--r->refs > 0)
        return;
    if (r->groups != NULL)
        free_queries(r->groups, r->n_groups);
    arena_free(&r->arena);
    r->magic = 0;
    free(r);
}
