#!/usr/bin/env bash
# nodemailer: HTML with a text alternative, an attachment, UTF-8 everywhere, a pool of connections.
. "$INTEROP/lib.sh"
needs node
[ -d "$NODE_MODULES/nodemailer" ] || { echo '  needs nodemailer (.ci/setup installs it)'; exit 77; }
# With STARTTLS it would refuse the self-signed certificate; `up` does not offer it by itself.
start_server

succeeds 'HTML, attachment and UTF-8' env NODE_PATH="$NODE_MODULES" node "$INTEROP/clients/nodemailer.js" "$PORT" rich "$WORK/sent.eml"
expect 'messages of bob@example.net' 1 "$(messages bob@example.net)"
same_content 'the message as nodemailer built it' "$WORK/sent.eml" bob@example.net
expect 'Return-Path' '<ann@example.org>' "$(trace bob@example.net Return-Path)"
shown=$("$POSTHASTE" inbox show "$(newest bob@example.net)" --data "$DATA" --account bob@example.net)
expect_match 'inbox show decodes the subject' 'Grüße aus Köln' "$shown"
expect_match 'inbox show names the attachment' 'naïve\.bin' "$shown"
succeeds 'a UTF-8 local part' env NODE_PATH="$NODE_MODULES" node "$INTEROP/clients/nodemailer.js" "$PORT" utf8
expect 'messages of jürgen@example.net' 1 "$(messages 'jürgen@example.net')"
succeeds '60 messages over a pool' env NODE_PATH="$NODE_MODULES" node "$INTEROP/clients/nodemailer.js" "$PORT" pool
expect 'messages of pool@example.net' 60 "$(messages pool@example.net)"
stop_server
