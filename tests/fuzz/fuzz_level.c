/*
 * tests/fuzz/fuzz_level.c - service name and level of a record.
 *
 * Up to the first NUL the value of a label and an attribute, behind it the line.  The level is one
 * there is, a label that names one decides, and blanks around the line change nothing.
 */
#include "base/obj.h"
#include "server/ingest.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum ingest_level level_of(struct str label, struct str attr, struct str line)
{
    struct label v = {STR("level"), label}, a = {STR("severity"), attr};
    struct labels l = {&v, label.n > 0};
    enum ingest_level level = ingest_level(&l, &a, attr.n > 0, line);

    INVARIANT((unsigned)level < INGEST_LEVELS);
    INVARIANT(ingest_level_name(level).n > 0);
    return level;
}

static void check_blanks(struct str line, enum ingest_level want)
{
    char *wide = malloc(line.n + 4);

    INVARIANT(wide != NULL);
    memcpy(wide, " \t", 2);
    if (line.n > 0)
        memcpy(wide + 2, line.p, line.n);
    memcpy(wide + 2 + line.n, "\r\n", 2);
    INVARIANT(level_of(STR_NULL, STR_NULL, (struct str){wide, line.n + 4}) == want);
    free(wide);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = {(const char *)data, size};
    struct str value = str_cut(&rest, '\0');
    struct label v = {STR("app"), value};
    struct labels l = {&v, 1};
    enum ingest_level alone = level_of(STR_NULL, STR_NULL, rest);

    check_blanks(rest, alone);
    if (level_of(value, STR_NULL, STR_NULL) != LEVEL_UNKNOWN)
        INVARIANT(level_of(value, STR_NULL, rest) == level_of(value, STR_NULL, STR_NULL));
    if (level_of(STR_NULL, value, STR_NULL) != LEVEL_UNKNOWN)
        INVARIANT(level_of(STR_NULL, value, rest) == level_of(STR_NULL, value, STR_NULL));
    INVARIANT(ingest_service_name(&l).n > 0);
    return 0;
}
