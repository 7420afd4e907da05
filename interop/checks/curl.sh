#!/usr/bin/env bash
# curl: several recipients, 8-bit content, lines of dots, a refusal.
. "$INTEROP/lib.sh"
needs curl
start_server
url="smtp://127.0.0.1:$PORT/client.example"
python3 "$INTEROP/mail.py" make 8bit >"$WORK/8bit.eml"
python3 "$INTEROP/mail.py" make dots >"$WORK/dots.eml"

# curl does not stuff a dot after a line end of its own making, so the file has CRLF already.
succeeds 'three recipients, 8-bit content' curl --silent --show-error "$url" --mail-from ann@example.org \
    --mail-rcpt bob@example.net --mail-rcpt eve@example.net --mail-rcpt mallory@example.net --upload-file "$WORK/8bit.eml"
succeeds 'lines of dots' curl --silent --show-error "$url" --mail-from ann@example.org --mail-rcpt dots@example.net \
    --upload-file "$WORK/dots.eml"
for account in bob eve mallory; do
    expect "messages of $account@example.net" 1 "$(messages "$account@example.net")"
    same_content "8-bit message for $account" "$WORK/8bit.eml" "$account@example.net"
done
same_content 'lines of dots' "$WORK/dots.eml" dots@example.net
expect 'Return-Path' '<ann@example.org>' "$(trace bob@example.net Return-Path)"

output=$(curl --silent --show-error "$url" --mail-from 'not an address' --mail-rcpt bob@example.net --upload-file "$WORK/8bit.eml" 2>&1) && status=0 || status=$?
expect 'exit status of curl for a malformed sender' 55 "$status"
expect_match 'what curl says' '501' "$output"
expect 'messages of bob@example.net' 1 "$(messages bob@example.net)"
stop_server
