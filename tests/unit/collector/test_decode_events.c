/* Unit tests of collector/decode_events: lines as Docker 20.10 and podman 4.3 write them. */
#include "tests/unit/collector/decode_world.h"

#include <string.h>

static const char *find(const struct label *v, size_t n, const char *name)
{
    static char text[256];

    for (size_t i = 0; i < n; i++)
        if (str_eq(v[i].name, str_of(name)))
            return str_to_z(v[i].value, text, sizeof(text));
    return "(absent)";
}
#define LABEL(p, name) find((p).labels, (p).n_labels, name)
#define ATTR(p, name)  find((p).attrs, (p).n_attrs, name)

static const char EXEC[] =
    "{\"status\":\"exec_create: /bin/echo hi: "
    "x\",\"id\":\"4f5e\",\"from\":\"bb:1\",\"Type\":\"container\","
    "\"Action\":\"exec_create: /bin/echo hi: "
    "x\",\"Actor\":{\"ID\":\"4f5e\",\"Attributes\":{\"execID\":\"77\",\"image\":"
    "\"bb:1\",\"name\":\"web\",\"team\":\"shop\"}},\"scope\":\"local\",\"time\":1795288478,"
    "\"timeNano\":"
    "1795288478773648831}";

static void an_event_of_the_api_is_taken_apart(void **state)
{
    struct piece p;

    (void)state;
    assert_true(decode_docker_event(&d, STR(EXEC), &p));
    check_str(p.text, EXEC);
    assert_true(p.last);
    assert_int_equal(p.ts, INT64_C(1795288478773648831));
    assert_string_equal(LABEL(p, "action"), "exec_create");
    assert_string_equal(LABEL(p, "container"), "web");
    assert_string_equal(LABEL(p, "image"), "bb:1");
    assert_int_equal(p.n_labels, 3);
    assert_string_equal(ATTR(p, "action_detail"), "/bin/echo hi: x");
    assert_string_equal(ATTR(p, "container_id"), "4f5e");
    assert_string_equal(ATTR(p, "event_type"), "container");
    assert_string_equal(ATTR(p, "team"), "shop");
    assert_string_equal(ATTR(p, "execID"), "77");
}

static void what_is_no_container_has_no_container_label(void **state)
{
    static const char LINE[] = "{\"Type\":\"network\",\"Action\":\"connect\",\"Actor\":{\"ID\":"
                               "\"n1\",\"Attributes\":{\"container\":\"4f5e\","
                               "\"name\":\"bridge\",\"type\":\"bridge\"}},\"scope\":\"local\","
                               "\"time\":1795288478,\"timeNano\":1795288478000000001}";
    struct piece p;

    (void)state;
    assert_true(decode_docker_event(&d, STR(LINE), &p));
    assert_string_equal(LABEL(p, "action"), "connect");
    assert_string_equal(LABEL(p, "container"), "(absent)");
    assert_string_equal(ATTR(p, "object_name"), "bridge");
    assert_string_equal(ATTR(p, "object_id"), "n1");
    assert_string_equal(ATTR(p, "container"), "4f5e");
}

static void died_is_die(void **state)
{
    static const char API[] = "{\"status\":\"died\",\"Type\":\"container\",\"Action\":\"died\","
                              "\"Actor\":{\"ID\":\"4f5e\",\"Attributes\":{"
                              "\"containerExitCode\":\"7\",\"image\":\"localhost/"
                              "bb:1\",\"name\":\"c1\"}},\"time\":1,\"timeNano\":1000000001}";
    static const char FILE_LINE[] = "{\"ID\":\"4f5e\",\"Image\":\"localhost/"
                                    "bb:1\",\"Name\":\"c1\",\"Status\":\"died\",\"Time\":"
                                    "\"2026-11-21T21:47:29.276553399Z\",\"Type\":\"container\","
                                    "\"ContainerExitCode\":7,\"Attributes\":{\"app\":\"shop\","
                                    "\"name\":\"liar\"}}";
    struct piece p;

    (void)state;
    assert_true(decode_docker_event(&d, STR(API), &p));
    assert_string_equal(LABEL(p, "action"), "die");
    assert_true(decode_podman_event(&d, STR(FILE_LINE), &p));
    assert_string_equal(LABEL(p, "action"), "die");
    assert_string_equal(LABEL(p, "container"), "c1");
    assert_string_equal(LABEL(p, "image"), "localhost/bb:1");
    assert_string_equal(ATTR(p, "exitCode"), "7");
    assert_string_equal(ATTR(p, "app"), "shop");
    assert_string_equal(ATTR(p, "container_id"), "4f5e");
    assert_int_equal(p.ts, INT64_C(1795297649276553399));
    check_str(p.text, FILE_LINE);
}

static void an_event_without_attributes_is_one(void **state)
{
    static const char LINE[] = "{\"Status\":\"refresh\",\"Time\":\"2026-11-21T21:47:28."
                               "995700894Z\",\"Type\":\"system\",\"Attributes\":null}";
    struct piece p;

    (void)state;
    assert_true(decode_podman_event(&d, STR(LINE), &p));
    assert_string_equal(LABEL(p, "action"), "refresh");
    assert_string_equal(ATTR(p, "event_type"), "system");
    assert_int_equal(p.n_labels, 1);
}

static void other_json_is_no_event(void **state)
{
    static const char *const BAD[] = {
        "",
        "[]",
        "{}",
        "{\"Type\":\"container\"}",
        "{\"Type\":\"container\",\"Action\":\"start\"}",
        "{\"Type\":\"container\",\"Action\":\"start\",\"timeNano\":-1}",
        "{\"Type\":7,\"Action\":\"start\",\"timeNano\":1}",
        "{\"Type\":\"container\",\"Action\":\"start\",\"timeNano\":1,\"Actor\":[]}",
        "{\"Type\":\"container\",\"Action\":\"start\",\"timeNano\":1} {}",
    };
    struct piece p;

    (void)state;
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++)
        if (decode_docker_event(&d, str_of(BAD[i]), &p))
            fail_msg("taken: '%s'", BAD[i]);
}

static void a_gap_record_has_attributes(void **state)
{
    struct piece p;

    (void)state;
    assert_true(decode_gap(&d,
                           STR("{\"time\":\"2026-11-21T21:47:28Z\",\"gap\":\"file_gone\",\"file\":"
                               "\"/x\",\"start\":5}"),
                           &p));
    assert_int_equal(p.ts, INT64_C(1795297648) * NS_PER_S);
    assert_string_equal(ATTR(p, "gap"), "file_gone");
    assert_string_equal(ATTR(p, "start"), "5");
    assert_int_equal(p.n_labels, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, decode_setup, decode_teardown)

CHECK_MAIN(TEST(an_event_of_the_api_is_taken_apart),
           TEST(what_is_no_container_has_no_container_label), TEST(died_is_die),
           TEST(an_event_without_attributes_is_one), TEST(other_json_is_no_event),
           TEST(a_gap_record_has_attributes))
