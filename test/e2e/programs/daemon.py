# daemon.py PORT: ends at once and leaves a daemon, in a session of its own, that listens. (daemon(7))
import os
import signal
import socket
import sys

if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
os.chdir("/")
listener = socket.create_server(("", int(sys.argv[1])))
signal.pause()
