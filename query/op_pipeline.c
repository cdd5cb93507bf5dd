/* query/op_pipeline.c - an entry through the stages of a pipeline, see op.h. */
#include "query/op.h"

#include "base/obj.h"

static int run_stage(const struct ast_stage *s, struct entry *e, struct err *err)
{
    switch (s->kind) {
    case STAGE_LINE_FILTER:
        return op_line_filter(s, e->line);
    case STAGE_LABEL_FILTER:
        return op_label_filter(s->filter, e, err);
    case STAGE_JSON:
        return op_json(s, e, err);
    case STAGE_LOGFMT:
        return op_logfmt(s, e, err);
    case STAGE_REGEXP:
        return op_regexp(s, e, err);
    case STAGE_DROP:
        op_drop(s, e);
        return 1;
    case STAGE_KEEP:
        op_keep(s, e);
        return 1;
    case STAGE_DEDUP:
        return op_dedup(s, e, err);
    case STAGE_PATTERN:
        return op_pattern(s, e, err);
    case STAGE_UNPACK:
        return op_unpack(e, err);
    case STAGE_DECOLORIZE:
        return op_decolorize(e, err);
    case STAGE_LINE_FORMAT:
        return op_line_format(s, e, err);
    case STAGE_LABEL_FORMAT:
        return op_label_format(s, e, err);
    }
    INVARIANT(!"a kind of stage");
    return 0;
}

int op_pipeline(const struct ast_stage *list, struct entry *e, struct err *err)
{
    for (const struct ast_stage *s = list; s != NULL; s = s->next) {
        int r = s->pushed || s->skipped || (s->tested && e->tested) ? 1 : run_stage(s, e, err);
        if (r != 1)
            return r;
    }
    return 1;
}
