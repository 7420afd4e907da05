#!/usr/bin/env python3
"""maildir.py count DIR...      how many messages are in these Maildirs together; those that do not exist are empty
maildir.py content DIR         the newest message from its field From on, with CRLF: what others put before it is left out
maildir.py single DIR...       how many of these Maildirs have exactly one message
"""
import sys
from pathlib import Path


def messages(directory):
    return [file for part in ("new", "cur") for file in (Path(directory) / part).glob("*")]


def content(directory):
    raw = max(messages(directory), key=lambda file: file.stat().st_mtime_ns).read_bytes()
    at = 0 if raw.startswith(b"From: ") else raw.index(b"\nFrom: ") + 1
    return raw[at:].replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def main():
    what, *directories = sys.argv[1:]
    if what == "count":
        print(sum(len(messages(directory)) for directory in directories))
    elif what == "single":
        print(sum(len(messages(directory)) == 1 for directory in directories))
    else:
        sys.stdout.buffer.write(content(directories[0]))


main()
