#!/usr/bin/env bash
# `posthaste import imap://` from Dovecot: every octet, flags, times, mailboxes; interrupted and done again; wrong passwords and certificates.
. "$INTEROP/lib.sh"
. "$INTEROP/dovecot.sh"
needs dovecot openssl python3
start_dovecot
succeeds 'mail in Dovecot' python3 "$INTEROP/clients/imap_fill.py" "$IMAP_PORT" ann 300
"$POSTHASTE" user add ann@example.org --data "$DATA" >/dev/null
# bring URL [ARGUMENT...]
bring() { printf 'correct-horse\n' | "$POSTHASTE" import --data "$DATA" --password-stdin --json "$@"; }
count() { python3 -c "import json, sys; print(json.load(sys.stdin)['$1'])"; }

output=$(bring "imaps://ann@localhost:$IMAPS_PORT" 2>&1) && status=0 || status=$?
expect 'exit status with a certificate that nobody vouches for' 1 "$status"
expect_match 'it says so' 'certificate' "$output"
output=$(printf 'wrong\n' | "$POSTHASTE" import --data "$DATA" --password-stdin --ca "$DOVECOT/cert.pem" "imap://ann@localhost:$IMAP_PORT" 2>&1) &&
    status=0 || status=$?
expect 'exit status with a wrong password' 1 "$status"
expect_match 'it says so' 'ann cannot log in' "$output"
output=$(bring --ca "$DOVECOT/cert.pem" "imap://ann@localhost:$IMAP_PORT/Nowhere" 2>&1) && status=0 || status=$?
expect_match 'a mailbox that is not there: it says which are' 'it has .*INBOX' "$output"

succeeds 'one mailbox, by STARTTLS' bring --ca "$DOVECOT/cert.pem" "imap://ann@localhost:$IMAP_PORT/INBOX"
output=$(bring --ca "$DOVECOT/cert.pem" "imap://ann@localhost:$IMAP_PORT")
expect 'the rest' 100 "$(count imported <<<"$output")"
expect 'of it read again' 100 "$(count verified <<<"$output")"
expect 'done again, by implicit TLS' 0 "$(bring --insecure "imaps://ann@localhost:$IMAPS_PORT" | count imported)"
rm -r "$DATA/imports"
expect 'done again without its notes' 0 "$(bring --tls none "imap://ann@127.0.0.1:$IMAP_PORT" | count imported)"
succeeds 'texts, flags and times are the same' python3 "$INTEROP/clients/imap_compare.py" "$IMAP_PORT" ann "$POSTHASTE" "$DATA" "$WORK/exported"
