#!/bin/bash
# Installs the Debian packages that are missing of the lists in scripts/packages:
# deps.sh LIST... (build, runtime, test). Does nothing, at once, when all are there.
#
# No service starts by it: the packages that bring one (docker.io, docker-registry) are wanted
# for their programs alone.
set -euo pipefail

here=$(dirname "$(readlink -f "$0")")

wanted() { # LIST...
  local list
  for list in "$@"; do
    cat "$here/packages/$list.txt"
    [ "$list" != test ] || cat "$here/../tests/images/packages.txt"
  done | sort -u
}

missing() { # LIST...
  local installed
  installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' | sed -n 's/^installed //p')
  grep -vxFf <(echo "$installed") <(wanted "$@") || true
  # Node.js from elsewhere brings an npm of its own, which Debian's package would clash with.
  case " $* " in *' test '*) command -v npm >/dev/null || echo npm ;; esac
}

policy=/usr/sbin/policy-rc.d
forbid_services() {
  [ ! -e "$policy" ] || return 0
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
  trap 'rm -f "$policy"' EXIT
}

# Nor at the next boot, where they weren't before.
disable_services() { # PACKAGE...
  [ -d /run/systemd/system ] || return 0
  local package
  for package in "$@"; do
    case $package in
      docker.io) systemctl disable docker.service docker.socket containerd.service ;;
      docker-registry) systemctl disable docker-registry.service ;;
    esac
  done
}

mapfile -t packages < <(missing "$@")
[ ${#packages[@]} -gt 0 ] || exit 0
if [ "$(id -u)" != 0 ]; then
  echo "deps: these packages are missing; run as root: apt-get install ${packages[*]}" >&2
  exit 1
fi
echo "deps: installing ${#packages[@]} Debian packages: ${packages[*]}"
forbid_services
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
disable_services "${packages[@]}"
echo 'deps: done'
