/*
 * server/rule_template.h - the texts of labels and annotations: "{{ $labels.pod }} has {{ $value
 * }}".
 *
 * The part of Prometheus' template language that rule files really use.  Operands: $labels.NAME (or
 * .Labels.NAME), $labels, $value (or .Value), "text".  Functions, called or piped to: humanize,
 * humanize1024, humanizePercentage, humanizeDuration, printf "%.2f".  {{- and -}} trim blanks.
 * Everything else is refused when the file is loaded, with its place.
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

/* Does it print the value?  In a label that makes a new alert of every change. */
bool rule_template_uses_value(const struct rule_template *t);

/* Append the text for an alert with these labels and this value; overflow shows in `out`.
 * ERR_INVALID: a label that a function needs as a number is none. */
int rule_template_expand(const struct rule_template *t, const struct labels *labels, double value,
                         struct buf *out, struct err *err);

#endif
