#!/usr/bin/env python3
"""bearer.py KEY: a bearer token, signed by openssl. The claims are given as CLAIM=VALUE; numbers are numbers.

bearer.py KEY set ID            writes the key set (RFC 7517) that verifies it
bearer.py KEY ALG ID [C=V...]   writes a token (RFC 7519): ALG is RS256, or none
"""
import base64
import json
import subprocess
import sys


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def openssl(*words, data=None):
    return subprocess.run(["openssl", *words], input=data, check=True, capture_output=True).stdout


def key_set(key, name):
    modulus = openssl("rsa", "-in", key, "-noout", "-modulus").decode().strip().removeprefix("Modulus=")
    only = {"kty": "RSA", "kid": name, "use": "sig", "alg": "RS256", "n": encoded(bytes.fromhex(modulus)), "e": "AQAB"}
    return json.dumps({"keys": [only]})


def token(key, algorithm, name, claims):
    header = {"alg": algorithm, "kid": name, "typ": "JWT"}
    signed = ".".join(encoded(json.dumps(part).encode()) for part in (header, claims))
    signature = b"" if algorithm == "none" else openssl("dgst", "-sha256", "-sign", key, data=signed.encode())
    return f"{signed}.{encoded(signature)}"


def main():
    key, what, name, *rest = sys.argv[1:]
    if what == "set":
        print(key_set(key, name))
        return
    claims = dict(word.split("=", 1) for word in rest)
    print(token(key, what, name, {claim: int(value) if value.isdigit() else value for claim, value in claims.items()}))


main()
