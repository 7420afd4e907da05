#!/usr/bin/env python3
"""into_postfix.py PORT: puts 30 messages of several kinds into Postfix's queue."""
import smtplib
import subprocess
import sys
from pathlib import Path

MAIL = Path(__file__).parent.parent / "mail.py"


def made(*words):
    return subprocess.run([sys.executable, MAIL, "make", *words], check=True, capture_output=True).stdout


with smtplib.SMTP("127.0.0.1", int(sys.argv[1]), local_hostname="client.example", timeout=60) as postfix:
    for _ in range(25):
        postfix.sendmail("ann@example.org", "bob@example.net", made("plain"))
    postfix.sendmail("ann+tag@example.org", ["bob@example.net", "eve@example.net"], made("8bit"), mail_options=["BODY=8BITMIME"])
    postfix.sendmail("ann@example.org", '"two words"@example.net', made("dots"))
    postfix.sendmail("ann@example.org", "jürgen@example.net", made("utf8"), mail_options=["SMTPUTF8", "BODY=8BITMIME"])
    postfix.sendmail("ann@example.org", "big@example.net", made("big", "5000000"))
    postfix.sendmail("", "bounces@example.net", made("plain"))
