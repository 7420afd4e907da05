#!/usr/bin/env bash
# POP3 with curl and Python's poplib: STLS, SASL, TOP, UIDL over a restart, DELE at QUIT, every octet of a message.
. "$INTEROP/lib.sh"
needs curl python3
POP3=$(free_port)
start_server --tls starttls --pop3 "127.0.0.1:$POP3"
python3 "$INTEROP/mail.py" make dots >"$WORK/dots.eml"
python3 "$INTEROP/mail.py" make 8bit >"$WORK/8bit.eml"
for file in dots 8bit; do
    succeeds "delivery of $file" curl --silent --show-error "smtp://127.0.0.1:$PORT/client.example" \
        --mail-from ann@example.org --mail-rcpt bob@example.net --upload-file "$WORK/$file.eml"
done
printf 'correct horse\n' | "$POSTHASTE" user passwd bob@example.net --password-stdin --data "$DATA" >/dev/null
user='bob@example.net:correct horse'
url="pop3://127.0.0.1:$POP3"

"$POSTHASTE" inbox raw 1 --account bob@example.net --data "$DATA" >"$WORK/kept"
succeeds 'curl fetches the first message, STLS and SASL' curl --silent --show-error --ssl-reqd --insecure \
    --user "$user" "$url/1" --output "$WORK/fetched"
succeeds 'it is what is kept' cmp "$WORK/kept" "$WORK/fetched"
expect 'messages in LIST' 2 "$(curl --silent --user "$user" "$url/" | grep -c .)"
before=$(curl --silent --user "$user" --request UIDL "$url/")
stop_server
start_server --tls starttls --pop3 "127.0.0.1:$POP3"
expect 'UIDL after a restart' "$before" "$(curl --silent --user "$user" --request UIDL "$url/")"
output=$(curl --silent --show-error --user 'bob@example.net:wrong' "$url/1" 2>&1) && status=0 || status=$?
expect 'exit status of curl with a wrong password' 67 "$status"
succeeds 'poplib: TOP, RETR, DELE, RSET, QUIT' python3 "$INTEROP/clients/poplib_client.py" "$POP3" "$WORK/kept"
expect 'messages left' 1 "$(messages bob@example.net)"
stop_server
