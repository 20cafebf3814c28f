# A SOCK_SEQPACKET server. Its argument is a path, or @ and the hexadecimal digits of an abstract name. Every message is
# answered: `burst` with 500 numbered ones, `big` with 150,000 bytes, `bye` by closing, others by themselves. The end of
# the peer's side is answered with `you ended`.
import socket, sys, threading

address = sys.argv[1]
server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
server.bind(b"\0" + bytes.fromhex(address[1:]) if address.startswith("@") else address)
server.listen(64)
print("listening", flush=True)


def serve(connection):
    with connection:
        while True:
            message = connection.recv(1 << 20)
            if not message:
                connection.send(b"you ended")
                return
            if message == b"bye":
                return
            if message == b"big":
                connection.send(b"b" * 150000)
            elif message == b"burst":
                for number in range(500):
                    connection.send(b"%d" % number * 100)
            elif message == b"nothing":
                connection.send(b"")
                connection.send(b"something")
            else:
                connection.send(message)


while True:
    connection, _ = server.accept()
    threading.Thread(target=serve, args=(connection,), daemon=True).start()
