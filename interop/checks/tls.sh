#!/usr/bin/env bash
# TLS: openssl and swaks against STARTTLS and against TLS from the first byte; versions, session resumption, the certificate by
# name, changed certificates; what comes in clear where it must not; posthaste send both ways.
. "$INTEROP/lib.sh"
needs swaks openssl
. "$INTEROP/submission.sh"
certificate other ca DNS:other.example.net,DNS:*.wild.example.net
# For other servers with TLS from the first byte: nobody offers that, but it asks for no password.
relays=$(free_port)
settings '[[listen]]' "address = \"127.0.0.1:$relays\"" 'protocol = "smtp"' 'tls = "implicit"' '[[tls.certificate]]' "chain = \"$WORK/other.crt\"" "key = \"$WORK/other.key\""
serve

# s_client WORD...: what openssl says of a handshake; the first word says how: starttls (port 25), submission, implicit. With
# -ign_eof openssl reads on until the server closes, and does not take the Q of QUIT for its own command.
s_client() {
    local how
    case $1 in
        implicit) how=(-connect "127.0.0.1:$SMTPS") ;;
        submission) how=(-connect "127.0.0.1:$SUBMISSION" -starttls smtp) ;;
        *) how=(-connect "127.0.0.1:$PORT" -starttls smtp) ;;
    esac
    shift
    printf 'QUIT\r\n' | timeout 20 openssl s_client -ign_eof "${how[@]}" -CAfile "$CA" -verify_return_error "$@" 2>&1 || true
}
for how in starttls submission implicit; do
    expect_match "$how: TLS 1.3" 'New, TLSv1.3' "$(s_client $how -tls1_3)"
    expect_match "$how: TLS 1.2" 'New, TLSv1.2' "$(s_client $how -tls1_2)"
    for version in tls1_1 tls1; do
        expect_match "$how: $version is refused" 'Cipher is \(NONE\)' "$(s_client $how -$version -cipher 'ALL:@SECLEVEL=0')"
    done
done
expect_match 'why it was refused is in the log' 'TLS failed: the client knows no TLS newer than 1.1' "$(cat "$WORK/server.log")"

# The certificate by the name that is asked for (SNI, RFC 6066 §3); the first one for all other clients.
subject() { sed -n 's/^subject=CN = //p' <<<"$(s_client "$@")"; }
for how in starttls implicit; do
    expect "$how: certificate for other.example.net" other "$(subject $how -servername other.example.net)"
    expect "$how: certificate for a.wild.example.net" other "$(subject $how -servername a.wild.example.net)"
    expect "$how: certificate for localhost" mail "$(subject $how -servername localhost)"
    expect "$how: certificate for a name that is not here" mail "$(subject $how -servername elsewhere.example)"
    expect "$how: certificate for no name" mail "$(subject $how -noservername)"
done

# Sessions are resumed where mail is submitted, each time with a new key exchange; other servers get no tickets.
for how in submission implicit; do
    for version in tls1_2 tls1_3; do
        s_client $how -$version -servername localhost -sess_out "$WORK/$how.$version" >"$WORK/first"
        expect_match "$how, $version: a session is resumed" '^Reused, TLS' "$(s_client $how -$version -servername localhost -sess_in "$WORK/$how.$version")"
    done
done
expect 'starttls: tickets' 0 "$(s_client starttls -tls1_3 | grep -c 'New Session Ticket arrived' || true)"
expect 'starttls, TLS 1.2: tickets' 0 "$(s_client starttls -tls1_2 | grep -c 'TLS session ticket:' || true)"

swaks_to() { swaks --from "$USER" --to bob@example.net --tls-verify --tls-ca-path "$WORK/ca.pem" --tls-sni localhost "$@"; }
succeeds 'swaks --tls' swaks_to --server "127.0.0.1:$PORT" --tls
succeeds 'swaks --tls-on-connect' swaks_to --server "127.0.0.1:$SMTPS" --tls-on-connect --auth PLAIN --auth-user "$USER" --auth-password "$PASSWORD"
expect_match 'Received' 'with ESMTPSA .* tls TLS_[A-Z0-9_]+ \(TLSv1\.3\)' "$(trace bob@example.net Received | tr -s '\r\n\t' ' ')"
send() { "$POSTHASTE" send --from ann@example.org --to bob@example.net --text x "$@"; }
succeeds 'posthaste send --tls require' send --server "localhost:$PORT" --tls require --ca "$WORK/ca.pem"
succeeds 'posthaste send --tls implicit' send --server "localhost:$relays" --tls implicit --ca "$WORK/ca.pem"
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
certificate mail ca DNS:localhost,IP:127.0.0.1
kill -HUP "$SERVER_PID"
for ((attempt = 0; attempt < 100; attempt++)); do [ "$(serial)" = "$before" ] || break; sleep 0.1; done
expect 'serial number of the new certificate' "$(openssl x509 -noout -serial -in "$WORK/mail.crt")" "$(serial)"
before=$(serial)
cp "$WORK/mail.crt" "$WORK/kept.crt"
openssl req -x509 "${EC[@]}" -subj /CN=strange -keyout "$WORK/strange.key" -out "$WORK/mail.crt" 2>/dev/null
kill -HUP "$SERVER_PID"
for ((attempt = 0; attempt < 100; attempt++)); do grep -q 'changed certificate not taken' "$WORK/server.log" && break; sleep 0.1; done
expect_match 'a certificate without its key is told' 'changed certificate not taken.*does not belong' "$(cat "$WORK/server.log")"
expect 'serial number after that' "$before" "$(serial)"
mv "$WORK/kept.crt" "$WORK/mail.crt"

stop_server
