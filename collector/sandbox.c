/*
 * collector/sandbox.c - contract: sandbox.h.
 *
 * The filter of system calls is written by hand, two instructions for each name, because a library
 * for it would be larger than the program it guards.  Sanitizers call more than we do: they get
 * more, and under ThreadSanitizer there is no filter at all.
 *
 * A call that the worker needs and nobody put on its list fails with EPERM, which may look like
 * anything: `strace -f -e status=failed -p <parent>` shows it.
 */
#include "collector/sandbox.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#endif
#endif
#ifndef UNDER_TSAN
#define UNDER_TSAN 0
#endif
#if defined(__SANITIZE_ADDRESS__)
#define UNDER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UNDER_ASAN 1
#endif
#endif
#ifndef UNDER_ASAN
#define UNDER_ASAN 0
#endif

/* ---- who we are ---- */

/* A number needs no entry in any list: images have none for a user of our own. */
static bool find_number(const char *name, struct sandbox_user *ret)
{
    char text[4096];
    struct passwd entry, *found = NULL;
    uint64_t uid;

    if (!str_to_u64(str_of(name), &uid) || uid >= UINT32_MAX)
        return false;
    *ret = (struct sandbox_user){(uid_t)uid, (gid_t)uid};
    if (getpwuid_r((uid_t)uid, &entry, text, sizeof(text), &found) == 0 && found != NULL)
        ret->gid = found->pw_gid;
    return true;
}

bool sandbox_find_user(const char *name, struct sandbox_user *ret)
{
    char text[4096];
    struct passwd entry, *found = NULL;

    if (find_number(name, ret))
        return true;
    *ret = (struct sandbox_user){SANDBOX_NOBODY, SANDBOX_NOBODY};
    if (getpwnam_r(name, &entry, text, sizeof(text), &found) != 0 || found == NULL)
        return false;
    *ret = (struct sandbox_user){found->pw_uid, found->pw_gid};
    return true;
}

bool sandbox_find_group(const char *name, gid_t *ret)
{
    char text[4096];
    struct group entry, *found = NULL;
    struct sandbox_user number;

    if (find_number(name, &number)) {
        *ret = number.uid;
        return true;
    }
    if (getgrnam_r(name, &entry, text, sizeof(text), &found) != 0 || found == NULL)
        return false;
    *ret = found->gr_gid;
    return true;
}

/* Is `id` one of those that /proc/self/uid_map, gid_map speak of? */
static bool is_mapped(const char *map, unsigned long id)
{
    struct buf text;
    struct str rest;
    struct err err;
    bool found = false;

    buf_init(&text, 1 << 16);
    if (file_read(AT_FDCWD, map, &text, &err) < 0)
        found = true; /* no namespaces */
    rest = buf_str(&text);
    while (!found && rest.n > 0) {
        struct str line = str_cut(&rest, '\n');
        char z[128], *end;
        unsigned long first, count;
        first = strtoul(str_to_z(line, z, sizeof(z)), &end, 10);
        (void)strtoul(end, &end, 10);
        count = strtoul(end, &end, 10);
        found = id >= first && id - first < count;
    }
    buf_fini(&text);
    return found;
}

bool sandbox_may_become(const struct sandbox_user *u)
{
    uint64_t need = SANDBOX_CAP(CAP_SETUID) | SANDBOX_CAP(CAP_SETGID) | SANDBOX_CAP(CAP_CHOWN);

    return (sandbox_caps() & need) == need && is_mapped("/proc/self/uid_map", u->uid) &&
           is_mapped("/proc/self/gid_map", u->gid);
}

static int get_caps(struct __user_cap_data_struct caps[2])
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};

    memset(caps, 0, 2 * sizeof(caps[0]));
    return (int)syscall(SYS_capget, &head, caps);
}

uint64_t sandbox_caps(void)
{
    struct __user_cap_data_struct caps[2];

    return get_caps(caps) < 0 ? 0 : (uint64_t)caps[1].effective << 32 | caps[0].effective;
}

static int keep_caps(uint64_t keep, struct err *err)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct caps[2];

    if (get_caps(caps) < 0)
        return err_sys(err, "capabilities");
    for (unsigned i = 0; i < 2; i++) {
        caps[i].permitted &= (uint32_t)(keep >> (32 * i));
        caps[i].effective = caps[i].permitted;
        caps[i].inheritable = 0;
    }
    if (syscall(SYS_capset, &head, caps) < 0)
        return err_sys(err, "give up capabilities");
    return 0;
}

static int become(const struct sandbox_user *u, struct err *err)
{
    if (setgroups(0, NULL) < 0 || setresgid(u->gid, u->gid, u->gid) < 0 ||
        setresuid(u->uid, u->uid, u->uid) < 0) {
        (void)err_sys(err, "become user %u", (unsigned)u->uid);
        err->code = ERR_DENIED;
        return ERR_DENIED;
    }
    return 0;
}

int sandbox_drop(const struct sandbox_user *u, uint64_t caps, struct err *err)
{
    int r = 0;

    for (unsigned long c = 0; c < 64; c++)
        (void)prctl(PR_CAPBSET_DROP, c, 0, 0, 0); /* needs a right that not everybody has */
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (u != NULL && u->uid != geteuid()) {
        if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
            return err_sys(err, "keep capabilities");
        r = become(u, err);
    }
    if (r == 0)
        r = keep_caps(caps, err);
    if (r == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        r = err_sys(err, "no new privileges");
    if (r == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        r = err_sys(err, "be no business of debuggers");
    return r;
}

int sandbox_die_with(pid_t parent, struct err *err)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
        return err_sys(err, "die with the parent");
    return getppid() == parent ? 0 : err_set(err, ERR_GONE, "the parent is dead");
}

/* ---- system calls ---- */

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#endif

/* What has no business in any of our processes. */
static const int DEADLY[] = {
    SYS_execve,
    SYS_execveat,
    SYS_bpf,
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_init_module,
    SYS_add_key,
    SYS_finit_module,
    SYS_delete_module,
    SYS_keyctl,
    SYS_request_key,
    SYS_unshare,
    SYS_setns,
    SYS_kexec_load,
    SYS_chroot,
    SYS_swapon,
    SYS_swapoff,
    SYS_reboot,
    SYS_perf_event_open,
    SYS_userfaultfd,
    SYS_personality,
    SYS_acct,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_io_uring_setup,
    SYS_open_by_handle_at,
    SYS_settimeofday,
    SYS_clock_settime,
#if !UNDER_ASAN
    SYS_ptrace,
#endif
};

static const int EVERYBODY[] = {
    SYS_read,         SYS_write,       SYS_readv,           SYS_writev,       SYS_close,
    SYS_sendto,       SYS_recvfrom,    SYS_sendmsg,         SYS_recvmsg,      SYS_shutdown,
    SYS_connect,      SYS_getsockopt,  SYS_setsockopt,      SYS_ppoll,        SYS_mmap,
    SYS_munmap,       SYS_mremap,      SYS_mprotect,        SYS_madvise,      SYS_brk,
    SYS_futex,        SYS_exit,        SYS_exit_group,      SYS_rt_sigaction, SYS_rt_sigprocmask,
    SYS_rt_sigreturn, SYS_sigaltstack, SYS_getpid,          SYS_gettid,       SYS_clock_gettime,
    SYS_gettimeofday, SYS_getrandom,   SYS_restart_syscall, SYS_sched_yield,  SYS_fstat,
#ifdef SYS_poll
    SYS_poll,
#endif
#ifdef SYS_time
    SYS_time,
#endif
};

static const int WORKER[] = {
    /* files by descriptor, and below the state directory */
    SYS_pread64,
    SYS_pwrite64,
    SYS_preadv,
    SYS_pwritev,
    SYS_lseek,
    SYS_openat,
    SYS_newfstatat,
    SYS_statx,
    SYS_faccessat,
    SYS_readlinkat,
    SYS_unlinkat,
    SYS_renameat,
    SYS_renameat2,
    SYS_linkat,
    SYS_mkdirat,
    SYS_ftruncate,
    SYS_fallocate,
    SYS_fsync,
    SYS_fdatasync,
    SYS_flock,
    SYS_getdents64,
    SYS_fstatfs,
    SYS_statfs,
    SYS_fadvise64,
    SYS_sync_file_range,
    SYS_fchmod,
    SYS_dup,
    SYS_dup3,
    SYS_umask,
    SYS_inotify_rm_watch,
    /* the loop */
    SYS_pipe2,
    SYS_eventfd2,
    SYS_epoll_create1,
    SYS_epoll_ctl,
    SYS_epoll_pwait,
    SYS_pselect6,
    SYS_nanosleep,
    SYS_clock_nanosleep,
    SYS_clock_getres,
    /* the network */
    SYS_bind,
    SYS_listen,
    SYS_accept,
    SYS_accept4,
    SYS_getsockname,
    SYS_getpeername,
    SYS_sendmmsg,
    SYS_recvmmsg,
    /* threads, and who we are */
    SYS_set_robust_list,
    SYS_sched_getaffinity,
    SYS_membarrier,
    SYS_getppid,
    SYS_getuid,
    SYS_geteuid,
    SYS_getgid,
    SYS_getegid,
    SYS_getrusage,
    SYS_sysinfo,
    SYS_uname,
    SYS_getcwd,
#ifdef SYS_rseq
    SYS_rseq,
#endif
#ifdef SYS_faccessat2
    SYS_faccessat2,
#endif
#ifdef SYS_epoll_pwait2
    SYS_epoll_pwait2,
#endif
#ifdef SYS_epoll_wait /* architectures that still have the old names */
    SYS_epoll_wait,
    SYS_open,
    SYS_stat,
    SYS_lstat,
    SYS_access,
    SYS_readlink,
    SYS_unlink,
    SYS_rename,
    SYS_mkdir,
    SYS_dup2,
    SYS_pipe,
    SYS_select,
    SYS_getrlimit,
    SYS_rmdir,
#endif
};

static const int JOURNAL[] = {
    /* finding and mapping files, and watching directories */
    SYS_openat,
    SYS_pread64,
    SYS_lseek,
    SYS_newfstatat,
    SYS_statx,
    SYS_faccessat,
    SYS_readlinkat,
    SYS_getdents64,
    SYS_fstatfs,
    SYS_statfs,
    SYS_fadvise64,
    SYS_dup,
    SYS_dup3,
    SYS_inotify_init1,
    SYS_inotify_add_watch,
    SYS_inotify_rm_watch,
    /* who we are */
    SYS_set_robust_list,
    SYS_sched_getaffinity,
    SYS_getppid,
    SYS_getuid,
    SYS_geteuid,
    SYS_getgid,
    SYS_getegid,
    SYS_sysinfo,
    SYS_uname,
    SYS_clock_nanosleep,
#ifdef SYS_rseq
    SYS_rseq,
#endif
#ifdef SYS_faccessat2
    SYS_faccessat2,
#endif
#ifdef SYS_open /* architectures that still have the old names */
    SYS_open,
    SYS_stat,
    SYS_lstat,
    SYS_access,
    SYS_readlink,
    SYS_inotify_init,
    SYS_getrlimit,
#endif
};

/* What a sanitizer does when it reports and when the program ends. */
static const int SANITIZER[] = {
    SYS_ptrace,
    SYS_clone,
    SYS_wait4,
    SYS_prctl,
    SYS_kill,
    SYS_tkill,
    SYS_sched_getaffinity,
    SYS_getdents64,
    SYS_openat,
    SYS_getrusage,
    SYS_rt_sigtimedwait,
    SYS_newfstatat,
    SYS_getppid,
    SYS_lseek,
    SYS_set_robust_list,
    SYS_getuid,
    SYS_nanosleep,
    SYS_mincore,
    SYS_sched_setaffinity,
#ifdef SYS_readlink
    SYS_readlink,
    SYS_open,
    SYS_stat,
    SYS_pipe,
    SYS_dup2,
    SYS_getdents,
#endif
};

enum { PROGRAM_MAX = 1024 };
struct program {
    struct sock_filter v[PROGRAM_MAX];
    unsigned short n;
};

static void put(struct program *p, struct sock_filter f)
{
    if (p->n < PROGRAM_MAX)
        p->v[p->n++] = f;
}

static void load(struct program *p, size_t offset)
{
    put(p, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset));
}

/* What is loaded equals `value`: the end, with `verdict`. */
static void verdict_if(struct program *p, uint32_t value, uint32_t verdict)
{
    put(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1));
    put(p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, verdict));
}

static void verdict_each(struct program *p, const int *numbers, size_t n, uint32_t verdict)
{
    for (size_t i = 0; i < n; i++)
        verdict_if(p, (uint32_t)numbers[i], verdict);
}

/* System call `number` is allowed when the lower half of argument `arg` is one of `values`. */
static void allow_argument(struct program *p, int number, unsigned arg, const uint32_t *values,
                           size_t n)
{
    size_t skip = 2 + 2 * n;

    put(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0,
                                        (uint8_t)skip));
    load(p, offsetof(struct seccomp_data, args) + arg * sizeof(uint64_t));
    for (size_t i = 0; i < n; i++)
        verdict_if(p, values[i], SECCOMP_RET_ALLOW);
    put(p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM));
}

/* And it is refused when that is one of `values`, allowed with any other. */
static void refuse_argument(struct program *p, int number, unsigned arg, const uint32_t *values,
                            size_t n)
{
    size_t skip = 2 + 2 * n;

    put(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0,
                                        (uint8_t)skip));
    load(p, offsetof(struct seccomp_data, args) + arg * sizeof(uint64_t));
    for (size_t i = 0; i < n; i++)
        verdict_if(p, values[i], SECCOMP_RET_ERRNO | EPERM);
    put(p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
}

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* What reaches other processes of the same user, the parent among them: signals, also those that a
 * descriptor sends by itself, and limits.  For ourselves only. */
static void allow_on_ourselves(struct program *p)
{
    static const uint32_t OWNERS[] = {F_SETOWN, F_SETOWN_EX, F_SETSIG};
    uint32_t self[] = {0, (uint32_t)getpid()};

    refuse_argument(p, SYS_fcntl, 1, OWNERS, COUNT(OWNERS));
    allow_argument(p, SYS_tgkill, 0, self + 1, 1);
    allow_argument(p, SYS_prlimit64, 0, self, COUNT(self));
}

/* A thread, not a process; and by the call whose flags can be looked at. */
static void allow_threads(struct program *p)
{
    put(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 4));
    load(p, offsetof(struct seccomp_data, args));
    put(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 0, 1));
    put(p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    put(p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM));
#ifdef SYS_clone3
    verdict_if(p, SYS_clone3, SECCOMP_RET_ERRNO | ENOSYS);
#endif
}

static void allow_lists(struct program *p, enum sandbox_profile profile)
{
    static const uint32_t UNIX[] = {AF_UNIX};
    static const uint32_t NETWORK[] = {AF_INET, AF_INET6, AF_NETLINK};
    static const uint32_t REQUESTS[] = {FIONBIO, FIONREAD, FIOCLEX, FIONCLEX, TCGETS};

    verdict_each(p, EVERYBODY, COUNT(EVERYBODY), SECCOMP_RET_ALLOW);
    allow_on_ourselves(p);
    if (UNDER_ASAN)
        verdict_each(p, SANITIZER, COUNT(SANITIZER), SECCOMP_RET_ALLOW);
    if (profile == SANDBOX_GATE) {
        allow_argument(p, SYS_socket, 0, UNIX, COUNT(UNIX));
        allow_argument(p, SYS_socketpair, 0, UNIX, COUNT(UNIX));
        return;
    }
    if (profile == SANDBOX_JOURNAL) {
        verdict_each(p, JOURNAL, COUNT(JOURNAL), SECCOMP_RET_ALLOW);
        return;
    }
    verdict_each(p, WORKER, COUNT(WORKER), SECCOMP_RET_ALLOW);
    allow_argument(p, SYS_socket, 0, NETWORK, COUNT(NETWORK));
    allow_argument(p, SYS_ioctl, 1, REQUESTS, COUNT(REQUESTS));
    allow_threads(p);
}

#ifdef ARCH
static void assemble(struct program *p, enum sandbox_profile profile)
{
    load(p, offsetof(struct seccomp_data, arch));
    put(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0));
    put(p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
    load(p, offsetof(struct seccomp_data, nr));
#if defined(__x86_64__) /* the same numbers with this bit are another table */
    put(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1));
    put(p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
#endif
    verdict_each(p, DEADLY, COUNT(DEADLY), SECCOMP_RET_KILL_PROCESS);
    if (profile == SANDBOX_FILES) {
        put(p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
        return;
    }
    allow_lists(p, profile);
    put(p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM));
}
#endif

int sandbox_syscalls(enum sandbox_profile profile, struct err *err)
{
#ifdef ARCH
    struct program *p;
    struct sock_fprog f;
    int r;

    if (UNDER_TSAN)
        return err_set(err, ERR_UNSUPPORTED, "no filter of system calls under ThreadSanitizer");
    p = mem_new(sizeof(*p));
    assemble(p, profile);
    f = (struct sock_fprog){.len = p->n, .filter = p->v};
    r = prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &f, 0, 0) < 0 ? errno : 0;
    free(p);
    errno = r;
    if (r == EINVAL || r == ENOSYS)
        return err_set(err, ERR_UNSUPPORTED, "the kernel has no filter of system calls");
    return r == 0 ? 0 : err_sys(err, "filter system calls");
#else
    (void)profile;
    return err_set(err, ERR_UNSUPPORTED, "no filter of system calls for this processor");
#endif
}

/* ---- files ---- */

#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ULL << 13)
#endif
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif

enum { LANDLOCK_FIRST = 1, LANDLOCK_WITH_REFER = 2, LANDLOCK_WITH_TRUNCATE = 3 };

static int allow_below(int rules, int fd, uint64_t access)
{
    struct landlock_path_beneath_attr below = {.allowed_access = access, .parent_fd = fd};

    return (int)syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &below, 0);
}

static void allow_reading(int rules, const char *path)
{
    int fd = open(path, O_PATH | O_CLOEXEC);
    struct stat st;
    uint64_t access = LANDLOCK_ACCESS_FS_READ_FILE;

    if (fd < 0)
        return; /* what is not there need not be read */
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
        access |= LANDLOCK_ACCESS_FS_READ_DIR;
    (void)allow_below(rules, fd, access);
    (void)close(fd);
}

/* From now on: `own` (unless it is negative) for everything, `some` and `more` for reading. */
static int restrict_files(int own, const char *const *some, size_t n, const char *const *more,
                          size_t n_more, struct err *err)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    struct landlock_ruleset_attr all = {.handled_access_fs =
                                            (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1};
    int rules, r = 0;

    if (abi < LANDLOCK_FIRST)
        return err_set(err, ERR_UNSUPPORTED, "the kernel has no Landlock");
    if (abi >= LANDLOCK_WITH_REFER)
        all.handled_access_fs |= LANDLOCK_ACCESS_FS_REFER;
    if (abi >= LANDLOCK_WITH_TRUNCATE)
        all.handled_access_fs |= LANDLOCK_ACCESS_FS_TRUNCATE;
    rules = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof(all), 0);
    if (rules < 0)
        return err_sys(err, "Landlock");
    if (own >= 0)
        r = allow_below(rules, own, all.handled_access_fs & ~(uint64_t)LANDLOCK_ACCESS_FS_EXECUTE);
    for (size_t i = 0; i < n; i++)
        allow_reading(rules, some[i]);
    for (size_t i = 0; i < n_more; i++)
        allow_reading(rules, more[i]);
    if (r == 0)
        r = (int)syscall(SYS_landlock_restrict_self, rules, 0);
    r = r < 0 ? err_sys(err, "Landlock") : 0;
    (void)close(rules);
    return r;
}

int sandbox_files(int state_fd, struct err *err)
{
    /* names and addresses, libraries of the resolver, certificates of the system, time zones */
    static const char *const READ[] = {"/etc",
                                       "/usr",
                                       "/lib",
                                       "/lib64",
                                       "/run/systemd/resolve",
                                       "/dev/urandom",
                                       "/dev/null",
                                       UNDER_ASAN ? "/proc" : "/etc"};

    return restrict_files(state_fd, READ, COUNT(READ), NULL, 0, err);
}

int sandbox_reading(const char *const *paths, size_t n, struct err *err)
{
    /* libraries may be loaded as late as they are needed; whose journal is this host's */
    static const char *const READ[] = {"/usr",
                                       "/lib",
                                       "/lib64",
                                       "/etc/ld.so.cache",
                                       "/etc/machine-id",
                                       UNDER_ASAN ? "/proc" : "/usr"};

    return restrict_files(-1, READ, COUNT(READ), paths, n, err);
}
