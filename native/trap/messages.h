/* messages.h - numbers of the messages; src/trap/wire.ts describes every field, a unit test compares the two. */
#ifndef MESSAGES_H
#define MESSAGES_H
#define WIRE_VERSION 1
#define FRAME_LIMIT (16u << 20)
enum message {
    MSG_HELLO = 1,
    MSG_CONNECT_ANSWER = 2,
    MSG_LISTEN_ANSWER = 3,
    MSG_PEER = 4,
    MSG_PEER_GONE = 5,
    MSG_SIGNAL_TREE = 6,
    MSG_KILL_TREE = 7,
    MSG_STARTED = 64,
    MSG_FAILED = 65,
    MSG_CONNECT = 66,
    MSG_CONNECT_HURRY = 67,
    MSG_CONNECT_GONE = 68,
    MSG_CONNECTED = 69,
    MSG_LISTEN = 70,
    MSG_LISTENER_CLOSED = 71,
    MSG_EXITED = 72,
    MSG_TREE_EMPTY = 73,
    MSG_WARNING = 74,
    MSG_FATAL = 75,
};
enum hello_flag { FLAG_NEW_SESSION = 1, FLAG_INCOMING = 2, FLAG_TCP = 4, FLAG_UDP = 8, FLAG_INTERCEPT = 16 };
enum connect_flag { CONNECT_UDP = 1, CONNECT_UNCONNECTED = 2, CONNECT_NONBLOCKING = 4, CONNECT_RELAY_IPV6 = 8 };
enum outcome { OUTCOME_RELAY = 0, OUTCOME_ERRNO = 1, OUTCOME_DIRECT = 2 };
#endif
