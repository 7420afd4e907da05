#!/usr/bin/env python3
"""auth_lines.py PORT CA USER PASSWORD: lines around AUTH that clients with good manners do not send.

Prints for each: what it is, the reply that it should get, the one that it got; separated by tabs.
"""
import base64
import smtplib
import ssl
import sys


def encoded(text):
    return base64.b64encode(text.encode()).decode()


def connection(port, ca):
    client = smtplib.SMTP("127.0.0.1", port, local_hostname="client.example", timeout=60)
    client.starttls(context=ssl.create_default_context(cafile=ca))
    client.ehlo()
    return client


def show(what, expected, reply):
    code, text = reply
    actual = f"{code} {text.decode().split(' ')[0]}" if " " in expected else str(code)
    print(what, expected, actual, sep="\t")


def main():
    port, ca, user, password = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
    plain = encoded(f"\0{user}\0{password}")
    client = connection(port, ca)
    for mechanism in ("CRAM-MD5", "CRAM-SHA1", "DIGEST-MD5", "NTLM", "GSSAPI", "ANONYMOUS", "SCRAM-SHA-1", "X"):
        show(f"AUTH {mechanism}", "504 5.5.4", client.docmd("AUTH", mechanism))
    # EXTERNAL is offered to clients with a certificate, and OAUTHBEARER where there are keys for it.
    show("AUTH EXTERNAL without a certificate", "504 5.5.4", client.docmd("AUTH", "EXTERNAL ="))
    show("AUTH OAUTHBEARER without a key set", "504 5.5.4", client.docmd("AUTH", "OAUTHBEARER"))
    show("AUTH PLAIN with no base64", "501 5.5.2", client.docmd("AUTH", "PLAIN ???"))
    show("AUTH PLAIN without an initial response", "334", client.docmd("AUTH", "PLAIN"))
    show("a cancelled exchange", "501", client.docmd("*"))
    client.close()

    client = connection(port, ca)
    show("AUTH PLAIN", "334", client.docmd("AUTH", "PLAIN"))
    show("its response", "235 2.7.0", client.docmd(plain))
    show("AUTH once more", "503 5.5.1", client.docmd("AUTH", f"PLAIN {plain}"))
    show("MAIL", "250 2.1.0", client.docmd("MAIL", f"FROM:<{user}>"))
    client.close()

    client = connection(port, ca)
    show("AUTH LOGIN", "334", client.docmd("AUTH", f"LOGIN {encoded(user)}"))
    show("its password", "235 2.7.0", client.docmd(encoded(password)))
    client.close()

    with smtplib.SMTP("127.0.0.1", port, local_hostname="client.example", timeout=60) as clear:
        clear.ehlo()
        show("AUTH PLAIN in clear", "538 5.7.11", clear.docmd("AUTH", f"PLAIN {plain}"))
        show("MAIL in clear", "530 5.7.0", clear.docmd("MAIL", f"FROM:<{user}>"))


main()
