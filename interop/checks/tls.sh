#!/usr/bin/env bash
# TLS: openssl, swaks and testssl.sh against STARTTLS and against TLS from the first byte; changed certificates; what
# comes in clear where it must not; posthaste send both ways.
. "$INTEROP/lib.sh"
needs swaks openssl testssl
PORT=$(free_port)
smtps=$(free_port)
ec=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
openssl req -x509 "${ec[@]}" -days 2 -subj /CN=authority -keyout "$WORK/ca.key" -out "$WORK/ca.pem" 2>/dev/null
# certificate: a new one for localhost.
certificate() {
    openssl req "${ec[@]}" -subj /CN=localhost -keyout "$WORK/mail.key" -out "$WORK/mail.csr" 2>/dev/null
    openssl x509 -req -in "$WORK/mail.csr" -CA "$WORK/ca.pem" -CAkey "$WORK/ca.key" -days 60 -out "$WORK/mail.crt" -extfile \
        <(printf 'subjectAltName=DNS:localhost\nextendedKeyUsage=serverAuth\nkeyUsage=digitalSignature\n') 2>/dev/null
}
certificate
cat >"$WORK/posthaste.toml" <<END
hostname = "localhost"
data = "$DATA"
domains = ["example.net"]
accounts = ["bob@example.net"]
[[listen]]
address = "127.0.0.1:$PORT"
[[listen]]
address = "127.0.0.1:$smtps"
protocol = "smtp"
tls = "implicit"
[[tls.certificate]]
chain = "$WORK/mail.crt"
key = "$WORK/mail.key"
END
"$POSTHASTE" serve --config "$WORK/posthaste.toml" </dev/null >>"$WORK/server.log" 2>&1 &
SERVER_PID=$!
wait_for_port "$PORT" "$SERVER_PID"

# s_client WORD...: what openssl says of a handshake; the first word says how.
s_client() {
    local how=(-connect "127.0.0.1:$smtps")
    [ "$1" = implicit ] || how=(-connect "127.0.0.1:$PORT" -starttls smtp)
    shift
    printf 'QUIT\r\n' | timeout 20 openssl s_client "${how[@]}" -CAfile "$WORK/ca.pem" -verify_return_error -servername localhost "$@" 2>&1 || true
}
for how in starttls implicit; do
    expect_match "$how: TLS 1.3" 'New, TLSv1.3' "$(s_client $how -tls1_3)"
    expect_match "$how: TLS 1.2" 'New, TLSv1.2' "$(s_client $how -tls1_2)"
    expect_match "$how: TLS 1.1 is refused" 'Cipher is \(NONE\)' "$(s_client $how -tls1_1 -cipher 'ALL:@SECLEVEL=0')"
done
expect_match 'why it was refused is in the log' 'TLS failed: the client knows no TLS newer than 1.1' "$(cat "$WORK/server.log")"

swaks_to() { swaks --from ann@example.org --to bob@example.net --tls-verify --tls-ca-path "$WORK/ca.pem" --tls-sni localhost "$@"; }
succeeds 'swaks --tls' swaks_to --server "127.0.0.1:$PORT" --tls
succeeds 'swaks --tls-on-connect' swaks_to --server "127.0.0.1:$smtps" --tls-on-connect
expect_match 'Received' 'with ESMTPS .* tls TLS_[A-Z0-9_]+ \(TLSv1\.3\)' "$(trace bob@example.net Received | tr -s '\r\n\t' ' ')"
send() { "$POSTHASTE" send --from ann@example.org --to bob@example.net --text x "$@"; }
succeeds 'posthaste send --tls require' send --server "localhost:$PORT" --tls require --ca "$WORK/ca.pem"
succeeds 'posthaste send --tls implicit' send --server "localhost:$smtps" --tls implicit --ca "$WORK/ca.pem"
output=$(send --server "localhost:$PORT" --tls require 2>&1) || true
expect_match 'an authority that nobody knows' 'certificate of the server is signed by nobody who is trusted here.*--ca FILE' "$output"
expect 'messages of bob@example.net' 4 "$(messages bob@example.net)"

# What comes in clear behind STARTTLS is never carried out.
output=$(python3 - "$PORT" <<'END'
import socket, sys
def session(pieces):
    with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 20) as connection:
        said = connection.recv(1000)
        for piece in pieces:
            connection.sendall(piece)
            said = connection.recv(1000)
        rest = said
        try:
            while piece := connection.recv(1000):
                rest += piece
        except ConnectionError:
            pass
        return rest
message = b"MAIL FROM:<>\r\nRCPT TO:<bob@example.net>\r\nDATA\r\nx\r\n.\r\n"
print(session([b"EHLO x\r\n", b"STARTTLS\r\n" + message]))
print(session([b"EHLO x\r\n", b"STARTTLS\r\n", message]))
END
)
expect 'positive replies to what came in clear' 0 "$(grep -cE "(^b'|\\\\n)(250|354)" <<<"$output" || true)"
expect 'messages of bob@example.net' 4 "$(messages bob@example.net)"

# A changed certificate comes into force without a restart; one without its key does not.
serial() { s_client implicit | openssl x509 -noout -serial; }
before=$(serial)
certificate
kill -HUP "$SERVER_PID"
for ((attempt = 0; attempt < 100; attempt++)); do [ "$(serial)" = "$before" ] || break; sleep 0.1; done
expect 'serial number of the new certificate' "$(openssl x509 -noout -serial -in "$WORK/mail.crt")" "$(serial)"
before=$(serial)
cp "$WORK/mail.crt" "$WORK/kept.crt"
openssl req -x509 "${ec[@]}" -subj /CN=other -keyout "$WORK/other.key" -out "$WORK/mail.crt" 2>/dev/null
kill -HUP "$SERVER_PID"
for ((attempt = 0; attempt < 100; attempt++)); do grep -q 'changed certificate not taken' "$WORK/server.log" && break; sleep 0.1; done
expect_match 'a certificate without its key is told' 'changed certificate not taken.*does not belong' "$(cat "$WORK/server.log")"
expect 'serial number after that' "$before" "$(serial)"
mv "$WORK/kept.crt" "$WORK/mail.crt"

# testssl.sh: nothing above LOW. The whole of it takes many minutes (docs/tls.md); these checks find what a setting could break.
for how in starttls implicit; do
    target=("localhost:$smtps")
    [ "$how" = implicit ] || target=(--starttls smtp "localhost:$PORT")
    timeout 140 testssl --quiet --color 0 --warnings off --ip 127.0.0.1 --add-ca "$WORK/ca.pem" --jsonfile "$WORK/$how.json" \
        --severity MEDIUM --protocols --std --server-preference "${target[@]}" >"$WORK/$how.log" 2>&1 || true
    [ -s "$WORK/$how.json" ] && ran=yes || ran="no: $(tail -n 3 "$WORK/$how.log")"
    expect "testssl.sh, $how, came to an end" yes "$ran"
    expect "testssl.sh, $how: findings above LOW" '' \
        "$(python3 -c 'import json, sys
for finding in json.load(open(sys.argv[1])):
    if finding["severity"] in ("MEDIUM", "HIGH", "CRITICAL", "FATAL"): print(finding["id"], finding["severity"], finding["finding"])' "$WORK/$how.json")"
done
stop_server
