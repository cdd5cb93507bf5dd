/*
 * server/rules.h - rule files: Prometheus' and Loki's YAML, with LogQL.
 *
 *     tenant: default            # ours, optional: whose records the rules look at
 *     groups:
 *       - name: web              # unique in the file
 *         interval: 1m           # optional, like limit, query_offset, labels
 *         rules:
 *           - alert: Errors
 *             expr: sum by (container) (count_over_time({app="web"} |= "error" [1m])) > 0
 *             for: 0s            # optional, like keep_firing_for, labels, annotations
 *             annotations: {summary: "{{ $labels.container }}: {{ $value }} errors"}
 *
 * A file is taken whole or not at all, and all that is wrong with the files is told at once.  Once
 * loaded rules are immutable and counted: any thread may read them.
 */
#ifndef LOGQ_SERVER_RULES_H
#define LOGQ_SERVER_RULES_H

#include "base/labels.h"
#include "base/time.h"
#include "query/query.h"
#include "server/rule_template.h"

enum {
    RULES_ERRORS_MAX = 20,
    RULES_MAX = 10000,
    RULES_FILES_MAX = 1000,
    RULES_FILE_BYTES = 1 << 20
};

struct rule_text { /* a label or annotation */
    struct str name;
    struct str source; /* as written */
    const struct rule_template *text;
};

struct rule {
    struct str alert;
    struct str expr;     /* as written */
    struct query *query; /* owned; of kind QUERY_METRIC */
    dur_ns hold;         /* `for` */
    dur_ns keep_firing;  /* `keep_firing_for` */
    int64_t limit;       /* of the group; 0: none */
    struct rule_text *labels,
        *annotations; /* sorted by name; labels: those of the group merged in */
    size_t n_labels, n_annotations;
    size_t ordinal; /* among the rules of this name in the group, from 0 */
};

struct rule_group {
    struct str file, tenant, name; /* file: its name without the directory */
    dur_ns interval, query_offset;
    int64_t limit;
    struct rule *rules;
    size_t n_rules;
};

struct rules {
    unsigned magic;
#define RULES_MAGIC 0x5a1e5001u
    struct arena *arena; /* owns everything but the queries */
    struct rule_group *groups;
    size_t n_groups, n_rules;
    _Atomic unsigned refs;
};

/*
 * Load each *.yaml and *.yml of directory `dir`, in the order of their names; no such directory
 * means no rules.  ERR_INVALID: `errors` got "file:line:column: message" lines, RULES_ERRORS_MAX at
 * most, `err` the first.  `warnings` gets lines of the same form for what is legal and unwise.
 * Blocking.
 */
int rules_load(const char *dir, struct buf *errors, struct buf *warnings, struct rules **ret,
               struct err *err);

/* The same for one text named `file`. */
int rules_parse(const char *file, struct str text, struct buf *errors, struct buf *warnings,
                struct rules **ret, struct err *err);

struct rules *rules_ref(struct rules *r);
void rules_unref(struct rules **pr); /* *pr may be NULL; sets it to NULL */

#endif
