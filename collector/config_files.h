/*
 * collector/config_files.h - the files that a configuration names.
 *
 * They are opened by a process that opens nothing but what is named (policy.h), and by plain names
 * alone; of a name that is not it could only say that it may not.
 */
#ifndef LOGQ_COLLECTOR_CONFIG_FILES_H
#define LOGQ_COLLECTOR_CONFIG_FILES_H

#include "collector/config_check.h"

/* By their names alone, as they stand in the file. */
void config_files_check_names(const struct config_check *k, const struct config *c);
/* Can those of TLS be opened?  Only by who has the rights to; names are absolute. */
void config_files_check(const struct config_check *k, const struct config *c);

#endif
