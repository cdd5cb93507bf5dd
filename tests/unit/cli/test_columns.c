/* query/cli/columns.c: chosen parts of entries, in each form. */
#include "query/cli/columns.h"

#include "tests/lib/check.h"

#include <string.h>

enum { OUT_MAX = 1 << 16 };

static struct label STREAM[] = {{STR_INIT("app"), STR_INIT("web")}};
static struct label META[] = {{STR_INIT("detected_level"), STR_INIT("warn")}};
static struct label PARSED[] = {{STR_INIT("status"), STR_INIT("200")}};

static struct query_entry entry(const char *line)
{
    return (struct query_entry){.ts = NS_PER_S,
                                .seq = 1,
                                .stream = {STREAM, 1},
                                .meta = {META, 1},
                                .parsed = {PARSED, 1},
                                .line = str_of(line)};
}

static void check(const char *list, enum format_kind kind, const char *want)
{
    const struct format_options form = {.kind = kind, .utc = true};
    const char *lines[] = {"one", "two, longer"};
    struct columns *c = NULL;
    struct buf out;
    struct err err;

    buf_init(&out, OUT_MAX);
    assert_int_equal(columns_new(list, &c, &err), 0);
    for (size_t i = 0; i < 2; i++) {
        struct query_entry e = entry(lines[i]);

        assert_int_equal(columns_add(c, &out, &e, &form, i == 0, &err), 0);
    }
    check_str(buf_str(&out), want);
    columns_free(&c);
    buf_fini(&out);
}

static void parts_and_labels_of_any_kind_are_columns(void **state)
{
    (void)state;
    check("app,level,status,line,none", FORMAT_RAW,
          "web\twarn\t200\tone\t\nweb\twarn\t200\ttwo, longer\t\n");
    check("time,origin", FORMAT_RAW, "1970-01-01T00:00:01Z\tweb\n1970-01-01T00:00:01Z\tweb\n");
}

static void a_heading_stands_once(void **state)
{
    (void)state;
    check("line,status", FORMAT_CSV, "line,status\none,200\n\"two, longer\",200\n");
    check("status,line", FORMAT_TABLE, "status  line\n200     one\n200     two, longer\n");
}

static void json_holds_the_names(void **state)
{
    (void)state;
    check("line,status", FORMAT_JSONL,
          "{\"line\":\"one\",\"status\":\"200\"}\n{\"line\":\"two, longer\",\"status\":\"200\"}\n");
    check("labels,app", FORMAT_JSON,
          "[\n{\"labels\":{\"app\":\"web\",\"detected_level\":\"warn\",\"status\":\"200\"},"
          "\"app\":\"web\"},\n{\"labels\":{\"app\":\"web\",\"detected_level\":\"warn\","
          "\"status\":\"200\"},\"app\":\"web\"}");
    check("line,app", FORMAT_LOGFMT, "line=one app=web\nline=\"two, longer\" app=web\n");
}

static void a_name_that_is_none_is_refused(void **state)
{
    const char *bad[] = {"", "a,", "a b", "a,,b", "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q"};
    struct columns *c = NULL;
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(columns_new(bad[i], &c, &err), ERR_INVALID);
}

CHECK_MAIN(cmocka_unit_test(parts_and_labels_of_any_kind_are_columns),
           cmocka_unit_test(a_heading_stands_once), cmocka_unit_test(json_holds_the_names),
           cmocka_unit_test(a_name_that_is_none_is_refused))
