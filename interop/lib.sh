# Shared by interop/checks/*: a private directory, a server of the check's own on a free high port, and assertions.
# Sourced by bash under `set -euo pipefail`. Given by interop/run: POSTHASTE (the binary) and INTEROP (this folder).
# shellcheck shell=bash

set -euo pipefail

WORK=$(mktemp -d "${TMPDIR:-/tmp}/posthaste-interop.XXXXXX")
DATA=$WORK/data
PORT=
SERVER_PID=
FAULTS=0
export PATH=$PATH:/usr/sbin:/sbin

# Ends what the check started, shows the server's log after a fault, removes the directory.
finish() {
    local status=$?
    trap - EXIT
    if [ -n "$SERVER_PID" ]; then
        kill -KILL "$SERVER_PID" 2>/dev/null || true
        { wait "$SERVER_PID" || true; } 2>/dev/null
    fi
    declare -F check_cleanup >/dev/null && check_cleanup
    if [ "$status" != 0 ] || [ "$FAULTS" != 0 ]; then
        [ ! -s "$WORK/server.log" ] || { echo '  the end of the server'"'"'s log:'; tail -n ${INTEROP_LOG_LINES:-20} "$WORK/server.log" | sed 's/^/    /'; }
        [ "$status" != 0 ] || status=1
    fi
    rm -rf "$WORK"
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

# needs COMMAND...: the check is left out (status 77) where one is missing.
needs() {
    local command
    for command; do
        command -v "$command" >/dev/null || { echo "  needs $command (.ci/setup installs it)"; exit 77; }
    done
}

# The Python of the virtual environment that .ci/setup made, and where its npm packages are.
VENV_PYTHON=$INTEROP/.cache/venv/bin/python
NODE_MODULES=$INTEROP/.cache/node/node_modules

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# start_server [ARGUMENT...]: `posthaste up` on a free port; returns when it greets. PORT and SERVER_PID are set.
# Called again after a stop it uses the same data and port.
start_server() {
    rm -f "$WORK/ready.json"
    "$POSTHASTE" up --listen "127.0.0.1:${PORT:-0}" --data "$DATA" --json "$@" </dev/null >"$WORK/ready.json" 2>>"$WORK/server.log" &
    SERVER_PID=$!
    local attempt
    for ((attempt = 0; attempt < 400; attempt++)); do
        [ ! -s "$WORK/ready.json" ] || break
        kill -0 "$SERVER_PID" 2>/dev/null || break
        sleep 0.02
    done
    # The first of several: that of SMTP.
    PORT=$(grep -oE '"address": *"127\.0\.0\.1:[0-9]+"' "$WORK/ready.json" | sed -nE '1s/.*:([0-9]+)"/\1/p')
    [ -n "$PORT" ] || { echo '  FAIL the server did not say where it listens'; exit 1; }
    wait_for_port "$PORT" "$SERVER_PID"
}

# wait_for_port PORT PID: until a greeting comes, at most 20 seconds, while the process lives.
wait_for_port() {
    local greeting attempt
    for ((attempt = 0; attempt < 400; attempt++)); do
        kill -0 "$2" 2>/dev/null || { echo "  FAIL the server ended instead of listening"; exit 1; }
        if greeting=$(exec 2>/dev/null 3<>"/dev/tcp/127.0.0.1/$1" && read -r -t 5 line <&3 && printf '%s' "$line"); then
            case $greeting in 220*) return ;; esac
        fi
        sleep 0.05
    done
    echo "  FAIL no greeting on port $1 after 20 seconds"
    exit 1
}

# stop_server: asks it to stop and waits; its exit status must be 0.
stop_server() {
    local status=0
    kill -TERM "$SERVER_PID"
    wait "$SERVER_PID" || status=$?
    SERVER_PID=
    expect 'exit status of the server after SIGTERM' 0 "$status"
}

# kill_server: as if the power went, but for the kernel's memory.
kill_server() {
    kill -KILL "$SERVER_PID"
    { wait "$SERVER_PID" || true; } 2>/dev/null
    SERVER_PID=
}

# expect WHAT EXPECTED ACTUAL
expect() {
    if [ "$2" = "$3" ]; then
        echo "  ok   $1: $2"
    else
        echo "  FAIL $1: expected $2, got $3"
        FAULTS=$((FAULTS + 1))
    fi
}

# expect_match WHAT PATTERN TEXT: the text matches the extended regular expression.
expect_match() {
    if grep -qE -- "$2" <<<"$3"; then
        echo "  ok   $1"
    else
        echo "  FAIL $1: expected a match of $2 in:"
        head -n 20 <<<"$3" | cut -c -200 | sed 's/^/       | /'
        FAULTS=$((FAULTS + 1))
    fi
}

# succeeds WHAT COMMAND...: its output is shown only when it fails.
succeeds() {
    local what=$1 output
    shift
    if output=$("$@" 2>&1); then
        echo "  ok   $what"
    else
        echo "  FAIL $what: status $? of: $*"
        tail -n 15 <<<"$output" | sed 's/^/       | /'
        FAULTS=$((FAULTS + 1))
    fi
}

# messages ACCOUNT: how many are in its INBOX.
messages() {
    "$POSTHASTE" inbox ls --data "$DATA" --account "$1" --json | python3 "$INTEROP/mail.py" count
}

# newest ACCOUNT: the number of the message that came last.
newest() {
    "$POSTHASTE" inbox ls --data "$DATA" --account "$1" --json | python3 "$INTEROP/mail.py" newest
}

# content ACCOUNT [NUMBER]: the message below our own trace fields, byte for byte, to standard output.
content() {
    "$POSTHASTE" inbox raw "${2:-$(newest "$1")}" --data "$DATA" --account "$1" | python3 "$INTEROP/mail.py" content
}

# trace ACCOUNT NAME: the value of one of our own trace fields in the newest message.
trace() {
    "$POSTHASTE" inbox raw "$(newest "$1")" --data "$DATA" --account "$1" | python3 "$INTEROP/mail.py" trace "$2"
}

# same_content WHAT FILE ACCOUNT [NUMBER]: what arrived equals the file.
same_content() {
    expect "$1, SHA-256 of the content" "$(sha256sum <"$2" | cut -c1-16)" "$(content "$3" "${4:-}" | sha256sum | cut -c1-16)"
}
