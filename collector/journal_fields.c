/* collector/journal_fields.c - contract: journal_fields.h. */
#include "collector/journal_fields.h"

#include <string.h>

/* As they begin; JOURNAL_CURSOR, 0, is no field. */
static const struct str NAMES[JOURNAL_FIELDS_ALL] = {
    [JOURNAL_MESSAGE] = STR_INIT("MESSAGE="),
    [JOURNAL_ID] = STR_INIT("CONTAINER_ID_FULL="),
    [JOURNAL_NAME] = STR_INIT("CONTAINER_NAME="),
    [JOURNAL_IMAGE] = STR_INIT("IMAGE_NAME="),
    [JOURNAL_PARTIAL] = STR_INIT("CONTAINER_PARTIAL_MESSAGE="),
    [JOURNAL_PARTIAL_ID] = STR_INIT("CONTAINER_PARTIAL_ID="),
    [JOURNAL_ORDINAL] = STR_INIT("CONTAINER_PARTIAL_ORDINAL="),
    [JOURNAL_PRIORITY] = STR_INIT("PRIORITY="),
    [JOURNAL_IDENTIFIER] = STR_INIT("SYSLOG_IDENTIFIER="),
    [JOURNAL_UNIT] = STR_INIT("_SYSTEMD_UNIT="),
    [JOURNAL_COMM] = STR_INIT("_COMM="),
    [JOURNAL_UID] = STR_INIT("_UID="),
    [JOURNAL_SOURCE_TIME] = STR_INIT("_SOURCE_REALTIME_TIMESTAMP="),
};

void journal_fields_init(struct journal_fields *f)
{
    memset(f, 0, sizeof(*f));
    buf_init(&f->values, JOURNAL_FRAME_MAX);
    for (unsigned i = 0; i < JOURNAL_FIELDS_ALL; i++)
        if (NAMES[i].n > 0) {
            f->next[i] = f->first[NAMES[i].n];
            f->first[NAMES[i].n] = (uint8_t)i;
        }
}

void journal_fields_fini(struct journal_fields *f)
{
    buf_fini(&f->values);
}

static void keep(struct journal_fields *f, unsigned field, struct str value, size_t max_line)
{
    struct str part = str_sub(value, 0, field == JOURNAL_MESSAGE ? max_line : JOURNAL_VALUE_MAX);

    if (f->v[field].is)
        return;
    f->v[field].at = f->values.n;
    f->v[field].n = part.n;
    f->v[field].total = value.n;
    f->v[field].is = true;
    buf_add_str(&f->values, part);
}

static void take(struct journal_fields *f, struct str item, size_t max_line)
{
    const char *eq =
        memchr(item.p, '=', item.n <= JOURNAL_FIELD_NAME_MAX ? item.n : JOURNAL_FIELD_NAME_MAX + 1);
    size_t n = eq == NULL ? 0 : (size_t)(eq - item.p) + 1;

    for (unsigned i = f->first[n]; i != 0; i = f->next[i])
        if (memcmp(NAMES[i].p, item.p, n) == 0)
            keep(f, i, str_from(item, n), max_line);
}

/* `name` with what may follow its '='. */
static bool ask(struct journal_fields *f, const struct journal_fields_options *opt, struct str name,
                struct str *ret)
{
    char field[JOURNAL_FIELD_NAME_MAX + 1];
    int r =
        opt->module->get(opt->journal, str_to_z(str_cut(&name, '='), field, sizeof(field)), ret);

    f->is_damaged = f->is_damaged || r < 0;
    return r == 0;
}

static void ask_for(struct journal_fields *f, const struct journal_fields_options *opt,
                    unsigned field)
{
    struct str value;

    if (NAMES[field].n > 0 && !f->v[field].is && ask(f, opt, NAMES[field], &value))
        keep(f, field, value, opt->max_line);
}

static void ask_whether_wanted(struct journal_fields *f, const struct journal_fields_options *opt)
{
    ask_for(f, opt, JOURNAL_ID);
    if (!f->v[JOURNAL_ID].is)
        ask_for(f, opt, JOURNAL_NAME);
    for (size_t i = 0; i < opt->matches.n && !journal_fields_are_wanted(f); i++) {
        struct str match = opt->matches.v[i], value;
        size_t eq = str_find_char(match, '=');
        f->is_match = ask(f, opt, match, &value) && str_eq(value, str_from(match, eq + 1));
    }
}

void journal_fields_read(struct journal_fields *f, const struct journal_fields_options *opt)
{
    struct str item;
    int r;

    buf_clear(&f->values);
    memset(f->v, 0, sizeof(f->v));
    f->is_match = f->is_damaged = false;
    ask_whether_wanted(f, opt);
    if (f->is_damaged || !journal_fields_are_wanted(f))
        return;
    while ((r = opt->module->field(opt->journal, &item)) == 0)
        take(f, item, opt->max_line);
    for (unsigned i = 0; r < 0 && i < JOURNAL_FIELDS_ALL; i++)
        ask_for(f, opt, i);
    /* Before version 252 a pass goes over one that is damaged without a word. */
    ask_for(f, opt, JOURNAL_MESSAGE);
    f->is_damaged = f->is_damaged || f->values.over;
}

bool journal_fields_are_wanted(const struct journal_fields *f)
{
    return f->v[JOURNAL_ID].is || f->v[JOURNAL_NAME].is || f->is_match;
}

struct str journal_fields_get(const struct journal_fields *f, unsigned field)
{
    if (!f->v[field].is)
        return STR_NULL;
    return f->v[field].n == 0 ? STR("")
                              : str_sub(buf_str(&f->values), f->v[field].at, f->v[field].n);
}
