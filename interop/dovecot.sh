# A Dovecot of a check's own: IMAP with STARTTLS and implicit TLS on free high ports, mail as Maildir below $WORK/dovecot.
# Sourced after lib.sh. Accounts: any, with the password `correct-horse`; with DOVECOT_USERS, a file with a line `NAME:{PLAIN}PASSWORD` each, those alone.
# DOVECOT_PROTOCOLS and DOVECOT_MORE: more of its settings.
# shellcheck shell=bash

DOVECOT=$WORK/dovecot
DOVECOT_PID=

# start_dovecot: IMAP_PORT and IMAPS_PORT are set; the certificate is $DOVECOT/cert.pem, for localhost.
start_dovecot() {
    IMAP_PORT=$(free_port)
    IMAPS_PORT=$(free_port)
    local passdb=static accounts=password=correct-horse
    [ -z "${DOVECOT_USERS:-}" ] || { passdb=passwd-file accounts=$DOVECOT_USERS; }
    mkdir -p "$DOVECOT/run" "$DOVECOT/mail"
    chmod 755 "$WORK" "$DOVECOT"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE \
        -keyout "$DOVECOT/key.pem" -out "$DOVECOT/cert.pem" 2>/dev/null
    chown -R nobody: "$DOVECOT/mail"
    cat >"$DOVECOT/dovecot.conf" <<CONF
base_dir = $DOVECOT/run
log_path = $DOVECOT/log
listen = 127.0.0.1
protocols = ${DOVECOT_PROTOCOLS:-imap}
default_internal_user = nobody
default_login_user = nobody
first_valid_uid = 1
mail_location = maildir:$DOVECOT/mail/%u
mail_uid = nobody
mail_gid = nogroup
ssl = yes
ssl_cert = <$DOVECOT/cert.pem
ssl_key = <$DOVECOT/key.pem
disable_plaintext_auth = no
auth_mechanisms = ${DOVECOT_MECHANISMS:-plain login}
passdb {
  driver = $passdb
  args = $accounts
}
userdb {
  driver = static
  args = uid=nobody gid=nogroup home=$DOVECOT/mail/%u
}
service imap-login {
  chroot =
  inet_listener imap {
    port = $IMAP_PORT
  }
  inet_listener imaps {
    port = $IMAPS_PORT
    ssl = yes
  }
}
service anvil {
  chroot =
}
service stats {
  chroot =
}
namespace inbox {
  inbox = yes
  separator = /
}
${DOVECOT_MORE:-}
CONF
    dovecot -F -c "$DOVECOT/dovecot.conf" </dev/null >"$DOVECOT/out" 2>&1 &
    DOVECOT_PID=$!
    local attempt
    for ((attempt = 0; attempt < 400; attempt++)); do
        kill -0 "$DOVECOT_PID" 2>/dev/null || break
        if (exec 2>/dev/null 3<>"/dev/tcp/127.0.0.1/$IMAP_PORT" && read -r -t 5 line <&3 && [[ $line == '* OK'* ]]); then return; fi
        sleep 0.05
    done
    echo '  FAIL Dovecot does not greet'
    cat "$DOVECOT/out" "$DOVECOT/log" 2>/dev/null | tail -n 15 | sed 's/^/       | /'
    exit 1
}

check_cleanup() {
    [ -z "$DOVECOT_PID" ] || { kill -TERM "$DOVECOT_PID" && wait "$DOVECOT_PID" || true; } 2>/dev/null
}
