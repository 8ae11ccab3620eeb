/* A hostile function for `provided.al2023`: each event names one thing to try, the answer says how it ended: "ok", or the
 * name of the error. It asks for nothing that it could get by asking nicely; tests/test_isolation.py holds what each of
 * these must end with. Static, no library but the C one. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char said[65536];

static const char *by_errno(long result) {
    return result < 0 ? strerrorname_np(errno) : "ok";
}

static const char *call(long number, long a, long b, long c, long d, long e) {
    return by_errno(syscall(number, a, b, c, d, e));
}

static const char *opened(const char *path, int flags) {
    int fd = open(path, flags | O_CLOEXEC, 0644);
    if (fd < 0) return strerrorname_np(errno);
    close(fd);
    return "ok";
}

static const char *written(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return strerrorname_np(errno);
    ssize_t done = write(fd, text, strlen(text));
    const char *how = done < 0 ? strerrorname_np(errno) : "ok";
    close(fd);
    return how;
}

static const char *made_socket(int domain, int type, int protocol) {
    int fd = socket(domain, type, protocol);
    if (fd < 0) return strerrorname_np(errno);
    close(fd);
    return "ok";
}

/* Connects by TCP within two seconds. The address is ADDRESS:PORT. */
static const char *connected(const char *address) {
    char host[64];
    const char *colon = strchr(address, ':');
    if (!colon || colon - address >= (long)sizeof host) return "bad address";
    memcpy(host, address, colon - address);
    host[colon - address] = 0;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(colon + 1))};
    if (inet_pton(AF_INET, host, &to.sin_addr) != 1) return "bad address";
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval wait = {.tv_sec = 2};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    int result = connect(fd, (struct sockaddr *)&to, sizeof to);
    const char *how = by_errno(result);
    close(fd);
    return how;
}

/* Numbers of processes that /proc shows. */
static const char *processes(void) {
    static char text[32];
    int count = 0;
    DIR *proc = opendir("/proc");
    for (struct dirent *entry; proc && (entry = readdir(proc));) count += atoi(entry->d_name) > 0;
    if (proc) closedir(proc);
    snprintf(text, sizeof text, "%d", count);
    return text;
}

static const char *fork_bomb(void) {
    static char text[64];
    static pid_t born[20000];
    int count = 0;
    const char *end = "no limit";
    while (count < 20000) {
        pid_t child = fork();
        if (child < 0) {
            end = strerrorname_np(errno);
            break;
        }
        if (child == 0) {
            pause();
            _exit(0);
        }
        born[count++] = child;
    }
    for (int i = 0; i < count; i++) kill(born[i], SIGKILL);
    for (int i = 0; i < count; i++) waitpid(born[i], NULL, 0);
    snprintf(text, sizeof text, "%s after %d", end, count);
    return text;
}

static const char *descriptors(void) {
    static char text[64];
    static int open_now[70000];
    int count = 0;
    const char *end = "no limit";
    while (count < 70000) {
        int fd = dup(1);
        if (fd < 0) {
            end = strerrorname_np(errno);
            break;
        }
        open_now[count++] = fd;
    }
    for (int i = 0; i < count; i++) close(open_now[i]);
    snprintf(text, sizeof text, "%s after %d", end, count);
    return text;
}

static const char *inodes(void) {
    static char text[64];
    char path[64];
    int count = 0;
    const char *end = "no limit";
    mkdir("/tmp/many", 0755);
    for (; count < 3000000; count++) {
        snprintf(path, sizeof path, "/tmp/many/%d", count);
        int fd = open(path, O_CREAT | O_WRONLY, 0644);
        if (fd < 0) {
            end = strerrorname_np(errno);
            break;
        }
        close(fd);
    }
    for (int i = 0; i < count; i++) {
        snprintf(path, sizeof path, "/tmp/many/%d", i);
        unlink(path);
    }
    rmdir("/tmp/many");
    snprintf(text, sizeof text, "%s after %d", end, count);
    return text;
}

static const char *fill_tmp(void) {
    static char text[64];
    static char block[1 << 20];
    memset(block, 'x', sizeof block);
    int fd = open("/tmp/full", O_CREAT | O_WRONLY | O_TRUNC, 0644), count = 0;
    const char *end = "no limit";
    for (; fd >= 0 && count < 20000; count++) {
        if (write(fd, block, sizeof block) < 0) {
            end = strerrorname_np(errno);
            break;
        }
    }
    close(fd);
    unlink("/tmp/full");
    snprintf(text, sizeof text, "%s after %d MB", end, count);
    return text;
}

static const char *eat_memory(void) {
    for (int i = 0; i < 20000; i++) {
        char *block = malloc(1 << 20);
        if (!block) return "ENOMEM";
        memset(block, 1, 1 << 20);
    }
    return "no limit";
}

static const char *kill_everybody(const char *pid) {
    return by_errno(kill(atoi(pid), SIGKILL));
}

static const char *linked(const char *target) {
    unlink("/tmp/link");
    if (symlink(target, "/tmp/link") < 0) return strerrorname_np(errno);
    return opened("/tmp/link", O_RDONLY);
}

static const char *set_user_id_program(void) {
    /* A program with the set-user-id bit, owned by whoever this is, cannot make it root; and root's own cannot be made. */
    int fd = open("/tmp/suid", O_CREAT | O_WRONLY, 0755);
    if (fd < 0) return strerrorname_np(errno);
    close(fd);
    if (chown("/tmp/suid", 0, 0) < 0) return strerrorname_np(errno);
    return "ok";
}

static const char *environment_of(const char *pid) {
    char path[600];
    snprintf(path, sizeof path, "/proc/%s/environ", pid);
    return opened(path, O_RDONLY);
}

static const char *status_line(const char *key) {
    static char line[256];
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file))
        if (!strncmp(line, key, strlen(key)) && line[strlen(key)] == ':') {
            fclose(file);
            char *value = line + strlen(key) + 1;
            while (*value == '\t' || *value == ' ') value++;
            value[strcspn(value, "\n")] = 0;
            return value;
        }
    if (file) fclose(file);
    return "none";
}

/* Writes what it was told into /tmp, or says what is there: does the next instance see it? */
static const char *tmp_mark(const char *text) {
    static char found[256];
    int fd = open("/tmp/mark", O_RDONLY);
    if (fd >= 0) {
        ssize_t length = read(fd, found, sizeof found - 1);
        close(fd);
        found[length < 0 ? 0 : length] = 0;
        return found;
    }
    fd = open("/tmp/mark", O_CREAT | O_WRONLY, 0644);
    if (fd < 0 || write(fd, text, strlen(text)) < 0) return strerrorname_np(errno);
    close(fd);
    return "written";
}

static const char *attempt(const char *what, const char *with) {
#define IS(name) (!strcmp(what, name))
    struct { unsigned long flags[11]; } clone_args = {{CLONE_NEWNS}};
    char byte = 0;
    struct iovec here = {&byte, 1}, there = {(void *)0x1000, 1};
    struct timespec now = {0};
    struct timeval then = {0};
    if (IS("open-read")) return opened(with, O_RDONLY);
    if (IS("open-write")) return opened(with, O_WRONLY | O_CREAT);
    if (IS("write")) return written(with, "1");
    if (IS("oom-score")) return written("/proc/self/oom_score_adj", "-1000");
    if (IS("mount-tmpfs")) return by_errno(mount("x", "/tmp", "tmpfs", 0, NULL));
    if (IS("mount-bind")) return by_errno(mount("/", "/tmp", NULL, MS_BIND, NULL));
    if (IS("mount-proc")) return by_errno(mount("proc", "/tmp", "proc", 0, NULL));
    if (IS("remount-root")) return by_errno(mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL));
    if (IS("umount-proc")) return by_errno(umount2("/proc/kcore", MNT_DETACH));
    if (IS("pivot-root")) return call(SYS_pivot_root, (long)"/tmp", (long)"/tmp", 0, 0, 0);
    if (IS("chroot")) return by_errno(chroot("/tmp"));
    if (IS("fsopen")) return call(SYS_fsopen, (long)"tmpfs", 0, 0, 0, 0);
    if (IS("open-tree")) return call(SYS_open_tree, AT_FDCWD, (long)"/", 1, 0, 0);
    if (IS("move-mount")) return call(SYS_move_mount, AT_FDCWD, (long)"/proc", AT_FDCWD, (long)"/tmp", 0);
    if (IS("unshare-user")) return by_errno(unshare(CLONE_NEWUSER));
    if (IS("unshare-net")) return by_errno(unshare(CLONE_NEWNET));
    if (IS("clone-user")) {
        long child = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
        if (child == 0) _exit(0);
        return by_errno(child);
    }
    if (IS("clone3-mount")) return call(SYS_clone3, (long)&clone_args, sizeof clone_args, 0, 0, 0);
    if (IS("setns")) {
        int fd = open("/proc/self/ns/net", O_RDONLY);
        return by_errno(setns(fd, 0));
    }
    if (IS("setuid-root")) return call(SYS_setuid, 0, 0, 0, 0, 0);
    if (IS("setgroups")) return call(SYS_setgroups, 0, 0, 0, 0, 0);
    if (IS("set-user-id-program")) return set_user_id_program();
    if (IS("capset")) {
        struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
        struct __user_cap_data_struct all[2] = {{~0u, ~0u, ~0u}, {~0u, ~0u, ~0u}};
        return call(SYS_capset, (long)&head, (long)all, 0, 0, 0);
    }
    if (IS("allow-new-privileges")) return by_errno(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
    if (IS("ptrace-init")) return by_errno(ptrace(PTRACE_ATTACH, getppid() ? getppid() : 1, 0, 0));
    if (IS("read-memory")) return by_errno(process_vm_readv(getppid() ? getppid() : 1, &here, 1, &there, 1, 0));
    if (IS("pidfd-getfd")) return call(SYS_pidfd_getfd, syscall(SYS_pidfd_open, 1, 0), 0, 0, 0, 0);
    if (IS("kcmp")) return call(SYS_kcmp, 1, 1, 0, 0, 0);
    if (IS("add-key")) return call(SYS_add_key, (long)"user", (long)"k", (long)"v", 1, -3);
    if (IS("keyctl")) return call(SYS_keyctl, 0, -3, 0, 0, 0);
    if (IS("request-key")) return call(SYS_request_key, (long)"user", (long)"k", 0, -3, 0);
    if (IS("raw-socket")) return made_socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
    if (IS("packet-socket")) return made_socket(AF_PACKET, SOCK_RAW, 0);
    if (IS("vsock")) return made_socket(AF_VSOCK, SOCK_STREAM, 0);
    if (IS("kernel-crypto")) return made_socket(AF_ALG, SOCK_SEQPACKET, 0);
    if (IS("bpf")) return call(SYS_bpf, 0, 0, 0, 0, 0);
    if (IS("perf")) return call(SYS_perf_event_open, 0, 0, -1, -1, 0);
    if (IS("userfaultfd")) return call(SYS_userfaultfd, 0, 0, 0, 0, 0);
    if (IS("io-uring")) return call(SYS_io_uring_setup, 8, (long)said, 0, 0, 0);
    if (IS("load-module")) return call(SYS_init_module, 0, 0, (long)"", 0, 0);
    if (IS("kexec")) return call(SYS_kexec_load, 0, 0, 0, 0, 0);
    if (IS("reboot")) return call(SYS_reboot, 0xfee1dead, 672274793, 0x01234567, 0, 0);
    if (IS("swapon")) return call(SYS_swapon, (long)"/tmp/x", 0, 0, 0, 0);
    if (IS("acct")) return call(SYS_acct, 0, 0, 0, 0, 0);
    if (IS("syslog")) return call(SYS_syslog, 3, (long)said, 64, 0, 0);
    if (IS("set-clock")) return call(SYS_clock_settime, CLOCK_REALTIME, (long)&now, 0, 0, 0);
    if (IS("set-time-of-day")) return by_errno(settimeofday(&then, NULL));
    if (IS("set-host-name")) return by_errno(sethostname("x", 1));
#ifdef SYS_iopl
    if (IS("iopl")) return call(SYS_iopl, 3, 0, 0, 0, 0);
#endif
    if (IS("personality")) return call(SYS_personality, 0x0040000, 0, 0, 0, 0);
    if (IS("open-by-handle")) return call(SYS_open_by_handle_at, AT_FDCWD, (long)said, 0, 0, 0);
    if (IS("fanotify")) return call(SYS_fanotify_init, 0, 0, 0, 0, 0);
    if (IS("quota")) return call(SYS_quotactl, 0, 0, 0, 0, 0);
    if (IS("device-node")) return by_errno(mknod("/tmp/null", S_IFCHR | 0666, makedev(1, 3)));
    if (IS("raise-descriptors")) {
        struct rlimit more = {1 << 20, 1 << 20};
        return by_errno(setrlimit(RLIMIT_NOFILE, &more));
    }
    if (IS("nicer")) return by_errno(setpriority(PRIO_PROCESS, 0, -10));
    if (IS("real-time")) {
        struct sched_param first = {.sched_priority = 1};
        return by_errno(sched_setscheduler(0, SCHED_FIFO, &first));
    }
    if (IS("lock-memory")) return by_errno(mlockall(MCL_CURRENT | MCL_FUTURE));
    if (IS("push-terminal")) return by_errno(ioctl(0, 0x5412, "x"));
    if (IS("connect")) return connected(with);
    if (IS("processes")) return processes();
    if (IS("fork-bomb")) return fork_bomb();
    if (IS("descriptors")) return descriptors();
    if (IS("inodes")) return inodes();
    if (IS("fill-tmp")) return fill_tmp();
    if (IS("eat-memory")) return eat_memory();
    if (IS("kill")) return kill_everybody(with);
    if (IS("link")) return linked(with);
    if (IS("environment-of")) return environment_of(with);
    if (IS("status")) return status_line(with);
    if (IS("tmp-mark")) return tmp_mark(with);
    return "unknown attempt";
}

/* One request on the kept connection; returns the body within `said`, and the request id if there is one. */
static char *request(int api, const char *text, char *id) {
    if (write(api, text, strlen(text)) < 0) exit(2);
    size_t have = 0, length = 0;
    char *body = NULL;
    while (!body || have < (size_t)(body - said) + length) {
        ssize_t got = read(api, said + have, sizeof said - 1 - have);
        if (got <= 0) exit(3);
        have += got;
        said[have] = 0;
        if (!body && (body = strstr(said, "\r\n\r\n"))) {
            body += 4;
            char *size = strcasestr(said, "content-length:");
            length = size ? strtoul(size + 15, NULL, 10) : 0;
            char *found = strcasestr(said, "lambda-runtime-aws-request-id:");
            if (id && found) sscanf(found + 30, " %63[^\r\n]", id);
        }
    }
    return body;
}

/* The value of a string member; the events of the test hold no escapes. */
static void member(const char *body, const char *name, char *value, size_t size) {
    char key[64];
    snprintf(key, sizeof key, "\"%s\"", name);
    const char *at = strstr(body, key);
    value[0] = 0;
    if (!at || !(at = strchr(at + strlen(key), '"'))) return;
    size_t length = strcspn(++at, "\"");
    if (length >= size) length = size - 1;
    memcpy(value, at, length);
    value[length] = 0;
}

int main(void) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9001)};
    const char *where = getenv("AWS_LAMBDA_RUNTIME_API");
    if (where && strchr(where, ':')) to.sin_port = htons(atoi(strchr(where, ':') + 1));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int api = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(api, (struct sockaddr *)&to, sizeof to) < 0) return 1;
    for (;;) {
        char id[64] = "", what[64], with[512], text[1024], answer[512];
        char *event = request(api, "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n", id);
        member(event, "try", what, sizeof what);
        member(event, "with", with, sizeof with);
        snprintf(answer, sizeof answer, "\"%s\"", attempt(what, with));
        snprintf(text, sizeof text,
                 "POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n%s", id,
                 strlen(answer), answer);
        request(api, text, NULL);
    }
}
