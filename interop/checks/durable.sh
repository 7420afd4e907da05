#!/usr/bin/env bash
# A message that got its 250 is there after kill -9: small ones, and one large enough for a file of its own.
. "$INTEROP/lib.sh"
python3 "$INTEROP/mail.py" make big 3000000 >"$WORK/large.eml"
python3 "$INTEROP/mail.py" make plain >"$WORK/small.eml"
rounds=20

# deliver_and_kill WORD...: killed.py; what bash says about the killed server goes away unless something else went wrong.
deliver_and_kill() {
    local status=0
    { python3 "$INTEROP/clients/killed.py" "$PORT" "$SERVER_PID" "$@" || status=$?; wait "$SERVER_PID" || true; } 2>"$WORK/killed.log"
    SERVER_PID=
    [ "$status" = 0 ] || { cat "$WORK/killed.log"; FAULTS=$((FAULTS + 1)); }
}

lost=0 damaged=0
for ((round = 1; round <= rounds; round++)); do
    start_server
    file=$WORK/small.eml
    [ $((round % 4)) != 0 ] || file=$WORK/large.eml
    deliver_and_kill "$file" bob@example.net
    # Every second time the store is read with no server running.
    [ $((round % 2)) = 0 ] || start_server
    [ "$(messages bob@example.net)" = "$round" ] || lost=$((lost + 1))
    content bob@example.net | cmp -s - "$file" || damaged=$((damaged + 1))
    [ $((round % 2)) = 0 ] || kill_server
done
expect "of $rounds kills right after 250, those that lost a message" 0 "$lost"
expect "of $rounds kills right after 250, those that damaged it" 0 "$damaged"
succeeds 'posthaste store verify' "$POSTHASTE" store verify --data "$DATA"

# Killed in the middle of twenty sessions: each message that got 250 is there, whole.
DATA=$WORK/busy
start_server
deliver_and_kill "$WORK/small.eml" many@example.net --sessions 20 --accepted "$WORK/accepted"
start_server
accepted=$(wc -l <"$WORK/accepted") kept=$(messages many@example.net)
[ "$kept" -ge "$accepted" ] && enough=yes || enough="no: $kept"
expect "at least the $accepted accepted messages are there after a kill under load" yes "$enough"
[ "$kept" -le $((accepted + 20)) ] && few=yes || few="no: $kept"
expect 'at most one more for each session' yes "$few"
stop_server
succeeds 'posthaste store verify' "$POSTHASTE" store verify --data "$DATA"
