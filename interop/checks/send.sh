#!/usr/bin/env bash
# `posthaste send` as the client of foreign servers: aiosmtpd (Python) over SMTP and LMTP, and a bounce in words.
. "$INTEROP/lib.sh"
[ -x "$VENV_PYTHON" ] || { echo '  needs aiosmtpd (.ci/setup installs it)'; exit 77; }
PORT=$(free_port)
"$VENV_PYTHON" "$INTEROP/clients/foreign_server.py" "$PORT" "$WORK/received" >"$WORK/server.log" 2>&1 &
SERVER_PID=$!
wait_for_port "$PORT" "$SERVER_PID"
send() { "$POSTHASTE" send --server "127.0.0.1:$PORT" --from ann@example.org "$@"; }

succeeds 'text' send --to bob@example.net --subject 'Grüße' --text 'Guten Tag'
expect_match 'the subject arrived encoded' '^Subject: =\?[Uu][Tt][Ff]-8\?' "$(cat "$WORK/received.1")"
head -c 50000 /dev/urandom >"$WORK/picture.png"
succeeds 'HTML and an attachment' send --to bob@example.net --cc eve@example.net --bcc secret@example.net --subject Report \
    --text plain --html '<p>rich</p>' --attach "$WORK/picture.png"
expect_match 'a multipart message' '^Content-Type: multipart/mixed' "$(cat "$WORK/received.2")"
expect 'fields that name the hidden recipient' 0 "$(grep -ci 'secret' "$WORK/received.2" || true)"
expect 'its envelope' 'bob@example.net eve@example.net secret@example.net' "$(cat "$WORK/received.2.to")"

output=$(send --to refused@example.net --subject x --text x 2>&1) && status=0 || status=$?
expect 'exit status for a refused recipient' 1 "$status"
expect_match 'who was refused and why' 'refused@example\.net.*550' "$output"
output=$(send --to later@example.net --subject x --text x 2>&1) && status=0 || status=$?
expect 'exit status for a recipient to be tried later' 75 "$status"
transcript=$(send --to bob@example.net --subject x --text x -v 2>&1) || true
expect_match 'the transcript shows the client' '^C: MAIL FROM:<ann@example\.org>' "$transcript"
expect_match 'the transcript shows the server' '^S: 250' "$transcript"
