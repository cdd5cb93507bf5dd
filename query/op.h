/*
 * query/op.h - the operators that a run is made of.
 *
 * Stages take one entry at a time and answer 1: keep it, 0: drop it, or < 0: out of memory or
 * budget (a stage that fails on its text marks the entry and keeps it).  Range and vector operators
 * work on series; see op_range.h and op_vector.h.
 */
#ifndef LOGQ_QUERY_OP_H
#define LOGQ_QUERY_OP_H

#include "query/ast.h"
#include "query/entry.h"

/* op_filter.c */
bool op_line_filter(const struct ast_stage *s, struct str line);
int op_label_filter(const struct ast_filter *f, struct entry *e, struct err *err);

/* op_json.c, op_logfmt.c, op_parse.c */
int op_json(const struct ast_stage *s, struct entry *e, struct err *err);
/* The value that a label gets from a JSON string, in e->arena: empty where half of a surrogate pair
 * is escaped.  p == NULL when the arena is full. */
struct json_token;
struct str op_json_text(const struct json_token *tok, struct entry *e);
int op_logfmt(const struct ast_stage *s, struct entry *e, struct err *err);
int op_regexp(const struct ast_stage *s, struct entry *e, struct err *err);
int op_pattern(const struct ast_stage *s, struct entry *e, struct err *err);

/* op_unpack.c, op_decolorize.c: change the line. */
int op_unpack(struct entry *e, struct err *err);
int op_decolorize(struct entry *e, struct err *err);

/* op_format.c */
int op_line_format(const struct ast_stage *s, struct entry *e, struct err *err);
int op_label_format(const struct ast_stage *s, struct entry *e, struct err *err);

/* op_labels.c */
void op_drop(const struct ast_stage *s, struct entry *e);
void op_keep(const struct ast_stage *s, struct entry *e);
/* Take the value of the unwrapped label and run the filters behind `unwrap`.  0: the entry is no
 * sample. */
int op_unwrap(const struct ast_unwrap *u, struct entry *e, double *value, struct err *err);
/* The number in the text of such a label; false: there is none. */
bool op_unwrap_number(enum unwrap_unit unit, struct str text, double *ret);

/* op_dedup.c: is it the first entry of the run with these values?  What was seen is in e->dedup. */
int op_dedup(const struct ast_stage *s, struct entry *e, struct err *err);

/* op_pipeline.c: all stages of the list that the scan has not done. */
int op_pipeline(const struct ast_stage *list, struct entry *e, struct err *err);

#endif
