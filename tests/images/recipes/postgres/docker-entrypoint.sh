#!/bin/bash
# Starts PostgreSQL; where PGDATA is empty, makes a cluster there first. Started as root, it
# gives PGDATA to the user postgres and goes on as that user.
#
#   POSTGRES_PASSWORD          of the superuser; needed for a new cluster unless it trusts all
#   POSTGRES_USER              the superuser (postgres)
#   POSTGRES_DB                a database to make (named as the superuser)
#   POSTGRES_INITDB_ARGS       more arguments for initdb
#   POSTGRES_INITDB_WALDIR     where the write-ahead log goes
#   POSTGRES_HOST_AUTH_METHOD  how remote users prove who they are (the server's default)
# Each of the first four may be given as NAME_FILE instead: the value is in that file.
# For a new cluster, /docker-entrypoint-initdb.d/*.{sh,sql,sql.gz} are run in order of name.
set -Eeuo pipefail
shopt -s nullglob

note() {
  printf '%s\n\n' "$@" >&2
}

fail() {
  printf 'Error: %s\n' "$1" >&2
  shift
  [ $# -eq 0 ] || printf '       %s\n' "$@" >&2
  exit 1
}

# Sets and exports NAME from NAME_FILE, or from the default.
take_from_file() { # NAME [DEFAULT]
  local file_name=$1_FILE
  if [ -n "${!1:-}" ] && [ -n "${!file_name:-}" ]; then
    fail "both $1 and $file_name are set (but are exclusive)"
  fi
  local value=${!1:-${2:-}}
  [ -z "${!file_name:-}" ] || value=$(<"${!file_name}")
  export "$1=$value"
  unset "$file_name"
}

take_settings() {
  take_from_file POSTGRES_PASSWORD
  take_from_file POSTGRES_USER postgres
  take_from_file POSTGRES_DB "$POSTGRES_USER"
  take_from_file POSTGRES_INITDB_ARGS
  : "${POSTGRES_HOST_AUTH_METHOD:=}"
}

check_password() {
  if [ -z "$POSTGRES_PASSWORD" ] && [ "$POSTGRES_HOST_AUTH_METHOD" != trust ]; then
    fail 'Database is uninitialized and superuser password is not specified.' \
      'You must specify POSTGRES_PASSWORD to a non-empty value for the' \
      'superuser. For example, "-e POSTGRES_PASSWORD=password" on "docker run".' \
      '' \
      'You may also use "POSTGRES_HOST_AUTH_METHOD=trust" to allow all' \
      'connections without a password. This is *not* recommended.'
  fi
}

make_directories_ours() {
  mkdir -p "$PGDATA"
  chmod 700 "$PGDATA"
  find "$PGDATA" \! -user postgres -exec chown postgres:postgres {} +
  mkdir -p /run/postgresql
  chown postgres:postgres /run/postgresql
  chmod 3777 /run/postgresql
  if [ -n "${POSTGRES_INITDB_WALDIR:-}" ]; then
    mkdir -p "$POSTGRES_INITDB_WALDIR"
    chmod 700 "$POSTGRES_INITDB_WALDIR"
    find "$POSTGRES_INITDB_WALDIR" \! -user postgres -exec chown postgres:postgres {} +
  fi
}

make_cluster() {
  local arguments=(--username="$POSTGRES_USER")
  [ -z "${POSTGRES_INITDB_WALDIR:-}" ] || arguments+=(--waldir="$POSTGRES_INITDB_WALDIR")
  # The arguments may be quoted as on a command line, hence eval.
  if [ -n "$POSTGRES_PASSWORD" ]; then
    eval 'initdb "${arguments[@]}" --pwfile=<(printf "%s\n" "$POSTGRES_PASSWORD")' \
      "$POSTGRES_INITDB_ARGS"
  else
    eval 'initdb "${arguments[@]}"' "$POSTGRES_INITDB_ARGS"
  fi
  local method=${POSTGRES_HOST_AUTH_METHOD:-$(postgres -C password_encryption)}
  printf '\nhost all all all %s\n' "$method" >>"$PGDATA/pg_hba.conf"
}

# A server for the set-up alone: nobody outside may meet a half-made database.
start_private_server() { # [ARGUMENT...] of the server to come
  local options
  printf -v options '%q ' "$@" -c listen_addresses= -p "${PGPORT:-5432}"
  NOTIFY_SOCKET='' PGUSER=$POSTGRES_USER pg_ctl -D "$PGDATA" -o "$options" -w start
}

stop_private_server() {
  PGUSER=$POSTGRES_USER pg_ctl -D "$PGDATA" -m fast -w stop
}

run_sql() { # DATABASE; the statements are on standard input
  PGHOST='' PGHOSTADDR='' PGPASSWORD=${PGPASSWORD:-$POSTGRES_PASSWORD} \
    psql -v ON_ERROR_STOP=1 --no-psqlrc --no-password -U "$POSTGRES_USER" -d "$1" "${@:2}"
}

make_database() {
  local found
  found=$(run_sql postgres -v db="$POSTGRES_DB" -At \
    <<<"SELECT 1 FROM pg_database WHERE datname = :'db'")
  [ -n "$found" ] || run_sql postgres -v db="$POSTGRES_DB" <<<'CREATE DATABASE :"db"'
}

run_init_files() {
  local file
  for file in /docker-entrypoint-initdb.d/*; do
    echo "$0: running $file"
    case $file in
      *.sh) if [ -x "$file" ]; then "$file"; else . "$file"; fi ;;
      *.sql) run_sql "$POSTGRES_DB" <"$file" ;;
      *.sql.gz) gunzip -c "$file" | run_sql "$POSTGRES_DB" ;;
      *) echo "$0: ignoring $file" ;;
    esac
  done
}

main() {
  # Only options: they are the server's.
  case ${1:-} in -*) set -- postgres "$@" ;; esac
  [ "${1:-}" = postgres ] || exec "$@"
  case " $* " in *' --help '* | *' -? '* | *' --version '* | *' -V '* | *' -C '*) exec "$@" ;; esac

  if [ "$(id -u)" = 0 ]; then
    make_directories_ours
    exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
  fi
  if [ ! -s "$PGDATA/PG_VERSION" ]; then
    take_settings
    check_password
    make_cluster
    start_private_server "${@:2}"
    make_database
    run_init_files
    stop_private_server
    unset PGPASSWORD
    note '' 'PostgreSQL init process complete; ready for start up.'
  else
    note '' 'PostgreSQL Database directory appears to contain a database; Skipping initialization'
  fi
  exec "$@"
}

main "$@"
