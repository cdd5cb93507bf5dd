/* Unit tests of collector/journal_pages over real mappings of a file. */
#include "collector/journal_pages.h"

#include "base/file.h"
#include "tests/lib/check.h"
#include "tests/lib/tmpdir.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { FILE_BYTES = 1 << 20 };

static int dir, fd; /* `fd` as libsystemd opens it */
static struct journal_pages pages;
static struct err err;

static int open_file(const char *name)
{
    static char bytes[FILE_BYTES];
    int out = openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    int in = openat(dir, name, O_RDONLY | O_CLOEXEC);

    assert_true(out >= 0 && in >= 0);
    memset(bytes, 'j', sizeof(bytes));
    assert_int_equal(file_write_all(out, bytes, sizeof(bytes), &err), 0);
    assert_int_equal(close(out), 0);
    return in;
}

static int setup(void **state)
{
    (void)state;
    dir = tmpdir_open(NULL);
    fd = open_file("system.journal");
    journal_pages_init(&pages);
    assert_true(pages.fd >= 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    journal_pages_fini(&pages);
    assert_int_equal(close(fd), 0);
    tmpdir_close(dir);
    return 0;
}

static char *map(int file, int prot, int flags)
{
    char *p = mmap(NULL, FILE_BYTES, prot, flags, file, 0);

    assert_ptr_not_equal(p, MAP_FAILED);
    return p;
}

static size_t count(const char *p)
{
    size_t n = 0;

    for (size_t i = 0; i < FILE_BYTES; i++)
        n += p[i] == 'j';
    return n;
}

/* KiB of the mapping that begins at `p` that this process has in its tables (proc(5), smaps). */
static unsigned long resident(const char *p)
{
    char line[4096];
    FILE *f = fopen("/proc/self/smaps", "re");
    bool at = false;
    unsigned long kib = 0;

    assert_non_null(f);
    while (fgets(line, sizeof(line), f) != NULL) {
        char *end;
        unsigned long from = strtoul(line, &end, 16);
        if (*end == '-')
            at = from == (uintptr_t)p;
        else if (at && sscanf(line, "Rss: %lu", &kib) == 1)
            break;
    }
    (void)fclose(f);
    return kib;
}

static void what_was_read_is_given_back_and_read_again(void **state)
{
    char *p = map(fd, PROT_READ, MAP_SHARED);

    (void)state;
    assert_int_equal(count(p), FILE_BYTES);
    assert_int_equal(resident(p), FILE_BYTES >> 10);
    journal_pages_count(&pages, JOURNAL_PAGES_BYTES - 1);
    assert_int_equal(resident(p), FILE_BYTES >> 10);
    journal_pages_count(&pages, 1);
    assert_int_equal(resident(p), 0);
    assert_int_equal(count(p), FILE_BYTES);
    journal_pages_count(&pages, JOURNAL_PAGES_BYTES - 1); /* counted from the last time */
    assert_int_equal(resident(p), FILE_BYTES >> 10);
    journal_pages_count(&pages, 1);
    assert_int_equal(resident(p), 0);
    assert_int_equal(munmap(p, FILE_BYTES), 0);
}

static void of_an_archived_one_too(void **state)
{
    int archived = open_file("system@0005d0e0b5fdc84d-8b3c9a1d.journal~");
    char *p = map(archived, PROT_READ, MAP_SHARED);

    (void)state;
    assert_int_equal(count(p), FILE_BYTES);
    journal_pages_count(&pages, JOURNAL_PAGES_BYTES);
    assert_int_equal(resident(p), 0);
    assert_int_equal(munmap(p, FILE_BYTES), 0);
    assert_int_equal(close(archived), 0);
}

static void other_files_are_left(void **state)
{
    int other = open_file("gconv-modules.cache");
    char *p = map(other, PROT_READ, MAP_SHARED);

    (void)state;
    assert_int_equal(count(p), FILE_BYTES);
    journal_pages_count(&pages, JOURNAL_PAGES_BYTES);
    assert_int_equal(resident(p), FILE_BYTES >> 10);
    assert_int_equal(munmap(p, FILE_BYTES), 0);
    assert_int_equal(close(other), 0);
}

static void memory_of_our_own_is_left(void **state)
{
    char *p = map(fd, PROT_READ | PROT_WRITE, MAP_PRIVATE);

    (void)state;
    memset(p, 'o', FILE_BYTES);
    assert_int_equal(mprotect(p, FILE_BYTES, PROT_READ), 0); /* r--p */
    journal_pages_count(&pages, JOURNAL_PAGES_BYTES);
    assert_int_equal(resident(p), FILE_BYTES >> 10);
    assert_int_equal(count(p), 0);
    assert_int_equal(munmap(p, FILE_BYTES), 0);
}

static void without_a_list_of_mappings_nothing_is_given_back(void **state)
{
    char *p = map(fd, PROT_READ, MAP_SHARED);

    (void)state;
    journal_pages_fini(&pages);
    assert_int_equal(count(p), FILE_BYTES);
    journal_pages_count(&pages, JOURNAL_PAGES_BYTES);
    assert_int_equal(resident(p), FILE_BYTES >> 10);
    assert_int_equal(munmap(p, FILE_BYTES), 0);
}

CHECK_MAIN(cmocka_unit_test_setup_teardown(what_was_read_is_given_back_and_read_again, setup,
                                           teardown),
           cmocka_unit_test_setup_teardown(of_an_archived_one_too, setup, teardown),
           cmocka_unit_test_setup_teardown(other_files_are_left, setup, teardown),
           cmocka_unit_test_setup_teardown(memory_of_our_own_is_left, setup, teardown),
           cmocka_unit_test_setup_teardown(without_a_list_of_mappings_nothing_is_given_back, setup,
                                           teardown))
