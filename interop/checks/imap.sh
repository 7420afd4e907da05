#!/usr/bin/env bash
# IMAP with curl and Python's imaplib: STARTTLS, SASL, SELECT, FETCH, SEARCH, STORE, APPEND, COPY, MOVE, IDLE, mailboxes.
. "$INTEROP/lib.sh"
needs curl python3
IMAP=$(free_port)
start_server --tls starttls --imap "127.0.0.1:$IMAP"
for file in dots 8bit; do
    python3 "$INTEROP/mail.py" make "$file" >"$WORK/$file.eml"
    succeeds "delivery of $file" curl --silent --show-error "smtp://127.0.0.1:$PORT/client.example" \
        --mail-from ann@example.org --mail-rcpt bob@example.net --upload-file "$WORK/$file.eml"
done
printf 'correct horse\n' | "$POSTHASTE" user passwd bob@example.net --password-stdin --data "$DATA" >/dev/null
user='bob@example.net:correct horse'
url="imap://127.0.0.1:$IMAP"

"$POSTHASTE" inbox raw 1 --account bob@example.net --data "$DATA" >"$WORK/kept"
succeeds 'curl fetches the first message, STARTTLS and SASL' curl --silent --show-error --ssl-reqd --insecure \
    --user "$user" "$url/INBOX;UID=1" --output "$WORK/fetched"
succeeds 'it is what is kept' cmp "$WORK/kept" "$WORK/fetched"
succeeds 'curl appends a message' curl --silent --show-error --user "$user" "$url/INBOX" --upload-file "$WORK/dots.eml"
expect 'what curl finds unseen' '* SEARCH 2' "$(curl --silent --user "$user" "$url/INBOX?UNSEEN" | tr -d '\r')"
output=$(curl --silent --show-error --user 'bob@example.net:wrong' "$url/" 2>&1) && status=0 || status=$?
expect 'exit status of curl with a wrong password' 67 "$status"
succeeds 'imaplib: everything that it has' python3 "$INTEROP/clients/imaplib_client.py" "$IMAP" "$WORK/kept"
stop_server
