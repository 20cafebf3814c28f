# prefork.py PORT: two forked workers share the listening socket. Each answers one request and ends; the parent, which closed
# the socket, stays until SIGTERM. (The pod's probes connect too, and ask nothing.)
import json
import os
import signal
import socket
import sys

listener = socket.create_server(("", int(sys.argv[1])))
for _ in range(2):
    if os.fork() == 0:
        request = b""
        while not request:
            connection, _ = listener.accept()
            request = connection.recv(4096)
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + json.dumps({"who": f"worker {os.getpid()}"}).encode())
        os._exit(0)
listener.close()
os.wait()
os.wait()
print("no worker is left", flush=True)
signal.sigwait([signal.SIGTERM])
