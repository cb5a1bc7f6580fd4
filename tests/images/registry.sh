#!/bin/bash
# A Docker registry on loopback with the test images in it.
#
#   registry.sh start --pidfile FILE [--port N] [--storage DIR] [--auth USER:PASSWORD]
#       prints its address (127.0.0.1:PORT) once it listens; a free port by default
#   registry.sh stop --pidfile FILE
#       ends it, and removes its storage unless that was given by --storage
#   registry.sh push --to ADDRESS [--creds USER:PASSWORD] [--prefix library] [NAME[:TAG]...]
#       builds what is not up to date and pushes it, digests unchanged; all images by default
set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
start_seconds=15
stop_seconds=15

fail() {
  echo "registry.sh: $*" >&2
  exit 1
}

usage() {
  sed -n '2,/^set/{s/^# \{0,1\}//p}' "$0" >&2
  exit 2
}

write_config() { # PRIVATE-DIR STORAGE PORT AUTH
  cat <<EOF
version: 0.1
log: {level: info, accesslog: {disabled: true}}
storage:
  filesystem: {rootdirectory: $2}
  delete: {enabled: true}
http: {addr: "127.0.0.1:$3"}
EOF
  [ -z "$4" ] || echo "auth: {htpasswd: {realm: test, path: $1/htpasswd}}"
}

write_password() { # USER:PASSWORD; bcrypt, the only hash the registry takes
  /usr/bin/python3 -W ignore -c '
import crypt, sys
user, _, password = sys.stdin.readline().rstrip("\n").partition(":")
salt = crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=1 << 5)
print(user + ":" + crypt.crypt(password, salt))' <<<"$1"
}

running() { # PIDFILE: is the process it names the one started with it?
  local pid
  pid=$(cat "$1" 2>/dev/null) || return 1
  tr '\0' '\n' <"/proc/$pid/cmdline" 2>/dev/null | grep -qxF "$1.d/config.yml"
}

listening_address() { # LOG
  sed -n 's/.*msg="listening on \([0-9.:]*\)".*/\1/p' "$1"
}

start() {
  [ -n "$pidfile" ] || usage
  ! running "$pidfile" || fail "already running: $pidfile"
  local private=$pidfile.d
  rm -rf "$private"
  mkdir -p "$private/storage" ${storage:+"$storage"}
  write_config "$private" "${storage:-$private/storage}" "$port" "$auth" >"$private/config.yml"
  [ -z "$auth" ] || (umask 077 && write_password "$auth" >"$private/htpasswd")
  setsid docker-registry serve "$private/config.yml" >"$private/log" 2>&1 </dev/null &
  echo $! >"$pidfile"
  local address deadline=$((SECONDS + start_seconds))
  until address=$(listening_address "$private/log") && [ -n "$address" ]; do
    if ! kill -0 "$(cat "$pidfile")" 2>/dev/null || [ $SECONDS -ge $deadline ]; then
      cat "$private/log" >&2
      stop
      fail "the registry did not start"
    fi
    sleep 0.05
  done
  echo "$address"
}

stop() {
  [ -n "$pidfile" ] || usage
  if running "$pidfile"; then
    local pid deadline=$((SECONDS + stop_seconds))
    pid=$(cat "$pidfile")
    kill "$pid"
    while running "$pidfile"; do
      [ $SECONDS -lt $deadline ] || kill -KILL "$pid"
      sleep 0.05
    done
  fi
  rm -rf "$pidfile" "$pidfile.d"
}

push() {
  [ -n "$address" ] || usage
  "$here/build.sh" "$@" >&2
  local cache references reference
  cache=$("$here/build.sh" --where)
  references=$("$here/build.sh" --list "$@")
  for reference in $references; do
    skopeo --insecure-policy copy --quiet --all --preserve-digests --dest-tls-verify=false \
      ${creds:+--dest-creds "$creds"} "oci:$cache/$reference" \
      "docker://$address/$prefix${prefix:+/}$reference"
    echo "$address/$prefix${prefix:+/}$reference"
  done
}

verb=${1:-}
[ $# -eq 0 ] || shift
pidfile='' port=0 storage='' auth='' address='' creds='' prefix=library
while [ $# -gt 0 ]; do
  case $1 in
    --pidfile) pidfile=$(readlink -f "$2") && shift 2 ;;
    --port) port=$2 && shift 2 ;;
    --storage) storage=$(readlink -m "$2") && shift 2 ;;
    --auth) auth=$2 && shift 2 ;;
    --to) address=$2 && shift 2 ;;
    --creds) creds=$2 && shift 2 ;;
    --prefix) prefix=$2 && shift 2 ;;
    -*) usage ;;
    *) break ;;
  esac
done
case $verb in
  start) start ;;
  stop) stop ;;
  push) push "$@" ;;
  *) usage ;;
esac
