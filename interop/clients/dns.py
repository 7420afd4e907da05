#!/usr/bin/env python3
"""dns.py PORT FILE: an authoritative name server on 127.0.0.1, which reads FILE anew for each question.

FILE has a record a line: NAME A ADDRESS, NAME AAAA ADDRESS, NAME MX PREFERENCE HOST, NAME CNAME NAME, NAME TXT TEXT; or NAME SERVFAIL, NAME SILENT. The root is
written as a dot. Names that are not in it do not exist.
"""
import ipaddress
import socket
import struct
import sys

KINDS = {"A": 1, "CNAME": 5, "MX": 15, "TXT": 16, "AAAA": 28}
NO_ERROR, SERVER_FAILURE, NO_NAME = 0, 2, 3


def wire_name(name):
    labels = [label.encode() for label in name.rstrip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def data(kind, words):
    if kind in ("A", "AAAA"):
        return ipaddress.ip_address(words[0]).packed
    if kind == "MX":
        return struct.pack(">H", int(words[0])) + wire_name(words[1])
    if kind == "TXT":
        text = " ".join(words).encode()
        return bytes([len(text)]) + text
    return wire_name(words[0])


def zone(file):
    records = {}
    with open(file) as lines:
        for line in lines:
            if line.strip():
                name, kind, *words = line.split()
                records.setdefault(name.lower(), []).append((kind, words))
    return records


def answers(records, name, wanted):
    """The records for a question, along CNAMEs: as (name, kind, data); and the code of the reply, None for silence."""
    found = []
    for _ in range(8):
        here = records.get(name)
        if here is None:
            return found, NO_ERROR if found else NO_NAME
        kinds = {kind for kind, _ in here}
        if "SILENT" in kinds:
            return [], None
        if "SERVFAIL" in kinds:
            return [], SERVER_FAILURE
        found += [(name, kind, data(kind, words)) for kind, words in here if KINDS[kind] == wanted]
        alias = next((words[0] for kind, words in here if kind == "CNAME"), None)
        if alias is None or wanted == KINDS["CNAME"]:
            break
        found.append((name, "CNAME", wire_name(alias)))
        name = alias.rstrip(".").lower()
    return found, NO_ERROR


def question(message):
    at, labels = 12, []
    while message[at]:
        labels.append(message[at + 1:at + 1 + message[at]].decode("ascii"))
        at += 1 + message[at]
    return ".".join(labels).lower(), struct.unpack(">H", message[at + 1:at + 3])[0], at + 5


def reply(message, records):
    name, wanted, end = question(message)
    found, code = answers(records, name, wanted)
    if code is None:
        return None
    header = message[:2] + struct.pack(">HHHHH", 0x8580 | code, 1, len(found), 0, 0)
    body = b"".join(
        wire_name(owner) + struct.pack(">HHIH", KINDS[kind], 1, 1, len(value)) + value for owner, kind, value in found)
    return header + message[12:end] + body


def main():
    port, file = int(sys.argv[1]), sys.argv[2]
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", port))
    while True:
        message, client = server.recvfrom(4096)
        try:
            answer = reply(message, zone(file))
        except (IndexError, UnicodeDecodeError, struct.error):
            continue
        if answer is not None:
            server.sendto(answer, client)


main()
