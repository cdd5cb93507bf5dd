/* collector/opener_remote.h - an opener that asks another process (opener_serve.h, gate.h). */
#ifndef LOGQ_COLLECTOR_OPENER_REMOTE_H
#define LOGQ_COLLECTOR_OPENER_REMOTE_H

#include "collector/opener.h"

enum { OPENER_REMOTE_HANGING_MAX = 4 };

/* Asks on `files` for everything but connections, which it asks for on `gate` (-1: there are none).
 * Each call waits for its answer; when nobody is left to answer, the error is ERR_IO with EPIPE.
 *
 * A file system whose server is gone holds the other process up for as long as it likes.  So after
 * `answer_ms` a question is given up (ERR_IO, ETIMEDOUT, counted).  With `more` (else -1) another
 * process is got there (priv_files.h) that answers from then on; until the one that hangs answers
 * or ends, questions about what lies below the directory that it hangs in are given up at once.
 * Without, or when OPENER_REMOTE_HANGING_MAX hang, all are.  What is open already is read
 * meanwhile.
 *
 * `files` may be -1 if there is `more`.  The three are borrowed. */
struct opener *opener_remote(int files, int more, int gate, int answer_ms);

/* Where the i-th process that hangs does: a directory, or the name that was asked for; NULL: no
 * more do.  `o` may be any opener. */
const char *opener_remote_hanging(const struct opener *o, size_t i);

#endif
