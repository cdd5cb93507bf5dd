/* base/conf_path.c - see conf_path.h. */
#include "base/conf_path.h"

struct str conf_path_component(const struct conf_option *o, struct str prefix)
{
    struct str rest = str_of(o->path);

    if (!str_starts(rest, prefix))
        return STR_NULL;
    rest = str_from(rest, prefix.n);
    return str_cut(&rest, '.');
}
