#!/usr/bin/env bash
# The same messages and the same commands for us and for Dovecot; what both answer is compared. docs/quirks.md lists the differences.
. "$INTEROP/lib.sh"
. "$INTEROP/dovecot.sh"
needs dovecot openssl python3
start_dovecot
"$POSTHASTE" user add bob@example.net --data "$DATA" >/dev/null
printf 'correct-horse\n' | "$POSTHASTE" user passwd bob@example.net --password-stdin --data "$DATA" >/dev/null
IMAP=$(free_port)
start_server --imap "127.0.0.1:$IMAP"
succeeds 'FETCH, SEARCH, SORT, THREAD, STORE as Dovecot has them' python3 "$INTEROP/clients/imap_beside.py" "$IMAP" "$IMAP_PORT"
stop_server
