/*
 * base/err.h - what went wrong: a code for the caller to branch on, a sentence for the operator.
 *
 * A function that can fail returns int: 0 done, ERR_* (< 0) failed and, where its header says so,
 * 1 for "nothing left".  It takes `struct err *err` last and writes it only when it fails.  Lower
 * floors say what failed, each floor above may say where (err_wrap); only main loops log.
 */
#ifndef LOGQ_BASE_ERR_H
#define LOGQ_BASE_ERR_H

#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

/* X(name, number, meaning).  Append only: the numbers show up in metrics and in the HTTP API. */
#define ERR_CODES(X)                                                                               \
    X(NOMEM, -1, "out of memory, or over a memory budget")                                         \
    X(IO, -2, "a system call failed")                                                              \
    X(CORRUPT, -3, "bytes break their format or checksum")                                         \
    X(INVALID, -4, "the input is not acceptable")                                                  \
    X(LIMIT, -5, "a configured limit was reached")                                                 \
    X(DENIED, -6, "not authenticated or not permitted")                                            \
    X(GONE, -7, "the thing named does not exist any more")                                         \
    X(EXISTS, -8, "the thing named exists already")                                                \
    X(CANCELLED, -9, "the caller withdrew the request")                                            \
    X(TIMEOUT, -10, "a deadline passed")                                                           \
    X(UNSUPPORTED, -11, "understood, but not built")

enum err_code {
    ERR_OK = 0,
#define X(name, number, meaning) ERR_##name = (number),
    ERR_CODES(X)
#undef X
};

struct err {
    int code;       /* ERR_* */
    int sys;        /* errno of the failing call, or 0 */
    char text[248]; /* one English sentence, no newline, always NUL-terminated */
};

/* Each returns the code, so that a failing path is one line: return err_set(err, ...). */
int err_set(struct err *err, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);
int err_sys(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);  /* takes errno; ERR_IO */
int err_wrap(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3); /* puts "fmt: " in front */

/* "IO", "LIMIT", ...; "OK" for 0.  For logs and the API. */
const char *err_name(int code);

#endif
