/* collector/config_journal.h - does an input's part about the journal make sense? */
#ifndef LOGQ_COLLECTOR_CONFIG_JOURNAL_H
#define LOGQ_COLLECTOR_CONFIG_JOURNAL_H

#include "collector/config.h"

/* Call `complain` for each mistake, with the option it is in.  Of inputs of other types: that they
 * have no such part. */
typedef void config_journal_fn(void *arg, const char *option, const char *text);
void config_journal_check(const struct config_source *s, config_journal_fn *complain, void *arg);

#endif
