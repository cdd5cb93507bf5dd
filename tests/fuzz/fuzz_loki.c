/* An answer of a Loki endpoint, as the command line reads and prints it.  The first byte chooses
 * the form of the output. */
#include "base/obj.h"
#include "query/cli/loki.h"

#include <fcntl.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void print(struct rows *r, int fd, enum format_kind kind)
{
    struct args args = {.has_output = true, .output = kind};
    struct output o;
    struct err err;

    output_init(&o, fd, &args, &(struct output_env){.terminal = false});
    INVARIANT(rows_print(r, &o, &err) == 0);
    output_fini(&o);
    rows_free(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const struct rows_column POINTS[] = {
        {"time", ROWS_TIME}, {"labels", ROWS_LABELS}, {"value", ROWS_VALUE}};
    static const struct rows_column NAMES[] = {{"label", ROWS_TEXT}};
    static const struct rows_column SERIES[] = {{"series", ROWS_LABELS}};
    static int sink = -1;
    enum format_kind kind;
    struct buf warnings;
    struct rows *rows;
    struct str json;
    struct err err;

    if (n == 0 || n > 1 << 20)
        return 0;
    if (sink < 0)
        sink = open("/dev/null", O_WRONLY | O_CLOEXEC);
    kind = (enum format_kind)(data[0] % (FORMAT_LOGFMT + 1));
    json = (struct str){(const char *)data + 1, n - 1};
    buf_init(&warnings, 1 << 16);
    rows = rows_new(NAMES, 1);
    (void)loki_strings(json, rows, &err);
    print(rows, sink, kind);
    rows = rows_new(SERIES, 1);
    (void)loki_series(json, rows, &err);
    print(rows, sink, kind);
    rows = rows_new(POINTS, 3);
    (void)loki_result(json, true, rows, &warnings, &err);
    print(rows, sink, kind);
    buf_fini(&warnings);
    return 0;
}
