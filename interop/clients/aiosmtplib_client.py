#!/usr/bin/env python3
"""aiosmtplib_client.py PORT: 200 messages on 20 connections at a time."""
import asyncio
import sys

import aiosmtplib


async def connection(port, number):
    client = aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False, local_hostname="client.example")
    async with client:
        for message in range(10):
            text = f"Subject: {number}/{message}\r\n\r\nOne of many.\r\n"
            await client.sendmail("ann@example.org", ["async@example.net"], text)


async def main(port):
    await asyncio.gather(*(connection(port, number) for number in range(20)))


asyncio.run(main(int(sys.argv[1])))
