/*
 * server/rule_template.h - the texts of labels and annotations: "{{ $labels.pod }} has {{ $value
 * }}".
 *
 * The language is that of query/tmpl.h, with Prometheus' variables $labels and $value (.Labels and
 * .Value) and those of its functions that need no query.
 */
#ifndef LOGQ_SERVER_RULE_TEMPLATE_H
#define LOGQ_SERVER_RULE_TEMPLATE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/labels.h"

struct rule_template; /* immutable: any number of threads */

/* Parse `text`, which must live as long as `a`, where the template goes.  ERR_INVALID: err says
 * what is wrong, *offset (from 0) where in `text`. */
int rule_template_parse(struct str text, struct arena *a, const struct rule_template **ret,
                        size_t *offset, struct err *err);

/* Does it use the value?  In a label that makes a new alert of every change. */
bool rule_template_uses_value(const struct rule_template *t);

/* Append the text for an alert with these labels and this value; overflow shows in `out`.
 * ERR_INVALID: it failed, err says why: a label that a function needs as a number is none. */
int rule_template_expand(const struct rule_template *t, const struct labels *labels, double value,
                         struct buf *out, struct err *err);

#endif
