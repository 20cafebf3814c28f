# Drives `mirrord-trap --seqpacket`: argv[1] is the binary, argv[2] how many rounds. Ends with 0 when every message came
# through, whole and in order, and the program's exit codes are right.
import os, random, socket, struct, subprocess, sys, threading

binary, rounds = sys.argv[1], int(sys.argv[2])
name = b"\0bridge\xff\0%d" % os.getpid()
server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
server.bind(name)
server.listen(5)


def start(address):
    ours, theirs = socket.socketpair()
    number = theirs.fileno()

    def move():
        os.dup2(number, 3)
        os.set_inheritable(3, True)

    process = subprocess.Popen([binary, "--seqpacket", address], close_fds=False, preexec_fn=move)
    theirs.close()
    return ours, process


def exactly(stream, size):
    data = b""
    while len(data) < size:
        more = stream.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def connected():
    stream, process = start("@" + name[1:].hex())
    peer, _ = server.accept()
    assert exactly(stream, 4) == bytes(4)
    return stream, peer, process


def frame(message):
    return struct.pack("<I", len(message)) + message


def both_ways(seed):
    chance = random.Random(seed)
    sizes = [0, 1, 5, 4000, 65535, 65536, 120000, 200000]
    # An empty message directly before the end cannot be told from it.
    inward = [chance.randbytes(chance.choice(sizes)) for _ in range(200)] + [b"last"]
    outward = [chance.randbytes(chance.choice(sizes)) for _ in range(200)] + [b"last"]
    stream, peer, process = connected()
    failures = []

    def guarded(work):
        def run():
            try:
                work()
            except BaseException as error:
                failures.append(repr(error))

        return threading.Thread(target=run, daemon=True)

    def feed():
        for message in inward:
            data, at = frame(message), 0
            while at < len(data):
                piece = chance.choice([1, 3, 4, 100, 65536, 1 << 20])
                stream.sendall(data[at : at + piece])
                at += piece
        stream.shutdown(socket.SHUT_WR)

    def send():
        for message in outward:
            peer.send(message)
        peer.shutdown(socket.SHUT_WR)

    def receive():
        for message in inward:
            assert peer.recv(1 << 20) == message
        assert peer.recv(10) == b""

    def drain():
        for message in outward:
            assert exactly(stream, struct.unpack("<I", exactly(stream, 4))[0]) == message
        assert stream.recv(1) == b""

    threads = [guarded(work) for work in (feed, send, receive, drain)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "stuck"
    assert failures == [], failures
    assert process.wait() == 0


for seed in range(rounds):
    both_ways(seed)

stream, peer, process = connected()
stream.sendall(b"\xff" * 8)
assert process.wait() == 90, "a frame of impossible length: EMSGSIZE"
stream, peer, process = connected()
stream.sendall(struct.pack("<I", 9) + b"abc")
stream.shutdown(socket.SHUT_WR)
assert process.wait() == 71, "the end within a frame: EPROTO"
stream, peer, process = connected()
for _ in range(50):  # fits into the sockets' buffers: nobody reads yet
    stream.sendall(frame(b"q" * 1000))
stream.close()
for _ in range(50):
    assert peer.recv(2000) == b"q" * 1000
assert peer.recv(1) == b""
assert process.wait() == 0, "what was sent before the close is delivered"
stream, peer, process = connected()
peer.send(b"last words")
peer.close()
assert exactly(stream, 14) == frame(b"last words") and stream.recv(1) == b""
stream.sendall(frame(b"too late"))
assert process.wait() == 32, "EPIPE"
for address, errno in (("/nowhere", 2), ("@zz", 22), ("@" + "00" * 108, 22), ("/" + "x" * 200, 36)):
    stream, process = start(address)
    assert struct.unpack("<I", exactly(stream, 4))[0] == errno
    assert process.wait() == errno
