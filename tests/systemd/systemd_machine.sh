# shellcheck shell=sh
# A machine within this one: systemd as process 1 on an overlay of /, in namespaces and cgroups of its own.
# Nothing of / is changed, and it has no network but loopback. Standard input is a pipe of which the test process alone
# holds the other end: when that ends, however it ends, the machine is killed and nothing of it is left.
#   $1: a folder for it. Besides it, the files below $1/files are laid over / before the first start.
#   $1/init holds the process that is its process 1, as this machine sees it.
set -eu

# enter_cgroups NAME: this process goes into a new group of each hierarchy, which is the root that the machine sees.
enter_cgroups() {
    while IFS=: read -r _ controllers path; do
        case $controllers in
        '') if [ -d /sys/fs/cgroup/unified ]; then home=/sys/fs/cgroup/unified; else home=/sys/fs/cgroup; fi ;;
        name=*) home=/sys/fs/cgroup/${controllers#name=} ;;
        *) home=/sys/fs/cgroup/$controllers ;;
        esac
        [ -d "$home" ] || continue
        group=$home${path%/}/$1
        mkdir "$group"
        case $controllers in
        *cpuset*) for file in cpuset.cpus cpuset.mems; do cat "$home${path%/}/$file" >"$group/$file"; done ;;
        esac
        echo 0 >"$group/cgroup.procs"
        printf '%s\n' "$group" >>"$dir/groups"
    done </proc/self/cgroup
}

# leave_cgroups: the dying are given up to 5 s.
leave_cgroups() {
    tries=0
    while read -r group; do
        echo 0 >"${group%/*}/cgroup.procs"
        until find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || [ $tries -ge 100 ]; do
            tries=$((tries + 1))
            sleep 0.05
        done
    done <"$dir/groups"
}

# run_machine: starts it, and again when it asks for that by SIGHUP, as reboot(2) does in a namespace.
run_machine() {
    status=129
    while [ "$status" -eq 129 ]; do
        status=0
        unshare --mount --pid --uts --ipc --net --cgroup --fork --kill-child sh "$0" "$dir" inside &
        unshare=$! init=
        # The process that unshare has forked is its process 1. There is no newline to end the line.
        while [ -z "$init" ] && kill -0 "$unshare"; do
            sleep 0.01
            read -r init <"/proc/$unshare/task/$unshare/children" || true
        done
        echo "$init" >"$dir/init.new"
        mv "$dir/init.new" "$dir/init"
        wait "$unshare" || status=$?
        rm -f "$dir/init"
    done
}

dir=$1
case ${2-} in
'') # the guard
    trap '' HUP INT TERM
    : >"$dir/groups"
    enter_cgroups "gscd-test-$$"
    exec unshare --mount --propagation private sh "$0" "$dir" guard
    ;;
guard) # the same process, in a mount namespace that keeps the overlay while the machine starts again
    mkdir "$dir/disk"
    mount -t tmpfs -o mode=0755 tmpfs "$dir/disk"
    mkdir "$dir/disk/upper" "$dir/disk/work" "$dir/disk/root"
    cp -a "$dir/files/." "$dir/disk/upper"
    setsid sh "$0" "$dir" run </dev/null & # a process group, to be killed as one
    cat >/dev/null || true
    kill -KILL "-$!" 2>/dev/null || true
    wait 2>/dev/null || true
    umount -l "$dir/disk"
    leave_cgroups
    rm -rf "$dir"
    ;;
run) run_machine ;;
inside)
    root=$dir/disk/root
    hostname machine
    mount -t overlay -o "lowerdir=/,upperdir=$dir/disk/upper,workdir=$dir/disk/work" overlay "$root"
    mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
    mount --bind "$root/proc/sys" "$root/proc/sys"
    mount -o remount,bind,ro "$root/proc/sys" # it is this machine's kernel
    mount -t sysfs -o nosuid,nodev,noexec,ro sysfs "$root/sys"
    mount -t tmpfs -o mode=0755 tmpfs "$root/dev"
    for node in null,1,3 zero,1,5 full,1,7 random,1,8 urandom,1,9 tty,5,0; do
        # shellcheck disable=SC2046 # three words
        mknod -m 0666 $(echo "$root/dev/${node%%,*} c ${node#*,}" | tr , ' ')
    done
    mkdir "$root/dev/pts" "$root/dev/shm"
    mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts "$root/dev/pts"
    mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
    ln -s pts/ptmx "$root/dev/ptmx"
    ln -s /proc/self/fd "$root/dev/fd"
    mount -t tmpfs -o mode=0755 tmpfs "$root/run"
    if [ -d /sys/fs/cgroup/unified ] || ! [ -f /sys/fs/cgroup/cgroup.controllers ]; then
        mount -t tmpfs -o mode=0755 tmpfs "$root/sys/fs/cgroup"
        while IFS=: read -r _ controllers _; do
            case $controllers in
            '') name=unified type=cgroup2 options=rw ;;
            name=*) name=${controllers#name=} type=cgroup options=none,$controllers ;;
            *) name=$controllers type=cgroup options=$controllers ;;
            esac
            [ -d "/sys/fs/cgroup/$name" ] || continue
            mkdir "$root/sys/fs/cgroup/$name"
            mount -t "$type" -o "$options" cgroup "$root/sys/fs/cgroup/$name"
        done </proc/self/cgroup
    else
        mount -t cgroup2 cgroup "$root/sys/fs/cgroup"
    fi
    cd "$root"
    pivot_root . .
    umount -l .
    mount --make-rshared / # as on any machine; systemd hands credentials on by that
    exec env -i container=gscd-test PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        chroot . /lib/systemd/systemd --system --unit=multi-user.target --log-target=journal --show-status=no
    ;;
esac
