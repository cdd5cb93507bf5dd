/* Fuzz target: what a process that reads the journal may say to the worker, and what stands in its
 * spool: frames, cursors, pieces, lines, drops, states. */
#include "collector/decode.h"
#include "collector/journal_place.h"
#include "collector/journal_state.h"

#include "base/obj.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_LINE = 1024 };

static void check(const struct journal_record *rec)
{
    INVARIANT(rec->text.n <= MAX_LINE);
}

static void take_frames(struct str bytes)
{
    struct journal_joins *j = journal_joins_new(MAX_LINE);
    struct journal_record rec;
    struct journal_place place;
    struct journal_frame f, again;
    struct err err;
    size_t used = 0;
    dur_ns now = 0;

    while (journal_frame_take(bytes, &f, &used, &err) == 0) {
        struct buf b;
        INVARIANT(used > 0 && used <= bytes.n);
        bytes = str_from(bytes, used);
        buf_init(&b, JOURNAL_FRAME_MAX + 16);
        journal_frame_put(&b, &f);
        INVARIANT(journal_frame_take(buf_str(&b), &again, &used, &err) == 0 && used == b.n);
        buf_fini(&b);
        if (journal_place_parse(f.v[JOURNAL_CURSOR], &place))
            INVARIANT(journal_place_cmp(&place, &place) == 0);
        while (journal_joins_give_up(j, &f, &rec))
            check(&rec);
        if (journal_joins_add(j, &f, now++, &rec) == 0)
            check(&rec);
        INVARIANT(journal_joins_count(j) <= JOURNAL_JOINS_MAX);
    }
    while (journal_joins_stale(j, now, &rec))
        check(&rec);
    INVARIANT(journal_joins_count(j) == 0);
    journal_joins_free(&j);
}

static void take_line(struct str line)
{
    struct decoder d;
    struct piece p;

    decoder_init(&d);
    if (decode_journal(&d, line, &p)) {
        INVARIANT(p.last && p.n_attrs <= DECODE_ATTRS_MAX && p.n_labels <= 7);
        for (size_t i = 0; i < p.n_labels; i++)
            INVARIANT(p.labels[i].name.n > 0 && p.labels[i].value.n > 0);
    }
    decoder_fini(&d);
}

static void take_drops(struct str text)
{
    struct arena *a = arena_new(NULL, 1 << 20);
    struct journal_drops d = {.n = 0};
    struct json_reader r;
    struct buf out;

    json_reader_init(&r, text);
    if (journal_drops_take(&d, &r, a)) {
        buf_init(&out, 1 << 20);
        journal_drops_tell(&d, STR("journal"), &out);
        INVARIANT(!out.over && d.n == 0);
        buf_fini(&out);
    }
    journal_drops_fini(&d);
    arena_free(&a);
}

static void take_state(struct str line)
{
    struct journal_joins *joins = journal_joins_new(MAX_LINE);
    struct journal_lines *lines = journal_lines_new(MAX_LINE);
    struct journal_state s;
    struct buf out;

    journal_state_init(&s);
    buf_init(&out, 1 << 20);
    if (journal_state_parse(&s, line)) {
        INVARIANT(s.at[0] != '\0' && s.n_open <= JOURNAL_OPEN_MAX);
        journal_state_put(&s, joins, lines, &out);
        INVARIANT(!out.over && str_starts(buf_str(&out), STR(JOURNAL_STATE_BEGIN)));
    } else {
        INVARIANT(s.at[0] == '\0' && s.n_open == 0 && s.drops.n == 0);
    }
    buf_fini(&out);
    journal_state_fini(&s);
    journal_lines_free(&lines);
    journal_joins_free(&joins);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};

    take_frames(text);
    take_line(text);
    take_drops(text);
    take_state(text);
    return 0;
}
