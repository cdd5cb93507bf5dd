/* query/cli/params.c - see params.h. */
#include "query/cli/params.h"

#include <inttypes.h>
#include <string.h>

enum { NUMBER_MAX = 32 };

static void escape(struct buf *out, struct str s)
{
    static const char PLAIN[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~";

    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (c != '\0' && strchr(PLAIN, c) != NULL)
            buf_add_char(out, s.p[i]);
        else
            buf_addf(out, "%%%02X", (unsigned)c);
    }
}

void params_add(struct buf *out, const char *name, struct str value)
{
    if (out->n > 0)
        buf_add_char(out, '&');
    escape(out, str_of(name));
    buf_add_char(out, '=');
    escape(out, value);
}

void params_add_u64(struct buf *out, const char *name, uint64_t value)
{
    struct buf digits;

    buf_init(&digits, NUMBER_MAX);
    buf_addf(&digits, "%" PRIu64, value);
    params_add(out, name, buf_str(&digits));
    buf_fini(&digits);
}

/* Nanoseconds, padded: the server takes up to ten digits for seconds. */
void params_add_ts(struct buf *out, const char *name, ts_ns ts)
{
    struct buf digits;

    buf_init(&digits, NUMBER_MAX);
    buf_addf(&digits, "%020" PRId64, ts);
    params_add(out, name, buf_str(&digits));
    buf_fini(&digits);
}
