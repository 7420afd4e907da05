#!/usr/bin/env bash
# testssl.sh against STARTTLS and against TLS from the first byte: no finding above LOW. All of its checks take ten minutes and
# are made with `interop/run --full testssl` (docs/tls.md); otherwise those that a setting could spoil.
. "$INTEROP/lib.sh"
needs openssl testssl
. "$INTEROP/submission.sh"
# With less than 60 days left testssl finds something, with more than 90 it would with other rules.
certificate mail ca DNS:localhost,IP:127.0.0.1 server 85
settings
serve

checks=(--protocols --std --server-preference)
limit=140
if [ -n "${INTEROP_FULL:-}" ]; then checks=() limit=1500; fi
for how in starttls submission implicit; do
    case $how in
        starttls) target=(--starttls smtp "localhost:$PORT") ;;
        submission) target=(--starttls smtp "localhost:$SUBMISSION") ;;
        implicit) target=("localhost:$SMTPS") ;;
    esac
    # The listeners for STARTTLS differ in tickets only, which the short run does not look at.
    [ "$how" != submission ] || [ -n "${INTEROP_FULL:-}" ] || continue
    timeout "$limit" testssl --quiet --color 0 --warnings off --ip 127.0.0.1 --add-ca "$CA" --jsonfile "$WORK/$how.json" \
        "${checks[@]}" "${target[@]}" >"$WORK/$how.log" 2>&1 || true
    found=$(python3 - "$WORK/$how.json" <<'END' || true
import json, sys
# Not about the server: the certificate of the check has no address for revocation (docs/tls.md); Debian's openssl has no GOST,
# and cannot try resumption behind STARTTLS (checks/tls.sh does); SMTP is not HTTP.
accepted = {"cert_revocation", "engine_problem", "sessionresumption_ticket", "service"}
findings = json.load(open(sys.argv[1]))
for finding in findings:
    if finding["severity"] not in ("OK", "INFO", "LOW") and finding["id"] not in accepted:
        print(finding["id"], finding["severity"], finding["finding"])
print(len(findings) >= 20 and "enough was looked at" or f"{len(findings)} findings only")
END
    )
    expect "testssl.sh, $how: findings above LOW" 'enough was looked at' "${found:-nothing was looked at: $(tail -n 3 "$WORK/$how.log")}"
    [ -z "${INTEROP_KEEP:-}" ] || cp "$WORK/$how.json" "$WORK/$how.log" "$INTEROP_KEEP/"
done
stop_server
