/* collector/module/patterns_module.c - contract: patterns_module.h. */
#include "collector/module/patterns_module.h"

#include "base/regexp.h"

static int compile(struct str pattern, struct regexp **ret, struct err *err)
{
    return regexp_new(pattern, false, ret, err);
}

__attribute__((visibility("default"))) const struct patterns_module logq_patterns_module = {
    .version = PATTERNS_MODULE_VERSION,
    .compile = compile,
    .free = regexp_free,
    .matches = regexp_matches,
    .captures = regexp_captures,
    .capture = regexp_capture,
};
