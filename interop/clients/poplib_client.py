"""Python's poplib against the maildrop of bob, who has two messages; the first is the one in the file."""

import poplib
import sys

port, kept = int(sys.argv[1]), open(sys.argv[2], "rb").read()


def login(stls):
    connection = poplib.POP3("127.0.0.1", port, timeout=20)
    if stls:
        import ssl

        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection.stls(context)
    capabilities = connection.capa()
    assert {"TOP", "UIDL", "PIPELINING", "RESP-CODES"} <= set(capabilities), capabilities
    assert ("STLS" in capabilities) != stls, capabilities
    connection.utf8()
    connection.user("bob@example.net")
    connection.pass_("correct horse")
    return connection


connection = login(stls=True)
count, octets = connection.stat()
assert count == 2, count
sizes = [int(line.split()[1]) for line in connection.list()[1]]
assert sum(sizes) == octets and sizes[0] == len(kept), (sizes, octets, len(kept))
lines = connection.retr(1)[1]
assert b"\r\n".join(lines) + b"\r\n" == kept
header = connection.top(1, 0)[1]
assert header[-1] == b"" and lines[: len(header)] == header
top = connection.top(1, 2)[1]
assert lines[: len(top)] == top and len(top) == len(header) + 2
ids = connection.uidl()[1]
connection.dele(1)
connection.rset()
connection.dele(2)
try:
    connection.retr(2)
    raise SystemExit("a deleted message was read")
except poplib.error_proto:
    pass
connection.quit()

connection = login(stls=False)
assert connection.stat()[0] == 1
assert connection.uidl()[1] == ids[:1]
connection.quit()
