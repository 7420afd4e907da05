#!/usr/bin/env bash
# SIGTERM and SIGINT: the transaction in flight finishes and is kept, an idle session gets 421, nobody new gets in.
. "$INTEROP/lib.sh"
python3 "$INTEROP/mail.py" make dots >"$WORK/dots.eml"

for signal in TERM INT; do
    start_server
    mkfifo "$WORK/go"
    python3 "$INTEROP/clients/session.py" "$PORT" held "$WORK/dots.eml" "$signal@example.net" <"$WORK/go" >"$WORK/session.log" 2>&1 &
    session=$!
    exec 4>"$WORK/go"
    exec 5<>"/dev/tcp/127.0.0.1/$PORT"
    read -r -t 10 -u 5 _
    for ((attempt = 0; attempt < 200; attempt++)); do
        grep -q held "$WORK/session.log" && break
        sleep 0.05
    done
    kill "-$signal" "$SERVER_PID"
    read -r -t 10 -u 5 line || line='(nothing)'
    expect "SIG$signal: what an idle session is told" 421 "${line:0:3}"
    exec 5>&-
    # The session may hear of the stop a moment before the listener does.
    open=yes
    for ((attempt = 0; attempt < 50; attempt++)); do
        (exec 2>/dev/null 6<>"/dev/tcp/127.0.0.1/$PORT" && read -r -t 5 line <&6 && [[ $line == 220* ]]) || { open=no; break; }
        sleep 0.05
    done
    expect "SIG$signal: a new connection is greeted" no "$open"
    echo go >&4
    exec 4>&-
    wait "$session" && status=0 || status=$?
    [ "$status" = 0 ] || { tail -n 3 "$WORK/session.log" | sed 's/^/       | /'; }
    expect "SIG$signal: exit status of the session in flight" 0 "$status"
    status=0
    wait "$SERVER_PID" || status=$?
    SERVER_PID=
    expect "SIG$signal: exit status of the server" 0 "$status"
    same_content "SIG$signal: the message, read with no server running" "$WORK/dots.eml" "$signal@example.net"
    rm "$WORK/go"
done
