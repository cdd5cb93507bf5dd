/*
 * query/cli/args.c - flags in, struct args out.  Contract: args.h.
 *
 * getopt_long does the GNU part (permutation, --flag=value, abbreviations, --); its texts are
 * replaced by ours, which name the flag as it was typed and suggest the nearest known one.
 */
#include "query/cli/args.h"

#include "base/near.h"
#include "base/obj.h"
#include "query/cli/args_table.h"
#include "query/cli/when.h"
#include "query/query.h"

#include <getopt.h>
#include <string.h>

/* What getopt leaves to be decided when all flags are known. */
struct span {
    const char *since, *from, *to;
    uint64_t seen; /* bit per flag_id */
    bool utc, local;
};

static int choose(enum flag_id id, const char *const *names, size_t n, const char *value,
                  unsigned *ret, struct err *err)
{
    struct buf known;
    struct near near;
    int r;

    near_begin(&near, str_of(value));
    buf_init(&known, 256);
    for (size_t i = 0; i < n; i++) {
        if (names[i][0] == '\0')
            continue;
        if (strcmp(names[i], value) == 0) {
            buf_fini(&known);
            *ret = (unsigned)i;
            return 0;
        }
        near_offer(&near, str_of(names[i]));
        buf_addf(&known, "%s%s", known.n == 0 ? "" : i + 1 < n ? ", " : " or ", names[i]);
    }
    if (near.best.p != NULL)
        r = err_set(err, ERR_INVALID, "--%s cannot be '%.60s', did you mean '%.*s'?",
                    ARGS_FLAGS[id].name, value, STR_ARG(near.best));
    else
        r = err_set(err, ERR_INVALID, "--%s cannot be '%.60s': it is %.*s", ARGS_FLAGS[id].name,
                    value, STR_ARG(buf_str(&known)));
    buf_fini(&known);
    return r;
}

static int choose_form(enum flag_id id, const char *value, struct args *a, struct err *err)
{
    unsigned i = 0;
    int r;

    if (id == FLAG_OUTPUT) {
        r = choose(id, ARGS_OUTPUT_NAMES, ARGS_OUTPUTS, value, &i, err);
        a->output = (enum format_kind)i;
        a->has_output = true;
    } else if (id == FLAG_DIRECTION) {
        r = choose(id, ARGS_DIRECTION_NAMES, ARGS_DIRECTIONS, value, &i, err);
        a->direction = (enum args_direction)i;
    } else {
        r = choose(id, ARGS_COLOR_NAMES, ARGS_COLORS, value, &i, err);
        if (id == FLAG_COLOR)
            a->color = (enum args_color)i;
        else
            a->progress = (enum args_color)i;
    }
    return r;
}

enum { PARALLEL_MAX = 16, SAMPLE_MAX = 1000000 };

static int take_number(enum flag_id id, const char *value, struct args *a, struct err *err)
{
    uint64_t least = id == FLAG_PARALLEL || id == FLAG_SAMPLE ? 1 : 0;
    uint64_t most = id == FLAG_LIMIT      ? UINT64_MAX
                    : id == FLAG_PARALLEL ? PARALLEL_MAX
                    : id == FLAG_SAMPLE   ? SAMPLE_MAX
                                          : QUERY_CONTEXT_MAX;
    uint64_t n;

    if (!str_to_u64(str_of(value), &n))
        return err_set(err, ERR_INVALID, "--%s needs a whole number, not '%.60s'",
                       ARGS_FLAGS[id].name, value);
    if (n < least || n > most)
        return err_set(err, ERR_INVALID, "--%s is a number from %llu to %llu", ARGS_FLAGS[id].name,
                       (unsigned long long)least, (unsigned long long)most);
    if (id == FLAG_LIMIT) {
        a->limit = n;
        a->has_limit = true;
    } else if (id == FLAG_PARALLEL) {
        a->parallel = n;
    } else if (id == FLAG_SAMPLE) {
        a->sample = n;
    } else {
        if (id != FLAG_AFTER)
            a->before = n;
        if (id != FLAG_BEFORE)
            a->after = n;
    }
    return 0;
}

/* Flags that are texts, and taken as they are. */
static const char **text_of(enum flag_id id, struct args *a, struct span *span)
{
    const struct {
        enum flag_id id;
        const char **to;
    } texts[] = {
        {FLAG_SINCE, &span->since},  {FLAG_FROM, &span->from},
        {FLAG_TO, &span->to},        {FLAG_WITH_KEYRING, &a->with_keyring},
        {FLAG_ALSO, &a->also},       {FLAG_BY, &a->by},
        {FLAG_COLUMNS, &a->columns}, {FLAG_SERVER, &a->server},
        {FLAG_ADDR, &a->addr},       {FLAG_TOKEN_FILE, &a->token_file},
        {FLAG_CA, &a->ca},           {FLAG_TENANT, &a->tenant},
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (texts[i].id == id)
            return texts[i].to;
    return NULL;
}

/* Flags without a value. */
static bool *switch_of(enum flag_id id, struct args *a)
{
    const struct {
        enum flag_id id;
        bool *to;
    } switches[] = {
        {FLAG_FOLLOW, &a->follow},         {FLAG_FORCE, &a->force},
        {FLAG_STRUCTURE, &a->structure},   {FLAG_OVERLAP, &a->overlap},
        {FLAG_STDIN, &a->from_stdin},      {FLAG_RESUME, &a->resume},
        {FLAG_HISTOGRAM, &a->histogram},   {FLAG_NO_PAGER, &a->no_pager},
        {FLAG_LABELS, &a->by_label},       {FLAG_LENIENT, &a->lenient},
        {FLAG_TOP_SERIES, &a->top_series}, {FLAG_HELP, &a->help},
        {FLAG_VERSION, &a->version},
    };

    for (size_t i = 0; i < sizeof(switches) / sizeof(switches[0]); i++)
        if (switches[i].id == id)
            return switches[i].to;
    return NULL;
}

static int take_flag(enum flag_id id, const char *value, struct args *a, struct span *span,
                     struct err *err)
{
    const char **text = text_of(id, a, span);
    bool *is_on = switch_of(id, a);

    span->seen |= UINT64_C(1) << id;
    if (text != NULL) {
        *text = value;
    } else if (is_on != NULL) {
        *is_on = true;
    } else if (id == FLAG_UTC || id == FLAG_LOCAL) {
        a->zone = id == FLAG_UTC ? ARGS_ZONE_UTC : ARGS_ZONE_LOCAL;
    } else if (id == FLAG_STEP) {
        if (!dur_parse(str_of(value), false, &a->step) || a->step <= 0)
            return err_set(err, ERR_INVALID, "--step needs a span like 1m, not '%.60s'", value);
    } else if (id == FLAG_OUTPUT || id == FLAG_COLOR || id == FLAG_DIRECTION ||
               id == FLAG_PROGRESS) {
        return choose_form(id, value, a, err);
    } else {
        return take_number(id, value, a, err);
    }
    return 0;
}

static int parse_when(enum flag_id id, const char *text, ts_ns now, bool utc, ts_ns *ret,
                      struct err *err)
{
    if (when_parse(str_of(text), now, utc, ret))
        return 0;
    return err_set(err, ERR_INVALID,
                   "--%s needs a time like 2026-11-21T19:14:38Z or '2026-11-21 19:14', or how long "
                   "ago like 15m, not '%.60s'",
                   ARGS_FLAGS[id].name, text);
}

static int settle_span(const struct span *span, ts_ns now, struct args *a, struct err *err)
{
    bool utc = a->zone == ARGS_ZONE_UTC;
    dur_ns since = NS_PER_H;
    int r = 0;

    a->has_span = span->since != NULL || span->from != NULL;
    a->has_to = span->to != NULL;
    a->to = now;
    if (span->since != NULL && span->from != NULL)
        return err_set(err, ERR_INVALID, "--since and --from exclude each other");
    if (span->since != NULL && (!dur_parse(str_of(span->since), false, &since) || since <= 0))
        return err_set(err, ERR_INVALID, "--since needs a span like 1h, not '%.60s'", span->since);
    if (span->to != NULL)
        r = parse_when(FLAG_TO, span->to, now, utc, &a->to, err);
    if (r < 0)
        return r;
    /* --since counts from now; without it the hour before --to is meant. */
    a->from = (span->since != NULL ? now : a->to) - since;
    if (span->from != NULL)
        r = parse_when(FLAG_FROM, span->from, now, utc, &a->from, err);
    if (r < 0)
        return r;
    if (a->from > a->to)
        return err_set(err, ERR_INVALID, "the span ends before it starts");
    return 0;
}

/* --name is none of our flags, or the beginning of several. */
static int complain_of_flag(struct str name, struct err *err)
{
    struct near near;
    struct buf several;
    int r;

    near_begin(&near, name);
    buf_init(&several, 4096);
    for (size_t i = 0; i < FLAG_COUNT; i++) {
        near_offer(&near, str_of(ARGS_FLAGS[i].name));
        if (name.n > 0 && str_starts(str_of(ARGS_FLAGS[i].name), name))
            buf_addf(&several, "%s--%s", several.n == 0 ? "" : ", ", ARGS_FLAGS[i].name);
    }
    if (name.n > 60)
        name.n = 60;
    if (several.n > 0)
        r = err_set(err, ERR_INVALID, "--%.*s may be any of %.*s", STR_ARG(name),
                    STR_ARG(buf_str(&several)));
    else if (near.best.p != NULL)
        r = err_set(err, ERR_INVALID, "unknown flag --%.*s, did you mean --%.*s?", STR_ARG(name),
                    STR_ARG(near.best));
    else
        r = err_set(err, ERR_INVALID, "unknown flag --%.*s", STR_ARG(name));
    buf_fini(&several);
    return r;
}

/* getopt's '?' and ':' as one of our sentences. */
static int complain(int c, const char *word, struct err *err)
{
    struct str name = str_of(word);
    size_t eq;

    if (c == ':' && optopt < 256)
        return err_set(err, ERR_INVALID, "-%c needs a value", optopt);
    if (c == ':')
        return err_set(err, ERR_INVALID, "--%s needs a value", ARGS_FLAGS[optopt - 256].name);
    if (optopt >= 256)
        return err_set(err, ERR_INVALID, "--%s takes no value", ARGS_FLAGS[optopt - 256].name);
    if (optopt != 0)
        return err_set(err, ERR_INVALID, "unknown flag -%c", optopt);
    name = str_from(name, 2);
    eq = str_find_char(name, '=');
    if (eq != SIZE_MAX)
        name.n = eq;
    return complain_of_flag(name, err);
}

/* The table in getopt's own form: values from 256 on are flag ids, letters stand for themselves. */
static void make_getopt(struct option *longs, char *shorts)
{
    size_t n = 0;

    shorts[n++] = ':'; /* a missing value is told apart */
    for (size_t i = 0; i < FLAG_COUNT; i++) {
        longs[i] = (struct option){.name = ARGS_FLAGS[i].name,
                                   .has_arg = ARGS_FLAGS[i].value != NULL ? required_argument
                                                                          : no_argument,
                                   .val = 256 + (int)i};
        if (ARGS_FLAGS[i].letter == 0)
            continue;
        shorts[n++] = ARGS_FLAGS[i].letter;
        if (ARGS_FLAGS[i].value != NULL)
            shorts[n++] = ':';
    }
    longs[FLAG_COUNT] = (struct option){0};
    shorts[n] = '\0';
}

static enum flag_id flag_of(int c)
{
    for (size_t i = 0; i < FLAG_COUNT; i++) {
        if (c == 256 + (int)i || (c < 256 && ARGS_FLAGS[i].letter == c))
            return (enum flag_id)i;
    }
    INVARIANT(!"getopt returned what is not in the table");
    return FLAG_COUNT;
}

bool args_takes_query(enum args_command command)
{
    return ARGS_TABLE[command].is_query;
}

int args_find(const char *word, enum args_command *ret, struct err *err)
{
    struct near near;

    near_begin(&near, str_of(word));
    for (unsigned i = ARGS_QUERY; i < ARGS_COUNT; i++) {
        if (ARGS_TABLE[i].is_hidden)
            continue;
        if (strcmp(word, ARGS_TABLE[i].name) == 0) {
            *ret = (enum args_command)i;
            return 0;
        }
        near_offer(&near, str_of(ARGS_TABLE[i].name));
    }
    if (near.best.p != NULL)
        return err_set(err, ERR_INVALID, "unknown command '%.60s', did you mean '%.*s'?", word,
                       STR_ARG(near.best));
    return err_set(err, ERR_INVALID, "unknown command '%.60s'", word);
}

/* Operands, and that every flag given is one of this command's. */
static int check_command(const struct args *a, const struct span *span, struct err *err)
{
    const char *name = ARGS_TABLE[a->command].name;

    for (unsigned i = 0; i < FLAG_COUNT; i++) {
        if ((span->seen >> i & 1) != 0 && (ARGS_FLAGS[i].commands & OF(a->command)) == 0)
            return err_set(err, ERR_INVALID, "%s knows no --%s", name, ARGS_FLAGS[i].name);
    }
    if (a->n_words < ARGS_TABLE[a->command].min_words)
        return err_set(err, ERR_INVALID, "%s needs %s", name, ARGS_TABLE[a->command].operands);
    if (a->n_words > ARGS_TABLE[a->command].max_words)
        return err_set(err, ERR_INVALID, "%s: one operand too many: '%.60s'%s", name,
                       a->words[ARGS_TABLE[a->command].max_words],
                       ARGS_TABLE[a->command].is_query ? " (is the query in quotes?)" : "");
    return 0;
}

/* The words of a line that is being typed: none of them is a flag of ours, but those that say which
 * server is meant count. */
static void complete_line(int argc, char **argv, ts_ns now, struct args *ret)
{
    struct span span = {0};

    *ret = (struct args){.command = ARGS_COMPLETE,
                         .words = (const char *const *)(argv + 2),
                         .n_words = (size_t)(argc - 2),
                         .from = now - NS_PER_DAY,
                         .to = now,
                         .parallel = 1};
    for (size_t i = 0; i + 2 < ret->n_words; i++) {
        for (unsigned id = FLAG_SERVER; id <= FLAG_TENANT; id++) {
            if (str_starts(str_of(ret->words[i]), STR("--")) &&
                strcmp(ret->words[i] + 2, ARGS_FLAGS[id].name) == 0)
                *text_of((enum flag_id)id, ret, &span) = ret->words[i + 1];
        }
    }
}

int args_parse(int argc, char **argv, ts_ns now, struct args *ret, struct err *err)
{
    struct option longs[FLAG_COUNT + 1];
    char shorts[2 * FLAG_COUNT + 2];
    struct span span = {0};
    struct args a = {.parallel = 1};
    int c, r;

    if (argc > 1 && strcmp(argv[1], ARGS_TABLE[ARGS_COMPLETE].name) == 0) {
        complete_line(argc, argv, now, ret);
        return 0;
    }
    make_getopt(longs, shorts);
    opterr = 0;
    optind = 0; /* glibc: start anew */
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): args.h says so */
    while ((c = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
        if (c == '?' || c == ':')
            return complain(c, argv[optind - 1], err);
        r = take_flag(flag_of(c), optarg, &a, &span, err);
        if (r < 0)
            return r;
    }
    if (optind < argc && strcmp(argv[optind], "help") == 0) {
        a.help = true;
        optind++;
    }
    if (optind < argc) {
        r = args_find(argv[optind], &a.command, err);
        if (r < 0)
            return r;
        a.words = (const char *const *)(argv + optind + 1);
        a.n_words = (size_t)(argc - optind - 1);
    }
    if (!a.help && !a.version) {
        if (a.command == ARGS_NONE)
            return err_set(err, ERR_INVALID, "a command is needed");
        r = check_command(&a, &span, err);
        if (r == 0)
            r = settle_span(&span, now, &a, err);
        if (r < 0)
            return r;
    }
    a.follow = a.follow || a.command == ARGS_TAIL;
    *ret = a;
    return 0;
}
