/* base/conf_path.h - the dotted paths of options.  For conf.c and conf_print.c only. */
#ifndef LOGQ_BASE_CONF_PATH_H
#define LOGQ_BASE_CONF_PATH_H

#include "base/conf.h"

/* What stands in the option's path behind `prefix` ("" or "http."), up to the next dot: "listen".
 * STR_NULL when the path begins otherwise.  A view of the path. */
struct str conf_path_component(const struct conf_option *o, struct str prefix);

#endif
