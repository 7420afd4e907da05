#!/usr/bin/env python3
"""lab.py PORT DIR: next hops that misbehave, each at an address of its own (127.0.1.1 and so on) and the same port.

Writes DIR/zone for dns.py: NAME.example for each host. For each message that a host took, DIR/taken gets a line:
host, sender, recipient, SHA-256 of the content (16 digits), "tls" or "clear", number of the connection to that host. DIR/seen gets one for each command that a host read:
host, number of the connection, command. DIR/good.crt, DIR/expired.crt and their keys are for those that offer STARTTLS.
"""
import hashlib
import socket
import ssl
import sys
import threading
import time

PORT, DIR = int(sys.argv[1]), sys.argv[2]
LOCK = threading.Lock()


def note(file, *words):
    with LOCK, open(f"{DIR}/{file}", "a") as lines:
        print(*words, file=lines, flush=True)


class Host:
    """One that behaves. The others change what differs; a method that returns None closes the connection without a word."""
    certificate = None
    offers = ["PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES"]

    def __init__(self):
        self.connections, self.attempts = 0, {}

    @property
    def name(self):
        return type(self).__name__.lower()

    def times(self, key):
        """How often this was asked for before."""
        with LOCK:
            self.attempts[key] = self.attempts.get(key, 0) + 1
            return self.attempts[key] - 1

    def greeting(self, session):
        return "220 lab ESMTP"

    def mail(self, session):
        return "250 2.1.0 Ok"

    def rcpt(self, session, recipient):
        return "250 2.1.5 Ok"

    def data(self, session):
        return "354 Go ahead"

    def content(self, session):
        return "250 2.0.0 Taken"

    def after(self, session):
        """A message was answered."""

    def starttls(self, session):
        return "220 2.0.0 Ready"


class Session:
    """One connection to a host."""

    def __init__(self, host, stream):
        self.host, self.stream, self.tls = host, stream, "clear"
        with LOCK:
            host.connections += 1
            self.number = host.connections
        self.clear()

    def clear(self):
        self.sender, self.recipients, self.body = None, [], b""

    def say(self, text):
        if text is None:
            raise ConnectionError("closed on purpose")
        self.stream.sendall(text.replace("\n", "\r\n").encode() + b"\r\n")

    def run(self):
        self.say(self.host.greeting(self))
        self.lines = self.stream.makefile("rb")
        while line := self.lines.readline():
            command = line.decode().strip()
            note("seen", self.host.name, self.number, command)
            verb = command.upper().split(":")[0]
            if verb == "QUIT":
                self.say("221 2.0.0 Bye")
                return
            self.obey(verb, command)

    def obey(self, verb, command):
        if verb.startswith("EHLO"):
            offers = self.host.offers + (["STARTTLS"] if self.host.certificate and self.tls == "clear" else [])
            self.say("\n".join(f"250-{offer}" for offer in ["lab"] + offers[:-1]) + f"\n250 {offers[-1]}")
        elif verb == "STARTTLS":
            self.secure()
        elif verb == "MAIL FROM":
            self.clear()
            self.sender = command.split("<")[1].split(">")[0]
            self.say(self.host.mail(self))
        elif verb == "RCPT TO":
            recipient = command.split("<")[1].split(">")[0]
            reply = self.host.rcpt(self, recipient)
            if reply and reply.startswith("250"):
                self.recipients.append(recipient)
            self.say(reply)
        elif verb == "DATA":
            self.take()
        else:
            self.clear()
            self.say("250 2.0.0 Ok")

    def take(self):
        if not self.recipients:
            self.say("554 5.5.1 No valid recipients")
            return
        reply = self.host.data(self)
        self.say(reply)
        if not reply.startswith("354"):
            return
        while (line := self.lines.readline()) != b".\r\n":
            if not line:
                raise ConnectionError("the client left in the middle of the content")
            self.body += line[1:] if line.startswith(b".") else line
        note("seen", self.host.name, self.number, ".")
        reply = self.host.content(self)
        if reply and reply.startswith("250"):
            digest = hashlib.sha256(self.body[self.body.index(b"From: "):]).hexdigest()[:16]
            for recipient in self.recipients:
                note("taken", self.host.name, self.sender or "<>", recipient, digest, self.tls, self.number)
        self.clear()
        self.say(reply)
        self.host.after(self)

    def secure(self):
        reply = self.host.starttls(self)
        self.say(reply)
        if reply.startswith("220"):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(f"{DIR}/{self.host.certificate}.crt", f"{DIR}/{self.host.certificate}.key")
            self.stream = context.wrap_socket(self.stream, server_side=True)
            self.lines, self.tls = self.stream.makefile("rb"), "tls"


class Good(Host):
    """For the domains that end up at a host which behaves."""


class Grey(Host):
    def rcpt(self, session, recipient):
        return "450 4.7.1 Greylisted" if self.times(recipient) == 0 else "250 2.1.5 Ok"


class OneBad(Host):
    def rcpt(self, session, recipient):
        return "550 5.1.1 No such user" if recipient.startswith("bad@") else "250 2.1.5 Ok"


class DropDot(Host):
    """The first time it takes the content and says nothing."""

    def content(self, session):
        return None if self.times("content") == 0 else "250 2.0.0 Taken"


class Slow(Host):
    def greeting(self, session):
        time.sleep(6)
        return "220 at last"


class BadTls(Host):
    """Offers STARTTLS, and then sends something else."""
    certificate = "good"

    def starttls(self, session):
        session.say("220 2.0.0 Ready")
        session.stream.sendall(b"this is no handshake\r\n" * 10)


class NoTls(Host):
    """Offers STARTTLS, and then cannot."""
    certificate = "good"

    def starttls(self, session):
        return "454 4.7.0 TLS is not available"


class Tls(Host):
    certificate = "good"


class Expired(Host):
    certificate = "expired"


class Busy(Host):
    """Two messages for each connection."""

    def mail(self, session):
        session.mails = getattr(session, "mails", 0) + 1
        if session.mails > 2:
            session.say("421 4.7.0 Enough for now")
            return None
        return "250 2.1.0 Ok"


class Twice(Host):
    """Says everything about a recipient twice, so that who counts replies takes one for another; and refuses the content."""

    def rcpt(self, session, recipient):
        return "250 2.1.5 Ok\n250 2.1.5 Ok"

    def data(self, session):
        return "354 Go ahead"

    def content(self, session):
        return "554 5.6.0 Refused"


class Ahead(Host):
    """Says that it took the message before it has come, and then refuses it."""

    def data(self, session):
        return "354 Go ahead\n250 2.0.0 Taken"

    def content(self, session):
        return "554 5.6.0 Refused"


class Rude(Host):
    """Will not speak today."""

    def greeting(self, session):
        session.say("554 5.7.1 Not today")
        return None


class Refuses(Host):
    def content(self, session):
        return "554 5.6.0 Content refused"


class Unwell(Host):
    """Puts the content off twice."""

    def content(self, session):
        return "451 4.3.0 Disk full" if self.times("content") < 2 else "250 2.0.0 Taken"


class Odd(Host):
    """Replies of many lines, without text, and long ones."""

    def mail(self, session):
        return "\n".join("250-" + "x" * 500 for _ in range(20)) + "\n250 "

    def rcpt(self, session, recipient):
        return "250"


class Shut(Host):
    """Closes at RCPT, once."""

    def rcpt(self, session, recipient):
        return None if self.times("rcpt") == 0 else "250 2.1.5 Ok"


class Kept(Host):
    """One that behaves, and whose connections are counted."""


class Leaves(Host):
    """Takes a message and closes the connection without a word."""

    def after(self, session):
        raise ConnectionError("closed on purpose")


class Full(Host):
    """Its disk is full."""

    def rcpt(self, session, recipient):
        return "452 4.3.1 Insufficient system storage"


HOSTS = [Good, Grey, OneBad, DropDot, Slow, BadTls, NoTls, Tls, Expired, Busy, Twice, Ahead, Rude, Refuses, Unwell, Odd, Shut,
         Kept, Leaves, Full]


def serve(host, address):
    listener = socket.create_server((address, PORT), backlog=100)

    def one(stream):
        try:
            with stream:
                Session(host, stream).run()
        except OSError as error:
            note("seen", host.name, 0, f"({error})")

    while True:
        threading.Thread(target=one, args=(listener.accept()[0],), daemon=True).start()


def silent(address):
    """A host whose connections nobody accepts: with its queue full, the system drops what comes."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, PORT))
    listener.listen(0)
    fillers = [socket.socket() for _ in range(3)]
    for filler in fillers:
        filler.setblocking(False)
        filler.connect_ex((address, PORT))
    return listener, fillers


def zone():
    for number, kind in enumerate(HOSTS, 1):
        name = kind.__name__.lower()
        yield f"{name}.example MX 10 mx.{name}.example"
        yield f"mx.{name}.example A 127.0.1.{number}"
    good = "mx.good.example"
    yield from ("mx.closed.example A 127.0.1.200", "mx.silent.example A 127.0.1.201")
    yield from ("closedfirst.example MX 10 mx.closed.example", f"closedfirst.example MX 20 {good}")
    yield from ("silentfirst.example MX 10 mx.silent.example", f"silentfirst.example MX 20 {good}")
    yield from ("equal.example MX 10 mx.silent.example", f"equal.example MX 10 {good}")
    yield from ("rudefirst.example MX 10 mx.rude.example", f"rudefirst.example MX 20 {good}")
    yield from ("fullfirst.example MX 10 mx.full.example", f"fullfirst.example MX 20 {good}")
    yield from ("lamefirst.example MX 10 nowhere.example", f"lamefirst.example MX 20 {good}")
    yield from ("alias.example CNAME good.example", "nomx.example A 127.0.1.1")
    yield from ("nullmx.example MX 0 .", "loop.example MX 10 mail.us.example", "literal.example MX 10 127.0.1.1")
    yield from ("mail.us.example A 127.0.0.1", f"behind.example MX 10 {good}", "behind.example MX 20 mail.us.example")
    yield "broken.example SERVFAIL"


def main():
    with open(f"{DIR}/zone", "w") as file:
        file.write("\n".join(zone()) + "\n")
    kept = silent("127.0.1.201")
    for number, kind in enumerate(HOSTS, 1):
        threading.Thread(target=serve, args=(kind(), f"127.0.1.{number}"), daemon=True).start()
    threading.Event().wait()
    del kept


main()
