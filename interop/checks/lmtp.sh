#!/usr/bin/env bash
# LMTP listeners, as a relay of one's own uses them: swaks, msmtp and smtplib; a reply for each recipient.
. "$INTEROP/lib.sh"
needs swaks msmtp
PORT=$(free_port)
lmtp=$(free_port)
cat >"$WORK/posthaste.toml" <<X
hostname = "mail.example.net"
data = "$DATA"
domains = ["example.net"]
accounts = ["bob@example.net", "eve@example.net"]

[[listen]]
address = "127.0.0.1:$PORT"

[[listen]]
address = "127.0.0.1:$lmtp"
protocol = "lmtp"
X
succeeds 'serve --check' "$POSTHASTE" serve --config "$WORK/posthaste.toml" --check
"$POSTHASTE" serve --config "$WORK/posthaste.toml" </dev/null >>"$WORK/server.log" 2>&1 &
SERVER_PID=$!
wait_for_port "$PORT" "$SERVER_PID"
wait_for_port "$lmtp" "$SERVER_PID"

succeeds 'swaks' swaks --protocol LMTP --server "127.0.0.1:$lmtp" --from ann@example.org --to bob@example.net
output=$(swaks --protocol LMTP --server "127.0.0.1:$lmtp" --from ann@example.org --to bob@example.net,nobody@example.net,eve@example.net 2>&1) || true
expect_match 'an unknown recipient among others' '550 5\.1\.1' "$output"
printf 'Subject: by LMTP\n\nHello.\n' >"$WORK/plain.eml"
lmtp_msmtp() { msmtp --file=/dev/null --protocol=lmtp --host=127.0.0.1 --port="$lmtp" --tls=off --auth=off --from=ann@example.org "$@" <"$WORK/plain.eml"; }
succeeds 'msmtp' lmtp_msmtp bob@example.net
succeeds 'smtplib' python3 -c '
import smtplib, sys
client = smtplib.LMTP("127.0.0.1", int(sys.argv[1]), local_hostname="client.example")
client.sendmail("ann@example.org", ["bob@example.net"], b"Subject: by LMTP\r\n\r\nHello.\r\n")
' "$lmtp"
expect 'messages of bob@example.net' 4 "$(messages bob@example.net)"
expect 'messages of eve@example.net' 1 "$(messages eve@example.net)"
expect_match 'Received says LMTP' ' with LMTP ' "$(trace bob@example.net Received)"

output=$(swaks --server "127.0.0.1:$PORT" --from ann@example.org --to bob@elsewhere.example 2>&1) && status=0 || status=$?
expect 'exit status of swaks for a domain that is not ours' 24 "$status"
expect_match 'relaying is refused' '550 5\.7\.1' "$output"
succeeds 'sub-addressing' swaks --server "127.0.0.1:$PORT" --from ann@example.org --to bob+lists@example.net
succeeds 'postmaster without a domain' swaks --server "127.0.0.1:$PORT" --from ann@example.org --to postmaster
expect 'messages of bob@example.net' 5 "$(messages bob@example.net)"
stop_server
