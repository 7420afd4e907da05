#!/usr/bin/env bash
# What the server takes from itself when root starts it: its user, core dumps, system calls, and that it says so; that it does not start where
# that cannot be had; and that systemd understands the unit files. Needs root, as that is what it drops.
. "$INTEROP/lib.sh"
needs swaks setpriv systemd-analyze
[ "$(id -u)" = 0 ] || { echo '  needs root'; exit 77; }

# Who is to be nobody must reach its directory and, below, the program.
chmod 0711 "$WORK"
install -m 0755 "$POSTHASTE" "$WORK/posthaste"
install -d -m 0700 -o nobody -g nogroup "$DATA"
# Below 1024: what root is needed for.
PORT=$(python3 - <<'END'
import socket
for port in range(1023, 600, -1):
    try:
        socket.socket().bind(("127.0.0.1", port))
    except OSError:
        continue
    print(port)
    break
END
)
# settings USER
settings() {
    cat >"$WORK/posthaste.toml" <<END
hostname = "mail.example.net"
data = "$DATA"
domains = ["example.net"]
accounts = ["bob@example.net"]
[[listen]]
address = "127.0.0.1:$PORT"
tls = "none"
[hardening]
user = "$1"
END
    chmod 0644 "$WORK/posthaste.toml"
}
# told FILE: of the process.
told() { sed -nE "s/^$1:?[[:space:]]+//p" "/proc/$SERVER_PID/$2" | tr -s '[:space:]' ' ' | sed 's/ $//'; }

settings nobody
"$WORK/posthaste" serve --config "$WORK/posthaste.toml" </dev/null >"$WORK/server.log" 2>&1 &
SERVER_PID=$!
wait_for_port "$PORT" "$SERVER_PID"
uid=$(id -u nobody) gid=$(id -g nobody)
expect 'its user, in all four places' "$uid $uid $uid $uid" "$(told Uid status)"
expect 'its group' "$gid $gid $gid $gid" "$(told Gid status)"
expect "root's groups are gone" "$(id -G nobody)" "$(told Groups status)"
expect 'rights of root' 0000000000000000 "$(told CapEff status)"
expect 'it gets none back (NoNewPrivs)' 1 "$(told NoNewPrivs status)"
expect 'system calls are filtered (Seccomp)' 2 "$(told Seccomp status)"
expect_match 'core dumps' '^0 0 ' "$(told 'Max core file size' limits)"
expect 'owner of its memory, so that nobody else looks into it' 0 "$(stat -c %u "/proc/$SERVER_PID/mem")"
expect_match 'the log says what is in force' \
    "confined: user: nobody \($uid\); core dumps: off; files: .*Landlock.*; system calls: [0-9]+ refused \(seccomp\)" "$(cat "$WORK/server.log")"
succeeds 'mail comes on a port below 1024' swaks --server "127.0.0.1:$PORT" --from ann@example.org --to bob@example.net
expect 'what it writes is its own' "$uid 600" "$(find "$DATA" -type f -printf '%U %m\n' | sort -u)"
stop_server

# refused WHAT PATTERN COMMAND...: the server does not start, and says why.
refused() {
    local what=$1 pattern=$2 status=0
    shift 2
    timeout 20 "$@" serve --config "$WORK/posthaste.toml" </dev/null >"$WORK/refused.log" 2>&1 || status=$?
    expect "$what: it does not start" yes "$([ "$status" != 0 ] && [ "$status" != 124 ] && echo yes || echo "status $status")"
    expect_match "$what: it says why" "$pattern" "$(cat "$WORK/refused.log")"
}
settings nobody-of-that-name
refused 'a user that does not exist' 'nobody-of-that-name' "$WORK/posthaste"
settings daemon
PORT=$(free_port)
settings daemon
refused 'a user to become, without being root' 'root' setpriv --reuid "$uid" --regid "$gid" --clear-groups "$WORK/posthaste"

mkdir "$WORK/units"
cp "$INTEROP"/../packaging/systemd/posthaste.* "$WORK/units"
sed -i "s#^ExecStart=[^ ]*#ExecStart=$WORK/posthaste#" "$WORK/units/posthaste.service"
units=("$WORK/units/posthaste.service" "$WORK/units/posthaste.socket")
# Nothing to say: it warns of words that it does not know.
expect 'systemd has nothing to say of the units' '' "$(systemd-analyze verify --man=no "${units[@]}" 2>&1 | grep posthaste || true)"
exposure=$(systemd-analyze security --offline=true "${units[0]}" 2>/dev/null | sed -nE 's/.*exposure level for posthaste.service: ([0-9.]+).*/\1/p')
expect "exposure ($exposure) of at most 1.5" yes "$(awk -v is="${exposure:-10}" 'BEGIN { print is <= 1.5 ? "yes" : "no" }')"
