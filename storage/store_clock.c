/*
 * storage/store_clock.c - the store's clock guard: kept in meta.db, told when it doubts.  Contract:
 * store_internal.h.
 */
#include "base/mem.h"
#include "base/obj.h"
#include "storage/store_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In clear: a boot's id and a clock's offset are nothing that a tenant wrote. */
static const char SPACE[] = "store";
#define KEY STR("clock")

void store_clock_open(struct store *s)
{
    struct buf b;
    struct err ignored; /* without it the guard begins anew */

    buf_init(&b, 4096);
    if (meta_kv_get(s->meta, SPACE, KEY, &b, &ignored) == 0 && b.n == sizeof(s->clock_saved)) {
        memcpy(&s->clock_saved, b.p, b.n);
        s->clock_saved.boot[sizeof(s->clock_saved.boot) - 1] = '\0';
    }
    buf_fini(&b);
    clock_guard_fini(&s->clock);
    clock_guard_init(&s->clock, s->opt.clock_jump, s->opt.clock_settle, &s->clock_saved);
}

ts_ns store_clock_now(struct store *s)
{
    return clock_guard_now(&s->clock, NULL);
}

static void save(struct store *s)
{
    struct clock_guard_state now;
    struct err ignored; /* the next look tries again */

    clock_guard_state(&s->clock, &now);
    if (strcmp(now.boot, s->clock_saved.boot) == 0 &&
        llabs(now.trusted - s->clock_saved.trusted) < NS_PER_S)
        return;
    if (meta_kv_put(s->meta, SPACE, KEY, (struct str){(const char *)&now, sizeof(now)}, &ignored) ==
        0)
        s->clock_saved = now;
}

static void tell(struct store *s, bool suspect)
{
    char text[256];

    if (suspect)
        (void)snprintf(
            text, sizeof(text),
            "the wall clock is %lld s ahead of where it should be: receive times go on as "
            "before and nothing is deleted by age until it is back, or has stayed there "
            "for %lld s",
            (long long)(clock_guard_ahead(&s->clock) / NS_PER_S),
            (long long)(s->opt.clock_settle / NS_PER_S));
    else
        (void)snprintf(text, sizeof(text), "the wall clock is believed again");
    if (s->opt.notice != NULL)
        s->opt.notice(s->opt.notice_arg, suspect ? "clock.jumped" : "clock.settled", text);
}

bool store_clock_look(struct store *s)
{
    bool suspect;

    (void)clock_guard_now(&s->clock, &suspect);
    if (suspect != s->clock_told)
        tell(s, suspect);
    s->clock_told = suspect;
    if (s->opt.clock_jump != 0 && !suspect)
        save(s);
    return !suspect;
}
