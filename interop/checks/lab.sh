#!/usr/bin/env bash
# A laboratory of next hops that misbehave (clients/lab.py), with name servers of its own: each message must come to the right end.
. "$INTEROP/lib.sh"
needs openssl
. "$INTEROP/submission.sh"
. "$INTEROP/mta.sh"
mkdir "$WORK/lab"
certificate good ca DNS:mx.tls.example
certificate expired ca DNS:mx.expired.example server -1
mv "$WORK"/{good,expired}.{key,crt} "$WORK/lab"
touch "$WORK/lab/taken"
python3 "$INTEROP/clients/lab.py" "$HOP" "$WORK/lab" 2>"$WORK/lab.log" &
lab=$!
PIDS+=("$lab")
wait_for_host 127.0.1.20 "$HOP" "$lab"
ln -s "$WORK/lab/zone" "$WORK/zone"
name_server
serve_us 'give_up = "20s"' 'connection_idle = "60s"'
python3 "$INTEROP/mail.py" make 8bit >"$WORK/8bit.eml"
digest=$(sha256sum <"$WORK/8bit.eml" | cut -c1-16)

# to RECIPIENT...: a message; all that are meant for one test name its host.
to() { into_us "$FROM" "$WORK/8bit.eml" "$@" >"$WORK/into.log" 2>&1 || { echo "  FAIL to $*: $(tail -n 1 "$WORK/into.log")"; FAULTS=$((FAULTS + 1)); }; }
# taken DOMAIN: who took a message for it: host, recipient's local part, TLS, connection; content that differs is shown.
taken() { grep -F "@$1 " "$WORK/lab/taken" | sed "s/ $digest / ok /" | awk '{split($3, a, "@"); print $1, a[1], $4, $5}' | sort | paste -sd, ; }
seen() { grep -c "^$1 [0-9]* $2" "$WORK/lab/seen" || true; }
# reports: all that came for the sender, a line for each recipient.
reports() {
    local number
    for number in $("$POSTHASTE" inbox ls --data "$DATA" --account "$FROM" --json | python3 -c 'import json, sys
print(*(entry["uid"] for entry in json.load(sys.stdin)))'); do
        "$POSTHASTE" inbox raw "$number" --data "$DATA" --account "$FROM" | python3 "$INTEROP/clients/report.py"
    done | sort
}

began=$SECONDS
# A domain that cannot be looked up waits, and goes when it can.
to user@broken.example
put_off() { grep -c 'put off.*Server Failure.*user@broken.example' "$WORK/server.log" | sed 's/^[1-9][0-9]*$/yes/' || true; }
eventually 'a domain with SERVFAIL is put off' yes put_off
sed -i 's/^broken.example SERVFAIL/broken.example MX 10 mx.good.example/' "$WORK/lab/zone"
eventually 'a domain with SERVFAIL: delivered when DNS is back' 'good user ok clear' taken broken.example

# Connections are used again, and one that was closed meanwhile costs nothing.
for domain in kept leaves; do
    for number in 1 2; do
        to "user$number@$domain.example"
        eventually "message $number to the host that $domain" "$(seq -f "$domain user%g ok clear" "$number" | paste -sd,)" taken "$domain.example"
    done
done
connections() { awk -v host="$1" '$1 == host {print $6}' "$WORK/lab/taken" | sort -u | wc -l; }
expect 'connections for two messages' 1 "$(connections kept)"
expect 'connections for two messages to a host that closes them' 2 "$(connections leaves)"
expect 'messages put off because a connection was dead' 0 "$(grep -c 'put off.*@leaves.example' "$WORK/server.log" || true)"
to user@fullfirst.example
eventually 'a best host whose disk is full' 'good user ok clear' taken fullfirst.example
expect 'messages put off because a disk was full' 0 "$(grep -c 'put off.*@fullfirst.example' "$WORK/server.log" || true)"

for domain in grey onebad dropdot slow badtls notls tls expired twice ahead rude refuses unwell odd shut \
    closedfirst silentfirst equal rudefirst lamefirst alias nomx behind nullmx loop literal nowhere; do
    case $domain in
        onebad) to a@onebad.example bad@onebad.example c@onebad.example ;;
        *) to "user@$domain.example" ;;
    esac
done
for number in 1 2 3 4 5 6 7 8; do to "user$number@busy.example"; done

# What arrives, where, and how often.
eventually 'greylisting: tried again, delivered' 'grey user ok clear' taken grey.example
eventually 'one of three refused: the others at once' 'onebad a ok clear,onebad c ok clear' taken onebad.example
eventually 'a connection lost after the dot: tried again later' 'dropdot user ok clear' taken dropdot.example
eventually 'a slow banner is waited for' 'slow user ok clear' taken slow.example
eventually 'STARTTLS with something else than a handshake: in clear' 'badtls user ok clear' taken badtls.example
eventually 'STARTTLS refused: in clear' 'notls user ok clear' taken notls.example
eventually 'STARTTLS' 'tls user ok tls' taken tls.example
eventually 'an expired certificate is better than none' 'expired user ok tls' taken expired.example
eventually 'content put off twice' 'unwell user ok clear' taken unwell.example
eventually 'odd replies' 'odd user ok clear' taken odd.example
eventually 'closed at RCPT' 'shut user ok clear' taken shut.example
eventually 'a best host that refuses connections' 'good user ok clear' taken closedfirst.example
eventually 'an equal host that does not answer' 'good user ok clear' taken equal.example
eventually 'a best host that greets with 554' 'good user ok clear' taken rudefirst.example
eventually 'a best host that DNS does not know' 'good user ok clear' taken lamefirst.example
eventually 'a domain that is an alias' 'good user ok clear' taken alias.example
eventually 'a domain without MX' 'good user ok clear' taken nomx.example
eventually 'a domain of which we are the second host' 'good user ok clear' taken behind.example
eventually '421 after two messages: eight arrive, each once' "$(for number in 1 2 3 4 5 6 7 8; do echo "busy user$number ok clear"; done | paste -sd,)" taken busy.example
expect 'connections to the host that takes two messages each, at least' yes "$([ "$(awk '$1 == "busy" {print $6}' "$WORK/lab/taken" | sort -u | wc -l)" -ge 4 ] && echo yes || echo no)"

eventually 'a best host that does not answer' 'good user ok clear' taken silentfirst.example

# What comes back, for each recipient once, and nothing else.
expected='failed 5.1.1 550 bad@onebad.example
failed 5.1.10 556 user@nullmx.example
failed 5.1.2 550 user@nowhere.example
failed 5.4.4 550 user@literal.example
failed 5.4.6 554 user@loop.example
failed 5.6.0 554 user@refuses.example'
late='user@(twice|ahead|rude)\.example'
at_once() { reports | grep -vE "$late" || true; }
given_up() { reports | grep -E "$late" | sed -E 's/ [45]\.[0-9.]+ [0-9]+ / - - /' || true; }
eventually 'what is refused comes back at once' "$expected" at_once
eventually 'what never could be sent comes back when it is given up' "$(printf 'failed - - user@%s.example\n' ahead rude twice)" given_up
for host in twice ahead rude; do expect "messages that $host took" '' "$(taken "$host.example")"; done

expect 'the greylisted one was tried twice' 2 "$(seen grey RCPT)"
expect 'the one without an answer was sent twice' 2 "$(seen dropdot '\.$')"
[ "$(awk '$1 == "dropdot" && $3 == "."' "$WORK/lab/seen" | wc -l)" = 2 ] || echo "  (seen: $(grep dropdot "$WORK/lab/seen"))"
expect 'copies with other content' 0 "$(awk -v digest="$digest" '$4 != digest' "$WORK/lab/taken" | wc -l)"
echo "  all of it took $((SECONDS - began)) s"
stop_server
[ "$FAULTS" = 0 ] || { cat "$WORK/lab.log"; grep -v INFO "$WORK/server.log" | tail -n 20; }
