"""Compares an account of an IMAP server with ours, which is exported for that: imap_compare.py PORT USER POSTHASTE DATA SCRATCH."""

import datetime
import imaplib
import json
import pathlib
import re
import subprocess
import sys

port, user, program, data, scratch = int(sys.argv[1]), *sys.argv[2:]


def posthaste(*arguments):
    return subprocess.run([program, *arguments, "--data", data], check=True, capture_output=True).stdout


client = imaplib.IMAP4("127.0.0.1", port)
client.login(user, "correct-horse")
posthaste("export", "--eml", scratch, "--all")
names = [mailbox["name"] for mailbox in json.loads(posthaste("inbox", "mailboxes", "--json"))]
assert names == ["Größe/2024", "INBOX"] or names == ["INBOX", "Größe/2024"], names
for name in names:
    client.select("INBOX" if name == "INBOX" else '"Gr&APYA3w-e/2024"', readonly=True)
    _, answer = client.uid("FETCH", "1:*", "(FLAGS INTERNALDATE BODY.PEEK[])")
    there = []
    for item in answer:
        if isinstance(item, tuple):
            when = imaplib.Internaldate2tuple(item[0])
            moment = datetime.datetime(*when[:6]).astimezone().astimezone(datetime.timezone.utc)
            there.append((item[1], b"\\Seen" in item[0], moment.strftime("%Y-%m-%dT%H:%M:%S")))
    # The fields with which an export says flags.
    texts = {
        int(file.name[:8]): re.sub(rb"^((X-)?Status: [A-Z]+\r\n)*", b"", file.read_bytes())
        for file in (pathlib.Path(scratch) / name.replace("/", "%2F")).iterdir()
    }
    here = [
        (texts[message["uid"]], message["seen"], re.sub(r"\..*", "", message["received"]))
        for message in json.loads(posthaste("inbox", "ls", "--json", "--mailbox", name))
    ]
    assert len(there) == len(here), (name, len(there), len(here))
    for one, other in zip(there, here):
        assert one == other, (one, other)
client.logout()
