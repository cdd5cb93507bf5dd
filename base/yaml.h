/*
 * base/yaml.h - YAML as a small tree that remembers line and column of everything.
 *
 * For configuration and rule files: one document.  Refused are anchors, aliases, tags, directives
 * (so no line may begin with %), duplicate keys, keys that are no scalars, and more than
 * YAML_DEPTH_MAX levels or YAML_NODES_MAX nodes.  Over libyaml's event API.
 */
#ifndef LOGQ_BASE_YAML_H
#define LOGQ_BASE_YAML_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

enum { YAML_DEPTH_MAX = 32, YAML_NODES_MAX = 100000 };
enum yaml_kind { YAML_SCALAR, YAML_MAP, YAML_LIST };

struct yaml_node {
    enum yaml_kind kind;
    unsigned line, column; /* both from 1 */
    struct str text;       /* scalar */
    bool quoted; /* scalar: 'x', "x", | or >; else plain (null, ~ and "" plain are empty text) */
    struct yaml_node *key;          /* in a map: this item's key, a scalar */
    struct yaml_node *first, *next; /* children; next sibling */
    size_t count;                   /* children */
};

/* Parse `text` into `a`.  *ret is NULL for an empty document.  ERR_INVALID: "file:line:column:
 * message", `file` being only a name for messages. */
int yaml_parse(const char *file, struct str text, struct arena *a, struct yaml_node **ret,
               struct err *err);

/* The value under `key` in a map; NULL if absent or no map. */
struct yaml_node *yaml_get(const struct yaml_node *map, const char *key);

#endif
