"""The matrix program in Python; README.md says what the steps do."""
import os
import signal
import socket
import subprocess
import sys
import threading


def address(text):
    host, port = text.rsplit(':', 1)
    return host.strip('[]'), int(port)


def tcp(text):
    with socket.create_connection(address(text), 20) as s:
        s.sendall(b'ping\n')
        return s.makefile().readline().strip()


def udp(text):
    info = socket.getaddrinfo(*address(text), type=socket.SOCK_DGRAM)[0]
    with socket.socket(info[0], socket.SOCK_DGRAM) as s:
        s.settimeout(10)
        s.connect(info[4])
        s.send(b'ping')
        return s.recv(100).decode()


def udpto(text):
    info = socket.getaddrinfo(*address(text), type=socket.SOCK_DGRAM)[0]
    with socket.socket(info[0], socket.SOCK_DGRAM) as s:
        s.settimeout(10)
        s.sendto(b'ping', info[4])
        data, source = s.recvfrom(100)
        return f'{data.decode()} from {source[0]}:{source[1]}'


def srv(name):
    with open('/etc/resolv.conf') as f:
        server = next(line.split()[1] for line in f if line.startswith('nameserver'))
    question = b'\x12\x34\x01\0\0\x01\0\0\0\0\0\0'
    for label in name.split('.'):
        question += bytes([len(label)]) + label.encode()
    question += b'\0\0\x21\0\x01'
    with socket.socket(socket.AF_INET6 if ':' in server else socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(10)
        s.sendto(question, (server, 53))
        answer, source = s.recvfrom(4096)
        if source != (server, 53):
            return f'from {source}'
    if answer[6:8] == b'\0\0':
        return 'no answer'
    at = len(question)
    while 0 < answer[at] < 0xC0:  # a name is labels up to an empty one, or up to a pointer of two bytes
        at += 1 + answer[at]
    at += 2 if answer[at] else 1
    return str(int.from_bytes(answer[at + 14:at + 16], 'big'))  # type, class, ttl, length, priority, weight, port


def read(path):
    with open(path) as f:
        return f.read().strip()


def stat(path):
    s = os.stat(path)
    return f'{s.st_size} {s.st_mode & 0o7777:o}'


def write(path):
    with open(path, 'w') as f:
        f.write(f'written by {NAME}\n')
    return read(path)


def serve(port):
    listener = socket.create_server(('', int(port)))
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())

    def loop():
        while True:
            s, peer = listener.accept()
            with s:
                s.recv(4096)
                body = f'{NAME} peer {peer[0]}'.encode()
                s.sendall(b'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s' % (len(body), body))

    threading.Thread(target=loop, daemon=True).start()
    while not ended.wait(0.2):
        pass
    return 'sigterm'


steps = {
    'tcp': tcp, 'tcp6': tcp, 'refused': tcp, 'unreachable': tcp, 'udp': udp, 'udpto': udpto,
    'dns': lambda name: socket.getaddrinfo(name, None, socket.AF_INET)[0][4][0],
    'srv': srv, 'read': read, 'missing': read, 'stat': stat,
    'list': lambda path: ','.join(sorted(os.listdir(path))),
    'write': write,
    'child': lambda path: subprocess.run(['cat', path], capture_output=True, text=True, check=True).stdout.strip(),
    'serve': serve,
}
NAME = 'Python'
for word in sys.argv[1:]:
    step, value = word.split('=', 1)
    if step == 'name':
        NAME = value
        continue
    try:
        result = steps[step](value)
    except Exception as error:  # every failure is a result here
        result = str(error)
    print(step, result, flush=True)
