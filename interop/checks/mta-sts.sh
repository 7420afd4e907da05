#!/usr/bin/env bash
# MTA-STS (RFC 8461) with real servers: policies over HTTPS, and a Postfix behind MX that shows a certificate. What TLS came to is counted (RFC 8460).
. "$INTEROP/lib.sh"
needs postfix openssl
[ "$(id -u)" = 0 ] || { echo '  needs root, for Postfix and port 443'; exit 77; }
. "$INTEROP/mta.sh"
PEER=sts.example PEER_HOST=127.0.0.26 PEER_MAIL=$WORK/postfix/mail
web=127.0.0.27

openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj '/CN=Our authority' -keyout "$WORK/ca.key" -out "$WORK/ca.crt" 2>/dev/null
# certificate FILE NAME...
certificate() {
    local file=$1 names
    shift
    names=$(printf ',DNS:%s' "$@")
    openssl req -newkey rsa:2048 -nodes -subj "/CN=$1" -keyout "$WORK/$file.key" -out "$WORK/$file.csr" 2>/dev/null
    openssl x509 -req -in "$WORK/$file.csr" -CA "$WORK/ca.crt" -CAkey "$WORK/ca.key" -CAcreateserial -days 2 -out "$WORK/$file.crt" \
        -extfile <(printf 'subjectAltName=%s\nbasicConstraints=critical,CA:FALSE\n' "${names#,}") 2>/dev/null
    chmod 600 "$WORK/$file.key"
}
certificate mx "mx.$PEER"
certificate web mta-sts.{sts,elsewhere,misnamed}.example

# One host, and three domains: its own; one whose policy names others; one that knows it by a name which it cannot prove.
mkdir "$WORK/policies"
policy() { printf 'version: STSv1\r\nmode: enforce\r\nmx: %s\r\nmax_age: 86400\r\n' "$2" >"$WORK/policies/$1"; }
policy sts.example "*.sts.example"
policy elsewhere.example mx.elsewhere.example
policy misnamed.example mx.misnamed.example
for domain in sts elsewhere misnamed; do
    printf '%s\n' "_mta-sts.$domain.example TXT v=STSv1; id=1;" "mta-sts.$domain.example A $web"
done >"$WORK/zone"
printf '%s\n' "$PEER MX 10 mx.$PEER" "mx.$PEER A $PEER_HOST" "elsewhere.example MX 10 mx.$PEER" \
    'misnamed.example MX 10 mx.misnamed.example' "mx.misnamed.example A $PEER_HOST" >>"$WORK/zone"
name_server
python3 "$INTEROP/clients/policies.py" "$web" "$WORK/web.crt" "$WORK/web.key" "$WORK/policies" 2>"$WORK/web.log" &
PIDS+=("$!")

export TLS_CERTIFICATE=$WORK/mx.crt TLS_KEY=$WORK/mx.key
succeeds 'Postfix starts' "$INTEROP/postfix-instance" "$WORK/postfix" "$HOP" mx "$PEER_HOST" "$PEER" "$PORT"
postfix=$(tr -d ' ' <"$WORK/postfix/spool/pid/master.pid")
PIDS+=("$postfix")
wait_for_host "$PEER_HOST" "$HOP" "$postfix"
export SSL_CERT_FILE=$WORK/ca.crt
serve_us '[relay.tls_reports]' 'organization = "Example"' "contact = \"$FROM\""

python3 "$INTEROP/mail.py" make plain >"$WORK/plain.eml"
for domain in sts elsewhere misnamed; do
    succeeds "for $domain.example, to us" into_us "$FROM" "$WORK/plain.eml" "user1@$domain.example"
done
# queued DOMAIN ARGUMENT...: how many deliveries for it are in the queue.
queued() { "$POSTHASTE" queue ls --data "$DATA" --domain "$@" --json | python3 -c 'import json, sys; print(len(json.load(sys.stdin)))'; }
eventually 'at the host that is what its policy says' 1 maildir count "$PEER_MAIL/user1/Maildir"
explained() { "$POSTHASTE" explain "user1@$1" --data "$DATA"; }
# Postfix has it a moment before we have its answer, and have settled the delivery.
eventually 'whose answer is settled' 0 queued sts.example
expect_match 'over TLS with a host that proved its name' ', verified by ' "$(explained sts.example)"
eventually 'a host that the policy does not name gets nothing' 1 queued elsewhere.example --reason '4.7.0 None of the mail hosts'
eventually 'nor does one that cannot prove its name' 1 queued misnamed.example --reason '4.7.5 There is no TLS with this host'
expect "messages there" 1 "$(maildir count "$PEER_MAIL/user1/Maildir")"
expect "reports for $FROM" 0 "$(messages "$FROM")"
stop_server
expect 'what was counted' 'elsewhere.example sts validation-failure, misnamed.example sts certificate-host-mismatch, sts.example sts' \
    "$(python3 -c 'import json, sys
days = json.load(open(sys.argv[1]))
found = set()
def walk(value, domain=None):
    if isinstance(value, dict):
        policy = value.get("policy")
        if isinstance(policy, dict) and "policy-type" in policy:
            kinds = sorted({detail["result-type"] for detail in value.get("failure-details", [])})
            found.add(" ".join([policy["policy-domain"], policy["policy-type"], *kinds]))
        for one in value.values():
            walk(one)
    elif isinstance(value, list):
        for one in value:
            walk(one)
walk(days)
print(", ".join(sorted(found)))' "$DATA/tls-reports.json")"
[ "$FAULTS" = 0 ] || tail -n 20 "$WORK/postfix/spool/log" "$WORK/web.log" | sed 's/^/    /'
