#!/usr/bin/env bash
# Starts a Docker daemon where none answers, and stops the one it started.
#
#   daemon.sh start [--work DIR] [--data-root DIR]    prints the address for DOCKER_HOST
#   daemon.sh stop  [--work DIR]                      only a daemon that `start` started
#
# DIR holds its log and PID (default /var/lib/vqchaos-docker). DOCKER_HOST names the socket
# (default unix:///var/run/docker.sock). DOCKERD_ARGS is passed to dockerd as it is.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=lib.sh
. "$here/lib.sh"

[ $# -ge 1 ] || usage_error "start or stop?"
action=$1
shift
work=/var/lib/vqchaos-docker
data_root=
while [ $# -gt 0 ]; do
  case $1 in
    --work) work=$(value "$@"); shift 2 ;;
    --data-root) data_root=$(value "$@"); shift 2 ;;
    *) usage_error "unknown option $1 (--work, --data-root)" ;;
  esac
done
export DOCKER_HOST=${DOCKER_HOST:-unix:///var/run/docker.sock}
pid_file=$work/dockerd.pid

answers() { timeout 20 docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

# The PID of the daemon that we started, if it is alive and still a dockerd.
ours() {
  local pid
  pid=$(cat "$pid_file" 2>/dev/null) && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = dockerd ] &&
    printf '%s\n' "$pid"
}

start() {
  need docker=docker.io
  if answers; then
    printf '%s\n' "$DOCKER_HOST"
    return
  fi
  case $DOCKER_HOST in
    unix://*) ;;
    *) die "no daemon answers at $DOCKER_HOST, and only a local one can be started" "unset DOCKER_HOST" ;;
  esac
  need_root
  need dockerd=docker.io iptables=iptables
  need_space "${data_root:-$work}" 2000 "Docker"
  mkdir -p "$work"
  if ! ours >/dev/null; then
    say "starting dockerd; its log: $work/dockerd.log"
    local arguments=(-H "$DOCKER_HOST" --pidfile "$pid_file" --exec-root "$work/exec")
    [ -z "$data_root" ] || arguments+=(--data-root "$data_root")
    # shellcheck disable=SC2086 # meant to be split
    setsid dockerd "${arguments[@]}" ${DOCKERD_ARGS:-} >>"$work/dockerd.log" 2>&1 </dev/null &
  fi
  local n
  for n in $(seq 60); do
    if answers; then
      printf '%s\n' "$DOCKER_HOST"
      return
    fi
    [ "$n" -lt 5 ] || ours >/dev/null || break
    sleep 0.5
  done
  tail -n 5 "$work/dockerd.log" >&2 || true
  die "dockerd does not come up" "the whole log: $work/dockerd.log"
}

stop() {
  local pid n
  if ! pid=$(ours); then
    say "no dockerd of ours runs"
    return
  fi
  say "stopping dockerd $pid"
  kill "$pid"
  for n in $(seq 60); do
    [ -e "/proc/$pid" ] || { rm -f "$pid_file"; return; }
    sleep 0.5
  done
  die "dockerd $pid does not end after 30 s ($n looks)" "see $work/dockerd.log"
}

case $action in
  start) start ;;
  stop) stop ;;
  *) usage_error "unknown action $action (start, stop)" ;;
esac
