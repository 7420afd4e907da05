#!/usr/bin/env bash
# ACME against pebble: a certificate by HTTP-01 and one by TLS-ALPN-01, renewal before it expires, an authority that is
# away, and that nothing is served there but answers to its checks.
. "$INTEROP/lib.sh"
needs pebble pebble-challtestsrv openssl curl swaks
PORT=$(free_port)
acme=$(free_port) dns=$(free_port) http=$(free_port) alpn=$(free_port) smtps=$(free_port) management=$(free_port)
PIDS=()
check_cleanup() { local pid; for pid in "${PIDS[@]}"; do kill "$pid" 2>/dev/null || true; done; }

ec=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
openssl req -x509 "${ec[@]}" -days 2 -subj /CN=test -keyout "$WORK/ca.key" -out "$WORK/ca.pem" 2>/dev/null
openssl req "${ec[@]}" -subj /CN=localhost -keyout "$WORK/pebble.key" -out "$WORK/pebble.csr" 2>/dev/null
openssl x509 -req -in "$WORK/pebble.csr" -CA "$WORK/ca.pem" -CAkey "$WORK/ca.key" -days 2 -out "$WORK/pebble.pem" \
    -extfile <(echo 'subjectAltName=DNS:localhost,IP:127.0.0.1') 2>/dev/null

pebble-challtestsrv -management "127.0.0.1:$(free_port)" -dns01 "127.0.0.1:$dns" -http01 '' -https01 '' -tlsalpn01 '' \
    -defaultIPv4 127.0.0.1 -defaultIPv6 '' >"$WORK/dns.log" 2>&1 &
PIDS+=("$!")

# pebble_up LIFETIME: an authority whose certificates live so many seconds.
pebble_up() {
    local attempt
    cat >"$WORK/pebble.json" <<END
{"pebble": {"listenAddress": "127.0.0.1:$acme", "managementListenAddress": "127.0.0.1:$management",
  "certificate": "$WORK/pebble.pem", "privateKey": "$WORK/pebble.key", "httpPort": $http, "tlsPort": $alpn,
  "ocspResponderURL": "", "externalAccountBindingRequired": false, "certificateValidityPeriod": $1}}
END
    PEBBLE_VA_NOSLEEP=1 PEBBLE_AUTHZREUSE=0 pebble -strict -config "$WORK/pebble.json" -dnsserver "127.0.0.1:$dns" \
        >>"$WORK/pebble.log" 2>&1 &
    PEBBLE=$!
    PIDS+=("$PEBBLE")
    for ((attempt = 0; attempt < 200; attempt++)); do
        ! curl --silent --cacert "$WORK/ca.pem" "https://localhost:$acme/dir" >/dev/null || return 0
        sleep 0.05
    done
    echo '  FAIL pebble does not answer'
    exit 1
}
# settings CHALLENGE [AUTHORITY'S_CA [IMPLICIT_TLS TLS_ALPN]]
settings() {
    local ca=${2-"directory_ca = \"$WORK/ca.pem\""}
    cat >"$WORK/posthaste.toml" <<END
hostname = "mail.example.net"
data = "$DATA"
domains = ["example.net"]
accounts = ["bob@example.net"]
[[listen]]
address = "127.0.0.1:$PORT"
[[listen]]
address = "127.0.0.1:${3-$smtps}"
tls = "implicit"
[acme]
domains = ["mail.example.net", "smtp.example.net"]
contact = ["postmaster@example.net"]
directory = "https://localhost:$acme/dir"
$ca
challenges = ["$1"]
http = ["127.0.0.1:$http"]
tls_alpn = ["127.0.0.1:${4-$alpn}"]
END
}
serve() {
    "$POSTHASTE" serve --config "$WORK/posthaste.toml" </dev/null >>"$WORK/server.log" 2>&1 &
    SERVER_PID=$!
    wait_for_port "$PORT" "$SERVER_PID"
}
# The certificate that is served.
shown() {
    { openssl s_client -connect "127.0.0.1:$smtps" -servername mail.example.net </dev/null 2>/dev/null |
        openssl x509 -noout -issuer -serial -ext subjectAltName 2>/dev/null; } || true
}
serial() { shown | sed -n 's/^serial=//p'; }
serial_other_than() { serial | grep -v -x "$1" || true; }
# wait_for WHAT PATTERN COMMAND...: until its output matches, at most a minute.
wait_for() {
    local what=$1 pattern=$2 attempt
    shift 2
    for ((attempt = 0; attempt < 300; attempt++)); do
        if grep -qE -- "$pattern" <<<"$("$@")"; then echo "  ok   $what"; return; fi
        sleep 0.2
    done
    echo "  FAIL $what: no $pattern within a minute"
    FAULTS=$((FAULTS + 1))
}

# The authority is away: mail goes on with the certificate that the server made itself.
settings http-01
succeeds 'serve --check' "$POSTHASTE" serve --config "$WORK/posthaste.toml" --check
serve
expect_match 'without the authority: self-signed' 'issuer=CN = mail.example.net' "$(shown)"
wait_for 'a failure is told' 'ACME: no certificate: .*trying again in [23] minutes' cat "$WORK/server.log"
succeeds 'mail goes on' swaks --server "127.0.0.1:$PORT" --tls --from ann@example.org --to bob@example.net
stop_server

# HTTP-01, and renewal of a certificate that lives for 20 seconds.
pebble_up 20
serve
wait_for 'a certificate by HTTP-01' 'issuer=CN = Pebble' shown
expect_match 'it is for both names' 'DNS:(mail.example.net, DNS:smtp|smtp.example.net, DNS:mail).example.net' "$(shown)"
expect 'mode of its file' 600 "$(stat -c %a "$DATA/tls/acme.pem")"
expect 'mode of the account' 600 "$(stat -c %a "$DATA/tls/acme-account.json")"
for path in / /.well-known/acme-challenge/x; do
    expect "status of $path" 404 "$(curl --silent --output "$WORK/page" --write-out '%{http_code}' "http://127.0.0.1:$http$path")"
done
first=$(serial)
wait_for 'it is renewed before it expires' '[0-9A-F]' serial_other_than "$first"
stop_server
kill "$PEBBLE"
wait "$PEBBLE" 2>/dev/null || true

# TLS-ALPN-01, at an authority that has forgotten the account.
pebble_up 86400
rm "$DATA/tls/acme.pem"
settings tls-alpn-01
serve
wait_for 'a certificate by TLS-ALPN-01' 'issuer=CN = Pebble' shown
other=$(openssl s_client -connect "127.0.0.1:$alpn" </dev/null 2>/dev/null | grep -c 'BEGIN CERTIFICATE' || true)
expect 'certificates for others on that port' 0 "$other"
stop_server
serve
kept=$(serial)
stop_server
serve
expect 'serial number after a restart' "$kept" "$(serial)"
curl --silent --cacert "$WORK/ca.pem" "https://localhost:$management/roots/0" >"$WORK/root.pem"
succeeds 'verified by the root of the authority' swaks --server "127.0.0.1:$smtps" --tls-on-connect --tls-verify \
    --tls-ca-path "$WORK/root.pem" --tls-sni mail.example.net --from ann@example.org --to bob@example.net
expect 'messages of bob@example.net' 2 "$(messages bob@example.net)"
stop_server

# An authority that the system trusts, as Let's Encrypt is; and its check is answered where mail is submitted.
rm "$DATA/tls/acme.pem" "$DATA/tls/acme-account.json"
settings tls-alpn-01 '' "$alpn" "$smtps"
SSL_CERT_FILE="$WORK/ca.pem" serve
smtps=$alpn
wait_for 'a certificate by TLS-ALPN-01 on a listener, from an authority of the system' 'issuer=CN = Pebble' shown
succeeds 'mail on that listener' swaks --server "127.0.0.1:$smtps" --tls-on-connect --from ann@example.org --to bob@example.net
stop_server
[ "$FAULTS" = 0 ] || { echo '  pebble:'; tail -5 "$WORK/pebble.log" | sed 's/^/    /'; }
