/*
 * wire/forward_render.h - values of a record as text.
 *
 * Strings stay where they are; everything else is written once into an arena.  Nested values go
 * through msgpack-c (one zone, reused) and base/json; the caller has measured and bounded them
 * (forward_frame), because msgpack-c takes a claimed count at its word.
 */
#ifndef LOGQ_WIRE_FORWARD_RENDER_H
#define LOGQ_WIRE_FORWARD_RENDER_H

#include "base/arena.h"
#include "wire/forward_parse.h"

enum { FORWARD_RENDER_MAX = 16 << 20 }; /* bytes of JSON of one nested value */

struct forward_render; /* scratch of one reader; one thread */
struct forward_render *forward_render_new(void);
void forward_render_free(struct forward_render **pr);

/*
 * Take one value off *rest: type and text of *ret.  Texts of NIL, BOOL, INT, FLOAT and NESTED are
 * valid JSON (NaN and infinities are null); bin and str are STR as they are, ext of other kinds STR
 * in base64.  ERR_CORRUPT, ERR_LIMIT, ERR_NOMEM.
 */
int forward_render_value(struct forward_render *r, struct str *rest, struct arena *a,
                         struct forward_field *ret, struct err *err);

#endif
