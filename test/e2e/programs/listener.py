# listener.py PORT: answers the lines of the first connection that has any in upper case. "close" closes the listening
# socket, "exit" ends. (The pod's probes connect too, and say nothing.)
import socket
import sys

listener = socket.create_server(("", int(sys.argv[1])))
print("listening", flush=True)
lines = b""
while not lines:
    connection, _ = listener.accept()
    stream = connection.makefile("rb")
    lines = stream.peek(1)
for line in stream:
    if line == b"close\n":
        listener.close()
    connection.sendall(line.upper())
    if line == b"exit\n":
        sys.exit(0)
