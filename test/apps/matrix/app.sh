#!/bin/bash
# The matrix program as a shell pipeline; README.md says what the steps do. A shell cannot listen: `serve` waits for SIGTERM only.
name=Bash
open_socket() { # KIND HOST:PORT
  local host=${2%:*}
  host=${host#[}
  exec 3<>"/dev/$1/${host%]}/${2##*:}"
}
ask() {
  open_socket "$1" "$2" || return
  printf "$3" >&3
  if [ "$1" = tcp ]; then head -n 1 <&3; else dd bs=100 count=1 <&3 2>/dev/null; fi
  exec 3>&-
}
serve() {
  trap 'echo serve sigterm; exit 0' TERM
  while :; do
    sleep 0.2 &
    wait $!
  done
}
for word; do
  step=${word%%=*} value=${word#*=}
  case $step in
    name) name=$value; continue ;;
    tcp | tcp6 | refused | unreachable) result=$(ask tcp "$value" 'ping\n' 2>&1) ;;
    udp) result=$(ask udp "$value" ping 2>&1) ;;
    udpto | srv) result=- ;;
    dns) result=$(getent ahostsv4 "$value" | head -n 1 | cut -d' ' -f1) ;;
    read | missing) result=$(cat "$value" 2>&1) ;;
    stat) result=$(stat -c '%s %a' "$value" 2>&1) ;;
    list) result=$(ls -1 "$value" 2>&1 | LC_ALL=C sort | paste -sd, -) ;;
    write) result=$(echo "written by $name" >"$value" && cat "$value" | tr -d '\n') ;;
    child) result=$(sh -c 'exec cat "$1"' - "$value" | cat) ;;
    serve) serve ;;
  esac
  echo "$step $(echo "$result" | tail -n 1)"
done
