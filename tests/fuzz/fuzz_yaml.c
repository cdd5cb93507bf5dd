/*
 * tests/fuzz/fuzz_yaml.c - any bytes through base/yaml.h, in bounded memory.
 *
 * A tree that comes out has true counts and places inside the text, and no key twice.
 */
#include "base/obj.h"
#include "base/yaml.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t check_node(const struct yaml_node *node, unsigned depth)
{
    size_t nodes = 1;
    size_t children = 0;

    INVARIANT(depth <= YAML_DEPTH_MAX && node->line > 0 && node->column > 0);
    INVARIANT((node->kind == YAML_SCALAR) == (node->text.p != NULL));
    INVARIANT(node->kind != YAML_SCALAR || node->first == NULL);
    for (const struct yaml_node *item = node->first; item != NULL; item = item->next) {
        INVARIANT((item->key != NULL) == (node->kind == YAML_MAP));
        INVARIANT(item->key == NULL || item->key->kind == YAML_SCALAR);
        nodes += check_node(item, depth + 1) + (item->key != NULL);
        children++;
    }
    INVARIANT(children == node->count);
    return nodes;
}

static void check_keys(const struct yaml_node *map)
{
    for (const struct yaml_node *item = map->first; item != NULL; item = item->next) {
        if (item->key != NULL && strlen(item->key->text.p) == item->key->text.n)
            INVARIANT(yaml_get(map, item->key->text.p) == item);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    struct arena *a;
    struct yaml_node *root = NULL;
    struct err err = {.text = ""};
    int e;

    if (size > 1 << 16)
        return 0;
    a = arena_new(NULL, 8 << 20);
    e = yaml_parse("f", text, a, &root, &err);
    INVARIANT(e == 0 || e == ERR_INVALID || e == ERR_LIMIT);
    INVARIANT(e == 0 || err.text[0] != '\0');
    if (e == 0 && root != NULL) {
        INVARIANT(check_node(root, 0) <= YAML_NODES_MAX);
        if (root->count < 1000)
            check_keys(root);
    }
    arena_free(&a);
    return 0;
}
