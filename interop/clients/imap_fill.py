"""Fills an account of an IMAP server: imap_fill.py PORT USER COUNT. Mailboxes INBOX and `Größe/2024`, flags, times, odd texts."""

import imaplib
import sys

port, user, count = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
client = imaplib.IMAP4("127.0.0.1", port)
client.login(user, "correct-horse")
client.create('"Gr&APYA3w-e/2024"')
FLAGS = ["", "\\Seen", "\\Answered \\Flagged", "\\Draft \\Seen"]
for number in range(count):
    body = "\r\n".join(f"line {line} of {number} \u00fc" for line in range(number % 50))
    text = (
        f"Date: Thu, 1 Jan 2026 00:{number % 60:02}:00 +0000\r\nFrom: a@example.org\r\nStatus: not a flag\r\n"
        f"Subject: message {number}\r\n\r\nFrom here\r\n.\r\n{body}\r\n"
    ).encode()
    box = "INBOX" if number % 3 else '"Gr&APYA3w-e/2024"'
    when = f'"{number % 28 + 1:2}-Feb-2026 10:00:00 +0100"'
    status, answer = client.append(box, f"({FLAGS[number % 4]})", when, text)
    assert status == "OK", answer
# Two that are alike are two.
for _ in range(2):
    client.append("INBOX", "", '" 1-Mar-2026 10:00:00 +0000"', b"Subject: twice\r\n\r\nthe same\r\n")
client.logout()
