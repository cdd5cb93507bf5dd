/* collector/config_forward.h - does an input's part about fluent clients make sense? */
#ifndef LOGQ_COLLECTOR_CONFIG_FORWARD_H
#define LOGQ_COLLECTOR_CONFIG_FORWARD_H

#include "collector/config.h"

/* Call `complain` for each mistake, with the option it is in; fill in what follows from the rest.
 * Of inputs of other types: that they have no such part. */
typedef void config_forward_fn(void *arg, const char *option, const char *text);
void config_forward_check(struct config_source *s, config_forward_fn *complain, void *arg);

#endif
