#!/usr/bin/env bash
# IMAP with Python's imapclient.
. "$INTEROP/lib.sh"
needs curl python3
[ -x "$VENV_PYTHON" ] && "$VENV_PYTHON" -c 'import imapclient' 2>/dev/null || { echo '  needs imapclient (.ci/setup installs it)'; exit 77; }
IMAP=$(free_port)
start_server --tls starttls --imap "127.0.0.1:$IMAP"
succeeds 'a delivery makes the account' curl --silent --show-error "smtp://127.0.0.1:$PORT/client.example" \
    --mail-from ann@example.org --mail-rcpt bob@example.net --upload-file <(printf 'Subject: first\r\n\r\ntext\r\n')
printf 'correct horse\n' | "$POSTHASTE" user passwd bob@example.net --password-stdin --data "$DATA" >/dev/null
succeeds 'imapclient: everything that it has' "$VENV_PYTHON" "$INTEROP/clients/imapclient_client.py" "$IMAP"
stop_server
