/* Rule files: YAML, LogQL and templates in one.  Whatever the bytes, loading ends in rules or in
 * complaints, and what was loaded can be expanded. */
#include "server/rule_alert.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void make_alert(const struct rule *rule)
{
    struct label v[] = {{STR("app"), STR("web")}, {STR("n"), STR("-12.5")}};
    const double value = 1e6;
    const struct query_series sample = {.labels = {v, 2}, .n = 1, .value = &value};
    struct rule_alert *alert = NULL;
    unsigned failed = 0;
    struct err err;

    if (rule_alert_make(rule, &sample, NULL, &failed, &alert, &err) < 0)
        abort();
    if (labels_get(&alert->labels, STR("alertname")).p == NULL)
        abort();
    rule_alert_free(&alert);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    struct rules *rules = NULL;
    struct buf errors;
    struct buf warnings;
    struct err err;
    int r;

    buf_init(&errors, 1 << 16);
    buf_init(&warnings, 1 << 16);
    r = rules_parse("f", text, &errors, &warnings, &rules, &err);
    if ((r == 0) != (errors.n == 0))
        abort();
    for (size_t i = 0; r == 0 && i < rules->n_groups; i++) {
        for (size_t k = 0; k < rules->groups[i].n_rules; k++)
            make_alert(&rules->groups[i].rules[k]);
    }
    rules_unref(&rules);
    buf_fini(&errors);
    buf_fini(&warnings);
    return 0;
}
