#!/usr/bin/env bash
# Python's smtplib: several messages on one connection, 8BITMIME, SMTPUTF8, 1,000 recipients; and aiosmtplib: 20
# connections at a time.
. "$INTEROP/lib.sh"
start_server

succeeds 'five messages on one connection' python3 "$INTEROP/clients/smtplib_client.py" "$PORT" several
expect 'messages of several@example.net' 5 "$(messages several@example.net)"
succeeds 'one refused command between two messages' python3 "$INTEROP/clients/smtplib_client.py" "$PORT" mistake
expect 'messages of mistake@example.net' 2 "$(messages mistake@example.net)"
succeeds 'BODY=8BITMIME' python3 "$INTEROP/clients/smtplib_client.py" "$PORT" 8bit
python3 "$INTEROP/mail.py" make 8bit >"$WORK/8bit.eml"
same_content '8-bit message' "$WORK/8bit.eml" 8bit@example.net
succeeds 'SMTPUTF8 addresses' python3 "$INTEROP/clients/smtplib_client.py" "$PORT" utf8
python3 "$INTEROP/mail.py" make utf8 >"$WORK/utf8.eml"
same_content 'message for a UTF-8 address' "$WORK/utf8.eml" 'jürgen@bücher.example'
expect 'Return-Path in UTF-8' '<δοκιμή@παράδειγμα.example>' "$(trace 'jürgen@bücher.example' Return-Path)"
expect_match 'Received says UTF8SMTP' ' with UTF8SMTP ' "$(trace 'jürgen@bücher.example' Received)"
succeeds '1,000 recipients' python3 "$INTEROP/clients/smtplib_client.py" "$PORT" thousand
for number in 0 1 499 998 999; do
    expect "messages of user$number@example.net" 1 "$(messages "user$number@example.net")"
done

if [ -x "$VENV_PYTHON" ]; then
    succeeds 'aiosmtplib: 200 messages on 20 connections' "$VENV_PYTHON" "$INTEROP/clients/aiosmtplib_client.py" "$PORT"
    expect 'messages of async@example.net' 200 "$(messages async@example.net)"
else
    echo '  aiosmtplib is not installed: left out'
fi
stop_server
