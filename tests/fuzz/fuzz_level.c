/*
 * tests/fuzz/fuzz_level.c - service name and level of a record.
 *
 * Up to the first NUL the value of a label and an attribute, behind it the line.  The level is one
 * there is, or what the label says; a label decides, and blanks around the line change nothing.
 */
#include "base/level.h"
#include "base/obj.h"
#include "base/service.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum level check_level(struct str label, struct str attr, struct str line)
{
    struct label v = {STR("level"), label}, a = {STR("severity"), attr};
    struct labels l = {&v, label.n > 0};
    struct str other;
    enum level level = level_of(&l, &a, attr.n > 0, line, &other);

    INVARIANT((unsigned)level < LEVEL_COUNT);
    INVARIANT(level == LEVEL_OTHER || level_name(level).n > 0);
    INVARIANT(level != LEVEL_OTHER || str_eq(other, label) || str_eq(other, attr));
    return level;
}

static void check_blanks(struct str line, enum level want)
{
    char *wide = malloc(line.n + 4);

    INVARIANT(wide != NULL);
    memcpy(wide, " \t", 2);
    if (line.n > 0)
        memcpy(wide + 2, line.p, line.n);
    memcpy(wide + 2 + line.n, "\r\n", 2);
    INVARIANT(check_level(STR_NULL, STR_NULL, (struct str){wide, line.n + 4}) == want);
    free(wide);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = {(const char *)data, size};
    struct str value = str_cut(&rest, '\0');
    struct label v = {STR("app"), value};
    struct labels l = {&v, 1};
    enum level alone = check_level(STR_NULL, STR_NULL, rest);

    check_blanks(rest, alone);
    if (check_level(value, STR_NULL, STR_NULL) != LEVEL_UNKNOWN)
        INVARIANT(check_level(value, STR_NULL, rest) == check_level(value, STR_NULL, STR_NULL));
    if (check_level(STR_NULL, value, STR_NULL) != LEVEL_UNKNOWN)
        INVARIANT(check_level(STR_NULL, value, rest) == check_level(STR_NULL, value, STR_NULL));
    INVARIANT(service_name(&l).n > 0);
    return 0;
}
