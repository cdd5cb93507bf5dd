/* Fuzz target: what a process that reads the journal may say to the worker, and what stands in its
 * spool: frames, cursors, pieces, lines. */
#include "collector/decode.h"
#include "collector/journal_joins.h"
#include "collector/journal_place.h"

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
        INVARIANT(p.last && p.n_attrs <= 6 && p.n_labels <= 7);
        for (size_t i = 0; i < p.n_labels; i++)
            INVARIANT(p.labels[i].name.n > 0 && p.labels[i].value.n > 0);
    }
    decoder_fini(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};

    take_frames(text);
    take_line(text);
    return 0;
}
