#!/usr/bin/env bash
# What arrives is what was sent, byte for byte below our own trace fields: sent one byte at a time, 50 MiB, 1,000
# recipients, 8-bit content for UTF-8 addresses, content in chunks (BDAT), lines of dots.
. "$INTEROP/lib.sh"
start_server
send() { python3 "$INTEROP/clients/session.py" "$PORT" "$@"; }
for kind in plain 8bit utf8 dots; do python3 "$INTEROP/mail.py" make "$kind" >"$WORK/$kind.eml"; done
python3 "$INTEROP/mail.py" make big $((50 * 1024 * 1024)) >"$WORK/big.eml"

mapfile -t thousand < <(seq -f 'user%g@example.net' 1 1000)
succeeds '1,000 recipients' send data "$WORK/8bit.eml" "${thousand[@]}"
expect 'accounts that have exactly one message' 1000 \
    "$("$POSTHASTE" user ls --data "$DATA" --json | grep -oE '"messages": *1\b' | wc -l)"
differing=$(printf '%s\n' "${thousand[@]}" | python3 "$INTEROP/mail.py" differing "$DATA" "$WORK/8bit.eml")
expect 'of 1,000 mailboxes, those with other content' 0 "$differing"

succeeds 'byte by byte' send bytewise "$WORK/dots.eml" bytewise@example.net
same_content 'byte by byte' "$WORK/dots.eml" bytewise@example.net

succeeds '50 MiB' send data "$WORK/big.eml" big@example.net
same_content '50 MiB' "$WORK/big.eml" big@example.net

succeeds '50 MiB by BDAT' send bdat "$WORK/big.eml" bdat@example.net
same_content '50 MiB by BDAT' "$WORK/big.eml" bdat@example.net

succeeds '8-bit content, UTF-8 addresses' send utf8 "$WORK/utf8.eml" 'jürgen@bücher.example' 'δοκιμή@παράδειγμα.example'
same_content 'for jürgen' "$WORK/utf8.eml" 'jürgen@bücher.example'
same_content 'for δοκιμή' "$WORK/utf8.eml" 'δοκιμή@παράδειγμα.example'

succeeds 'the same again, byte by byte' send bytewise "$WORK/utf8.eml" again@example.net
same_content 'bytes above 127, byte by byte' "$WORK/utf8.eml" again@example.net
stop_server

start_server
same_content 'after a restart, 50 MiB' "$WORK/big.eml" big@example.net
same_content 'after a restart, for δοκιμή' "$WORK/utf8.eml" 'δοκιμή@παράδειγμα.example'
stop_server
