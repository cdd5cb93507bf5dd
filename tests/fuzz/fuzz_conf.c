/*
 * tests/fuzz/fuzz_conf.c - any bytes as a configuration file.
 *
 * Either there are errors, each with its place, or what is printed loads again and prints the same.
 */
#include "base/conf.h"
#include "base/labels.h"
#include "base/obj.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct item {
    struct str name;
    dur_ns age;
};

struct settings {
    struct str text;
    int64_t number, size;
    bool on;
    int mode;
    struct conf_strs list;
    struct labels labels;
    struct item *items;
    size_t n_items;
};

static const char *const MODES[] = {"a", "b", NULL};

static const struct conf_option ITEM[] = {
    {.path = "n", .type = CONF_STR, .offset = offsetof(struct item, name), .help = "name"},
    {.path = "s.d",
     .type = CONF_DUR,
     .offset = offsetof(struct item, age),
     .fallback = "1h",
     .help = "age"},
};

#define FIELD(f) offsetof(struct settings, f)

static const struct conf_option OPTIONS[] = {
    {.path = "t", .type = CONF_STR, .offset = FIELD(text), .fallback = "", .help = "text"},
    {.path = "i", .type = CONF_INT, .offset = FIELD(number), .fallback = "1", .help = "number"},
    {.path = "s.b", .type = CONF_BYTES, .offset = FIELD(size), .fallback = "1KB", .help = "size"},
    {.path = "s.o", .type = CONF_BOOL, .offset = FIELD(on), .fallback = "true", .help = "on"},
    {.path = "s.m.e",
     .type = CONF_ENUM,
     .offset = FIELD(mode),
     .fallback = "b",
     .choices = MODES,
     .help = "mode"},
    {.path = "l", .type = CONF_STRS, .offset = FIELD(list), .fallback = "[]", .help = "list"},
    {.path = "k", .type = CONF_LABELS, .offset = FIELD(labels), .fallback = "{}", .help = "labels"},
    {.path = "m",
     .type = CONF_MAPS,
     .offset = FIELD(items),
     .fallback = "[]",
     .help = "items",
     .sub = ITEM,
     .n_sub = 2,
     .sub_size = sizeof(struct item),
     .count_offset = FIELD(n_items)},
};
enum { N_OPTIONS = sizeof(OPTIONS) / sizeof(OPTIONS[0]) };

/* Load `text` and append what it means to `out`. */
static int load_and_print(struct str text, struct arena *a, struct buf *out)
{
    struct settings s;
    struct conf_errors errors;
    struct err err;
    int e;

    memset(&s, 0, sizeof(s));
    e = conf_load("f", text, OPTIONS, N_OPTIONS, &s, a, &errors, &err);
    if (e == 0)
        conf_print(out, OPTIONS, N_OPTIONS, &s);
    INVARIANT((e == ERR_INVALID) == (errors.n > 0));
    for (size_t i = 0; i < errors.n && i < CONF_ERRORS_MAX; i++)
        INVARIANT(str_starts(errors.v[i], STR("f:")));
    return e;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    struct arena *a;
    struct buf first;
    struct buf again;
    int e;

    if (size > 1 << 14)
        return 0;
    a = arena_new(NULL, 32 << 20);
    buf_init(&first, 1 << 20);
    buf_init(&again, 1 << 20);
    e = load_and_print(text, a, &first);
    INVARIANT(e == 0 || e == ERR_INVALID || e == ERR_LIMIT);
    if (e == 0 && !first.over) {
        e = load_and_print(buf_str(&first), a, &again);
        INVARIANT(e == 0 || e == ERR_LIMIT);
        INVARIANT(e != 0 || str_eq(buf_str(&first), buf_str(&again)));
    }
    buf_fini(&first);
    buf_fini(&again);
    arena_free(&a);
    return 0;
}
