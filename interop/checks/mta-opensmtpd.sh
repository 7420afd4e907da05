#!/usr/bin/env bash
# OpenSMTPD as our next hop, found over MX, and as our client. It has no SMTPUTF8.
. "$INTEROP/lib.sh"
needs openssl
[ "$(id -u)" = 0 ] || { echo '  needs root, for OpenSMTPD'; exit 77; }
[ -x "$INTEROP/.cache/deb/opensmtpd/usr/sbin/smtpd" ] || { echo '  needs OpenSMTPD (.ci/setup unpacks it)'; exit 77; }
. "$INTEROP/mta.sh"
PEER=opensmtpd.example PEER_HOST=127.0.0.22 PEER_MAIL=$WORK/opensmtpd/mail
# That of Debian 12 offers STARTTLS and then fails at every handshake, because of OpenSSL 3: its mail goes in clear.
RECEIVED_TLS='with (ESMTP|ESMTPS) id'
peer_certificate
printf '%s\n' "$PEER MX 10 mx.$PEER" "mx.$PEER A $PEER_HOST" >"$WORK/zone"
name_server
"$INTEROP/opensmtpd-instance" "$WORK/opensmtpd" "$PEER_HOST" "$HOP" "$PEER" "$PORT" >"$WORK/opensmtpd.log" 2>&1 &
opensmtpd=$!
PIDS+=("$opensmtpd")
wait_for_host "$PEER_HOST" "$HOP" "$opensmtpd"
serve_us
to_peer

python3 "$INTEROP/mail.py" make utf8 >"$WORK/utf8.eml"
before=$(messages "$FROM")
succeeds 'SMTPUTF8, to us' into_us "$FROM" "$WORK/utf8.eml" "jürgen@$PEER" --utf8
eventually "reports for $FROM" "$((before + 1))" messages "$FROM"
expect_match 'the report says that the host lacks SMTPUTF8' '^failed 5\.6\.7 ' "$(report)"
from_peer
stop_server
[ "$FAULTS" = 0 ] || tail -n 40 "$WORK/opensmtpd.log" | cut -c -300 | sed 's/^/    /'
