#!/usr/bin/env python3
"""middleman.py PORT SERVER-PORT CERTIFICATE KEY: somebody in the middle who has the server's certificate.

Takes part in STARTTLS on both sides and passes on what is said, one connection after the other.
"""
import select
import socket
import ssl
import sys


def reply(lines):
    """One reply, whole."""
    whole = b""
    while True:
        line = lines.readline()
        whole += line
        if line[3:4] != b"-":
            return whole


def in_clear(client, server):
    """Commands and replies one by one, up to the reply to STARTTLS."""
    commands, replies = client.makefile("rb", 0), server.makefile("rb", 0)
    client.sendall(reply(replies))
    command = b""
    while command.strip().upper() != b"STARTTLS":
        command = commands.readline()
        if not command:
            raise ConnectionError("the client went away")
        server.sendall(command)
        client.sendall(reply(replies))


def pass_on(client, server):
    """Until one of the two is done."""
    other = {client: server, server: client}
    while True:
        ready = [side for side in other if side.pending()] or select.select(list(other), [], [], 60)[0]
        for side in ready:
            data = received(side)
            if data == b"":
                return
            if data:
                other[side].sendall(data)


def received(side):
    """None when what came was TLS's own affair, like a session ticket."""
    side.setblocking(False)
    try:
        return side.recv(65536)
    except ssl.SSLWantReadError:
        return None
    finally:
        side.settimeout(60)


def main():
    port, server_port, certificate, key = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
    mine = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    mine.load_cert_chain(certificate, key)
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    theirs.check_hostname, theirs.verify_mode = False, ssl.CERT_NONE
    listener = socket.create_server(("127.0.0.1", port))
    while True:
        client = listener.accept()[0]
        try:
            with socket.create_connection(("127.0.0.1", server_port), 60) as server:
                in_clear(client, server)
                with theirs.wrap_socket(server) as server, mine.wrap_socket(client, server_side=True) as client:
                    pass_on(client, server)
        except OSError as error:
            print(f"middleman: {error}", file=sys.stderr, flush=True)
        finally:
            client.close()


main()
