/*
 * collector/own.c - contract: own.h.
 *
 * A collector that reads its own log writes a line for every line: it would never end.  Inside a
 * container the id stands in our cgroup's path, or, with a private cgroup namespace, in the source
 * of the files that the runtime binds over /etc/hostname and /etc/resolv.conf.  On the host neither
 * has one.
 */
#include "collector/own.h"

#include "base/buf.h"
#include "base/file.h"

#include <fcntl.h>
#include <string.h>

enum { ID_BYTES = 64, UID_BYTES = 36, TEXT_MAX = 4 << 20 };

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

/* Every run of exactly 64 hex digits. */
static void add_ids(struct own *o, struct str text)
{
    size_t run = 0;

    for (size_t i = 0; i <= text.n; i++) {
        if (i < text.n && is_hex(text.p[i])) {
            run++;
            continue;
        }
        if (run == ID_BYTES && o->n < OWN_IDS_MAX) {
            memcpy(o->ids[o->n], text.p + i - ID_BYTES, ID_BYTES);
            o->ids[o->n++][ID_BYTES] = '\0';
        }
        run = 0;
    }
}

/* Every pod<uid>; the systemd driver writes - as _. */
static void add_pods(struct own *o, struct str text)
{
    size_t at;

    while ((at = str_find(text, STR("pod"))) != SIZE_MAX) {
        struct str uid = str_sub(text, at + 3, UID_BYTES);
        bool ok = uid.n == UID_BYTES && o->n < OWN_IDS_MAX;
        char *to = o->ids[ok ? o->n : 0];
        for (size_t i = 0; ok && i < UID_BYTES; i++) {
            bool dash = i == 8 || i == 13 || i == 18 || i == 23;
            ok = dash ? uid.p[i] == '-' || uid.p[i] == '_' : is_hex(uid.p[i]);
        }
        for (size_t i = 0; ok && i < UID_BYTES; i++)
            to[i] = (char)(uid.p[i] == '_' ? '-' : uid.p[i]);
        if (ok) {
            to[UID_BYTES] = '\0';
            o->n++;
        }
        text = str_from(text, at + 3);
    }
}

void own_scan(struct own *o, struct str cgroup, struct str mountinfo)
{
    memset(o, 0, sizeof(*o));
    add_ids(o, cgroup);
    add_pods(o, cgroup);
    while (mountinfo.n > 0) {
        struct str line = str_cut(&mountinfo, '\n');
        if (str_find(line, STR(" /etc/hostname ")) != SIZE_MAX ||
            str_find(line, STR(" /etc/resolv.conf ")) != SIZE_MAX)
            add_ids(o, line);
    }
}

void own_find(struct own *o)
{
    struct buf cgroup, mounts;
    struct err err;

    buf_init(&cgroup, TEXT_MAX);
    buf_init(&mounts, TEXT_MAX);
    (void)file_read(AT_FDCWD, "/proc/self/cgroup", &cgroup, &err); /* unreadable: nothing is ours */
    (void)file_read(AT_FDCWD, "/proc/self/mountinfo", &mounts, &err);
    own_scan(o, buf_str(&cgroup), buf_str(&mounts));
    buf_fini(&cgroup);
    buf_fini(&mounts);
}

bool own_is(const struct own *o, struct str path)
{
    for (size_t i = 0; i < o->n; i++)
        if (str_find(path, str_of(o->ids[i])) != SIZE_MAX)
            return true;
    return false;
}
