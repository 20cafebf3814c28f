"""Runs a command on a terminal of its own, as its foreground process group; relays both ways. Exits as the command did."""
import os, pty, sys

sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])) & 0xFF)
