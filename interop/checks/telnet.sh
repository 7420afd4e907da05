#!/usr/bin/env bash
# A session typed by hand, as with telnet: HELO, one message, the errors a person makes, QUIT.
. "$INTEROP/lib.sh"
start_server

exec 3<>"/dev/tcp/127.0.0.1/$PORT"

# The last line of the next reply.
reply() {
    local line
    while IFS= read -r -t 10 -u 3 line; do
        line=${line%$'\r'}
        [[ $line == ???-* ]] || break
    done
    printf '%s' "$line"
}

# typed LINE CODE: the line, and the code that its reply begins with.
typed() {
    printf '%s\r\n' "$1" >&3
    local answer
    answer=$(reply)
    expect "reply to '$1'" "$2" "${answer:0:${#2}}"
}

expect_match 'greeting' '^220 .*ESMTP' "$(reply)"
typed 'MAIL FROM:<ann@example.org>' '503 5.5.1'
typed 'HELO me.example' 250
typed 'MAIL FROM: ann' '501 5.5'
typed 'MAIL FROM:<ann@example.org>' '250 2.1.0'
typed 'MAIL FROM:<ann@example.org>' '503 5.5.1'
typed 'DATA' 503
typed 'RCPT TO:<bob@example.net>' '250 2.1.5'
typed 'VRFY bob' 252
typed 'NOOP' 250
typed 'FOO' 500
typed 'DATA' 354
printf 'Subject: typed\r\nFrom: ann@example.org\r\n\r\nDear Bob,\r\n..\r\nthis is typed.\r\n' >&3
typed '.' '250 2.0.0'
typed 'QUIT' 221
exec 3>&-

printf 'Subject: typed\r\nFrom: ann@example.org\r\n\r\nDear Bob,\r\n.\r\nthis is typed.\r\n' >"$WORK/expected"
expect 'messages of bob@example.net' 1 "$(messages bob@example.net)"
same_content 'the typed message' "$WORK/expected" bob@example.net
expect 'Return-Path' '<ann@example.org>' "$(trace bob@example.net Return-Path)"
expect_match 'Received names the client and the protocol' 'from me\.example .*127\.0\.0\.1.* with SMTP ' "$(trace bob@example.net Received)"
stop_server
