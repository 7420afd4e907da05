#!/usr/bin/env bash
# GNU SASL's gsasl: SCRAM-SHA-256 under TLS 1.2 and 1.3, SCRAM-SHA-256-PLUS bound to the connection by tls-exporter (which
# gsasl has since 2.0, under TLS 1.3), and that somebody in the middle with the server's own certificate cannot pass that on.
. "$INTEROP/lib.sh"
needs gsasl openssl
. "$INTEROP/submission.sh"
settings
serve
middle=$(free_port)
python3 "$INTEROP/clients/middleman.py" "$middle" "$SUBMISSION" "$WORK/mail.crt" "$WORK/mail.key" 2>"$WORK/middleman.log" &
MIDDLE=$!
check_cleanup() { kill "$MIDDLE" 2>/dev/null || true; }
wait_for_port "$middle" "$MIDDLE"

# gsasl speaks no SMTP but what leads to AUTH; it must be told to leave the channel alone for SCRAM without -PLUS.
gsasl_to() {
    local port=$1 version=$2 password=$3
    shift 3
    gsasl --smtp --starttls --connect "127.0.0.1:$port" --hostname localhost --x509-ca-file "$CA" --verbose \
        --priority "NORMAL:-VERS-ALL:+VERS-TLS$version" --authentication-id "$USER" --password "$password" "$@" </dev/null 2>&1
}
for version in 1.2 1.3; do
    for mechanism in SCRAM-SHA-256 PLAIN LOGIN; do
        output=$(gsasl_to "$SUBMISSION" $version "$PASSWORD" --no-cb --mechanism $mechanism) || true
        expect_match "$mechanism, TLS $version" '^235 2\.7\.0' "$output"
        expect_match "$mechanism, TLS $version: the server is the right one" 'server trusted' "$output"
    done
    output=$(gsasl_to "$SUBMISSION" $version wrong --no-cb --mechanism SCRAM-SHA-256) || true
    expect_match "SCRAM-SHA-256, TLS $version, wrong password" '^535 5\.7\.8' "$output"
done
output=$(gsasl_to "$SUBMISSION" 1.3 "$PASSWORD" --mechanism SCRAM-SHA-256-PLUS) || true
expect_match 'SCRAM-SHA-256-PLUS, TLS 1.3' '^235 2\.7\.0' "$output"
expect_match 'SCRAM-SHA-256-PLUS, TLS 1.3: the server is the right one' 'server trusted' "$output"
expect_match 'SCRAM-SHA-256-PLUS is bound by tls-exporter' '^p=tls-exporter,' "$(tr -d '\r' <<<"$output" | grep -A1 '^334' | sed -n 2p | base64 -d)"
output=$(gsasl_to "$SUBMISSION" 1.3 wrong --mechanism SCRAM-SHA-256-PLUS) || true
expect_match 'SCRAM-SHA-256-PLUS, wrong password' '^535 5\.7\.8' "$output"
output=$(gsasl_to "$SUBMISSION" 1.3 "$PASSWORD") || true
expect_match 'what gsasl takes when it may choose' '^AUTH SCRAM-SHA-256-PLUS' "$output"
expect_match 'it succeeds' '^235 2\.7\.0' "$output"
output=$(gsasl_to "$SUBMISSION" 1.2 "$PASSWORD" --mechanism SCRAM-SHA-256-PLUS) || true
expect_match 'SCRAM-SHA-256-PLUS is not offered under TLS 1.2' '^504 5\.5\.4' "$output"

output=$(gsasl_to "$middle" 1.3 "$PASSWORD" --no-cb --mechanism SCRAM-SHA-256) || true
expect_match 'somebody in the middle passes SCRAM-SHA-256 on' '^235 2\.7\.0' "$output"
output=$(gsasl_to "$middle" 1.3 "$PASSWORD" --mechanism SCRAM-SHA-256-PLUS) || true
expect_match 'but not SCRAM-SHA-256-PLUS' '^535 5\.7\.8' "$output"
expect_match 'the log says why' 'AUTH refused.*SCRAM-SHA-256-PLUS.*(channel|binding)' "$(cat "$WORK/server.log")"
stop_server
