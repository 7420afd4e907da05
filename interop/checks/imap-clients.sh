#!/usr/bin/env bash
# IMAP with the programs that keep copies of mailboxes: mbsync (a thousand messages, octet by octet, flags both ways), offlineimap, mutt,
# fetchmail and getmail (these two by POP3 as well).
. "$INTEROP/lib.sh"
needs python3 mbsync mutt fetchmail getmail offlineimap script
IMAP=$(free_port)
POP3=$(free_port)
start_server --imap "127.0.0.1:$IMAP" --pop3 "127.0.0.1:$POP3"
curl --silent "smtp://127.0.0.1:$PORT/client.example" --mail-from ann@example.org --mail-rcpt bob@example.net \
    --upload-file <(printf 'Subject: first\r\n\r\ntext\r\n')
printf 'correct horse\n' | "$POSTHASTE" user passwd bob@example.net --password-stdin --data "$DATA" >/dev/null
"$POSTHASTE" inbox rm 1 --account bob@example.net --data "$DATA" >/dev/null
export HOME=$WORK/home
mkdir -p "$HOME" "$WORK/mbsync"
thousand="$INTEROP/clients/imap_thousand.py"

cat >"$WORK/mbsyncrc" <<END
IMAPAccount bob
Host 127.0.0.1
Port $IMAP
User bob@example.net
Pass "correct horse"
SSLType None
AuthMechs *

IMAPStore far
Account bob

MaildirStore near
Path $WORK/mbsync/
Inbox $WORK/mbsync/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
SyncState *
END
succeeds 'a thousand messages by APPEND' python3 "$thousand" fill "$IMAP" "$WORK/known"
succeeds 'mbsync fetches them' timeout 120 mbsync --config "$WORK/mbsyncrc" --all
succeeds 'they are the same, octet by octet' python3 "$thousand" same "$WORK/known" "$WORK/mbsync/INBOX"
succeeds 'flags change in the Maildir' python3 "$thousand" near "$WORK/mbsync/INBOX"
succeeds 'mbsync brings them to the server' timeout 120 mbsync --config "$WORK/mbsyncrc" --all
succeeds 'the server has them; flags change there' python3 "$thousand" far "$IMAP" "$WORK/known"
succeeds 'mbsync brings those back' timeout 120 mbsync --config "$WORK/mbsyncrc" --all
succeeds 'flags are the same on both sides' python3 "$thousand" same "$WORK/known" "$WORK/mbsync/INBOX"
mkdir -p "$WORK/mbsync/Sent Mail"/{cur,new,tmp}
printf 'Subject: sent\n\nGr\303\274\303\237e\n' >"$WORK/mbsync/Sent Mail/cur/1.x:2,S"
succeeds 'mbsync makes a mailbox' timeout 120 mbsync --config "$WORK/mbsyncrc" --all
expect 'the mailboxes then' 'INBOX Sent Mail' "$("$POSTHASTE" inbox mailboxes --account bob@example.net --data "$DATA" --json |
    python3 -c 'import json, sys; print(" ".join(sorted(m["name"] for m in json.load(sys.stdin))))')"

cat >"$WORK/offlineimaprc" <<END
[general]
accounts = bob
metadata = $WORK/offlineimap.state
ui = quiet
[Account bob]
localrepository = near
remoterepository = far
[Repository near]
type = Maildir
localfolders = $WORK/offlineimap
[Repository far]
type = IMAP
remotehost = 127.0.0.1
remoteport = $IMAP
remoteuser = bob@example.net
remotepass = correct horse
ssl = no
starttls = no
END
succeeds 'offlineimap' offlineimap -c "$WORK/offlineimaprc" -o
succeeds 'it has the same' python3 "$thousand" same "$WORK/known" "$WORK/offlineimap/INBOX"

cat >"$WORK/muttrc" <<END
set folder = "imap://127.0.0.1:$IMAP/"
set spoolfile = "imap://127.0.0.1:$IMAP/INBOX"
set imap_user = "bob@example.net"
set imap_pass = "correct horse"
set ssl_starttls = no
set ssl_force_tls = no
set confirmappend = no
set confirmcreate = no
set quit = yes
set delete = yes
set mark_old = no
END
succeeds 'mutt copies and deletes a message' timeout 60 script -qec "TERM=xterm mutt -n -F '$WORK/muttrc' -e \
'push \"<limit>~s \\\"message 7\\\$\\\"<enter><copy-message>=Sent Mail<enter><delete-message><sync-mailbox><quit>\"'" /dev/null
expect 'messages in INBOX then' 999 "$(messages bob@example.net)"

# With the limit reached its exit status is 13.
for kind in IMAP POP3; do
    (umask 077; printf 'poll 127.0.0.1 protocol %s port %s user "bob@example.net" password "correct horse" sslproto "" fetchall\n' \
        "$kind" "${!kind}" >"$WORK/fetchmailrc")
    timeout 100 fetchmail -f "$WORK/fetchmailrc" --nodetach --fetchlimit 20 --keep --mda "cat >>$WORK/fetched-$kind" \
        --pidfile "$WORK/fetchmail.pid" >"$WORK/fetchmail.log" 2>&1 && status=0 || status=$?
    expect "exit status of fetchmail by $kind" 13 "$status"
    expect 'what it fetched' 20 "$(grep -c '^end of ' "$WORK/fetched-$kind")"
done
printf '#!/bin/sh\nexec cat >>"$1"\n' >"$WORK/keep"
chmod +x "$WORK/keep"
for kind in IMAP POP3; do
    mkdir -p "$WORK/getmail-$kind"
    cat >"$WORK/getmail-$kind/getmailrc" <<END
[retriever]
type = Simple${kind}Retriever
server = 127.0.0.1
port = ${!kind}
username = bob@example.net
password = correct horse
timeout = 30
[destination]
type = MDA_external
path = $WORK/keep
arguments = ("$WORK/got-$kind",)
allow_root_commands = true
[options]
max_messages_per_session = 50
delivered_to = false
received = false
END
    # getmail sometimes does not notice that its own child, the delivery agent, has ended; nothing of the server is in that.
    for ((attempt = 1; attempt <= 3; attempt++)); do
        output=$(timeout 60 getmail --getmaildir "$WORK/getmail-$kind" --quiet 2>&1) && status=0 || status=$?
        grep -q 'waiting child pid .* timed out' <<<"$output" || break
        rm "$WORK/got-$kind"
    done
    expect "exit status of getmail by $kind" 0 "$status"
    expect 'what it fetched' 50 "$(grep -c '^end of ' "$WORK/got-$kind")"
done
stop_server
