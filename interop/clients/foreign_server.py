#!/usr/bin/env python3
"""foreign_server.py PORT PREFIX: aiosmtpd, which keeps the n-th message as PREFIX.n and its recipients as PREFIX.n.to.

Refuses refused@example.net for good and later@example.net for now.
"""
import asyncio
import sys

from aiosmtpd.smtp import SMTP


class Keep:
    """What to do with what comes."""

    def __init__(self, prefix):
        self.prefix, self.number = prefix, 0

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("refused@"):
            return "550 5.1.1 No such user"
        if address.startswith("later@"):
            return "451 4.3.0 Come back later"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 fine"

    async def handle_DATA(self, server, session, envelope):
        self.number += 1
        with open(f"{self.prefix}.{self.number}", "wb") as file:
            file.write(envelope.original_content)
        with open(f"{self.prefix}.{self.number}.to", "w") as file:
            file.write(" ".join(envelope.rcpt_tos) + "\n")
        return "250 2.0.0 kept"


async def main(port, prefix):
    loop = asyncio.get_running_loop()
    handler = Keep(prefix)
    server = await loop.create_server(lambda: SMTP(handler, enable_SMTPUTF8=True, loop=loop), "127.0.0.1", port)
    await server.serve_forever()


asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
