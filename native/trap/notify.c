/* notify.c - receiving and answering notifications. ENOENT (the caller left meanwhile) is normal everywhere. */
#include "trap.h"
#include <sys/ioctl.h>

int listener_fd = -1;
bool killable;

/* Call it when the listener is readable: the ioctl itself waits whatever O_NONBLOCK says. */
bool notif_receive(notif *n) {
    memset(n, 0, sizeof *n); /* the kernel insists on zeroes */
    return ioctl(listener_fd, SECCOMP_IOCTL_NOTIF_RECV, n) == 0;
}
bool notif_valid(const notif *n) {
    uint64_t id = n->id;
    return ioctl(listener_fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}
/* false: the caller had gone. */
static bool answer(struct seccomp_notif_resp *r) {
    if (ioctl(listener_fd, SECCOMP_IOCTL_NOTIF_SEND, r) == 0) return true;
    if (errno != ENOENT && errno != EINPROGRESS) warn("a system call could not be answered: %s", strerror(errno));
    return false;
}
bool answer_value(const notif *n, int64_t value) {
    struct seccomp_notif_resp r = {.id = n->id, .val = value};
    return answer(&r);
}
bool answer_error(const notif *n, int error) {
    struct seccomp_notif_resp r = {.id = n->id, .error = -error};
    return answer(&r);
}
void answer_result(const notif *n, int64_t result) {
    if (result < 0) answer_error(n, (int)-result);
    else answer_value(n, result);
}
void answer_continue(const notif *n) {
    struct seccomp_notif_resp r = {.id = n->id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
    answer(&r);
}
/* Answers the call with a new descriptor (ADDFD and SEND in one, kernel 5.14). After -EMFILE or -EBADF the call is
 * still to be answered. */
int inject(const notif *n, int fd, bool cloexec, int at) {
    struct seccomp_notif_addfd a = {
        .id = n->id, .srcfd = (uint32_t)fd, .flags = SECCOMP_ADDFD_FLAG_SEND, .newfd_flags = cloexec ? O_CLOEXEC : 0};
    if (at >= 0) a.flags |= SECCOMP_ADDFD_FLAG_SETFD, a.newfd = (uint32_t)at;
    int r = ioctl(listener_fd, SECCOMP_IOCTL_NOTIF_ADDFD, &a);
    return r < 0 ? -errno : r;
}
/* A descriptor for a call that goes on (kernel 5.9). The number, or -errno. */
int inject_only(const notif *n, int fd, bool cloexec) {
    struct seccomp_notif_addfd a = {.id = n->id, .srcfd = (uint32_t)fd, .newfd_flags = cloexec ? O_CLOEXEC : 0};
    int r = ioctl(listener_fd, SECCOMP_IOCTL_NOTIF_ADDFD, &a);
    return r < 0 ? -errno : r;
}
