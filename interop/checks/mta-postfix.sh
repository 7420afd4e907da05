#!/usr/bin/env bash
# Postfix as our next hop, found over MX and spoken to with TLS, with greylisting, and as our client.
. "$INTEROP/lib.sh"
needs postfix openssl
[ "$(id -u)" = 0 ] || { echo '  needs root, for Postfix'; exit 77; }
. "$INTEROP/mta.sh"
PEER=postfix.example PEER_HOST=127.0.0.23 PEER_MAIL=$WORK/maildirs
# So that all peers have their Maildirs at a place for each user.
mkdir -p "$WORK/postfix/mail" "$PEER_MAIL"
for user in user{0..1009} jürgen; do ln -s "$WORK/postfix/mail/$user/Maildir" "$PEER_MAIL/$user"; done
RECEIVED_TLS='using TLSv1[.]3 .*with ESMTPS'
peer_certificate
export CLIENT_TLS=encrypt
printf '%s\n' "$PEER MX 10 mx.$PEER" "mx.$PEER A $PEER_HOST" >"$WORK/zone"
name_server
policy=$(free_port)
python3 "$INTEROP/clients/greylist.py" "$policy" "user6@$PEER" &
PIDS+=("$!")
succeeds 'Postfix starts' "$INTEROP/postfix-instance" "$WORK/postfix" "$HOP" mx "$PEER_HOST" "$PEER" "$PORT" "$policy"
postfix=$(tr -d ' ' <"$WORK/postfix/spool/pid/master.pid")
PIDS+=("$postfix")
wait_for_host "$PEER_HOST" "$HOP" "$postfix"
serve_us
to_peer
utf8_to_peer
succeeds 'a greylisted recipient and another, to us' into_us "$FROM" "$WORK/plain.eml" "user6@$PEER" "user8@$PEER"
eventually 'the other one, at once' 1 maildir count "$PEER_MAIL/user8"
eventually 'the greylisted one, later' 1 maildir count "$PEER_MAIL/user6"
expect 'it was put off once' 1 "$(grep -c 'Greylisted' "$WORK/postfix/spool/log")"
expect 'the other one was not sent again' 1 "$(maildir count "$PEER_MAIL/user8")"
expect "reports for $FROM" 1 "$(messages "$FROM")"
from_peer --utf8
stop_server
[ "$FAULTS" = 0 ] || tail -n 20 "$WORK/postfix/spool/log" | sed 's/^/    /'
