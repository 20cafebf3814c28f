# stubborn.py PORT: listens, and ignores every signal that asks it to end.
import signal
import socket
import sys
import threading

for asking in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
    signal.signal(asking, signal.SIG_IGN)
listener = socket.create_server(("", int(sys.argv[1])))
threading.Event().wait()
