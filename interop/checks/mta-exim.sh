#!/usr/bin/env bash
# Exim as our next hop, found over MX and spoken to with TLS, and as our client.
. "$INTEROP/lib.sh"
needs openssl
[ "$(id -u)" = 0 ] || { echo '  needs root, for Exim'; exit 77; }
[ -x "$INTEROP/.cache/deb/exim4-daemon-light/usr/sbin/exim4" ] || { echo '  needs Exim (.ci/setup unpacks it)'; exit 77; }
. "$INTEROP/mta.sh"
PEER=exim.example PEER_HOST=127.0.0.21 PEER_MAIL=$WORK/exim/mail
RECEIVED_TLS='with esmtps [(]TLS1[.]3[)]'
peer_certificate
export CLIENT_TLS=encrypt
printf '%s\n' "$PEER MX 10 mx.$PEER" "mx.$PEER A $PEER_HOST" >"$WORK/zone"
name_server
"$INTEROP/exim-instance" "$WORK/exim" "$PEER_HOST" "$HOP" "$PEER" "$PORT" >"$WORK/exim.log" 2>&1 &
exim=$!
PIDS+=("$exim")
wait_for_host "$PEER_HOST" "$HOP" "$exim"
serve_us
to_peer
utf8_to_peer
from_peer --utf8
stop_server
[ "$FAULTS" = 0 ] || tail -n 20 "$WORK/exim.log" "$WORK"/exim/log/* | sed 's/^/    /'
