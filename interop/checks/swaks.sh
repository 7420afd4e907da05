#!/usr/bin/env bash
# swaks: ESMTP, plain SMTP, pipelined, and an attachment.
. "$INTEROP/lib.sh"
needs swaks
start_server
server="127.0.0.1:$PORT"

succeeds 'ESMTP' swaks --server "$server" --from ann@example.org --to bob@example.net --body 'over ESMTP'
succeeds 'SMTP (HELO)' swaks --server "$server" --protocol SMTP --from ann@example.org --to bob@example.net --body 'over SMTP'
succeeds 'pipelined' swaks --server "$server" --pipeline --from ann@example.org --to bob@example.net,eve@example.net
succeeds 'null reverse-path' swaks --server "$server" --from '<>' --to postmaster@example.net
head -c 100000 /dev/urandom >"$WORK/attachment.bin"
succeeds 'attachment' swaks --server "$server" --from ann@example.org --to bob@example.net --attach "@$WORK/attachment.bin"

expect 'messages of bob@example.net' 4 "$(messages bob@example.net)"
expect 'messages of eve@example.net' 1 "$(messages eve@example.net)"
expect 'messages of postmaster@example.net' 1 "$(messages postmaster@example.net)"
expect 'Return-Path of the message with the null reverse-path' '<>' "$(trace postmaster@example.net Return-Path)"
expect_match 'Received says ESMTP' ' with ESMTP ' "$(trace eve@example.net Received)"
stop_server

echo bob@example.net >"$WORK/users.txt"
DATA=$WORK/listed
start_server --users "$WORK/users.txt"
succeeds 'a listed user' swaks --server "127.0.0.1:$PORT" --from ann@example.org --to bob@example.net
output=$(swaks --server "127.0.0.1:$PORT" --from ann@example.org --to nobody@example.net 2>&1) && status=0 || status=$?
expect 'exit status of swaks for somebody not listed' 24 "$status"
expect_match 'the refusal' '550 5\.1\.1' "$output"
expect 'messages of bob@example.net' 1 "$(messages bob@example.net)"
stop_server
