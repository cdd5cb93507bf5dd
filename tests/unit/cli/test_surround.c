/* query/cli/surround.c: the same lines around hits however the lines come in pieces. */
#include "query/cli/surround.h"

#include "tests/lib/check.h"

#include <stdio.h>
#include <unistd.h>

enum { LINES = 30, PIECES_MAX = 12 };

static struct batch *lines(uint64_t first, uint64_t n)
{
    struct batch *b = batch_new(NULL, 1 << 20);
    struct labels none = {NULL, 0};
    struct record rec = {.ts = NS_PER_S};
    struct err err;

    assert_int_equal(batch_stream(b, &none, &rec.stream, &err), 0);
    for (uint64_t i = first; i < first + n; i++) {
        rec.seq = i;
        rec.line = arena_printf(b->arena, "%d", (int)i);
        assert_int_equal(batch_add(b, &rec, &err), 0);
    }
    return b;
}

static bool is_hit(const int *hits, uint64_t seq)
{
    for (; *hits != 0; hits++)
        if ((uint64_t)*hits == seq)
            return true;
    return false;
}

static void tell(struct surround *s, const int *hits, uint64_t first, uint64_t n)
{
    struct batch *b = lines(first, n);
    struct err err;

    surround_lines(s, b);
    for (uint64_t i = first; i < first + n; i++) {
        const struct record *rec = &b->records[i - first];
        const struct query_entry e = {.ts = rec->ts, .seq = i, .line = rec->line};

        if (is_hit(hits, i))
            assert_int_equal(surround_hit(s, &e, &err), 0);
    }
    assert_int_equal(surround_rest(s, &err), 0);
    batch_unref(&b);
}

static void check(uint64_t before, uint64_t after, const int *hits, bool wants, const char *want)
{
    for (uint64_t piece = 1; piece <= PIECES_MAX; piece++) {
        struct args args = {.has_output = true, .output = FORMAT_RAW};
        struct surround *s;
        struct output o;
        struct err err;
        char got[4096];
        ssize_t n;
        int fd[2];

        assert_int_equal(pipe(fd), 0);
        output_init(&o, fd[1], &args, &(struct output_env){.terminal = false});
        s = surround_new(&o, before, after);
        for (uint64_t at = 1; at <= LINES; at += piece)
            tell(s, hits, at, at + piece > LINES + 1 ? LINES + 1 - at : piece);
        assert_int_equal(surround_wants_more(s), wants);
        surround_free(&s);
        assert_int_equal(output_flush(&o, &err), 0);
        assert_true(output_fini(&o));
        close(fd[1]);
        n = read(fd[0], got, sizeof(got));
        close(fd[0]);
        assert_true(n >= 0);
        check_str(((struct str){got, (size_t)n}), want);
    }
}

static void hits_have_their_lines_once(void **state)
{
    (void)state;
    check(2, 0, (const int[]){1, 5, 7, 0}, false, "1\n--\n3\n4\n5\n6\n7\n");
    check(0, 2, (const int[]){1, 2, 5, 29, 0}, true, "1\n2\n3\n4\n5\n6\n7\n--\n29\n30\n");
    check(1, 1, (const int[]){4, 7, 11, 0}, false, "3\n4\n5\n6\n7\n8\n--\n10\n11\n12\n");
    check(5, 0, (const int[]){30, 0}, false, "25\n26\n27\n28\n29\n30\n");
    check(3, 3, (const int[]){0}, false, "");
}

CHECK_MAIN(cmocka_unit_test(hits_have_their_lines_once))
