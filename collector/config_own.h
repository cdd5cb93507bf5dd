/*
 * collector/config_own.h - does an input read what we write ourselves?
 *
 * A notice about what was read would be read, and told of, and so on.
 */
#ifndef LOGQ_COLLECTOR_CONFIG_OWN_H
#define LOGQ_COLLECTOR_CONFIG_OWN_H

#include "collector/config.h"

#include <stdbool.h>

/* Do the globs of `s` match a file that is written to state_dir, by that name or by the one that
 * its links lead to?  Any thread; looks at the directory's links. */
bool config_own_is_read(const struct config_source *s, const char *state_dir);

#endif
