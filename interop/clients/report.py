#!/usr/bin/env python3
"""report.py: reads a message and says what is wrong with it as a report on delivery (RFC 3464); else its recipients.

For each recipient a line: action, status, the class of the diagnostic code, address; sorted.
"""
import email
import email.policy
import sys


def wrong(report):
    kinds = [part.get_content_type() for part in (report.get_payload() if report.is_multipart() else [])]
    if report["Return-Path"] != "<>":
        yield f"its reverse-path is {report['Return-Path']}"
    # RFC 6522 §3: report-type is the subtype of the second part.
    if len(kinds) < 2 or report.get_content_type() != "multipart/report" or report.get_param("report-type") != kinds[1].partition("/")[2]:
        yield f"it is {report['Content-Type']}"
    if len(kinds) != 3 or kinds[0] != "text/plain" or kinds[1] not in ("message/delivery-status", "message/global-delivery-status"):
        yield f"its parts are {kinds}"
    if kinds[2:] not in (["text/rfc822-headers"], ["message/rfc822"], ["message/global-headers"], ["message/global"]):
        yield f"its third part is {kinds[2:]}"
    for name in ("From", "To", "Date", "Message-ID", "Subject", "MIME-Version"):
        if len(report.get_all(name, [])) != 1:
            yield f"it has {len(report.get_all(name, []))} fields {name}"
    if report["Auto-Submitted"] not in ("auto-replied", "auto-generated"):
        yield f"Auto-Submitted is {report['Auto-Submitted']}"


def groups(part):
    """The groups of fields: the first for the message, the others for a recipient each."""
    if part.get_content_type() == "message/delivery-status":
        return part.get_payload()
    # Python takes the international form for a message: its fields are the first group, and its text the others.
    first = part.get_payload()[0]
    rest = first.get_payload().replace("\r\n", "\n").strip().split("\n\n")
    return [first, *(email.message_from_string(group) for group in rest)]


def main():
    # Octets beyond ASCII go through as they are.
    sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")
    report = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.compat32)
    if faults := list(wrong(report)):
        print("; ".join(faults))
        return
    message, *recipients = groups(report.get_payload()[1])
    if not (message["Reporting-MTA"] or "").startswith("dns;"):
        print(f"Reporting-MTA is {message['Reporting-MTA']}")
    lines = []
    for group in recipients:
        kind, _, address = group["Final-Recipient"].partition(";")
        code = (group["Diagnostic-Code"] or "none").partition(";")[2].split()
        lines.append(f"{group['Action']} {group['Status']} {code[0] if code else 'none'} {address.strip()}")
    print("\n".join(sorted(lines)))


main()
