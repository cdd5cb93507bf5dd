/*
 * collector/config_check.h - do the options make sense together?
 *
 * Each mistake is told with the line and column of the option that it is in, by the name of which a
 * reader finds it.  Any thread.
 */
#ifndef LOGQ_COLLECTOR_CONFIG_CHECK_H
#define LOGQ_COLLECTOR_CONFIG_CHECK_H

#include "collector/config.h"

/* Where mistakes are told.  All borrowed. */
struct config_check {
    const char *file;
    struct str text;
    struct conf_errors *errors;
    struct arena *a; /* of the texts */
};

/* Tell one, unless the option `path` has no value, for that was told. */
void config_check_complain(const struct config_check *k, const char *path, const char *message);

/* All but the next; also fills in what follows from the rest, as the names of rules.  Looks at
 * nothing but `c`, of which some options may have no value (conf_is_wrong). */
void config_check(const struct config_check *k, struct config *c);
/* Does no input read what we write to state_dir (which is absolute by now, if it has a value)? */
void config_check_own(const struct config_check *k, const struct config *c);

#endif
