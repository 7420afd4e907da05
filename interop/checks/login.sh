#!/usr/bin/env bash
# Logging in with curl, msmtp, smtplib and nodemailer: each mechanism that they have and we offer, over STARTTLS and over
# TLS from the first byte. Bearer tokens are signed by a key of the check's own.
. "$INTEROP/lib.sh"
needs curl msmtp openssl node
[ -d "$NODE_MODULES/nodemailer" ] || { echo '  needs nodemailer (.ci/setup installs it)'; exit 77; }
. "$INTEROP/submission.sh"
openssl genrsa -out "$WORK/issuer.key" 2048 2>/dev/null
openssl genrsa -out "$WORK/stranger.key" 2048 2>/dev/null
bearer() { python3 "$INTEROP/clients/bearer.py" "$@"; }
bearer "$WORK/issuer.key" set one >"$WORK/jwks.json"
authority clients
certificate bob clients "email:$USER" client
certificate stranger ca "email:$USER" client
CLIENT_CA=clients settings '[auth.oauth]' "keys = \"$WORK/jwks.json\"" 'issuer = "https://id.example.net"' 'audience = "mail"'
serve

soon=$(($(date +%s) + 600))
claims=(iss=https://id.example.net aud=mail "email=$USER")
token=$(bearer "$WORK/issuer.key" RS256 one "${claims[@]}" "exp=$soon")
printf 'From: %s\nTo: eve@example.net\nSubject: login\n\nHello.\n' "$USER" >"$WORK/message.eml"
sent=0

# curl. It has no SCRAM unless it was built with gsasl, which Debian's is not.
curl_to() {
    curl --silent --show-error --cacert "$CA" --ssl-reqd --mail-from "$USER" --mail-rcpt eve@example.net \
        --upload-file "$WORK/message.eml" "$@"
}
for url in "smtp://localhost:$SUBMISSION" "smtps://localhost:$SMTPS"; do
    for mechanism in PLAIN LOGIN '*'; do
        for initial in --sasl-ir --no-sasl-ir; do
            succeeds "curl, ${url%%:*}, $mechanism, $initial" \
                curl_to "$url" "$initial" --login-options "AUTH=$mechanism" --user "$USER:$PASSWORD"
            sent=$((sent + 1))
        done
    done
    for mechanism in XOAUTH2 OAUTHBEARER; do
        succeeds "curl, ${url%%:*}, $mechanism" curl_to "$url" --login-options "AUTH=$mechanism" --user "$USER" --oauth2-bearer "$token"
        sent=$((sent + 1))
    done
    succeeds "curl, ${url%%:*}, EXTERNAL" curl_to "$url" --login-options AUTH=EXTERNAL --user "$USER:" --cert "$WORK/bob.crt" --key "$WORK/bob.key"
    sent=$((sent + 1))
done
# refused WHAT TOKEN: what curl says, and its exit status (67: login denied).
refused() {
    local mechanism output status
    for mechanism in XOAUTH2 OAUTHBEARER; do
        output=$(curl_to "smtp://localhost:$SUBMISSION" --login-options "AUTH=$mechanism" --user "$USER" --oauth2-bearer "$2" 2>&1) && status=0 || status=$?
        expect "curl, $mechanism with $1: exit status" 67 "$status"
    done
}
refused 'a token that has expired' "$(bearer "$WORK/issuer.key" RS256 one "${claims[@]}" "exp=$((soon - 7200))")"
refused 'a token for another service' "$(bearer "$WORK/issuer.key" RS256 one "${claims[@]}" "exp=$soon" aud=wiki)"
refused "a token of somebody else's making" "$(bearer "$WORK/stranger.key" RS256 one "${claims[@]}" "exp=$soon")"
refused 'a token that nobody signed' "$(bearer "$WORK/issuer.key" none one "${claims[@]}" "exp=$soon")"
refused 'a token for a user who is not here' "$(bearer "$WORK/issuer.key" RS256 one "${claims[@]}" "exp=$soon" email=mallory@example.net)"
output=$(curl_to "smtp://localhost:$SUBMISSION" --user "$USER:wrong" 2>&1) && status=0 || status=$?
expect 'curl, wrong password: exit status' 67 "$status"
output=$(curl_to "smtp://localhost:$SUBMISSION" --login-options AUTH=EXTERNAL --user "$USER:" 2>&1) && status=0 || status=$?
expect 'curl, EXTERNAL without a certificate: exit status' 67 "$status"
output=$(curl_to "smtp://localhost:$SUBMISSION" --login-options AUTH=EXTERNAL --user "$USER:" --cert "$WORK/stranger.crt" --key "$WORK/stranger.key" 2>&1) && status=0 || status=$?
expect 'curl, EXTERNAL with a certificate of another authority: exit status' 67 "$status"
expect 'messages of eve@example.net' "$sent" "$(messages eve@example.net)"

# msmtp, which has SCRAM from GNU SASL.
printf '%s' "$PASSWORD" >"$WORK/password"
printf '%s' "$token" >"$WORK/token"
msmtp_to() {
    msmtp --file=/dev/null --host=localhost --tls --tls-trust-file="$CA" --domain=client.example --from="$USER" --user="$USER" \
        "$@" eve@example.net <"$WORK/message.eml"
}
for how in "--port=$SUBMISSION --tls-starttls=on" "--port=$SMTPS --tls-starttls=off"; do
    for mechanism in plain login scram-sha-256 on; do
        # shellcheck disable=SC2086
        succeeds "msmtp $how --auth=$mechanism" msmtp_to $how --auth=$mechanism --passwordeval="cat $WORK/password"
        sent=$((sent + 1))
    done
    for mechanism in oauthbearer xoauth2; do
        # shellcheck disable=SC2086
        succeeds "msmtp $how --auth=$mechanism" msmtp_to $how --auth=$mechanism --passwordeval="cat $WORK/token"
        sent=$((sent + 1))
    done
    # shellcheck disable=SC2086
    succeeds "msmtp $how --auth=external" msmtp_to $how --auth=external --tls-cert-file="$WORK/bob.crt" --tls-key-file="$WORK/bob.key"
    sent=$((sent + 1))
done
printf wrong >"$WORK/password"
for mechanism in plain login scram-sha-256 oauthbearer; do
    output=$(msmtp_to --port="$SUBMISSION" --auth=$mechanism --passwordeval="cat $WORK/password" 2>&1) && status=0 || status=$?
    expect "msmtp, $mechanism, wrong: exit status (EX_NOPERM)" 77 "$status"
    expect_match "msmtp, $mechanism, wrong: what it was told" '535' "$output"
done
expect 'messages of eve@example.net' "$sent" "$(messages eve@example.net)"

# smtplib picks the mechanism itself; its PLAIN and LOGIN are tried one by one, too.
succeeds 'smtplib' python3 "$INTEROP/clients/smtplib_login.py" "$SUBMISSION" "$SMTPS" "$CA" "$PLAIN_USER" "$PLAIN_PASSWORD" "$USER"
expect "messages of $USER" 6 "$(messages "$USER")"

# nodemailer: STARTTLS and implicit; LOGIN, PLAIN, XOAUTH2, and its own choice.
succeeds nodemailer env NODE_PATH="$NODE_MODULES" NODE_EXTRA_CA_CERTS="$CA" node "$INTEROP/clients/nodemailer_login.js" \
    "$SUBMISSION" "$SMTPS" "$USER" "$PASSWORD" "$token" eve@example.net
sent=$((sent + 8))
expect 'messages of eve@example.net' "$sent" "$(messages eve@example.net)"
expect 'lines of the log with the password or a token in them' 0 "$(grep -cF -e 'cörrect' -e 'battery' -e "${token:0:40}" "$WORK/server.log" || true)"
stop_server
