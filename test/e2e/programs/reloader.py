# reloader.py PORT FILE: a development server with a reloader. The parent binds the socket; a worker that inherits it listens
# and answers with the text of FILE as it was at its start. When FILE changes, another worker takes over. Ends on SIGTERM.
import json
import multiprocessing
import os
import signal
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer


def serve(listener, file):
    body = json.dumps({"who": open(file).read(), "worker": os.getpid()}).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = HTTPServer(listener.getsockname(), Handler, bind_and_activate=False)
    server.socket = listener
    listener.listen()
    server.serve_forever()


if __name__ == "__main__":
    file = sys.argv[2]
    context = multiprocessing.get_context("spawn")
    listener = socket.socket()
    # No SO_REUSEADDR: with it the port can be bound beside another test's program that does not listen yet, and listen fails.
    listener.bind(("", int(sys.argv[1])))
    end = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: end.set())
    while not end.is_set():
        seen = os.stat(file).st_mtime_ns
        worker = context.Process(target=serve, args=(listener, file))
        worker.start()
        while not end.wait(0.1) and os.stat(file).st_mtime_ns == seen:
            pass
        worker.terminate()
        worker.join()
