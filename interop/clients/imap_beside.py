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
        """The tagged status, the untagged responses parsed, and the tagged response's code."""
        self.tags += 1
        tag = f"t{self.tags}"
        text = f"{tag} {command}".encode()
        if literal is not None:
            self.socket.sendall(text + b" {%d}\r\n" % len(literal))
            first = self.line()
            if not first.startswith(b"+"):
                return first.split()[1].decode().upper(), [], code_of(first)
            text = literal
        self.socket.sendall(text + b"\r\n")
        answers = []
        while True:
            parts = self.response()
            if parts[0].startswith(tag.encode() + b" "):
                return parts[0].split()[1].decode().upper(), answers, code_of(parts[0])
            # In place of the asterisk: the line as it came.
            answers.append([parts[0], *parse(parts)[1:]])


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


def code_of(line):
    """The response code in a line, without numbers that each server chooses by itself; None without one, and for MAILBOXID, which is of an
    extension that Dovecot 2.3 has not."""
    found = re.match(rb"\S+ (?:OK|NO|BAD|BYE|PREAUTH) \[([^\]]*)\]", line, re.I)
    if not found:
        return None
    name, *rest = found[1].decode().split(" ", 1)
    name, rest = name.upper(), rest[0] if rest else ""
    if name == "MAILBOXID":
        return None
    if name in ("APPENDUID", "COPYUID"):
        rest = rest.split(" ", 1)[1]
    if name in ("UIDVALIDITY", "HIGHESTMODSEQ", "BADCHARSET", "CAPABILITY"):
        rest = ""
    if name == "PERMANENTFLAGS":
        rest = in_order(rest.strip("()").split())
    return f"{name} {rest}".strip()


def in_order(flags):
    """Flags in an order, without the keyword that Dovecot remembers because it was searched for."""
    return " ".join(sorted(flag.lower() for flag in flags if flag.lower() != "none"))


def normal(command, answers):
    """What is compared of the untagged responses of a command: all but RECENT, which is 0 here, and texts for people."""
    told = {}
    # Whether there are mailboxes below, an extended LIST of Dovecot's tells only who asks; we tell everybody (RFC 5258 §4).
    untold = {"\\haschildren", "\\hasnochildren"} if re.match(r"LIST (\(|.*(\(|RETURN))(?!.*CHILDREN)", command) else set()
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
            told[f"status of {answer[2].decode()}"] = sorted(zip(answer[3][::2], answer[3][1::2]))
        elif answer[1] in (b"LIST", b"LSUB"):
            # \NonExistent implies \Noselect (RFC 9051 §7.3.1): we say both, Dovecot one or the other.
            attributes = sorted({word.decode().lower().replace("nonexistent", "noselect") for word in answer[2]} - untold)
            told.setdefault("list", []).append(f"{answer[4].decode()} {' '.join(attributes)} {answer[3]} {answer[5:] or ''}")
        elif answer[1] == b"FLAGS":
            told["flags"] = in_order(flag.decode() for flag in answer[2])
        elif answer[1] == b"OK" and code_of(answer[0]):
            told.setdefault("codes", []).append(code_of(answer[0]))
        elif answer[1] in (b"VANISHED", b"NAMESPACE", b"ENABLED", b"BYE"):
            told.setdefault(answer[1].decode(), []).append(str(answer[2:]))
        elif len(answer) > 2 and answer[2] in (b"EXISTS", b"EXPUNGE"):
            told.setdefault(answer[2].decode(), []).append(int(answer[1]))
    for several in ("list", "codes"):
        if several in told:
            told[several].sort(key=str)
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
    yield from mailboxes()


def mailboxes():
    """What is about mailboxes as a whole, and moves messages between them; a pair has a literal."""
    yield from ["NAMESPACE", "CREATE Work/2026", "CREATE Work/2025/May", "CREATE other", "CREATE INBOX", "CREATE Empty", "SUBSCRIBE Work/2026", "SUBSCRIBE other"]
    for pattern in ["*", "%", '""', "other", "oth*", "inbox", "inb*", "Work/%", "Work*", "W%", "%/%", "nothing", "*May", "OTHER"]:
        yield f'LIST "" {pattern}'
        yield f'LSUB "" {pattern}' if pattern != '""' else 'LIST "Work/" ""'
    yield from ['LIST Work/ %', 'LIST "" (other "Work/*")', 'LIST "" * RETURN (CHILDREN)', 'LIST "" * RETURN (SUBSCRIBED)', 'LIST (SUBSCRIBED) "" *', 'LIST (SUBSCRIBED) "" %']
    yield from ['LIST (SUBSCRIBED RECURSIVEMATCH) "" %', 'LIST (RECURSIVEMATCH) "" *', 'LIST "" other RETURN (STATUS (MESSAGES UNSEEN))', 'LIST (NOTHING) "" *']
    yield from ["STATUS Work/2026 (MESSAGES UIDNEXT UNSEEN)", "STATUS nowhere (MESSAGES)", "STATUS Work (MESSAGES)", "STATUS other (NOTHING)", "UNSUBSCRIBE other", 'LSUB "" *']
    yield from ["RENAME Work Play", "RENAME nowhere x", "RENAME Play/2026 other", 'LIST "" *', 'LSUB "" *', "DELETE Play/2025/May", "DELETE nowhere", "DELETE INBOX", 'LIST "" *']
    yield ("APPEND nowhere", b"Subject: x\r\n\r\n")
    yield ("APPEND Empty (\\Seen fresh)", b"Subject: x\r\n\r\n")
    for where in ["1", "2:4", "UID 3", "UID 500"]:
        uid, number = ("UID ", where[4:]) if where.startswith("UID") else ("", where)
        yield from [f"{uid}COPY {number} other", f"{uid}COPY {number} nowhere", f"{uid}MOVE {number} nowhere"]
    yield from ["MOVE 12 other", "UID MOVE 11 other", "UID MOVE 500 other", "STATUS other (MESSAGES UIDNEXT)", "FETCH 1:* (UID FLAGS)", "COPY 50 other"]
    yield from ["STORE 2,4 +FLAGS.SILENT (\\Deleted)", "UID EXPUNGE 1", "UID EXPUNGE 4", "FETCH 1:* (UID FLAGS)", "EXPUNGE", "FETCH 1:* (UID FLAGS)", "SEARCH DELETED", "CHECK", "NOOP"]
    yield from ["FETCH 1 (MODSEQ)", "UID FETCH 1:* (FLAGS) (CHANGEDSINCE 1)", "STORE 1 (UNCHANGEDSINCE 1) +FLAGS (\\Flagged)", "SEARCH MODSEQ 1", "FETCH 1:* (FLAGS) (CHANGEDSINCE 999999)"]
    yield from ["SELECT nowhere", "SEARCH ALL", "SELECT other", "EXAMINE other", "STORE 1 +FLAGS (\\Seen)", "FETCH 1 FLAGS", "UID EXPUNGE 1:*", "CLOSE", "FETCH 1 FLAGS", "SELECT Empty", "UNSELECT", "CLOSE"]
    yield from ["ENABLE QRESYNC", "SELECT other", "STORE 1 +FLAGS.SILENT (\\Deleted)", "UID FETCH 1:* (UID) (CHANGEDSINCE 1 VANISHED)", "SELECT INBOX", "UID STORE 1 +FLAGS (\\Deleted)"]
    yield from ["SELECT Work", "DELETE Empty", 'LIST "" *', "RENAME INBOX Old"]


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
    (r"SEARCH KEYWORD none", "a keyword that is only searched for is none of the mailbox's; Dovecot makes it one, and tells FLAGS"),
    (r'LIST "" (\*|Work\*|\(other "Work/\*"\))( RETURN .*)?', "levels that are no mailboxes are told for % alone (RFC 9051 §6.3.9); Dovecot's Maildir tells them for * as well"),
    (r'LIST "Work/" ""', "the root of a reference that is not rooted is empty (RFC 9051 §6.3.9); Dovecot repeats the reference"),
    (r"(STATUS|SELECT) (nowhere|Work)( .*)?|DELETE INBOX", "NO has a code that says why (RFC 5530)"),
    (r"UID (COPY|MOVE) 500 nowhere", "the mailbox is missing, whether there is anything to copy or not; Dovecot says OK"),
    (r"STORE 1 \+FLAGS \(\\Seen\)|UID EXPUNGE 1:\*", "after EXAMINE that is refused; Dovecot says OK and does nothing"),
    (r"RENAME INBOX Old", "its messages move (RFC 9051 §6.3.6); Dovecot's Maildir refuses"),
]


def fill(server):
    server.say("CREATE other")
    for place, (text, flags) in enumerate(zip(MESSAGES, FLAGS)):
        status, *_ = server.say(f'APPEND INBOX ({flags}) "{place + 1:2}-Feb-2026 10:00:00 +0000"', text)
        assert status == "OK", (place, status)
    server.say("APPEND other (\\Seen)", MESSAGES[0])
    assert server.say("SELECT INBOX")[0] == "OK"


def compared(server, command, literal):
    status, answers, code = server.say(command, literal)
    return (status, code), normal(command, answers)


def main():
    ours = Server(int(sys.argv[1]), "bob@example.net", "correct-horse")
    theirs = Server(int(sys.argv[2]), "bob@example.net", "correct-horse")
    fill(ours)
    fill(theirs)
    cases = faults = 0
    met = set()
    for command in commands():
        cases += 1
        said = command if isinstance(command, tuple) else (command, None)
        command = said[0]
        one, other = (compared(server, *said) for server in (ours, theirs))
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
