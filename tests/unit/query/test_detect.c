/* Unit tests of query/detect: fields of JSON and logfmt lines, their types, values and paths. */
#include "query/detect.h"

#include "tests/lib/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fixture {
    struct detect *d;
    struct mem_budget budget;
};

static int setup(void **state)
{
    struct fixture *f = mem_new(sizeof(*f));

    f->budget = (struct mem_budget){.name = "test", .limit = 64 << 20};
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    detect_free(&f->d);
    assert_int_equal(f->budget.used, 0);
    free(f);
    return 0;
}

static struct label app[] = {{STR_INIT("app"), STR_INIT("web")}};
static struct label meta[] = {{STR_INIT("trace"), STR_INIT("t1")}};

static void add(struct fixture *f, const char *line)
{
    struct query_entry e = {
        .ts = 1, .seq = 1, .stream = {app, 1}, .meta = {meta, 1}, .line = str_of(line)};
    struct err err;

    if (detect_add(f->d, &e, &err) < 0)
        fail_msg("%s", err.text);
}

static const struct detect_field *find(struct fixture *f, const char *name)
{
    size_t n;
    const struct detect_field *v = detect_fields(f->d, &n);

    for (size_t i = 0; i < n; i++)
        if (str_eq(v[i].name, str_of(name)))
            return &v[i];
    return NULL;
}

static void check_field(struct fixture *f, const char *name, const char *type, uint64_t values,
                        unsigned parsers)
{
    const struct detect_field *d = find(f, name);

    if (d == NULL)
        fail_msg("no field %s", name);
    assert_string_equal(detect_type_name(d->type), type);
    assert_int_equal(d->values, values);
    assert_int_equal(d->parsers, parsers);
}

static void json_members_are_fields_with_their_paths(void **state)
{
    struct fixture *f = *state;
    const struct detect_field *d;

    f->d = detect_new(100, STR(""), 0, &f->budget);
    add(f, "{\"n\":1,\"user\":{\"first name\":\"ann\",\"id\":{\"x-y\":7}},\"list\":[1,{\"n\":3}],"
           "\"none\":null,\"app\":\"other\"}");
    add(f, "{\"n\":2.5,\"user\":{\"first name\":\"bob\"}}");
    check_field(f, "n", "float", 2, DETECT_JSON);
    check_field(f, "user_first_name", "string", 2, DETECT_JSON);
    check_field(f, "user_id_x_y", "int", 1, DETECT_JSON);
    check_field(f, "app_extracted", "string", 1, DETECT_JSON); /* the stream has an `app` */
    check_field(f, "trace", "string", 1, 0);
    assert_null(find(f, "list"));
    assert_null(find(f, "none"));
    d = find(f, "user_id_x_y");
    assert_int_equal(d->n_path, 3);
    check_str(d->path[0], "user");
    check_str(d->path[1], "id");
    check_str(d->path[2], "x-y");
    d = find(f, "app_extracted");
    assert_int_equal(d->n_path, 1);
    check_str(d->path[0], "app");
    assert_int_equal(find(f, "trace")->n_path, 0);
}

static void types_are_those_of_all_values(void **state)
{
    struct fixture *f = *state;

    f->d = detect_new(100, STR(""), 0, &f->budget);
    add(f, "i=1 f=1.5 b=true d=15ms s=text size=1.5MB mixed=1 mixed2=true");
    add(f, "i=-20 f=2 b=false d=1h3s s=1 size=3kB mixed=x mixed2=5s");
    check_field(f, "i", "int", 2, DETECT_LOGFMT);
    check_field(f, "f", "float", 2, DETECT_LOGFMT);
    check_field(f, "b", "boolean", 2, DETECT_LOGFMT);
    check_field(f, "d", "duration", 2, DETECT_LOGFMT);
    check_field(f, "size", "bytes", 2, DETECT_LOGFMT);
    check_field(f, "s", "string", 2, DETECT_LOGFMT);
    check_field(f, "mixed", "string", 2, DETECT_LOGFMT);
    check_field(f, "mixed2", "string", 2, DETECT_LOGFMT);
}

static void a_field_of_both_forms_names_both(void **state)
{
    struct fixture *f = *state;

    f->d = detect_new(100, STR(""), 0, &f->budget);
    add(f, "status=200");
    add(f, "  {\"status\":200}");
    check_field(f, "status", "int", 1, DETECT_JSON | DETECT_LOGFMT);
}

static void lines_without_structure_and_broken_ones_have_no_fields(void **state)
{
    struct fixture *f = *state;
    size_t n;

    f->d = detect_new(100, STR(""), 0, &f->budget);
    add(f, "GET /index.html HTTP/1.1");
    add(f, "{\"cut\":1,");
    add(f, "");
    (void)detect_fields(f->d, &n);
    assert_int_equal(n, 1); /* trace */
}

static void fields_and_values_are_bounded(void **state)
{
    struct fixture *f = *state;
    const struct str *v;
    char line[200];
    size_t n;

    f->d = detect_new(3, STR("b"), 2, &f->budget);
    for (int i = 9; i > 0; i--) {
        (void)snprintf(line, sizeof(line), "a=%d b=v%d c%d=1", i, i % 3, i);
        add(f, line);
    }
    (void)detect_fields(f->d, &n);
    assert_int_equal(n, 3); /* trace, a, b */
    check_field(f, "a", "int", 9, DETECT_LOGFMT);
    check_field(f, "b", "string", 3, DETECT_LOGFMT);
    v = detect_values(f->d, &n);
    assert_int_equal(n, 2);
    check_str(v[0], "v0");
    check_str(v[1], "v2");
}

static void without_memory_it_is_an_error(void **state)
{
    struct fixture *f = *state;
    struct query_entry e = {.stream = {app, 1}, .line = STR("a=1 b=2")};
    struct err err;

    f->budget.limit = 1000;
    f->d = detect_new(100, STR(""), 0, &f->budget);
    assert_int_equal(detect_add(f->d, &e, &err), ERR_NOMEM);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
CHECK_MAIN(T(json_members_are_fields_with_their_paths), T(types_are_those_of_all_values),
           T(a_field_of_both_forms_names_both),
           T(lines_without_structure_and_broken_ones_have_no_fields),
           T(fields_and_values_are_bounded), T(without_memory_it_is_an_error))
