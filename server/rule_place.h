/*
 * server/rule_place.h - where in its file a byte of a YAML value stands.
 *
 * An error in a query should point into the query, also where YAML folded it out of several lines.
 */
#ifndef LOGQ_SERVER_RULE_PLACE_H
#define LOGQ_SERVER_RULE_PLACE_H

#include "base/yaml.h"

struct rule_place {
    unsigned line, column; /* from 1; columns count characters */
};

/* The place of byte `offset` of scalar `node` in `text`, the whole file.  Where that cannot be told
 * (escapes in double quotes) the place of the value itself. */
struct rule_place rule_place_of(struct str text, const struct yaml_node *node, size_t offset);

#endif
