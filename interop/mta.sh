# Shared by the checks with other mail servers as next hops and as clients: our server for us.example (PORT), which
# relays for 127.0.0.0/8, name servers of the check's own, and the exchange of mail with a server that listens at $PEER_HOST:$HOP
# for $PEER. Sourced after lib.sh.
# shellcheck shell=bash

PORT=$(free_port)
HOP=$(free_port)
DNS=$(free_port)
PIDS=()
FROM=ann@us.example
# They run under users of their own.
chmod 711 "$WORK"
check_cleanup() { [ ${#PIDS[@]} = 0 ] || kill "${PIDS[@]}" 2>/dev/null || true; }

# peer_certificate: what the peer shows at STARTTLS, as the instances take it from the environment.
peer_certificate() {
    openssl req -x509 -newkey rsa:2048 -nodes -days 60 -subj "/CN=mx.$PEER" \
        -keyout "$WORK/peer.key" -out "$WORK/peer.crt" 2>/dev/null
    # OpenSMTPD insists on the mode.
    chmod 600 "$WORK/peer.key"
    export TLS_CERTIFICATE=$WORK/peer.crt TLS_KEY=$WORK/peer.key
}

# name_server: answers from $WORK/zone.
name_server() {
    python3 "$INTEROP/clients/dns.py" "$DNS" "$WORK/zone" 2>"$WORK/dns.log" &
    PIDS+=("$!")
}

# serve_us [LINE...]: our server; the lines go to the end of its settings.
serve_us() {
    cat >"$WORK/posthaste.toml" <<END
hostname = "mail.us.example"
data = "$DATA"
domains = ["us.example"]
accounts = ["$FROM", "bob@us.example", "jürgen@us.example"]
[[listen]]
address = "127.0.0.1:$PORT"
[relay]
networks = ["127.0.0.0/8"]
resolvers = ["127.0.0.1:$DNS"]
mx_port = $HOP
private_networks = ["127.0.0.0/8"]
[queue]
first_retry = "1s"
longest_retry = "2s"
END
    printf '%s\n' "$@" >>"$WORK/posthaste.toml"
    "$POSTHASTE" serve --config "$WORK/posthaste.toml" </dev/null >>"$WORK/server.log" 2>&1 &
    SERVER_PID=$!
    wait_for_port "$PORT" "$SERVER_PID"
}

# wait_for_host HOST PORT PID: until it greets, at most 20 seconds.
wait_for_host() {
    local attempt
    for ((attempt = 0; attempt < 400; attempt++)); do
        kill -0 "$3" 2>/dev/null || { echo "  FAIL the server at $1 ended instead of listening"; exit 1; }
        if (exec 2>/dev/null 3<>"/dev/tcp/$1/$2" && read -r -t 5 line <&3 && [[ $line == 220* ]]); then return; fi
        sleep 0.05
    done
    echo "  FAIL no greeting from $1 after 20 seconds"
    exit 1
}

# eventually WHAT EXPECTED COMMAND...: until it prints that, at most a minute.
eventually() {
    local what=$1 expected=$2 actual attempt
    shift 2
    for ((attempt = 0; attempt < 300; attempt++)); do
        actual=$("$@" 2>&1) || true
        [ "$actual" != "$expected" ] || break
        sleep 0.2
    done
    expect "$what" "$expected" "$actual"
}

into_us() { python3 "$INTEROP/clients/into.py" "$PORT" "$@"; }
into_peer() { python3 "$INTEROP/clients/into.py" "$HOP@$PEER_HOST" "$@"; }
maildir() { python3 "$INTEROP/clients/maildir.py" "$@"; }
report() { "$POSTHASTE" inbox raw "$(newest "$FROM")" --data "$DATA" --account "$FROM" | python3 "$INTEROP/clients/report.py"; }
mailboxes() { local number; for number in $(seq "$1" "$2"); do printf '%s\n' "$PEER_MAIL/user$number"; done; }

# to_peer: what we send arrives byte for byte; what is refused comes back.
to_peer() {
    local kind number=1 address
    for kind in plain 8bit dots big; do
        python3 "$INTEROP/mail.py" make $kind 3000000 >"$WORK/$kind.eml"
        succeeds "$kind, to us" into_us "$FROM" "$WORK/$kind.eml" "user$number@$PEER"
        eventually "$kind, at $PEER" 1 maildir count "$PEER_MAIL/user$number"
        expect "$kind, SHA-256 of the content at $PEER" "$(sha256sum <"$WORK/$kind.eml" | cut -c1-16)" \
            "$(maildir content "$PEER_MAIL/user$number" | sha256sum | cut -c1-16)"
        number=$((number + 1))
    done
    # The peer's own word on how the last one came.
    expect_match "TLS, as the Received field of $PEER has it" "$RECEIVED_TLS" \
        "$(cat "$PEER_MAIL"/user4/new/* | sed '/^From: /q' | tr -s '\n\t ' ' ')"
    mapfile -t thousand < <(seq -f "user%g@$PEER" 10 1009)
    succeeds '1,000 recipients, to us' into_us "$FROM" "$WORK/plain.eml" "${thousand[@]}"
    mapfile -t directories < <(mailboxes 10 1009)
    eventually "Maildirs at $PEER with exactly one message" 1000 maildir single "${directories[@]}"

    expect "reports for $FROM" 0 "$(messages "$FROM")"
    succeeds 'one unknown recipient of two, to us' into_us "$FROM" "$WORK/plain.eml" "user5@$PEER" "nobody@$PEER"
    eventually "the known one's, at $PEER" 1 maildir count "$PEER_MAIL/user5"
    eventually "reports for $FROM" 1 messages "$FROM"
    expect_match 'the report' "^failed 5\.[0-9.]+ 5[0-9]{2} nobody@$PEER\$" "$(report)"
    expect 'recipients in it' 1 "$(report | wc -l)"
}

# utf8_to_peer: an address beyond ASCII, at a peer that has SMTPUTF8.
utf8_to_peer() {
    python3 "$INTEROP/mail.py" make utf8 >"$WORK/utf8.eml"
    succeeds 'SMTPUTF8, to us' into_us "ännchen@us.example" "$WORK/utf8.eml" "jürgen@$PEER" --utf8
    eventually "SMTPUTF8, at $PEER" 1 maildir count "$PEER_MAIL/jürgen"
    expect "SMTPUTF8, SHA-256 of the content at $PEER" "$(sha256sum <"$WORK/utf8.eml" | cut -c1-16)" \
        "$(maildir content "$PEER_MAIL/jürgen" | sha256sum | cut -c1-16)"
}

# from_peer [--utf8]: what it sends to us arrives byte for byte, over TLS where CLIENT_TLS asks for it; what we refuse comes back to its user.
from_peer() {
    local kind before
    before=$(maildir count "$PEER_MAIL/user7")
    for kind in plain 8bit dots big; do
        succeeds "$kind, to $PEER" into_peer "user7@$PEER" "$WORK/$kind.eml" bob@us.example
        eventually "$kind, at us" 1 messages bob@us.example
        [ -z "${CLIENT_TLS:-}" ] || expect_match "$kind, TLS as our Received field has it" ' with ESMTPS .*tls TLS_' "$(trace bob@us.example Received)"
        expect "$kind, SHA-256 of the content at us" "$(sha256sum <"$WORK/$kind.eml" | cut -c1-16)" \
            "$("$POSTHASTE" inbox raw "$(newest bob@us.example)" --data "$DATA" --account bob@us.example | below_from | sha256sum | cut -c1-16)"
        "$POSTHASTE" inbox rm "$(newest bob@us.example)" --data "$DATA" --account bob@us.example >/dev/null
    done
    if [ "${1:-}" = --utf8 ]; then
        succeeds "SMTPUTF8, to $PEER" into_peer "user7@$PEER" "$WORK/utf8.eml" jürgen@us.example --utf8
        eventually 'SMTPUTF8, at us' 1 messages jürgen@us.example
    fi
    succeeds "a user that we do not have, to $PEER" into_peer "user7@$PEER" "$WORK/plain.eml" nobody@us.example
    eventually "reports for user7@$PEER" "$((before + 1))" maildir count "$PEER_MAIL/user7"
}

# What others put before From is left out.
below_from() { sed -n '/^From: /,$p'; }
