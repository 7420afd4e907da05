#!/usr/bin/env python3
"""greylist.py PORT RECIPIENT: a policy server for Postfix that puts RECIPIENT off at its first attempt."""
import socketserver
import sys

seen = set()


class Policy(socketserver.StreamRequestHandler):
    def handle(self):
        request = {}
        for line in self.rfile:
            name, _, value = line.decode().strip().partition("=")
            if name:
                request[name] = value
                continue
            attempt = (request.get("sender"), request.get("recipient"))
            grey = attempt[1] == sys.argv[2] and attempt not in seen
            seen.add(attempt)
            self.wfile.write(f"action={'451 4.7.1 Greylisted, come back later' if grey else 'DUNNO'}\n\n".encode())
            request = {}


socketserver.ThreadingTCPServer.daemon_threads = True
socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer(("127.0.0.1", int(sys.argv[1])), Policy).serve_forever()
