#!/usr/bin/env bash
# msmtp: as a user's sendmail, recipients from the header fields and from the command line.
. "$INTEROP/lib.sh"
needs msmtp
start_server

send() { msmtp --file=/dev/null --host=127.0.0.1 --port="$PORT" --tls=off --auth=off --from=ann@example.org --domain=client.example "$@"; }
python3 "$INTEROP/mail.py" make utf8 >"$WORK/crlf.eml"
tr -d '\r' <"$WORK/crlf.eml" >"$WORK/lf.eml"
printf 'From: ann@example.org\nTo: bob@example.net\nCc: eve@example.net\nBcc: secret@example.net\nSubject: read\n\nread\n' >"$WORK/fields.eml"

from_file() { local file=$1; shift; send "$@" <"$file"; }
succeeds 'recipients on the command line' from_file "$WORK/lf.eml" bob@example.net eve@example.net
succeeds 'recipients from the header fields' from_file "$WORK/fields.eml" --read-recipients

expect 'messages of bob@example.net' 2 "$(messages bob@example.net)"
expect 'messages of eve@example.net' 2 "$(messages eve@example.net)"
expect 'messages of secret@example.net' 1 "$(messages secret@example.net)"
same_content 'UTF-8 message' "$WORK/crlf.eml" eve@example.net 1
expect 'Return-Path' '<ann@example.org>' "$(trace bob@example.net Return-Path)"
stop_server
