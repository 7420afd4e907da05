#!/usr/bin/env bash
# swaks, every mechanism that it has, over STARTTLS and over TLS from the first byte; client certificates; what must be
# refused and with which reply.
. "$INTEROP/lib.sh"
needs swaks openssl
for module in Net::SSLeay Digest::HMAC_MD5 Authen::SASL Authen::NTLM; do
    perl "-M$module" -e 1 2>/dev/null || { echo "  needs Perl's $module (.ci/setup installs it)"; exit 77; }
done
. "$INTEROP/submission.sh"
authority clients
certificate bob clients email:bob@example.net client
CLIENT_CA=clients settings
serve

starttls=(--server "127.0.0.1:$SUBMISSION" --tls)
implicit=(--server "127.0.0.1:$SMTPS" --tls-on-connect)
account=(--auth-user "$USER" --auth-password "$PASSWORD")
swaks_to() { swaks --tls-verify --tls-ca-path "$CA" --tls-sni localhost --from "$USER" --to eve@example.net "$@"; }

sent=0
for how in starttls implicit; do
    declare -n connection=$how
    for mechanism in PLAIN LOGIN; do
        succeeds "$how: $mechanism" swaks_to "${connection[@]}" --auth "$mechanism" "${account[@]}"
        sent=$((sent + 1))
    done
    # Without a word on the mechanism swaks takes one that both have.
    succeeds "$how: any that both have" swaks_to "${connection[@]}" --auth "${account[@]}"
    sent=$((sent + 1))
    for mechanism in CRAM-MD5 CRAM-SHA1 DIGEST-MD5 NTLM SPA MSN; do
        output=$(swaks_to "${connection[@]}" --auth "$mechanism" "${account[@]}" 2>&1) && status=0 || status=$?
        expect "$how: exit status for $mechanism, which is not offered" 28 "$status"
    done
    for mechanism in PLAIN LOGIN; do
        output=$(swaks_to "${connection[@]}" --auth "$mechanism" --auth-user "$USER" --auth-password wrong 2>&1) && status=0 || status=$?
        expect "$how: exit status for a wrong password with $mechanism" 28 "$status"
        expect_match "$how: the reply to it" '535 5\.7\.8' "$output"
    done
    output=$(swaks_to "${connection[@]}" 2>&1) && status=0 || status=$?
    expect "$how: exit status without AUTH" 23 "$status"
    expect_match "$how: the reply to MAIL" '530 5\.7\.0' "$output"
    output=$(swaks --from ann@elsewhere.example --to eve@example.net "${connection[@]}" --auth PLAIN "${account[@]}" 2>&1) && status=0 || status=$?
    expect "$how: exit status for the address of somebody else" 23 "$status"
    expect_match "$how: the reply to it" '55[03] 5\.7\.1' "$output"
    succeeds "$how: a client certificate does no harm to PLAIN" swaks_to "${connection[@]}" --tls-cert "$WORK/bob.crt" \
        --tls-key "$WORK/bob.key" --auth PLAIN "${account[@]}"
    sent=$((sent + 1))
done
expect 'messages of eve@example.net' "$sent" "$(messages eve@example.net)"
expect_match 'Received' 'with ESMTPSA ' "$(trace eve@example.net Received)"

# In clear nothing is offered, and nothing taken.
output=$(swaks --server "127.0.0.1:$SUBMISSION" --from "$USER" --to eve@example.net --auth PLAIN "${account[@]}" 2>&1) && status=0 || status=$?
expect 'exit status in clear' 28 "$status"
expect 'lines that offer AUTH in clear' 0 "$(grep -c '250.AUTH' <<<"$output" || true)"
output=$(swaks --server "127.0.0.1:$PORT" --tls --from "$USER" --to eve@example.net --auth PLAIN "${account[@]}" 2>&1) && status=0 || status=$?
expect 'exit status on the port for other servers' 28 "$status"

# What swaks would not say because it was not offered: each is refused by its own reply, and the session goes on.
said=$(python3 "$INTEROP/clients/auth_lines.py" "$SUBMISSION" "$CA" "$USER" "$PASSWORD" 2>&1) || { echo "  FAIL auth_lines.py"; FAULTS=$((FAULTS + 1)); }
while IFS=$'\t' read -r what expected actual; do expect "$what" "$expected" "$actual"; done <<<"$said"
stop_server
