#!/usr/bin/env bash
# Ways of the operator's own: Dovecot takes the mail of one domain by LMTP, a Postfix that wants a login and TLS takes all other mail as a smart host.
# Where Exim is there, it takes that of a third domain, with a login of its own. Routes have their own source addresses and names.
. "$INTEROP/lib.sh"
needs postfix dovecot openssl
[ -x /usr/lib/dovecot/lmtp ] || { echo '  needs the LMTP of Dovecot (.ci/setup installs dovecot-lmtpd)'; exit 77; }
[ "$(id -u)" = 0 ] || { echo '  needs root, for Postfix and Dovecot'; exit 77; }
. "$INTEROP/mta.sh"
. "$INTEROP/dovecot.sh"
check_cleanup() {
    [ ${#PIDS[@]} = 0 ] || kill "${PIDS[@]}" 2>/dev/null || true
    [ -z "$DOVECOT_PID" ] || { kill -TERM "$DOVECOT_PID" && wait "$DOVECOT_PID" || true; } 2>/dev/null
}

# An authority of the operator's own, which has signed what the smart hosts show.
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj '/CN=Our authority' -keyout "$WORK/ca.key" -out "$WORK/ca.crt" 2>/dev/null
# certificate NAME FILE
certificate() {
    openssl req -newkey rsa:2048 -nodes -subj "/CN=$1" -keyout "$WORK/$2.key" -out "$WORK/$2.csr" 2>/dev/null
    openssl x509 -req -in "$WORK/$2.csr" -CA "$WORK/ca.crt" -CAkey "$WORK/ca.key" -CAcreateserial -days 2 -out "$WORK/$2.crt" \
        -extfile <(printf 'subjectAltName=DNS:%s\nbasicConstraints=critical,CA:FALSE\n' "$1") 2>/dev/null
    chmod 600 "$WORK/$2.key"
}
certificate mx.smart.example smart
certificate mx.exim.example exim
printf 'correct-horse\n' >"$WORK/password"
printf 'battery-staple\n' >"$WORK/wrong"

# Dovecot: mailboxes of boxes.example at a socket in the file system and at a port, and who may log in at Postfix.
lmtp=$(free_port)
DOVECOT_USERS=$DOVECOT/users
mkdir -p "$DOVECOT"
printf '%s:{PLAIN}correct-horse\n' user1@boxes.example user2@boxes.example user3@ports.example ann@smart.example >"$DOVECOT_USERS"
DOVECOT_PROTOCOLS='imap lmtp' DOVECOT_MECHANISMS='plain login scram-sha-256'
DOVECOT_MORE="
hostname = dovecot.boxes.example
postmaster_address = postmaster@boxes.example
service lmtp {
  unix_listener $DOVECOT/lmtp {
    mode = 0666
  }
  inet_listener lmtp {
    address = 127.0.0.1
    port = $lmtp
  }
}
service auth {
  unix_listener $DOVECOT/login {
    mode = 0666
  }
}
"
start_dovecot

# Postfix, which gives the mail to mailboxes of far.example and sends nothing on.
PEER=far.example PEER_HOST=127.0.0.24 PEER_MAIL=$WORK/postfix/mail
printf '%s\n' "mx.smart.example A $PEER_HOST" 'mx.exim.example A 127.0.0.25' >"$WORK/zone"
name_server
export TLS_CERTIFICATE=$WORK/smart.crt TLS_KEY=$WORK/smart.key
SASL_SOCKET=$DOVECOT/login succeeds 'Postfix starts' "$INTEROP/postfix-instance" "$WORK/postfix" "$HOP" mx "$PEER_HOST" "$PEER" "$PORT"
postfix=$(tr -d ' ' <"$WORK/postfix/spool/pid/master.pid")
PIDS+=("$postfix")
wait_for_host "$PEER_HOST" "$HOP" "$postfix"

exim_route=()
if [ -x "$INTEROP/.cache/deb/exim4-daemon-light/usr/sbin/exim4" ]; then
    exim_port=$(free_port)
    TLS_CERTIFICATE=$WORK/exim.crt TLS_KEY=$WORK/exim.key SMTP_PASSWORD=correct-horse \
        "$INTEROP/exim-instance" "$WORK/exim" 127.0.0.25 "$exim_port" exim.example "$PORT" >"$WORK/exim.log" 2>&1 &
    exim=$!
    PIDS+=("$exim")
    wait_for_host 127.0.0.25 "$exim_port" "$exim"
    exim_route=('[[route]]' 'domain = "exim.example"' "via = \"smtp://mx.exim.example:$exim_port\"" 'user = "ann"'
        "password_file = \"$WORK/password\"" "ca = \"$WORK/ca.crt\"")
else
    echo '  left out: Exim as a smart host (.ci/setup unpacks it)'
fi

serve_us \
    '[[route]]' 'domain = "boxes.example"' "via = \"lmtp+unix:$DOVECOT/lmtp\"" \
    '[[route]]' 'domain = "ports.example"' "via = \"lmtp://127.0.0.1:$lmtp\"" \
    '[[route]]' 'domain = "wrong.example"' "via = \"smtp://mx.smart.example:$HOP\"" 'user = "ann@smart.example"' \
    "password_file = \"$WORK/wrong\"" "ca = \"$WORK/ca.crt\"" \
    '[[route]]' 'domain = "trusting.example"' "via = \"smtp://mx.smart.example:$HOP\"" 'user = "ann@smart.example"' \
    "password_file = \"$WORK/password\"" \
    '[[route]]' 'domain = "*"' "via = \"smtp://mx.smart.example:$HOP\"" 'user = "ann@smart.example"' \
    "password_file = \"$WORK/password\"" "ca = \"$WORK/ca.crt\"" 'source = "127.0.0.9"' 'hello = "bulk.us.example"' \
    '[[route]]' 'domain = "unbound.example"' "via = \"smtp://$PEER_HOST:$HOP\"" 'source = "192.0.2.1"' \
    '[[route]]' 'domain = "discarded.example"' 'via = "discard"' \
    "${exim_route[@]}"

# same_there WHAT FILE MAILDIR
same_there() {
    eventually "$1" 1 maildir count "$3"
    expect "$1, SHA-256 of the content" "$(sha256sum <"$2" | cut -c1-16)" "$(maildir content "$3" | sha256sum | cut -c1-16)"
}
for kind in plain 8bit big; do python3 "$INTEROP/mail.py" make $kind 300000 >"$WORK/$kind.eml"; done

boxes=$DOVECOT/mail
succeeds '8bit for two mailboxes and one that is not there, to us' into_us "$FROM" "$WORK/8bit.eml" user1@boxes.example user2@boxes.example nobody@boxes.example
same_there 'in the first, by LMTP over a socket' "$WORK/8bit.eml" "$boxes/user1@boxes.example"
same_there 'in the second' "$WORK/8bit.eml" "$boxes/user2@boxes.example"
eventually "reports for $FROM" 1 messages "$FROM"
expect_match 'the report, about the third' '^failed 5\.1\.1 550 nobody@boxes.example$' "$(report)"
succeeds 'big, by LMTP over TCP, to us' into_us "$FROM" "$WORK/big.eml" user3@ports.example
same_there 'there' "$WORK/big.eml" "$boxes/user3@ports.example"

succeeds 'big for two at the smart host, to us' into_us "$FROM" "$WORK/big.eml" user1@far.example user2@far.example
same_there 'at one' "$WORK/big.eml" "$PEER_MAIL/user1/Maildir"
same_there 'at the other' "$WORK/big.eml" "$PEER_MAIL/user2/Maildir"
expect_match 'in TLS and logged in, as the Received field of Postfix has it' \
    'using TLSv1[.]3 .*[(]Authenticated sender: ann@smart.example[)] .*with ESMTPSA' \
    "$(cat "$PEER_MAIL"/user1/Maildir/new/* | sed '/^From: /q' | tr -s '\n\t ' ' ')"
expect_match 'from the address and by the name of that route' 'from bulk[.]us[.]example [(]unknown \[127[.]0[.]0[.]9\][)]' \
    "$(cat "$PEER_MAIL"/user1/Maildir/new/* | sed '/^From: /q' | tr -s '\n\t ' ' ')"
expect_match 'by the strongest mechanism' 'sasl_method=SCRAM-SHA-256' "$(cat "$WORK/postfix/spool/log")"

# What the operator has to mend waits, with the reason; the password is not shown to whoever cannot prove who they are.
succeeds 'with a wrong password, to us' into_us "$FROM" "$WORK/plain.eml" a@wrong.example
succeeds 'to a host that nobody vouches for, to us' into_us "$FROM" "$WORK/plain.eml" a@trusting.example
said() { "$POSTHASTE" queue ls --data "$DATA" --domain "$1" --reason "$2" --json | python3 -c 'import json, sys; print(len(json.load(sys.stdin)))'; }
eventually 'the first waits: the login failed' 1 said wrong.example '535 5.7.8'
eventually 'the second waits: the certificate proves nothing' 1 said trusting.example 'certificate'
succeeds 'from an address that this machine does not have (RFC 5737), to us' into_us "$FROM" "$WORK/plain.eml" a@unbound.example
eventually 'it waits' 1 said unbound.example 'source address 192.0.2.1 is no address of this machine'
succeeds 'to be thrown away, to us' into_us "$FROM" "$WORK/plain.eml" a@discarded.example
gone() { "$POSTHASTE" explain a@discarded.example --data "$DATA" --json | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["recipients"][0]["delivery"]["state"])'; }
eventually 'what became of it' discarded gone

if [ ${#exim_route[@]} != 0 ]; then
    succeeds '8bit for Exim, to us' into_us "$FROM" "$WORK/8bit.eml" user1@exim.example
    same_there 'there' "$WORK/8bit.eml" "$WORK/exim/mail/user1"
    expect_match 'in TLS and logged in, as the Received field of Exim has it' 'with esmtpsa [(]TLS1[.]3[)]' \
        "$(cat "$WORK"/exim/mail/user1/new/* | sed '/^From: /q' | tr -s '\n\t ' ' ')"
fi
expect "reports for $FROM" 1 "$(messages "$FROM")"
stop_server
[ "$FAULTS" = 0 ] || tail -n 20 "$WORK/postfix/spool/log" "$DOVECOT/log" "$WORK"/exim/log/* 2>/dev/null | sed 's/^/    /'
