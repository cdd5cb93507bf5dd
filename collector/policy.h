/*
 * collector/policy.h - which names the process with rights opens for the one without.
 *
 * The worker may be the attacker's: it parses what containers write.  So it is given what the
 * configuration sends it to, and no more:
 *
 *   - a log: a name that a glob matches and `exclude` does not, or what rotation makes of it in its
 * directory (siblings.h);
 *   - what runtimes keep beside logs and in their own directories (oci.h), by a fixed list of names
 *     (never hostconfig.json);
 *   - directories on the way of a glob, to be listed;
 *   - the files of certificates, and of the token for Kubernetes.
 *
 * And the owner of a container's directory may be an attacker too, who has a link where the log
 * should be.  So what was opened is looked at once more, by where it really is.  A link in the
 * glob's fixed part must stand in a directory that only root (or we) can write: then it is the
 * administrator's, and may lead anywhere.  A link below it must stand in such a directory, too, and
 * lead to a log of another glob or of `privileges.follow_into`.
 */
#ifndef LOGQ_COLLECTOR_POLICY_H
#define LOGQ_COLLECTOR_POLICY_H

#include "collector/opener.h"
#include "collector/source.h"

struct policy;

struct policy *policy_new(void);
void policy_free(struct policy **pp);

/* What `set` and its configuration ask for, added to what was there: a file of an older
 * configuration is read to its end.  Texts are copied. */
void policy_add(struct policy *p, const struct source_set *set);

/* By name, before anything is touched.  `path` must be absolute, without . and .. in it. */
bool policy_may_open(const struct policy *p, enum opener_kind kind, const char *path);
bool policy_may_list(const struct policy *p, const char *dir);
bool policy_may_stat(const struct policy *p, const char *path);

/* What was asked for as `path` turned out to be `real` (of /proc/self/fd): may it be passed on? */
bool policy_may_pass(const struct policy *p, enum opener_kind kind, const char *path,
                     const char *real);
/* And a directory that may be listed. */
bool policy_may_pass_dir(const struct policy *p, const char *dir, const char *real);

#endif
