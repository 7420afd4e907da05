#!/usr/bin/env python3
"""killed.py PORT PID FILE RECIPIENT [--sessions N --accepted FILE]

Delivers FILE and kills the server with SIGKILL as soon as the 250 has come. With sessions: that many connections send
again and again, the server is killed after 500 messages, and each 250 that came is written to the file as a line.
"""
import argparse
import os
import signal
import smtplib
import threading


def words():
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("pid", type=int)
    parser.add_argument("file")
    parser.add_argument("recipient")
    parser.add_argument("--sessions", type=int)
    parser.add_argument("--accepted")
    return parser.parse_args()


def envelope(client, recipient):
    client.ehlo()
    client.mail("ann@example.org")
    client.rcpt(recipient)


def once(given, content):
    client = smtplib.SMTP("127.0.0.1", given.port, local_hostname="client.example", timeout=60)
    envelope(client, given.recipient)
    code, text = client.data(content)
    os.kill(given.pid, signal.SIGKILL)
    assert code == 250, (code, text)


def under_load(given, content):
    accepted, lock, enough = [], threading.Lock(), threading.Event()

    def session():
        try:
            client = smtplib.SMTP("127.0.0.1", given.port, local_hostname="client.example", timeout=60)
            while True:
                envelope(client, given.recipient)
                code, text = client.data(content)
                with lock:
                    if code == 250:
                        accepted.append(text.decode())
                    if len(accepted) >= 500:
                        enough.set()
        except (smtplib.SMTPException, OSError):
            return

    threads = [threading.Thread(target=session) for _ in range(given.sessions)]
    for thread in threads:
        thread.start()
    enough.wait(60)
    os.kill(given.pid, signal.SIGKILL)
    for thread in threads:
        thread.join()
    with open(given.accepted, "w") as file:
        file.write("".join(line + "\n" for line in accepted))


def main():
    given = words()
    with open(given.file, "rb") as file:
        content = file.read()
    if given.sessions:
        under_load(given, content)
    else:
        once(given, content)


if __name__ == "__main__":
    main()
