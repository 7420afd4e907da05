"""Gives two IMAP servers the same messages and the same commands, and compares what they answer.

imap_beside.py OURS THEIRS: ports on 127.0.0.1. Differences that are meant are in EXPECTED, each with its reason; another one is a fault,
and so is an expected one that is no longer there.
"""

import re
import socket
import sys
import time

ATTACHMENT = b"--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGr\xc3\xbc\xc3\x9fe\r\n"
MESSAGES = [
    b"Date: Mon, 5 Jan 2026 10:00:00 +0100\r\nFrom: Ann Smith <ann@example.org>\r\nTo: bob@example.net\r\nSubject: plain\r\n"
    b"Message-ID: <1@example.org>\r\n\r\nhello world\r\nsecond line\r\n",
    b"From: \"Smith, Ann\" <ann@example.org>, carol@example.org\r\nTo: Friends: bob@example.net, dora@example.net;\r\n"
    b"Cc: undisclosed-recipients:;\r\nSubject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?= again\r\nDate: 1 Feb 2026 11:22:33 -0500\r\n"
    b"In-Reply-To: <1@example.org>\r\nReferences: <1@example.org>\r\nMessage-ID: <2@example.org>\r\n\r\nText with plain in it\r\n",
    b"Subject: two parts\r\nFrom: a@b.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\npreamble\r\n"
    + ATTACHMENT
    + b"--b\r\nContent-Type: application/pdf; name=\"a b.pdf\"\r\nContent-Transfer-Encoding: base64\r\n"
    b"Content-Disposition: attachment; filename=\"a b.pdf\"; size=5\r\nContent-Description: a file\r\nContent-ID: <c@d>\r\n\r\n"
    b"aGVsbG8=\r\n--b--\r\nepilogue\r\n",
    b"Subject: alternatives\r\nFrom: A <a@b.example>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=\"x y\"\r\n\r\n"
    b"--x y\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nf=C3=BCr =\r\ndich\r\n--x y\r\n"
    b"Content-Type: text/html; charset=iso-8859-1\r\nContent-Language: de, en\r\n\r\n<p>f\xfcr</p>\r\n--x y--\r\n",
    b"Subject: forwarded\r\nFrom: a@b.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n\r\nsee below\r\n"
    b"--o\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\nFrom: In Ner <i@n.example>\r\nDate: Tue, 6 Jan 2026 10:00:00 +0000\r\n"
    b"Content-Type: multipart/mixed; boundary=i\r\n\r\n--i\r\nContent-Type: text/plain\r\n\r\ndeep\r\n--i\r\nContent-Type: image/png\r\n"
    b"Content-Transfer-Encoding: base64\r\nContent-MD5: AAAA\r\nContent-Location: here\r\n\r\nAAAA\r\n--i--\r\n\r\n--o--\r\n",
    b"Subject: only a header\r\nFrom: a@b.example\r\n\r\n",
    b"\r\nno header at all\r\n",
    b"Subject: folded\r\n value\tover\r\n  lines\r\nFrom: a@b.example (A Comment)\r\nSender: s@b.example\r\nReply-To: r@b.example\r\n"
    b"To: \"quoted \\\"local\\\"\"@example.net\r\nBcc: hidden@example.net\r\nX-Thing: one\r\nX-Thing: two\r\n\r\nbody\r\n",
    b"Subject: Re: plain\r\nFrom: zed@example.org\r\nDate: Tue, 6 Jan 2026 10:00:00 +0000\r\nMessage-ID: <3@example.org>\r\n"
    b"In-Reply-To: <1@example.org>\r\n\r\nanswer\r\n",
    b"Subject: Fwd: [list] plain (fwd)\r\nFrom: bea@example.org\r\nDate: Wed, 7 Jan 2026 10:00:00 +0000\r\nMessage-ID: <4@example.org>\r\n"
    b"References: <1@example.org> <3@example.org>\r\n\r\n" + b"long line " * 400 + b"\r\n",
    b"Subject: message alone\r\nFrom: a@b.example\r\nMIME-Version: 1.0\r\nContent-Type: message/rfc822\r\n\r\nSubject: single\r\n\r\nonly\r\n",
    b"Subject: parameters\r\nFrom: a@b.example\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=\"us-ascii\"; format=flowed\r\n"
    b"Content-Disposition: inline\r\nContent-Transfer-Encoding: 7BIT\r\n\r\nflowed \r\ntext\r\n",
]
FLAGS = ["", "\\Seen", "\\Answered", "\\Flagged \\Seen", "\\Draft", "\\Deleted", "$Forwarded", "\\Seen work", "", "\\Seen", "", "home"]


class Server:
    def __init__(self, port, user, password):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.buffer = b""
        self.tags = 0
        self.line()
        assert self.say(f'LOGIN "{user}" "{password}"')[0] == "OK"

    def more(self):
        piece = self.socket.recv(65536)
        if not piece:
            raise EOFError(f"the connection ended after {self.buffer[-200:]!r}")
        self.buffer += piece

    def line(self):
        while b"\r\n" not in self.buffer:
            self.more()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def response(self):
        """One response as parts: lines as bytes, literals as bytearrays."""
        parts = []
        while True:
            line = self.line()
            parts.append(bytes(line))
            found = re.search(rb"~?\{(\d+)\}$", line)
            if not found:
                return parts
            while len(self.buffer) < int(found[1]):
                self.more()
            parts.append(bytearray(self.buffer[: int(found[1])]))
            self.buffer = self.buffer[int(found[1]) :]

    def say(self, command, literal=None):
        """The tagged status, and the untagged responses parsed."""
        self.tags += 1
        tag = f"t{self.tags}"
        text = f"{tag} {command}".encode()
        if literal is not None:
            self.socket.sendall(text + b" {%d}\r\n" % len(literal))
            assert self.line().startswith(b"+")
            text = literal
        self.socket.sendall(text + b"\r\n")
        answers = []
        while True:
            parts = self.response()
            if parts[0].startswith(tag.encode() + b" "):
                return parts[0].split()[1].decode().upper(), answers
            answers.append(parse(parts))


def parse(parts):
    tokens = []
    for part in parts:
        if isinstance(part, bytearray):
            # The announcement of the literal.
            tokens[-1] = ("string", bytes(part))
            continue
        for token in re.finditer(rb'"((?:[^"\\]|\\.)*)"|\(|\)|~?\{\d+\}$|BODY\[[^\]]*\](?:<\d+>)?|BINARY[^\s]*\[[^\]]*\](?:<\d+>)?|[^\s()"]+', part):
            if token[1] is not None:
                tokens.append(("string", re.sub(rb"\\(.)", rb"\1", token[1])))
            else:
                tokens.append(("atom", token[0]))
    stack = [[]]
    for kind, value in tokens:
        if kind == "atom" and value == b"(":
            stack.append([])
        elif kind == "atom" and value == b")":
            done = stack.pop()
            stack[-1].append(done)
        else:
            stack[-1].append(None if kind == "atom" and value.upper() == b"NIL" else value)
    return stack[0]


def normal(answers):
    """What is compared of the untagged responses of a command."""
    told = {}
    for answer in answers:
        if len(answer) > 2 and answer[2] in (b"FETCH", b"fetch"):
            items = told.setdefault(f"fetch {int(answer[1])}", {})
            names = iter(answer[3])
            for name in names:
                items[name.decode().upper()] = value_of(name.decode().upper(), next(names))
        elif answer[1] == b"SEARCH":
            told.setdefault("search", []).extend(sorted(int(number) for number in answer[2:] if not isinstance(number, list)))
        elif answer[1] in (b"ESEARCH", b"SORT", b"THREAD"):
            rest = [part for part in answer[2:] if not (isinstance(part, list) and part and part[0] == b"TAG")]
            told[answer[1].decode()] = sorted(map(repr, rest)) if answer[1] == b"ESEARCH" else rest
        elif answer[1] == b"STATUS":
            told["status"] = sorted(zip(answer[3][::2], answer[3][1::2]))
    return told


def value_of(name, value):
    if name == "FLAGS":
        return sorted(flag.lower() for flag in value if flag.lower() != b"\\recent")
    if name == "MODSEQ":
        return "a number"
    if name == "INTERNALDATE":
        # One moment may be written in any zone.
        text = value.decode().strip()
        zone = int(text[-5:-2]) * 3600 + int(text[-5] + text[-2:]) * 60
        return time.mktime(time.strptime(text[:-6].strip(), "%d-%b-%Y %H:%M:%S")) - zone
    if name in ("BODY", "BODYSTRUCTURE"):
        return structure(value)
    if name.startswith(("BODY[", "BINARY[")):
        # Of a part that is not there we say NIL (RFC 9051 §6.4.5.1); Dovecot says that it is empty.
        return value or b""
    if name == "ENVELOPE":
        # Dovecot makes one space of all that stands around a fold; we take out the line break alone (RFC 5322 §2.2.3).
        return [re.sub(rb"\s+", b" ", part) if isinstance(part, bytes) else part for part in value]
    return value


def structure(value):
    """Names of types, parameters and encodings are compared without case (RFC 9051 §7.5.2)."""
    if isinstance(value, list):
        return [structure(part) for part in value]
    return value.lower() if isinstance(value, bytes) else value


def commands():
    parts = ["", "HEADER", "TEXT", "1", "2", "3", "1.MIME", "2.MIME", "1.HEADER", "2.HEADER", "2.TEXT", "2.1", "2.2", "2.1.MIME", "1.1"]
    parts += ["HEADER.FIELDS (Subject From)", "HEADER.FIELDS.NOT (Subject Date)", "HEADER.FIELDS (X-Thing)", "2.HEADER.FIELDS (From)"]
    for item in ["FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODY", "BODYSTRUCTURE", "UID", "ALL", "FAST", "FULL", "(UID FLAGS)"]:
        yield f"FETCH 1:* {item}"
        yield f"UID FETCH 1:* {item}" if item not in ("ALL", "FAST", "FULL") else f"FETCH * {item}"
    for part in parts:
        yield f"FETCH 1:* BODY.PEEK[{part}]"
        for span in ["<0.10>", "<3.7>", "<20.100000>", "<100000.5>"]:
            yield f"FETCH 1:* BODY.PEEK[{part}]{span}"
    for part in ["1", "2", "2.1"]:
        yield f"FETCH 1:5 BINARY.PEEK[{part}]"
        yield f"FETCH 1:5 BINARY.SIZE[{part}]"
    for where in ["1", "2:4", "4:2", "*", "*:11", "1,3,5", "12", "1:3,2:5"]:
        yield f"FETCH {where} (UID RFC822.SIZE)"
        yield f"SEARCH {where}"
    for where in ["1", "3:7", "*", "100", "100:*", "1,3,99"]:
        yield f"UID FETCH {where} (RFC822.SIZE)"
        yield f"SEARCH UID {where}"
    for item in ["RFC822.HEADER", "RFC822.TEXT", "RFC822", "BODY[]", "BODY[TEXT]"]:
        yield f"FETCH 1 {item}"
        yield "FETCH 1 FLAGS"
        yield "STORE 1 -FLAGS.SILENT (\\Seen)"
    for key in SEARCHES:
        yield f"SEARCH {key}"
        yield f"UID SEARCH NOT ({key})"
    for result in ["()", "(MIN)", "(MAX)", "(COUNT)", "(ALL)", "(MIN MAX COUNT ALL)"]:
        yield f"SEARCH RETURN {result} SEEN"
        yield f"UID SEARCH RETURN {result} FROM example"
    for order in ["SUBJECT", "REVERSE SUBJECT", "DATE", "ARRIVAL", "REVERSE ARRIVAL", "FROM", "TO", "CC", "SIZE", "REVERSE SIZE", "SUBJECT DATE"]:
        yield f"SORT ({order}) UTF-8 ALL"
        yield f"UID SORT ({order}) US-ASCII NOT DELETED"
    for way in ["ORDEREDSUBJECT", "REFERENCES"]:
        yield f"THREAD {way} UTF-8 ALL"
        yield f"UID THREAD {way} UTF-8 FROM example"
    for change in ["+FLAGS (\\Flagged)", "-FLAGS (\\Flagged)", "FLAGS (\\Seen work)", "FLAGS.SILENT ()", "+FLAGS (\\Deleted $Forwarded)"]:
        for where in ["1", "2:4", "*"]:
            yield f"STORE {where} {change}"
            yield "FETCH 1:* FLAGS"
    for change in ["+FLAGS (new)", "-FLAGS (new)", "FLAGS (\\Answered)", "+FLAGS.SILENT (\\Draft)"]:
        yield f"UID STORE 2:5,9 {change}"
        yield "UID FETCH 1:* FLAGS"
    yield "STATUS other (MESSAGES UNSEEN UIDNEXT SIZE)"
    for wrong in ["FETCH", "FETCH 1", "FETCH 0 FLAGS", "FETCH 1 NOTHING", "FETCH 1 BODY[", "FETCH 1 BODY[0]", "STORE 1 FLAGS", "STORE 1 FLAGS (\\Nothing)"]:
        yield wrong
    for wrong in ["SEARCH", "SEARCH NOTHING", "SEARCH SINCE yesterday", "SEARCH (SEEN", "SORT (NOTHING) UTF-8 ALL", "SEARCH CHARSET X-NONE TEXT a", "NOTHING"]:
        yield wrong


SEARCHES = (
    "ALL ANSWERED DELETED DRAFT FLAGGED SEEN UNSEEN UNANSWERED UNDELETED UNDRAFT UNFLAGGED".split()
    + ["KEYWORD work", "KEYWORD $Forwarded", "UNKEYWORD work", "KEYWORD none", "SEEN FLAGGED", "OR SEEN DRAFT", "OR (SEEN FLAGGED) DELETED"]
    + ["SUBJECT plain", "SUBJECT PLAIN", "SUBJECT \"two parts\"", "SUBJECT again", "SUBJECT \"\"", "FROM example", "FROM \"Ann Smith\"", "FROM smith"]
    + ["TO bob", "CC undisclosed", "BCC hidden", "TO dora", "HEADER X-Thing two", "HEADER X-Thing \"\"", "HEADER Message-ID 3@example", "HEADER Sender \"\""]
    + ["BODY hello", "BODY plain", "BODY deep", "BODY answer", "TEXT plain", "TEXT inner", "TEXT hello", "TEXT zed", "BODY \"second line\""]
    + ["LARGER 300", "SMALLER 300", "LARGER 0", "SMALLER 1", "SINCE 1-Feb-2026", "BEFORE 1-Feb-2026", "ON 3-Feb-2026", "SENTSINCE 6-Jan-2026"]
    + ["SENTBEFORE 6-Jan-2026", "SENTON 6-Jan-2026", "SENTON 1-Feb-2026", "UID 2:4", "1:3 SEEN", "NOT SEEN", "NOT NOT SEEN", "MODSEQ 1", "YOUNGER 100000000"]
)

# Differences that are meant: a regular expression for the commands, and why.
EXPECTED = [
    (r"FETCH .*\[(1\.1|2\.1|2\.1\.MIME)\].*", "a part without parts has no part 1 (RFC 9051 §6.4.5.1); Dovecot takes 2.1 for 2 there"),
    (r"FETCH .*HEADER\.FIELDS\.NOT .*<20\.100000>", "octet 20 is the LF; Dovecot counts its own line end in another way there"),
    (r"FETCH 1:5 BINARY\.\w+\[2\]", "a message within is given as it is; Dovecot decodes its parts and writes its header anew"),
    (r".*SENTBEFORE 6-Jan-2026.*", "a message without a Date field was sent on no day; for Dovecot it was before all days"),
    (r"STORE 2:4 \+FLAGS \(\\Flagged\)", "flags that stay as they are are told as well (RFC 9051 §6.4.6)"),
    (r"FETCH 1 BODY\[0\]", "parts are counted from 1"),
    (r"STORE 1 FLAGS", "STORE needs flags"),
    (r"STORE 1 FLAGS \(\\Nothing\)", "a system flag of times to come is ignored"),
]


def fill(server):
    server.say("CREATE other")
    for place, (text, flags) in enumerate(zip(MESSAGES, FLAGS)):
        status, _ = server.say(f'APPEND INBOX ({flags}) "{place + 1:2}-Feb-2026 10:00:00 +0000"', text)
        assert status == "OK", (place, status)
    server.say("APPEND other (\\Seen)", MESSAGES[0])
    assert server.say("SELECT INBOX")[0] == "OK"


def main():
    ours = Server(int(sys.argv[1]), "bob@example.net", "correct-horse")
    theirs = Server(int(sys.argv[2]), "bob@example.net", "correct-horse")
    fill(ours)
    fill(theirs)
    cases = faults = 0
    met = set()
    for command in commands():
        cases += 1
        one, other = ((status, normal(answers)) for status, answers in (ours.say(command), theirs.say(command)))
        if one == other:
            continue
        reason = next((place for place, (pattern, _) in enumerate(EXPECTED) if re.fullmatch(pattern, command)), None)
        if reason is not None:
            met.add(reason)
            continue
        faults += 1
        print(f"{command}\n  status {one[0]} and {other[0]}")
        for key in sorted(set(one[1]) | set(other[1])):
            if one[1].get(key) != other[1].get(key):
                print(f"  {key}\n    ours   {str(one[1].get(key))[:700]}\n    theirs {str(other[1].get(key))[:700]}")
    for place, (pattern, why) in enumerate(EXPECTED):
        if place not in met:
            faults += 1
            print(f"no difference any more for {pattern}: {why}")
    print(f"{cases} commands, {len(met)} differences that are meant, {faults} faults")
    sys.exit(1 if faults else 0)


main()
