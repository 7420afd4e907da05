#!/usr/bin/env python3
"""smtplib_login.py SUBMISSION SMTPS CA USER PASSWORD RECIPIENT: six messages, and a wrong password."""
import smtplib
import ssl
import sys

submission, smtps, ca, user, password, recipient = sys.argv[1:]
CONTEXT = ssl.create_default_context(cafile=ca)


def connections():
    client = smtplib.SMTP("localhost", int(submission), local_hostname="client.example", timeout=60)
    client.starttls(context=CONTEXT)
    client.ehlo()
    yield client
    client = smtplib.SMTP_SSL("localhost", int(smtps), local_hostname="client.example", timeout=60, context=CONTEXT)
    client.ehlo()
    yield client


def logins():
    yield lambda client: client.login(user, password)
    yield lambda client: only(client, "PLAIN")
    yield lambda client: only(client, "LOGIN")


def only(client, mechanism):
    client.user, client.password = user, password
    client.auth(mechanism, getattr(client, "auth_" + mechanism.lower()))


for login in logins():
    for connection in connections():
        login(connection)
        connection.sendmail(user, [recipient], f"From: {user}\r\nSubject: smtplib\r\n\r\nHello.\r\n")
        connection.quit()
for connection in connections():
    try:
        connection.login(user, "wrong")
        sys.exit("a wrong password was taken")
    except smtplib.SMTPAuthenticationError as error:
        assert (error.smtp_code, error.smtp_error[:5]) == (535, b"5.7.8"), error
