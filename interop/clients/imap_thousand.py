"""A mailbox of a thousand messages beside a Maildir that a client keeps of it.

    imap_thousand.py fill PORT FILE        appends the messages, and writes down what they are
    imap_thousand.py same FILE MAILDIR     the Maildir has exactly these messages, octet by octet, with their flags
    imap_thousand.py near MAILDIR          changes flags in the Maildir: every third is read, every seventh replied to
    imap_thousand.py far PORT FILE         the server has those flags; then it flags every fifth, and writes down all
"""
import hashlib
import imaplib
import json
import os
import random
import re
import sys

COUNT = 1000
LETTERS = {"\\Seen": "S", "\\Answered": "R", "\\Flagged": "F", "\\Draft": "D", "\\Deleted": "T"}


def connect(port):
    connection = imaplib.IMAP4("127.0.0.1", int(port), timeout=60)
    connection.login("bob@example.net", "correct horse")
    assert connection.select()[0] == "OK"
    return connection


def text(number):
    """A message that is like no other: lines of all lengths, dots, From, 8 bits, no line end at the end now and then."""
    rng = random.Random(number)
    lines = [f"Subject: message {number}", f"Message-ID: <{number}@example.org>", "MIME-Version: 1.0",
             "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 8bit", ""]
    for _ in range(rng.randrange(60)):
        lines.append(rng.choice(["", ".", "..", "From here", "  ", "Grüße", "x" * rng.randrange(900), "\t tab"]))
    return "\r\n".join(lines + [f"end of {number}", ""]).encode()


def digest(octets):
    octets = octets.replace(b"\r\n", b"\n")
    # mbsync notes in each message that it copies which one it was.
    return hashlib.sha256(re.sub(rb"(?m)^X-TUID: .*\n", b"", octets, count=1)).hexdigest()


def listed(connection):
    """What the server has: digest to letters of flags."""
    found = {}
    status, data = connection.fetch("1:*", "(FLAGS BODY.PEEK[])")
    assert status == "OK"
    for at, part in enumerate(data):
        if isinstance(part, tuple):
            flags = re.search(rb"FLAGS \(([^)]*)\)", part[0] + data[at + 1])
            words = flags.group(1).decode().split()
            found[digest(part[1])] = "".join(sorted(LETTERS[word] for word in words if word in LETTERS))
    return found


def kept(maildir):
    """What the Maildir has, likewise, and where."""
    found = {}
    for folder in ("cur", "new"):
        for name in os.listdir(os.path.join(maildir, folder)):
            path = os.path.join(maildir, folder, name)
            with open(path, "rb") as file:
                octets = file.read()
            letters = name.rpartition("2,")[2] if "2," in name else ""
            found[digest(octets)] = ("".join(sorted(letters)), path)
    return found


command, *arguments = sys.argv[1:]
if command == "fill":
    connection = connect(arguments[0])
    for number in range(COUNT):
        flags = "\\Flagged" if number % 10 == 0 else None
        assert connection.append("INBOX", flags, None, text(number))[0] == "OK"
    connection.noop()
    json.dump(listed(connection), open(arguments[1], "w"))
    connection.logout()
elif command == "same":
    expected = json.load(open(arguments[0]))
    found = {known: letters for known, (letters, _) in kept(arguments[1]).items()}
    assert len(expected) == COUNT, len(expected)
    assert expected.keys() == found.keys(), (len(expected), len(found))
    different = {known: (letters, found[known]) for known, letters in expected.items() if found[known] != letters}
    assert not different, (len(different), list(different.values())[:5])
elif command == "near":
    for place, (known, (letters, path)) in enumerate(sorted(kept(arguments[0]).items())):
        wanted = letters + ("S" if place % 3 == 0 else "") + ("R" if place % 7 == 0 else "")
        base = os.path.basename(path).partition(":2,")[0]
        new = os.path.join(arguments[0], "cur", f"{base}:2,{''.join(sorted(set(wanted)))}")
        os.rename(path, new)
elif command == "far":
    connection = connect(arguments[0])
    found = listed(connection)
    for place, known in enumerate(sorted(found)):
        assert ("S" in found[known]) == (place % 3 == 0) and ("R" in found[known]) == (place % 7 == 0), (place, found[known])
    assert connection.store(",".join(map(str, range(5, COUNT + 1, 5))), "+FLAGS.SILENT", "\\Flagged")[0] == "OK"
    assert connection.store("1:20", "-FLAGS", "\\Seen")[0] == "OK"
    json.dump(listed(connection), open(arguments[1], "w"))
    connection.logout()
