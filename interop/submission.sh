# Shared by the checks that log in: an authority of the check's own, certificates, and a server for example.net with two
# accounts that listens for SMTP (PORT), for submission (SUBMISSION) and with TLS from the first byte (SMTPS).
# Sourced after lib.sh.
# shellcheck shell=bash

EC=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
USER=bob@example.net
# Signs, a space and a letter beyond ASCII, as passwords have them; SASLprep (RFC 4013) leaves all of it as it is.
PASSWORD='cörrect horse="1,2"'
# For programs that know ASCII only, like Python's smtplib.
PLAIN_USER=eve@example.net
PLAIN_PASSWORD='battery \ staple'

# authority NAME: NAME.key and NAME.pem.
authority() {
    openssl req -x509 "${EC[@]}" -days 2 -subj "/CN=$1" -keyout "$WORK/$1.key" -out "$WORK/$1.pem" 2>/dev/null
}

# certificate FILE AUTHORITY ALTERNATIVE-NAMES [server|client [DAYS]]: FILE.key and FILE.crt; one that exists is replaced.
certificate() {
    local usage=${4:-server} days=${5:-60} sign=(x509 -req -CA "$WORK/$2.pem" -CAkey "$WORK/$2.key")
    openssl req "${EC[@]}" -subj "/CN=$1" -keyout "$WORK/$1.key" -out "$WORK/$1.csr" 2>/dev/null
    openssl "${sign[@]}" -in "$WORK/$1.csr" -days "$days" -out "$WORK/$1.crt" 2>/dev/null -extfile \
        <(printf 'subjectAltName=%s\nextendedKeyUsage=%sAuth\nkeyUsage=digitalSignature\n' "$3" "$usage")
}

# settings [LINE...]: posthaste.toml with the three listeners, and the lines after them. With CLIENT_CA, the name of an
# authority, those who submit may show certificates that it signed.
settings() {
    cat >"$WORK/posthaste.toml" <<END
hostname = "localhost"
data = "$DATA"
domains = ["example.net"]
accounts = ["$USER", "$PLAIN_USER"]
[[listen]]
address = "127.0.0.1:$PORT"
[[listen]]
address = "127.0.0.1:$SUBMISSION"
protocol = "submission"
[[listen]]
address = "127.0.0.1:$SMTPS"
protocol = "submission"
tls = "implicit"
[tls]
$([ -z "${CLIENT_CA:-}" ] || echo "client_ca = \"$WORK/$CLIENT_CA.pem\"")
[[tls.certificate]]
chain = "$WORK/mail.crt"
key = "$WORK/mail.key"
END
    printf '%s\n' "$@" >>"$WORK/posthaste.toml"
}

# serve: by those settings; returns when it greets and the accounts have their passwords. SERVER_PID is set.
serve() {
    "$POSTHASTE" serve --config "$WORK/posthaste.toml" </dev/null >>"$WORK/server.log" 2>&1 &
    SERVER_PID=$!
    wait_for_port "$PORT" "$SERVER_PID"
    printf '%s\n' "$PASSWORD" | "$POSTHASTE" user passwd "$USER" --password-stdin --data "$DATA" >/dev/null
    printf '%s\n' "$PLAIN_PASSWORD" | "$POSTHASTE" user passwd "$PLAIN_USER" --password-stdin --data "$DATA" >/dev/null
}

PORT=$(free_port)
SUBMISSION=$(free_port)
SMTPS=$(free_port)
authority ca
certificate mail ca DNS:localhost,IP:127.0.0.1
CA=$WORK/ca.pem
