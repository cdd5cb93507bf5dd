/* collector/journal_pages.c - contract: journal_pages.h. */
#include "collector/journal_pages.h"

#include "base/file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MAPS_MAX = 1 << 20 };

void journal_pages_init(struct journal_pages *pp)
{
    *pp = (struct journal_pages){.fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC)};
}

void journal_pages_fini(struct journal_pages *pp)
{
    if (pp->fd >= 0)
        (void)close(pp->fd);
    pp->fd = -1;
}

/* "7f0c3b000000-7f0c3b800000 r--s 00000000 fe:00 4711   /var/log/journal/.../system.journal" */
static void give_back(struct str line)
{
    char text[64];
    struct str range = str_cut(&line, ' '), mode = str_cut(&line, ' ');
    char *end = str_to_z(range, text, sizeof(text));
    uintptr_t from = strtoull(end, &end, 16);
    uintptr_t to = *end == '-' ? strtoull(end + 1, &end, 16) : 0;

    if (str_eq(mode, STR("r--s")) && str_find(line, STR(".journal")) != SIZE_MAX && from < to)
        (void)madvise((void *)from, to - from, MADV_DONTNEED); // NOLINT(performance-no-int-to-ptr)
}

void journal_pages_count(struct journal_pages *pp, size_t bytes)
{
    struct buf maps;
    struct str rest;
    struct err err;

    pp->n_read += bytes;
    if (pp->n_read < JOURNAL_PAGES_BYTES || pp->fd < 0)
        return;
    pp->n_read = 0;
    buf_init(&maps, MAPS_MAX);
    if (lseek(pp->fd, 0, SEEK_SET) == 0 && file_read_fd(pp->fd, &maps, &err) == 0)
        for (rest = buf_str(&maps); rest.n > 0;)
            give_back(str_cut(&rest, '\n'));
    buf_fini(&maps);
}
