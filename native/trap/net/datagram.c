/* datagram.c - a msghdr of the program: header, vector, data, name and control copied once; we act on the copy. */
#include "trap.h"

/* The data of the message that is being handled, of which there is never more than one. */
static uint8_t data[DATAGRAM_LIMIT + 1];

/* 0, or -errno. `sending`: name, control and data are read too. */
ssize_t datagram_load(pid_t tid, uint64_t at, struct datagram *m, bool sending) {
    ssize_t k;
    m->data = data;
    m->length = m->count = m->control_length = m->name_length = 0;
    if ((k = mem_read(tid, at, &m->user, sizeof m->user)) < 0) return k;
    if (m->user.msg_name && (int)m->user.msg_namelen < 0) return -EINVAL;
    if (m->user.msg_iovlen > IOV_LIMIT) return -EMSGSIZE;
    if ((k = mem_read(tid, (uint64_t)m->user.msg_iov, m->iov, m->user.msg_iovlen * sizeof m->iov[0])) < 0) return k;
    for (; m->count < m->user.msg_iovlen && m->length < DATAGRAM_LIMIT; m->count++) {
        size_t left = DATAGRAM_LIMIT - m->length, n = m->iov[m->count].iov_len;
        if ((ssize_t)n < 0) return -EINVAL;
        if (n > left && sending) return -EMSGSIZE;
        m->length += m->iov[m->count].iov_len = n < left ? n : left; /* no datagram is longer, so nothing is cut off */
    }
    m->control_length = m->user.msg_controllen;
    if (m->control_length > sizeof m->control) { /* much more than there are options */
        if (sending) return -ENOBUFS;
        m->control_length = sizeof m->control;
    }
    if (!sending) return 0;
    if ((k = datagram_copy_in(tid, m)) < 0) return k;
    if (m->user.msg_name) {
        m->name_length = m->user.msg_namelen < sizeof m->name ? m->user.msg_namelen : sizeof m->name;
        if ((k = mem_read(tid, (uint64_t)m->user.msg_name, &m->name, m->name_length)) < 0) return k;
    }
    return mem_read(tid, (uint64_t)m->user.msg_control, m->control, m->control_length);
}
ssize_t datagram_copy_in(pid_t tid, const struct datagram *m) {
    ssize_t k = 0;
    for (size_t i = 0, done = 0; i < m->count && k >= 0; done += m->iov[i++].iov_len)
        k = mem_read(tid, (uint64_t)m->iov[i].iov_base, m->data + done, m->iov[i].iov_len);
    return k < 0 ? k : 0;
}
ssize_t datagram_copy_out(pid_t tid, const struct datagram *m, size_t n) {
    ssize_t k = 0;
    for (size_t i = 0, done = 0; i < m->count && done < n && k >= 0; done += m->iov[i++].iov_len)
        k = mem_write(tid, (uint64_t)m->iov[i].iov_base, m->data + done, m->iov[i].iov_len < n - done ? m->iov[i].iov_len : n - done);
    return k < 0 ? k : 0;
}
/* A message of one buffer, as sendto and recvfrom have it. -EMSGSIZE: more than a datagram holds. */
ssize_t datagram_flat(struct datagram *m, uint64_t at, uint64_t length, bool sending) {
    memset(&m->user, 0, sizeof m->user);
    if (length > DATAGRAM_LIMIT && sending) return -EMSGSIZE;
    m->data = data;
    m->length = length < DATAGRAM_LIMIT ? length : DATAGRAM_LIMIT;
    m->iov[0] = (struct iovec){(void *)at, m->length};
    m->count = 1;
    m->control_length = m->name_length = 0;
    return 0;
}
