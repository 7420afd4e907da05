#!/usr/bin/env python3
"""into.py PORT[@HOST] SENDER FILE RECIPIENT... [--utf8]: one message with smtplib; 8BITMIME where it is offered."""
import smtplib
import sys

words = [word for word in sys.argv[1:] if word != "--utf8"]
port, sender, file, *recipients = words
port, _, host = port.partition("@")
with open(file, "rb") as content, smtplib.SMTP(host or "127.0.0.1", int(port), "client.example", timeout=60) as client:
    client.ehlo()
    options = ["BODY=8BITMIME"] if client.has_extn("8bitmime") else []
    options += ["SMTPUTF8"] if "--utf8" in sys.argv else []
    refused = client.sendmail(sender, recipients, content.read(), mail_options=options)
    if refused:
        sys.exit(f"refused: {refused}")
