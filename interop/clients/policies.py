#!/usr/bin/env python3
"""policies.py ADDRESS CERTIFICATE KEY DIR: answers HTTPS questions for the MTA-STS policy of a domain with the file of its name in DIR."""
import http.server
import ssl
import sys
from pathlib import Path


def main():
    address, certificate, key, directory = sys.argv[1:]

    class Policies(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            file = Path(directory) / self.headers["Host"].split(":")[0].removeprefix("mta-sts.")
            if self.path != "/.well-known/mta-sts.txt" or not file.is_file():
                self.send_error(404)
                return
            text = file.read_bytes()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

    server = http.server.ThreadingHTTPServer((address, 443), Policies)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


main()
