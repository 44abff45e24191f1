#!/usr/bin/env bash
# What `make docker` needs: says all that is lacking at once, then makes the images and writes
# .docker.env (vLLM) and .docker-stand-in.env (a server without a model) at the top of the tree.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
# shellcheck source=lib.sh
. "$here/lib.sh"

lacking=()
lacks() { lacking+=("$1"); say "lacking: $1"; }
[ "$(id -u)" = 0 ] || lacks "root (the images, a daemon of the tests' own): run it with sudo"
for pair in docker=docker.io dockerd=docker.io docker-compose=docker-compose go=golang-go \
  debootstrap=debootstrap haproxy=haproxy setpriv=util-linux; do
  command -v "${pair%%=*}" >/dev/null || lacks "${pair%%=*}: apt-get install ${pair#*=}"
done
static_busybox || lacks "a static busybox: apt-get install busybox-static"
if command -v docker >/dev/null && ! timeout 20 docker version >/dev/null 2>&1; then
  lacks "a Docker daemon that answers: tools/docker/daemon.sh start (and stop), or systemctl start docker"
fi
[ ${#lacking[@]} -eq 0 ] || die "Docker's tests cannot run: ${#lacking[@]} things are lacking (above)" \
  "without Docker: make lint fast undo live"

"$here/images.sh" --stand-in --env-file "$top/.docker-stand-in.env"
"$here/images.sh" --env-file "$top/.docker.env"
