#!/usr/bin/env bash
# Postfix as the client: a private instance relays everything to us (relayhost) until its queue is empty.
. "$INTEROP/lib.sh"
needs postfix postqueue
[ "$(id -u)" = 0 ] || { echo '  needs root, as Postfix does'; exit 77; }
start_server

entry=$(free_port)
# Postfix runs under a user of its own.
chmod 711 "$WORK"
check_cleanup() {
    local pid
    pid=$(tr -d ' ' <"$WORK/postfix/spool/pid/master.pid" 2>/dev/null) && kill "$pid" 2>/dev/null || true
}
succeeds 'Postfix starts' "$INTEROP/postfix-instance" "$WORK/postfix" "$entry" relay "$PORT"
wait_for_port "$entry" $$

succeeds '30 messages into its queue' python3 "$INTEROP/clients/into_postfix.py" "$entry"
for ((attempt = 0; attempt < 300; attempt++)); do
    find "$WORK"/postfix/spool/{maildrop,incoming,active,deferred} -type f 2>/dev/null | grep -q . || break
    sleep 0.1
done
expect 'files left in its queue' 0 "$(find "$WORK"/postfix/spool/{maildrop,incoming,active,deferred} -type f | wc -l)"

expect 'messages of bob@example.net' 26 "$(messages bob@example.net)"
expect 'messages of eve@example.net' 1 "$(messages eve@example.net)"
expect 'messages of a quoted local part' 1 "$(messages '"two words"@example.net')"
expect 'messages of jürgen@example.net' 1 "$(messages 'jürgen@example.net')"
expect 'messages of big@example.net' 1 "$(messages big@example.net)"
expect 'messages of bounces@example.net' 1 "$(messages bounces@example.net)"
expect 'Return-Path' '<ann+tag@example.org>' "$(trace eve@example.net Return-Path)"
expect 'Return-Path of the null reverse-path' '<>' "$(trace bounces@example.net Return-Path)"
expect_match 'Received names Postfix and ESMTP' 'from postfix\.example .* with ESMTP ' "$(trace eve@example.net Received)"
python3 "$INTEROP/mail.py" make 8bit >"$WORK/8bit.eml"
# Postfix puts a Received field of its own in front; the rest is the message that went in.
content eve@example.net | python3 "$INTEROP/mail.py" content >"$WORK/arrived.eml"
expect '8-bit message through Postfix' "$(sha256sum <"$WORK/8bit.eml")" "$(sha256sum <"$WORK/arrived.eml")"
stop_server
[ "$FAULTS" = 0 ] || tail -n 20 "$WORK/postfix/spool/log" | sed 's/^/    /'
