/* base/yaml.c: the tree, the places, and all that is refused. */
#include "base/yaml.h"

#include "base/buf.h"
#include "tests/lib/check.h"

#include <string.h>

static struct yaml_node *parse(const char *text, struct arena *a)
{
    struct yaml_node *root = NULL;
    struct err err;

    if (yaml_parse("t.yaml", str_of(text), a, &root, &err) < 0)
        fail_msg("%s", err.text);
    return root;
}

static void check_place(const struct yaml_node *node, unsigned line, unsigned column)
{
    assert_non_null(node);
    assert_int_equal(node->line, line);
    assert_int_equal(node->column, column);
}

static void a_document_becomes_a_tree_with_places(void **state)
{
    struct arena *a = arena_new(NULL, 1 << 20);
    struct yaml_node *root = parse("# comment\n"
                                   "http:\n"
                                   "  listen: 127.0.0.1:3100   # why\n"
                                   "  on: true\n"
                                   "files:\n"
                                   "  - /a%b 5%\n"
                                   "  - 'q''s'\n"
                                   "flow: {x: [1, 2], y: \"z\\n\"}\n"
                                   "text: |\n"
                                   "  one\n"
                                   "  two\n",
                                   a);
    struct yaml_node *http = yaml_get(root, "http");
    struct yaml_node *files = yaml_get(root, "files");
    struct yaml_node *flow = yaml_get(root, "flow");
    (void)state;

    assert_int_equal(root->kind, YAML_MAP);
    assert_int_equal(root->count, 4);
    check_place(http->key, 2, 1);
    check_place(http, 3, 3);
    check_str(yaml_get(http, "listen")->text, "127.0.0.1:3100");
    check_place(yaml_get(http, "listen")->key, 3, 3);
    check_place(yaml_get(http, "listen"), 3, 11);
    assert_false(yaml_get(http, "on")->quoted);
    assert_int_equal(files->kind, YAML_LIST);
    assert_int_equal(files->count, 2);
    check_str(files->first->text, "/a%b 5%");
    check_str(files->first->next->text, "q's");
    assert_true(files->first->next->quoted);
    check_place(files->first->next, 7, 5);
    assert_null(files->first->next->next);
    assert_null(files->first->key);
    check_str(yaml_get(flow, "x")->first->next->text, "2");
    check_place(yaml_get(flow, "x")->first->next, 8, 15);
    check_str(yaml_get(flow, "y")->text, "z\n");
    check_str(yaml_get(root, "text")->text, "one\ntwo\n");
    assert_true(yaml_get(root, "text")->quoted);
    assert_null(yaml_get(root, "nothing"));
    assert_null(yaml_get(files, "x"));
    assert_null(yaml_get(NULL, "x"));
    arena_free(&a);
}

static void nothing_and_null_are_told_from_empty_text(void **state)
{
    static const char *const EMPTY[] = {"",  "\n",   "# only\n",       "---\n",
                                        "~", "null", "--- null\n...\n"};
    struct arena *a = arena_new(NULL, 1 << 20);
    struct yaml_node *root;
    (void)state;

    for (size_t i = 0; i < sizeof(EMPTY) / sizeof(EMPTY[0]); i++)
        assert_null(parse(EMPTY[i], a));
    root = parse("a:\nb: null\nc: ~\nd: \"\"\ne: 'null'\nnull: 1\n", a);
    for (struct yaml_node *n = root->first; n != NULL && n->key->text.p[0] <= 'd'; n = n->next)
        check_str(n->text, "");
    assert_false(yaml_get(root, "a")->quoted);
    assert_false(yaml_get(root, "b")->quoted);
    assert_true(yaml_get(root, "d")->quoted);
    check_str(yaml_get(root, "e")->text, "null");
    check_str(yaml_get(root, "null")->text, "1");
    root = parse("\"\"", a);
    assert_non_null(root);
    arena_free(&a);
}

static void what_is_refused_is_named_with_its_place(void **state)
{
    static const struct {
        const char *text, *message;
    } BAD[] = {
        {"a: 1\nb: &x 2\n", "t.yaml:2:4: anchors (&name) are not supported"},
        {"a: *x\n", "t.yaml:1:4: aliases (*name) are not supported"},
        {"a: !t 1\n", "t.yaml:1:4: tags (!name) are not supported"},
        {"a: !!str 1\n", "t.yaml:1:4: tags (!name) are not supported"},
        {"a: &l [1]\n", "t.yaml:1:4: anchors (&name) are not supported"},
        {"a: !m {b: 1}\n", "t.yaml:1:4: tags (!name) are not supported"},
        {"a: 1\n---\nb: 2\n", "t.yaml:2:1: only one document is allowed"},
        {"a: 1\nb: 2\na: 3\n", "t.yaml:3:1: key 'a' stands here twice"},
        {"x:\n  - {k: 1, 'k': 2}\n", "t.yaml:2:12: key 'k' stands here twice"},
        {"%YAML 1.2\n---\na: 1\n", "t.yaml:1:1: directives (%NAME) are not supported"},
        {"a: 5%\n...\n%TAG ! x\n---\n", "t.yaml:3:1: directives (%NAME) are not supported"},
        {"\xef\xbb\xbf%TAG ! x\n", "t.yaml:1:1: directives (%NAME) are not supported"},
        {"#\r%TAG ! x\n", "t.yaml:1:1: directives (%NAME) are not supported"},
        {"? [a]\n: 1\n", "t.yaml:1:3: a key must be plain text"},
        {"{{a: 1}: 2}\n", "t.yaml:1:2: a key must be plain text"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        struct arena *a = arena_new(NULL, 1 << 20);
        struct yaml_node *root = NULL;
        struct err err = {.text = "accepted"};
        int e = yaml_parse("t.yaml", str_of(BAD[i].text), a, &root, &err);
        check_str(str_of(err.text), BAD[i].message);
        assert_int_equal(e, ERR_INVALID);
        arena_free(&a);
    }
}

static void ill_formed_text_is_refused_with_its_place(void **state)
{
    const struct {
        struct str text;
        const char *place;
    } BAD[] = {
        {STR("a: [1, 2\nb: 3\n"), "t.yaml:2:2: "}, {STR("a: 1\n  b: 2\n"), "t.yaml:2:4: "},
        {STR("a: \"x\n"), "t.yaml:2:1: "},         {STR("a: 1\nb: \xff\n"), "t.yaml:2:4: "},
        {STR("a: \0\n"), "t.yaml:1:4: "},          {STR("\t- a\n"), "t.yaml:1:1: "},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        struct arena *a = arena_new(NULL, 1 << 20);
        struct yaml_node *root = NULL;
        struct err err = {.text = "accepted"};
        int e = yaml_parse("t.yaml", BAD[i].text, a, &root, &err);
        if (e != ERR_INVALID || !str_starts(str_of(err.text), str_of(BAD[i].place)))
            fail_msg("%zu: '%s' is not at %s", i, err.text, BAD[i].place);
        arena_free(&a);
    }
}

static void depth_and_count_are_bounded(void **state)
{
    struct arena *a = arena_new(NULL, 64 << 20);
    struct yaml_node *root = NULL;
    struct err err;
    struct buf text;
    (void)state;

    buf_init(&text, 1 << 20);
    for (int i = 0; i < YAML_DEPTH_MAX; i++)
        buf_add_char(&text, '[');
    for (int i = 0; i < YAML_DEPTH_MAX; i++)
        buf_add_char(&text, ']');
    assert_int_equal(yaml_parse("t", buf_str(&text), a, &root, &err), 0);
    buf_clear(&text);
    for (int i = 0; i <= YAML_DEPTH_MAX; i++)
        buf_add_char(&text, '[');
    assert_int_equal(yaml_parse("t", buf_str(&text), a, &root, &err), ERR_INVALID);
    check_str(str_of(err.text), "t:1:33: nested too deep");
    buf_clear(&text);
    for (int i = 0; i < YAML_NODES_MAX; i++)
        buf_add_z(&text, "- a\n");
    assert_int_equal(yaml_parse("t", buf_str(&text), a, &root, &err), ERR_INVALID);
    check_str(str_of(err.text), "t:100000:3: too many values");
    buf_fini(&text);
    arena_free(&a);
}

static void a_full_arena_is_no_crash(void **state)
{
    (void)state;
    for (size_t max = 1; max < 3000; max += 16) {
        struct arena *a = arena_new(NULL, max);
        struct yaml_node *root = NULL;
        struct err err = {.code = 0};
        int e = yaml_parse("t", STR("{a: [1, 2, 3], b: {c: d}, e: 'f'}"), a, &root, &err);
        assert_true(e == 0 || e == ERR_LIMIT || e == ERR_NOMEM);
        assert_int_equal(e == 0, root != NULL);
        arena_free(&a);
    }
}

CHECK_MAIN(cmocka_unit_test(a_document_becomes_a_tree_with_places),
           cmocka_unit_test(nothing_and_null_are_told_from_empty_text),
           cmocka_unit_test(what_is_refused_is_named_with_its_place),
           cmocka_unit_test(ill_formed_text_is_refused_with_its_place),
           cmocka_unit_test(depth_and_count_are_bounded),
           cmocka_unit_test(a_full_arena_is_no_crash))
