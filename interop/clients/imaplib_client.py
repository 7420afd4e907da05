"""Python's imaplib against bob's INBOX, where three messages are; the first is the one in the file."""

import imaplib
import re
import ssl
import sys
import time

port, kept = int(sys.argv[1]), open(sys.argv[2], "rb").read()


def ok(answer):
    status, data = answer
    assert status == "OK", answer
    return data


def login(starttls):
    connection = imaplib.IMAP4("127.0.0.1", port, timeout=20)
    if starttls:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        ok(connection.starttls(ssl_context=context))
    ok(connection.login("bob@example.net", "correct horse"))
    return connection


one, other = login(True), login(False)
assert {"IMAP4REV1", "IDLE", "UIDPLUS", "MOVE", "CONDSTORE"} <= set(one.capability()[1][0].decode().upper().split())
assert ok(one.select()) == [b"3"]
assert ok(other.select()) == [b"3"]

# Texts, whole and in parts.
data = ok(one.fetch("1", "(BODY.PEEK[] RFC822.SIZE FLAGS)"))
assert data[0][1] == kept, data
assert b"RFC822.SIZE %d " % len(kept) in data[0][0] or b"RFC822.SIZE %d" % len(kept) in data[1] + data[0][0]
data = ok(one.fetch("1", "(BODY.PEEK[]<3.10>)"))
assert data[0][1] == kept[3:13], data
head, _, body = kept.partition(b"\r\n\r\n")
assert ok(one.fetch("1", "(BODY.PEEK[TEXT])"))[0][1] == body
assert ok(one.fetch("1", "(BODY.PEEK[HEADER])"))[0][1] == head + b"\r\n\r\n"

# Flags and keywords, seen by the other session as well.
data = ok(one.store("2", "+FLAGS", r"(\Flagged $Work)"))
assert b"\\Flagged" in data[0] and b"$Work" in data[0], data
data = ok(other.fetch("2", "(FLAGS)"))
assert b"$Work" in data[-1], data
assert ok(other.search(None, "KEYWORD", "$work")) == [b"2"]
assert ok(other.search(None, "UNKEYWORD", "$Work", "NOT", "FLAGGED")) == [b"1 3"]

# Mailboxes.
ok(one.create("Archive/2026"))
ok(one.create('"Entw&APw-rfe"'))
ok(one.subscribe("Archive/2026"))
names = [line.decode() for line in ok(one.list())]
assert any(name.endswith('"/" Archive/2026') for name in names), names
assert any("Entw&APw-rfe" in name for name in names), names
assert [line.split()[-1] for line in ok(one.lsub())] == [b"Archive/2026"]
assert one.create("Archive/2026")[0] == "NO"
ok(one.rename("Archive/2026", "Archive/2025"))

# Copy, move, append, expunge.
status, data = one.uid("COPY", "1", "Archive/2025")
assert status == "OK", data
assert one.copy("1", "Nowhere")[0] == "NO"
assert b"COPYUID" in one.untagged_responses.get("COPYUID", [b""])[0] or one.response("COPYUID")[1] != [None]
status, data = one.uid("MOVE", "3", "Archive/2025")
assert status == "OK", data
when = time.mktime((2020, 1, 2, 3, 4, 5, 0, 0, 0))
ok(one.append("Archive/2025", r"(\Seen $Work)", imaplib.Time2Internaldate(when), b"Subject: x\r\n\r\ntext\r\n"))
assert ok(one.select('"Archive/2025"')) == [b"3"]
data = ok(one.fetch("3", "(INTERNALDATE FLAGS BODY.PEEK[])"))
assert data[0][1] == b"Subject: x\r\n\r\ntext\r\n", data
assert time.mktime(imaplib.Internaldate2tuple(data[0][0] + data[1])) == when, data
assert ok(one.fetch("1", "(BODY.PEEK[])"))[0][1] == kept
ok(one.store("1:2", "+FLAGS.SILENT", r"\Deleted"))
assert ok(one.expunge()) == [b"2", b"1"]
ok(one.close())
ok(other.noop())
assert other.untagged_responses["EXISTS"][-1:] != [b"4"]
assert ok(other.search(None, "ALL")) == [b"1 2"]
match = re.search(rb"MESSAGES 1 .*UNSEEN 0", ok(one.status('"Archive/2025"', "(MESSAGES UIDNEXT UNSEEN)"))[0])
assert match, one.status('"Archive/2025"', "(MESSAGES UIDNEXT UNSEEN)")
ok(one.delete("Archive/2025"))
assert one.select('"Archive/2025"')[0] == "NO"
ok(one.sort("REVERSE ARRIVAL", "UTF-8", "ALL")) if one.select()[0] == "OK" else None

# IDLE.
other.send(b"x1 IDLE\r\n")
assert other.readline().startswith(b"+ ")
begun = time.monotonic()
ok(one.append("INBOX", None, None, b"Subject: y\r\n\r\ntext\r\n"))
assert other.readline() == b"* 3 EXISTS\r\n"
print("EXISTS came after %.0f ms" % ((time.monotonic() - begun) * 1000))
other.send(b"DONE\r\n")
assert other.readline().startswith(b"x1 OK ")
one.logout()
other.logout()
