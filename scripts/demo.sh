#!/bin/bash
# A story in five parts: data that outlives its containers. Starts a daemon of its own in a
# temporary folder, prints each command before it runs it, and removes everything at the end.
#
# Drives Docker's own client where there is one, else holdfast (DEMO_CLIENT=holdfast chooses).
set -euo pipefail

root=$(readlink -f "$(dirname "$0")/..")
bin=${HOLDFAST_BIN:-$root/build/bin}
dir=$(mktemp -d /tmp/holdfast-demo-XXXXXX)
client=${DEMO_CLIENT:-$(command -v docker >/dev/null && echo docker || echo holdfast)}
daemon=
export PATH=$bin:$PATH DOCKER_CONFIG=$dir/config
export DOCKER_HOST=unix://$dir/engine.sock HOLDFAST_HOST=unix://$dir/engine.sock
unset DOCKER_CONTEXT

bold= dim= plain=
if [ -t 1 ]; then bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'; fi

chapter() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
note() { printf '%s%s%s\n' "$dim" "$*" "$plain"; }
fail() { printf 'demo: %s\n' "$*" >&2; exit 1; }

# Prints a command as one would type it, and runs it by the client.
say() {
  local command=${1//docker /$client }
  printf '%s$ %s%s\n' "$bold" "$command" "$plain"
  (cd "$dir/work" && eval "$command")
}

clean_up() {
  local status=$?
  trap - EXIT
  if [ -n "$daemon" ]; then
    "$client" ps -aq 2>/dev/null | xargs -r "$client" rm -f -v >/dev/null 2>&1 || true
    kill "$daemon" 2>/dev/null && wait "$daemon" 2>/dev/null || true
  fi
  [ ! -e "$dir/registry.pid" ] || "$root/tests/images/registry.sh" stop --pidfile "$dir/registry.pid"
  ip link delete holdfast-demo 2>/dev/null || true
  [ $status = 0 ] || { echo 'The daemon said:' && tail -n 20 "$dir/log"; } >&2 || true
  if grep -q " $dir/" /proc/self/mountinfo; then
    echo "demo: something is still mounted below $dir" >&2
  else
    rm -rf "$dir"
  fi
  exit $status
}

wait_for() { # SECONDS COMMAND...
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $deadline ] || fail "waited in vain for: $*"
    sleep 0.1
  done
}

# A sub-net that no interface of this machine is on.
free_subnet() {
  local third
  for third in $(seq 90 130); do
    if ! ip -4 -o address | grep -q " 10\.213\.$third\."; then
      echo "10.213.$third.1/24"
      return
    fi
  done
}

start_daemon() {
  "$bin/holdfastd" -H "$DOCKER_HOST" --data-root "$dir/data" --exec-root "$dir/exec" \
    --pidfile "$dir/pid" --bridge holdfast-demo --bip "$(free_subnet)" >"$dir/log" 2>&1 &
  daemon=$!
  wait_for 20 "$client" version
}

on_docker_hub() {
  curl -fsS --max-time 5 -o /dev/null -w '' https://registry-1.docker.io/v2/ 2>&1 |
    grep -q 'error: 401'
}

take_test_images() { # NAME...
  local address name
  address=$("$root/tests/images/registry.sh" start --pidfile "$dir/registry.pid")
  for name in "$@"; do
    "$root/tests/images/registry.sh" push --to "$address" "$name:latest" \
      2> >(grep -v 'up to date$' >&2) >/dev/null
    "$client" pull -q "$address/library/$name" >/dev/null
    "$client" tag "$address/library/$name" "$name"
  done
}

get_images() {
  if on_docker_hub; then
    note 'Docker Hub can be reached: the images are its own.'
    say 'docker pull postgres'
    say 'docker pull -q alpine'
  else
    note 'Docker Hub cannot be reached from here: postgres and alpine are the test images, made'
    note 'from Debian packages by tests/images and pulled from a registry on this machine.'
    take_test_images postgres alpine
  fi
}

server_ready() { wait_for 60 "$client" exec "$1" pg_isready -q -h 127.0.0.1 -U postgres; }

rows_expected() { # OUTPUT
  grep -q '1 | Finish work' <<<"$1" && grep -q '2 | Have fun' <<<"$1" || fail 'the rows are not there'
}

database_story() {
  chapter '1. A database keeps its tables'
  say 'docker run --name=db -e POSTGRES_PASSWORD=secret -d -v postgres_data:/var/lib/postgresql/data postgres'
  server_ready db
  say 'docker exec -i db psql -U postgres <<SQL
CREATE TABLE tasks (
    id SERIAL PRIMARY KEY,
    description VARCHAR(100)
);
INSERT INTO tasks (description) VALUES ('"'Finish work'"'), ('"'Have fun'"');
SQL'
  say 'docker stop db'
  say 'docker rm db'
  note 'The container is gone. Another one, on the same volume:'
  say 'docker run --name=new-db -d -v postgres_data:/var/lib/postgresql/data postgres'
  server_ready new-db
  read_rows new-db
  say 'docker rm -f new-db'
}

read_rows() { # CONTAINER
  local output
  output=$(say "docker exec $1 psql -U postgres -c \"SELECT * FROM tasks\"")
  echo "$output"
  rows_expected "$output"
}

log_story() {
  chapter '2. A volume is made when it is first named, and shared'
  say "docker run --rm -v log-data:/logs alpine sh -c 'echo first run >>/logs/runs.log'"
  say "docker run --rm -v log-data:/logs alpine sh -c 'echo second run >>/logs/runs.log'"
  say 'docker run --rm -v log-data:/logs:ro alpine cat /logs/runs.log'
  say 'docker volume ls'
}

bind_story() {
  chapter '3. A folder of the host, edited live from both sides'
  mkdir "$dir/work/src"
  say 'echo "written on the host" >src/note'
  say 'docker run -d --name editor -v "$(pwd)"/src:/app/src alpine sleep 1000'
  say 'docker exec editor cat /app/src/note'
  say 'echo "edited on the host" >src/note'
  say 'docker exec editor cat /app/src/note'
  say "docker exec editor sh -c 'echo edited in the container >/app/src/note'"
  say 'cat src/note'
  [ "$(cat "$dir/work/src/note")" = 'edited in the container' ] || fail 'the edit did not arrive'
  say 'docker rm -f editor'
}

tmpfs_story() {
  chapter '4. Memory only: a tmpfs, and what is in it never touches a disk'
  say 'docker run --rm --mount type=tmpfs,dst=/tmp,tmpfs-size=64m alpine df -h /tmp'
}

backup_story() {
  chapter '5. A backup by a helper container, restored into a new volume'
  say 'docker run --rm -v postgres_data:/data:ro -v "$(pwd)":/backup alpine \
    tar czf /backup/postgres_data-$(date +%F).tgz -C / data'
  say 'ls -s postgres_data-$(date +%F).tgz'
  say 'docker volume create restored'
  say 'docker run --rm -v restored:/data -v "$(pwd)":/backup:ro alpine \
    tar xzf /backup/postgres_data-$(date +%F).tgz -C /'
  say 'docker run --name=restored-db -d -v restored:/var/lib/postgresql/data postgres'
  server_ready restored-db
  read_rows restored-db
  say 'docker rm -f restored-db'
  say 'docker volume rm postgres_data restored log-data'
}

[ "$(id -u)" = 0 ] || fail 'an engine needs root'
mkdir "$dir/work" "$dir/config"
trap clean_up EXIT
trap 'exit 130' INT TERM

chapter 'Holdfast: data that outlives its containers'
start_daemon
note "The daemon runs: $("$bin/holdfastd" --version), driven by $(command -v "$client")."
get_images
database_story
log_story
bind_story
tmpfs_story
backup_story
chapter 'Done: the two rows were read back from new-db, and once more from the restored backup.'
