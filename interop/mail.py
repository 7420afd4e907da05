#!/usr/bin/env python3
"""Small questions about messages and listings, for the checks.

    mail.py count | newest        reads `posthaste inbox ls --json`
    mail.py content | trace NAME  reads `posthaste inbox raw`: what is below our own trace fields, or one of those
    mail.py differing DATA FILE   reads addresses; of the first messages of these accounts, how many differ from FILE
    mail.py make KIND [BYTES]     writes a message with CRLF line ends: plain, 8bit, utf8, dots or big
"""
import json
import os
import random
import subprocess
import sys

# What the server puts above the content at delivery, in this order; Received is the last.
TRACE = ("return-path", "delivered-to", "received")


def entries(text):
    """The messages of a listing; none when there was no listing, as for an account that does not exist."""
    return json.loads(text) if text.strip() else []


def split_trace(raw):
    """Our own trace fields, as (name, value) pairs, and the content below them."""
    fields, at = [], 0
    while not (fields and fields[-1][0] == "received"):
        end = raw.find(b"\r\n", at)
        while end >= 0 and raw[end + 2:end + 3] in (b" ", b"\t"):
            end = raw.find(b"\r\n", end + 2)
        name, colon, value = raw[at:end].partition(b":")
        name = name.decode("ascii", "replace").lower()
        if end < 0 or not colon or name not in TRACE:
            sys.exit(f"expected one of our trace fields, got {raw[at:at + 60]!r}")
        fields.append((name, " ".join(value.decode().split())))
        at = end + 2
    return fields, raw[at:]


def differing(data, file, accounts):
    """How many accounts have something else than the file as their first message."""
    with open(file, "rb") as expected:
        content = expected.read()
    count = 0
    for account in accounts:
        command = [os.environ["POSTHASTE"], "inbox", "raw", "1", "--data", data, "--account", account]
        raw = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True).stdout
        count += split_trace(raw)[1] != content
    return count


def header(kind, **extra):
    subject = {"utf8": "Grüße aus Köln"}.get(kind, kind)
    lines = ["From: Ann <ann@example.org>", "To: Bob <bob@example.net>", f"Subject: {subject}",
             "Date: Sat, 21 Nov 2026 10:00:00 +0000", f"Message-ID: <{kind}@example.org>", "MIME-Version: 1.0"]
    lines += ["Content-Type: text/plain; charset=utf-8"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in extra.items()]
    return "".join(line + "\r\n" for line in lines).encode() + b"\r\n"


def make(kind, size):
    """A message of a kind; `size` matters to `big` only. The same bytes on every call."""
    if kind == "plain":
        return header(kind) + b"Hello,\r\nthis is plain text.\r\n"
    if kind in ("8bit", "utf8"):
        body = "Grüße, naïve café, 漢字, пример, €\r\n".encode() * 20
        latin1 = bytes(range(0xA0, 0x100)) + b"\r\n"
        return header(kind, Content_Transfer_Encoding="8bit") + body + latin1
    if kind == "dots":
        return header(kind) + b".\r\n..\r\n.hidden\r\n...\r\n\r\n.\r\nfrom . to .\r\n"
    if kind == "big":
        source = random.Random(1)
        letters = bytes(range(0x21, 0x7F))
        block = b"".join(bytes(source.choices(letters, k=998)) + b"\r\n" for _ in range(1000))
        message = header(kind)
        while len(message) < size:
            message += block[:max(2, size - len(message))]
        return message[:size - 2] + b"\r\n"
    sys.exit(f"no such kind of message: {kind}")


def main():
    question, rest = sys.argv[1], sys.argv[2:]
    if question == "make":
        sys.stdout.buffer.write(make(rest[0], int(rest[1]) if len(rest) > 1 else 0))
    elif question == "count":
        print(len(entries(sys.stdin.read())))
    elif question == "newest":
        print(max((entry["uid"] for entry in entries(sys.stdin.read())), default="(none)"))
    elif question == "differing":
        print(differing(rest[0], rest[1], sys.stdin.read().split()))
    elif question == "content":
        sys.stdout.buffer.write(split_trace(sys.stdin.buffer.read())[1])
    elif question == "trace":
        fields, _ = split_trace(sys.stdin.buffer.read())
        print(next((value for name, value in fields if name == rest[0].lower()), "(none)"))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
