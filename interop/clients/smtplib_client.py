#!/usr/bin/env python3
"""smtplib_client.py PORT SCENE: Python's own SMTP client, without special settings."""
import smtplib
import subprocess
import sys
from pathlib import Path

MAIL = Path(__file__).parent.parent / "mail.py"


def made(kind):
    return subprocess.run([sys.executable, MAIL, "make", kind], check=True, capture_output=True).stdout


def several(client):
    for number in range(5):
        client.sendmail("ann@example.org", "several@example.net", f"Subject: number {number}\r\n\r\nOne of five.\r\n")


def mistake(client):
    client.sendmail("ann@example.org", "mistake@example.net", made("plain"))
    code, text = client.docmd("MAIL", "FROM:ann at example.org")
    assert code == 501, (code, text)
    client.rset()
    client.sendmail("ann@example.org", "mistake@example.net", made("plain"))


def eightbit(client):
    assert client.has_extn("8bitmime") or client.ehlo() and client.has_extn("8bitmime")
    client.sendmail("ann@example.org", "8bit@example.net", made("8bit"), mail_options=["BODY=8BITMIME"])


def utf8(client):
    client.sendmail("δοκιμή@παράδειγμα.example", "jürgen@bücher.example", made("utf8"), mail_options=["SMTPUTF8", "BODY=8BITMIME"])


def thousand(client):
    recipients = [f"user{number}@example.net" for number in range(1000)]
    refused = client.sendmail("ann@example.org", recipients, made("plain"))
    assert refused == {}, f"{len(refused)} refused"


SCENES = {"several": several, "mistake": mistake, "8bit": eightbit, "utf8": utf8, "thousand": thousand}

with smtplib.SMTP("127.0.0.1", int(sys.argv[1]), local_hostname="client.example", timeout=60) as connection:
    SCENES[sys.argv[2]](connection)
