# shellcheck shell=sh
# Kills a private server and removes its folder as soon as the process that started them is gone.
# Standard input is a pipe of which that process alone holds the other end. $1: the folder, $2: the killing signal.
trap '' HUP INT TERM
read -r _
cd "$1" || exit 0
# shellcheck disable=SC2094 # the variable is no file
if read -r pid <pid; then
    children=$(cat "/proc/$pid/task/$pid/children")
    # shellcheck disable=SC2086
    kill -CONT $children "$pid" # whoever is frozen cannot die of anything but KILL
    kill "-$2" "$pid"
    tries=0
    while kill -0 "$pid" && [ $tries -lt 80 ]; do
        case $(cat "/proc/$pid/stat") in *") Z "*) break ;; esac # dead, only not collected yet
        sleep 0.1
        tries=$((tries + 1))
    done
    kill -KILL "$pid"
fi
# A postmaster that was killed leaves a System V memory segment, which it names in line 7: key and id.
segment=$(sed -n '7s/^ *[0-9]* *//p' data/postmaster.pid)
[ -z "$segment" ] || ipcrm -m "$segment"
cd /
tries=0
while [ -e "$1" ] && [ $tries -lt 50 ]; do
    rm -rf -- "$1"
    [ ! -e "$1" ] || sleep 0.1 # something that is dying still wrote
    tries=$((tries + 1))
done
