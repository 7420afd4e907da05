"""imapclient against bob's INBOX, where messages are."""

import sys

from imapclient import IMAPClient

client = IMAPClient("127.0.0.1", port=int(sys.argv[1]), ssl=False, timeout=20)
client.login("bob@example.net", "correct horse")
for capability in ("IDLE", "UIDPLUS", "MOVE", "SORT", "QUOTA", "CONDSTORE", "SPECIAL-USE", "NAMESPACE"):
    assert client.has_capability(capability), capability
assert client.namespace().personal == (("", "/"),)
assert "Posthaste" in str(client.id_({"name": "check"}))
client.create_folder("Löschen & mehr")
assert "Löschen & mehr" in [name for _, _, name in client.list_folders()]
selected = client.select_folder("INBOX")
count = selected[b"EXISTS"]
assert count and selected[b"UIDVALIDITY"] and b"\\*" in selected[b"PERMANENTFLAGS"]
uids = client.search("ALL")
assert len(uids) == count
data = client.fetch(uids, ["ENVELOPE", "BODYSTRUCTURE", "FLAGS", "INTERNALDATE", "RFC822.SIZE", "MODSEQ"])
assert sorted(data) == uids
for message in data.values():
    assert message[b"RFC822.SIZE"] and message[b"ENVELOPE"] and message[b"BODYSTRUCTURE"] and message[b"MODSEQ"]
client.add_flags(uids[0], ["$Blue", b"\\Seen"])
assert b"$Blue" in client.get_flags(uids[0])[uids[0]]
assert client.sort("REVERSE ARRIVAL", "ALL") == uids[::-1] or len(uids) == len(client.sort("SUBJECT"))
client.copy(uids[0], "Löschen & mehr")
client.move(uids[0], "Löschen & mehr")
assert client.search("ALL") == uids[1:]
assert client.folder_status("Löschen & mehr", ["MESSAGES"])[b"MESSAGES"] == 2
client.select_folder("Löschen & mehr")
assert len(client.search(["TEXT", "e"])) <= 2
client.delete_messages(client.search("ALL"))
client.expunge()
client.idle()
assert client.idle_check(timeout=0) == []
client.idle_done()
client.unselect_folder()
client.delete_folder("Löschen & mehr")
client.logout()
