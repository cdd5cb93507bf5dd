/*
 * collector/modules.h - shared objects that are loaded only when a configuration asks for what they
 * can do: they bring libraries that no other collector should carry.
 *
 * A module is looked for beside the program, where it was built, and where it is installed.
 */
#ifndef LOGQ_COLLECTOR_MODULES_H
#define LOGQ_COLLECTOR_MODULES_H

#include "base/err.h"

#include <stdbool.h>

/* Is `file` there?  Nothing is loaded. */
bool modules_is_there(const char *file);

/* Load it for good, and find `symbol` in it.  ERR_UNSUPPORTED: it cannot be. */
int modules_load(const char *file, const char *symbol, const void **ret, struct err *err);

#endif
