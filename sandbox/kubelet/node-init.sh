# First process of the sandbox's node: owns its network, mount and PID namespaces. Everything that the sandbox creates in
# the kernel hangs on them, so when this process ends, for whatever reason, all of it goes. It ends when its standard
# input does, which is when the sandbox process does.
# Arguments: the state directory. Input: one line that says that the uplink is there, then `ip -batch` lines until EOF-NET.
set -e
state=$1
# In a chroot the root is no mount point and has no propagation of its own; the caller made it private then.
mount --make-rprivate / 2>/dev/null || true
mkdir -p "$state/t" "$state/run"
mount -t tmpfs -o mode=0755 tmpfs "$state/t"
node=$state/t/node
mkdir -p "$node/upper" "$node/work" "$node/root" "$state/t/c"
# The node's own root: what hostPath volumes show. Reads fall through to this machine, writes stay here.
mount -t overlay overlay -o "lowerdir=/,upperdir=$node/upper,workdir=$node/work" "$node/root"
i=0
while read -r mountpoint; do
  [ -n "$mountpoint" ] || continue
  i=$((i + 1))
  mkdir -p "$node/upper$i" "$node/work$i"
  mount -t overlay overlay -o "lowerdir=$mountpoint,upperdir=$node/upper$i,workdir=$node/work$i" "$node/root$mountpoint" 2>/dev/null ||
    mount --bind "$mountpoint" "$node/root$mountpoint" 2>/dev/null || true
done <"$state/mounts"
mkdir -p "$node/root/run"
mount --bind "$state/run" "$node/root/run"
read -r pid _ </proc/self/stat
echo "pid $pid"
read -r _
lines=
while read -r line && [ "$line" != END ]; do lines="$lines$line
"; done
printf %s "$lines" | ip -batch -
for setting in ip_forward=1 conf/all/rp_filter=0 conf/default/rp_filter=0 conf/all/send_redirects=0 conf/default/send_redirects=0; do
  echo "${setting#*=}" >"/proc/sys/net/ipv4/${setting%%=*}"
done
[ ! -e /proc/sys/net/bridge/bridge-nf-call-iptables ] || echo 0 >/proc/sys/net/bridge/bridge-nf-call-iptables
echo ready
set +e
# bash reaps orphans while it waits here.
while read -r _; do :; done
kill -KILL -1 2>/dev/null
umount -l "$state/t" 2>/dev/null
rm -rf --one-file-system "$state"
