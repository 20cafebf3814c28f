/* datagram.c - a msghdr of the program: header, vector, data, name and control copied once; we act on the copy. */
#include "trap.h"

#define DATA_LIMIT (1u << 20)

/* 0, or -errno; -E2BIG: beyond what we copy, so the kernel shall do it. */
ssize_t datagram_load(pid_t tid, uint64_t at, struct datagram *m, bool with_data) {
    ssize_t k;
    m->data = NULL;
    m->length = 0;
    m->name_length = 0;
    if ((k = mem_read(tid, at, &m->user, sizeof m->user)) < 0) return k;
    if (m->user.msg_iovlen > 64 || m->user.msg_controllen > sizeof m->control) return -E2BIG;
    if ((k = mem_read(tid, (uint64_t)m->user.msg_iov, m->iov, m->user.msg_iovlen * sizeof m->iov[0])) < 0) return k;
    for (size_t i = 0; i < m->user.msg_iovlen; i++) {
        if (m->iov[i].iov_len > DATA_LIMIT || (m->length += m->iov[i].iov_len) > DATA_LIMIT) return -E2BIG;
    }
    if (!(m->data = malloc(m->length + 1))) abort();
    if (!with_data) return 0;
    size_t done = 0;
    for (size_t i = 0; i < m->user.msg_iovlen; done += m->iov[i++].iov_len)
        if ((k = mem_read(tid, (uint64_t)m->iov[i].iov_base, m->data + done, m->iov[i].iov_len)) < 0) goto failed;
    if (m->user.msg_name && m->user.msg_namelen <= sizeof m->name) {
        if ((k = mem_read(tid, (uint64_t)m->user.msg_name, &m->name, m->user.msg_namelen)) < 0) goto failed;
        m->name_length = m->user.msg_namelen;
    }
    if ((k = mem_read(tid, (uint64_t)m->user.msg_control, m->control, m->user.msg_controllen)) < 0) goto failed;
    return 0;
failed:
    datagram_free(m);
    return k;
}
void datagram_free(struct datagram *m) {
    free(m->data);
    m->data = NULL;
}
