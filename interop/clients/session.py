#!/usr/bin/env python3
"""session.py PORT HOW FILE RECIPIENT...: one message over a bare socket, each reply checked.

HOW is data, bdat (chunks of 1 MiB), bytewise (the whole session one byte at a time), utf8 (SMTPUTF8 and BODY=8BITMIME),
or held (the envelope and half the content; the rest once a line comes on standard input).
"""
import socket
import sys


class Session:
    """One connection to the server."""

    def __init__(self, port, bytewise=False):
        self.socket = socket.create_connection(("127.0.0.1", port), 60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.replies = self.socket.makefile("rb")
        self.bytewise = bytewise

    def send(self, data):
        if self.bytewise:
            for number in range(len(data)):
                self.socket.sendall(data[number:number + 1])
        else:
            self.socket.sendall(data)

    def expect(self, code):
        while True:
            line = self.replies.readline().decode()
            if line[3:4] != "-":
                break
        if not line.startswith(code):
            sys.exit(f"expected {code}, got {line.strip() or 'the end of the connection'}")
        return line.strip()

    def command(self, line, code):
        self.send(line.encode() + b"\r\n")
        return self.expect(code)


def stuffed(content):
    """The content as DATA carries it, with its last line."""
    content = content.replace(b"\r\n.", b"\r\n..")
    return (b"." if content.startswith(b".") else b"") + content + b".\r\n"


def main():
    port, how, name, recipients = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:]
    with open(name, "rb") as file:
        content = file.read()
    session = Session(port, how == "bytewise")
    session.expect("220")
    session.command("EHLO client.example", "250")
    if how == "utf8":
        session.command("MAIL FROM:<änn@example.org> SMTPUTF8 BODY=8BITMIME", "250")
    else:
        session.command(f"MAIL FROM:<ann@example.org> SIZE={len(content)}", "250")
    for recipient in recipients:
        session.command(f"RCPT TO:<{recipient}>", "250")
    if how == "bdat":
        for at in range(0, len(content), 1 << 20):
            chunk = content[at:at + (1 << 20)]
            last = " LAST" if at + len(chunk) == len(content) else ""
            session.send(f"BDAT {len(chunk)}{last}\r\n".encode() + chunk)
            session.expect("250")
    else:
        session.command("DATA", "354")
        data = stuffed(content)
        if how == "held":
            session.send(data[:len(data) // 2])
            print("held", flush=True)
            sys.stdin.readline()
            session.send(data[len(data) // 2:])
        else:
            session.send(data)
        print(session.expect("250"), flush=True)
    if how != "held":
        session.command("QUIT", "221")


if __name__ == "__main__":
    main()
