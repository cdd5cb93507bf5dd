/* collector/config_journal.c - contract: config_journal.h. */
#include "collector/config_journal.h"

#include "collector/journal_reader.h"
#include "collector/modules.h"

void config_journal_check(const struct config_source *s, config_journal_fn *complain, void *arg)
{
    if (s->type != CONFIG_JOURNALD) {
        if (s->directory.n + s->matches.n > 0)
            complain(arg, "type", "directory and matches are for type journald");
        return;
    }
    if (!modules_is_there(JOURNAL_MODULE_FILE))
        complain(arg, "type",
                 "the journal needs a module, " JOURNAL_MODULE_FILE ", which is not there");
    if (s->directory.n > 0 && s->directory.p[0] != '/')
        complain(arg, "directory", "a path must begin with /");
    if (s->paths.n != 0)
        complain(arg, "paths", "the journal is in a directory");
    for (size_t m = 0; m < s->matches.n; m++)
        if (!journal_reader_is_match(s->matches.v[m]))
            complain(arg, "matches", "a match is FIELD=value");
}
