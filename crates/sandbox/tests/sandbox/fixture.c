// What the containers and instances of the tests run: one static program, one word for each thing to try.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

static int told(const char *what, long result) {
  if (result >= 0) printf("%s: ok\n", what);
  else printf("%s: %s\n", what, strerror(errno));
  fflush(stdout);
  return 0;
}

static void on_term(int signal) { (void)signal; _exit(3); }

static int cat(const char *path) {
  char buffer[65536];
  int fd = open(path, O_RDONLY);
  if (fd < 0) return told(path, -1);
  ssize_t got = read(fd, buffer, sizeof buffer);
  if (got < 0) return told(path, -1);
  if (write(1, buffer, got) < 0) return 1;
  return 0;
}

static int list(const char *path) {
  DIR *dir = opendir(path);
  if (!dir) return told(path, -1);
  for (struct dirent *entry; (entry = readdir(dir));) puts(entry->d_name);
  return 0;
}

static int eat(long megabytes) {
  for (long done = 0; done < megabytes; done++) memset(malloc(1 << 20), 1, 1 << 20);
  puts("full");
  return 0;
}

static int forks(int wanted) {
  int made = 0;
  for (; made < wanted; made++) {
    pid_t child = fork();
    if (child < 0) break;
    if (child == 0) { pause(); _exit(0); }
  }
  printf("forks: %d\n", made);
  return 0;
}

static int try(const char *what) {
  if (!strcmp(what, "mount")) return told(what, mount("none", "/tmp", "tmpfs", 0, NULL));
  if (!strcmp(what, "unshare")) return told(what, unshare(CLONE_NEWUSER));
  if (!strcmp(what, "keyctl")) return told(what, syscall(SYS_keyctl, 0, -3, 1));
  if (!strcmp(what, "ptrace")) return told(what, syscall(SYS_ptrace, 0, 0, 0, 0));
  if (!strcmp(what, "packet")) return told(what, socket(AF_PACKET, SOCK_RAW, 0));
  if (!strcmp(what, "setuid")) return told(what, setuid(0));
  if (!strcmp(what, "chroot")) return told(what, chroot("/"));
  if (!strcmp(what, "node")) {
    const char *path = "/dev/own-null";
    if (mknod(path, S_IFCHR | 0666, makedev(1, 3)) < 0) return told("mknod", -1);
    return told("open", open(path, O_RDONLY));
  }
  return 64;
}

static int connect_and_say(int port) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0) return told("connect", -1);
  return write(fd, "hello\n", 6) == 6 ? 0 : 1;
}

static int id(void) {
  gid_t groups[32];
  int count = getgroups(32, groups);
  printf("uid=%d gid=%d groups=", getuid(), getgid());
  for (int i = 0; i < count; i++) printf("%s%d", i ? "," : "", groups[i]);
  puts("");
  return 0;
}

static int terminal(void) {
  struct winsize size;
  char line[256];
  printf("terminal: %d\n", isatty(0) && isatty(1));
  fflush(stdout);
  if (!fgets(line, sizeof line, stdin)) return 1;
  ioctl(0, TIOCGWINSZ, &size);
  printf("size: %dx%d said: %s", size.ws_col, size.ws_row, line);
  return 5;
}

static int echo_input(void) {
  char line[4096];
  while (fgets(line, sizeof line, stdin)) fputs(line, stdout);
  return 0;
}

/* Sends back what comes in at one of the descriptors that it was handed through the other, and says which are open. */
static int handed(void) {
  char text[4096];
  ssize_t count = read(3, text, sizeof text);
  if (count < 0 || write(4, text, count) != count) return told("handed", -1);
  for (int fd = 0; fd < 64; fd++)
    if (fcntl(fd, F_GETFD) >= 0) printf("%d ", fd);
  puts("");
  return 0;
}

int main(int argc, char **argv) {
  const char *word = argc > 1 ? argv[1] : "say", *first = argc > 2 ? argv[2] : "";
  const char *second = argc > 3 ? argv[3] : "";
  if (!strcmp(word, "say")) { puts(first); return 0; }
  if (!strcmp(word, "both")) { puts("out"); fflush(stdout); fputs("err\nunfinished", stderr); return 0; }
  if (!strcmp(word, "exit")) return atoi(first);
  if (!strcmp(word, "serve")) { signal(SIGTERM, on_term); puts("serving"); fflush(stdout); for (;;) pause(); }
  if (!strcmp(word, "count")) { for (long i = 0;; i++) { printf("%ld\n", i); fflush(stdout); usleep(10000); } }
  if (!strcmp(word, "stubborn")) { signal(SIGTERM, SIG_IGN); puts("serving"); fflush(stdout); for (;;) pause(); }
  if (!strcmp(word, "eat")) return eat(atol(first));
  if (!strcmp(word, "forks")) return forks(atoi(first));
  if (!strcmp(word, "cat")) return cat(first);
  if (!strcmp(word, "list")) return list(first);
  if (!strcmp(word, "id")) return id();
  if (!strcmp(word, "try")) return try(first);
  if (!strcmp(word, "terminal")) return terminal();
  if (!strcmp(word, "echo")) return echo_input();
  if (!strcmp(word, "connect")) return connect_and_say(atoi(first));
  if (!strcmp(word, "handed")) return handed();
  if (!strcmp(word, "env")) { printf("%s\n", getenv(first) ? getenv(first) : "(none)"); return 0; }
  if (!strcmp(word, "cwd")) { puts(getcwd(NULL, 0)); return 0; }
  if (!strcmp(word, "host")) { char name[256]; gethostname(name, 256); puts(name); return 0; }
  if (!strcmp(word, "write")) {
    int fd = open(first, O_WRONLY | O_CREAT, 0644);
    if (fd < 0) return told("write", -1);
    return told("write", write(fd, second, strlen(second)));
  }
  return 64;
}
