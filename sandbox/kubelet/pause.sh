# Holds the namespaces of one pod (network, UTS, IPC) open. Arguments: the host name. Input: `ip -batch` lines for the
# pod's interface, once its far end exists.
set -e
echo "$1" >/proc/sys/kernel/hostname
read -r pid _ </proc/self/stat
echo "pid $pid"
lines=
while read -r line && [ "$line" != END ]; do lines="$lines$line
"; done
printf %s "$lines" | ip -batch -
# Containers may bind low ports without capabilities, as containerd sets it up.
echo 0 >/proc/sys/net/ipv4/ip_unprivileged_port_start
echo ready
exec sleep infinity
