/*
 * tests/fuzz/driver.c - replays a corpus where there is no libFuzzer: fuzz_x FILE|FOLDER...
 *
 * Each file is handed over in a block of exactly its size, so that a sanitizer sees a byte too
 * many. Exit 1 when nothing was replayed: an empty folder must not pass for a test.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned replayed;

static void die(const char *path)
{
    (void)fprintf(stderr, "%s: %s\n", path, strerror(errno));
    exit(1);
}

static void replay_file(const char *path, size_t size)
{
    uint8_t *block = malloc(size == 0 ? 1 : size);
    FILE *f = fopen(path, "rb");

    if (block == NULL || f == NULL || fread(block, 1, size, f) != size)
        die(path);
    (void)fclose(f);
    (void)LLVMFuzzerTestOneInput(block, size);
    free(block);
    replayed++;
}

static void replay(const char *path)
{
    struct stat st;
    struct dirent **names;
    int n;

    if (stat(path, &st) < 0)
        die(path);
    if (S_ISREG(st.st_mode)) {
        replay_file(path, (size_t)st.st_size);
        return;
    }
    n = scandir(path, &names, NULL, alphasort);
    if (n < 0)
        die(path);
    for (int i = 0; i < n; i++) {
        char *inner;
        if (names[i]->d_name[0] != '.') {
            if (asprintf(&inner, "%s/%s", path, names[i]->d_name) < 0)
                die(path);
            replay(inner);
            free(inner);
        }
        free(names[i]);
    }
    free(names);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        replay(argv[i]);
    (void)printf("%u inputs replayed\n", replayed);
    return replayed == 0;
}
