/* collector/opener_remote.h - an opener that asks another process (opener_serve.h, gate.h). */
#ifndef LOGQ_COLLECTOR_OPENER_REMOTE_H
#define LOGQ_COLLECTOR_OPENER_REMOTE_H

#include "collector/opener.h"

/* Asks on `files` for everything but connections, which it asks for on `gate` (-1: there are none).
 * Both are borrowed.  Each call waits for its answer; when nobody is left to answer, the error is
 * ERR_IO with EPIPE.
 *
 * A file system whose server is gone holds the other process up for as long as it likes.  So after
 * `answer_ms` a question is given up (ERR_IO, ETIMEDOUT, counted), and all others are given up at
 * once until it is answered: what is open already is read meanwhile. */
struct opener *opener_remote(int files, int gate, int answer_ms);

#endif
