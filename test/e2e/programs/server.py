# server.py PORT NAME: see server.mjs. Sockets alone, so that every system call is Python's own.
import os
import socket
import sys

port, who = int(sys.argv[1]), sys.argv[2]


def quote(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def read_all(connection):
    data = b""
    while True:
        chunk = connection.recv(65536)
        if not chunk:
            return data
        data += chunk


def ask(host):
    found = sorted({entry[4][0] for entry in socket.getaddrinfo(host, 80, socket.AF_INET, socket.SOCK_STREAM)})
    with socket.create_connection((host, 80), timeout=5) as connection:
        connection.sendall(f"GET / HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
        answer = read_all(connection).split(b"\r\n\r\n", 1)[1].decode()
    addresses = ",".join(quote(address) for address in found)
    return f'{{"who":{quote(who)},"addresses":[{addresses}],"answer":{quote(answer)}}}'


def serve(connection, peer):
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = connection.recv(65536)
        if not chunk:
            return
        data += chunk
    head, body = data.split(b"\r\n\r\n", 1)
    lines = head.decode().split("\r\n")
    sizes = [line.split(":")[1] for line in lines if line.lower().startswith("content-length:")]
    size = int(sizes[0]) if sizes else 0
    while len(body) < size:
        body += connection.recv(65536)
    words = lines[0].split(" ")[1].split("/")
    if words[1] == "exit":
        os._exit(int(words[2]))
    if words[1] == "ask":
        try:
            text = ask(words[2])
        except OSError as error:
            text = f'{{"who":{quote(who)},"error":{quote(str(error))}}}'
    else:
        variable = os.environ.get("FROM_POD", "")
        text = f'{{"who":{quote(who)},"fromPod":{quote(variable)},"peer":{quote(peer)},"bytes":{size}}}'
    connection.sendall(f"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode())


listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("0.0.0.0", port))
listener.listen(64)
print(f"{who} listens on {port}", flush=True)
while True:
    client, address = listener.accept()
    with client:
        serve(client, address[0])
