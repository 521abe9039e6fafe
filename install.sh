#!/bin/sh
# Lay down spidercni where container runtimes look for CNI plugins, or take it away again.
#
#   install.sh [--bin-dir DIR] [--from PATH] [--upgrade] [--systemd [--unit-dir DIR]]
#   install.sh [--bin-dir DIR] --rollback
#   install.sh [--bin-dir DIR] --uninstall
#   install.sh --help
#
#   --bin-dir DIR   the folder of the plugins; default: /opt/cni/bin
#   --from PATH     what to install: the one file, or the folder spidercni.d (starts faster); default: the first of
#                   dist/spidercni.d, dist/spidercni, spidercni.d and spidercni beside this script
#   --upgrade       take over names that belong to others, such as Spiderpool's own plugins; their files are kept as
#                   NAME.before-spidercni, and --uninstall puts them back
#   --rollback      back to the version of before; once more, and it is undone
#   --systemd       the agent too: a socket unit that starts it at the first call of a plugin, and its service
#   --unit-dir DIR  where units are, also those that an upgrade restarts and --uninstall removes; default:
#                   /etc/systemd/system
#   --uninstall     remove all that was put there and nothing else
#
# Everything lies in a folder of its own, DIR/.spidercni/VERSION-HASH/, and the names in DIR are links into it. A call
# that runs goes on in the folder it began in; a new call finds the old or the new, never half of one. The folder of
# before is kept until the next install, longer if something still runs in it. An agent under systemd is restarted.
#
# `spidercni install` is this script, carried in the executable (docs/design/install.md).
#
# Made for busybox as well: POSIX sh, no options that only GNU tools have.
set -eu
umask 022
LC_ALL=C
export LC_ALL

NAMES="spiderpool coordinator ifacer spidercni"
UNITS="spidercni-agent.socket spidercni-agent.service"
STATE=/var/lib/spidercni
me=${0##*/}

say() { echo "$me: $*"; }
die() {
    echo "$me: $*" >&2
    exit 1
}
usage() { sed -n '2,/^set/{/^set/d;s/^#//;s/^ //;p;}' "$0"; }

bin=/opt/cni/bin from='' units=/etc/systemd/system upgrade='' systemd='' action=install
while [ $# -gt 0 ]; do
    case $1 in
        --bin-dir | --from | --unit-dir)
            [ $# -ge 2 ] && [ -n "$2" ] || die "$1 needs a value"
            case $1 in --bin-dir) bin=$2 ;; --from) from=$2 ;; --unit-dir) units=$2 ;; esac
            shift
            ;;
        --bin-dir=*) bin=${1#*=} ;;
        --from=*) from=${1#*=} ;;
        --unit-dir=*) units=${1#*=} ;;
        --upgrade) upgrade=yes ;;
        --systemd) systemd=yes ;;
        --rollback | --uninstall)
            [ "$action" = install ] || [ "$action" = "${1#--}" ] || die "--rollback and --uninstall exclude each other"
            action=${1#--}
            ;;
        -h | --help)
            usage
            exit
            ;;
        *) die "unknown argument $1; --help shows what there is" ;;
    esac
    shift
done
[ -n "$bin" ] || die "--bin-dir needs a value"
[ -n "$units" ] || die "--unit-dir needs a value"
[ -z "$systemd" ] || [ "$action" = install ] || die "--systemd is for installing: it does not go with --$action"

missing=''
for tool in cat chmod cp cut env find id ln ls mkdir mv readlink rm sed sha256sum sleep sort sync uname; do
    command -v "$tool" >/dev/null 2>&1 || missing="$missing $tool"
done
[ -z "$missing" ] || die "this system lacks:$missing"

# --- What is there -------------------------------------------------------------------------------------------------

# The target of one of our links, relative to the folder of the plugins; empty for anything else.
our_target() {
    [ -L "$bin/$1" ] || return 0
    case $(readlink "$bin/$1") in .spidercni/*) readlink "$bin/$1" ;; esac
}

exists() { [ -e "$1" ] || [ -L "$1" ]; }

# Tell whether some process runs from a folder. Processes outside of our view (another PID namespace) are not seen:
# that is why the folder of before is kept in any case. Who started us only waits: the one file of `spidercni install`.
in_use() {
    case $(ls -l /proc/[0-9]*/exe 2>/dev/null | sed "/ \/proc\/$PPID\/exe -> /d") in *" -> $1/"*) return 0 ;; esac
    return 1
}

# One short text that stands for all files of a folder.
hash_of() { (cd "$1" && find . -type f -exec sha256sum {} + | sort | sha256sum | cut -c1-12); }

# --- Before anything is touched ------------------------------------------------------------------------------------

open_bin_dir() {
    if [ ! -d "$bin" ]; then
        [ "$action" = install ] || die "there is no folder $bin"
        mkdir -p "$bin" 2>/dev/null || die "cannot make $bin: $(why_not)"
    fi
    bin=$(cd "$bin" && pwd -P)
    home=$bin/.spidercni
    if [ ! -w "$bin" ] || ! { mkdir -p "$home" && : >"$home/lock"; } 2>/dev/null; then
        die "cannot write to $bin: $(why_not)"
    fi
    # Two at a time would clean up each other's work.
    if command -v flock >/dev/null 2>&1; then
        exec 9>"$home/lock"
        flock 9
    fi
    new=$home/new.$$ unit_half=''
    trap leave EXIT
    trap 'exit 1' HUP INT TERM
    rm -rf "$home"/new.* # of one that was killed
}

# Leave nothing half done, and no trace at all where nothing is installed.
leave() {
    rm -rf "$new" "$new".*
    [ -z "$unit_half" ] || rm -f "$unit_half"
    set -- "$home"/*/
    [ -d "$1" ] || rm -rf "$home"
}

why_not() {
    if [ "$(id -u)" = 0 ]; then
        echo "is it on a read-only or full disk?"
    else
        echo "you are not root; --bin-dir names another folder"
    fi
}

find_source() {
    here=$(cd "$(dirname_of "$0")" && pwd)
    if [ -z "$from" ]; then
        for from in "$here/dist/spidercni.d" "$here/dist/spidercni" "$here/spidercni.d" "$here/spidercni" ''; do
            if [ -f "$from/spidercni" ] || [ -f "$from" ]; then break; fi
        done
        [ -n "$from" ] || die "nothing to install beside $here/install.sh: run scripts/build first, or use --from"
    fi
    if [ -d "$from" ]; then
        [ -f "$from/spidercni" ] || die "the folder $from has no executable spidercni"
    else
        [ -f "$from" ] || die "there is no $from"
    fi
}

dirname_of() { case $1 in */*) echo "${1%/*}/" ;; *) echo . ;; esac; }

refuse_foreign() {
    foreign=''
    for name in $NAMES; do
        if [ -d "$bin/$name" ]; then
            die "$bin/$name is a folder: it cannot be a plugin"
        fi
        if exists "$bin/$name" && [ -z "$(our_target "$name")" ]; then
            foreign="$foreign $name"
        fi
    done
    if [ -n "$foreign" ] && [ -z "$upgrade" ]; then
        die "$bin has files of others:$foreign; --upgrade keeps them aside and takes their names"
    fi
}

# --- The new executable --------------------------------------------------------------------------------------------

# Copy into $new, and see it answer there: on this machine, on this file system, under each of its names.
lay_down() {
    mkdir -p "$new"
    if [ -d "$from" ]; then
        cp -R "$from/." "$new/" || die "cannot copy $from to $home: is the disk full?"
        [ "$(hash_of "$from")" = "$(hash_of "$new")" ] || die "$from changed while it was copied, try again"
    else
        cp "$from" "$new/spidercni" || die "cannot copy $from to $home: is the disk full?"
        chmod 755 "$new/spidercni" # a download has lost it
    fi
    try_out "$new"
    version=$("$new/spidercni" --version </dev/null 2>/dev/null | sed -n '1s/^.* //p' | sed 's/[^A-Za-z0-9.+-]/_/g')
    id=${version:-unknown}-$(hash_of "$new")
    # There already, but not as it was laid down: it is left to whoever runs in it.
    if exists "$home/$id"; then id=$id-$$; fi
    # A power cut must not leave names on empty files.
    sync
    mv "$new" "$home/$id"
}

try_out() {
    mkdir "$new.try"
    for name in spiderpool coordinator ifacer; do
        ln -s "$1/spidercni" "$new.try/$name"
        status=0
        # Without the second variable the relay would answer, which proves little: Python must start too.
        env -i PATH="$PATH" ${TMPDIR:+"TMPDIR=$TMPDIR"} CNI_COMMAND=VERSION SPIDERCNI_RELAYED=1 "$new.try/$name" \
            </dev/null >"$new.out" 2>"$new.err" || status=$?
        case $status-$(cat "$new.out") in
            0-*'"supportedVersions"'*) ;;
            *) die "$from does not work here, nothing was changed: $(diagnosis "$1/spidercni" "$status")" ;;
        esac
    done
    rm -rf "$new.try" "$new.out" "$new.err"
}

diagnosis() {
    machine=$(machine_of "$1")
    if [ -n "$machine" ] && [ "$machine" != "$(uname -m)" ]; then
        echo "it is for $machine, this machine is $(uname -m)"
    elif [ "$2" = 126 ]; then
        echo "it may not be executed: is $bin on a file system that is mounted noexec?"
    else
        echo "as $name it ends with status $2: $(sed -n '1,3p' "$new.err")"
    fi
}

# The architecture of an ELF file as uname spells it; empty where it is not known.
machine_of() {
    command -v od >/dev/null 2>&1 || return 0
    # shellcheck disable=SC2046 # the words are wanted
    set -- $(od -A n -t u1 -j 18 -N 2 "$1" 2>/dev/null)
    case ${1:-} in
        62) echo x86_64 ;;
        183) echo aarch64 ;;
        243) echo riscv64 ;;
        3) echo i686 ;;
        40) echo armv7l ;;
    esac
}

# --- The names -----------------------------------------------------------------------------------------------------

# Let a name point to the new executable. It is never missing in between: a link under another name is renamed over it.
switch() {
    if exists "$bin/$1" && [ -z "$(our_target "$1")" ]; then
        keep_aside "$1"
    fi
    ln -s ".spidercni/$id/spidercni" "$new.link"
    mv -f "$new.link" "$bin/$1"
}

keep_aside() {
    if [ -L "$bin/$1" ]; then
        ln -s "$(readlink "$bin/$1")" "$new.aside"
    else
        ln "$bin/$1" "$new.aside" 2>/dev/null || cp -p "$bin/$1" "$new.aside"
    fi
    mv -f "$new.aside" "$bin/$1.before-spidercni"
    say "$bin/$1 was not ours and is kept as $1.before-spidercni"
}

# Let all names point to $id, and remember what they pointed to: $home/before is for --rollback. It is written first, so
# that there is a way back from an upgrade that is killed. Says in $changed whether there was anything to do.
switch_all() {
    before='' changed=''
    for name in $NAMES; do
        target=$(our_target "$name")
        [ "$target" != ".spidercni/$id/spidercni" ] || continue
        changed=yes
        [ -n "$target" ] || continue
        before=${target#.spidercni/}
        before=${before%%/*}
    done
    if [ -n "$before" ]; then
        echo "$before" >"$new.before"
        mv -f "$new.before" "$home/before"
    fi
    for name in $NAMES; do
        [ "$(our_target "$name")" = ".spidercni/$id/spidercni" ] || switch "$name"
    done
}

# Remove all versions but the new one, the one of before, and those in which something runs.
clean_up() {
    before=$(cat "$home/before" 2>/dev/null) || before=''
    for folder in "$home"/*/; do
        folder=${folder%/}
        case ${folder##*/} in "$id" | "$before" | '*') continue ;; esac
        in_use "$folder" || rm -rf "$folder"
    done
}

install() {
    find_source
    refuse_foreign
    [ -z "$systemd" ] || refuse_foreign_units
    id=''
    if [ -d "$from" ]; then wanted=$(hash_of "$from"); else wanted=$(hash_of_file); fi
    for folder in "$home"/*-"$wanted"; do
        if [ -d "$folder" ] && [ "$(hash_of "$folder")" = "$wanted" ]; then id=${folder##*/}; fi
    done
    if [ -n "$id" ]; then try_out "$home/$id"; else lay_down; fi
    switch_all
    if [ -n "$changed" ]; then
        say "$bin has $(echo "$NAMES" | sed 's/ /, /g') of spidercni $id"
    else
        say "$bin has spidercni $id already, nothing was changed"
    fi
    [ -z "$systemd" ] || lay_down_units
    [ -z "$changed" ] || finish
}

rollback() {
    id=$(cat "$home/before" 2>/dev/null) || id=''
    [ -n "$id" ] && [ -d "$home/$id" ] || die "$bin has no version of before"
    from=$home/$id
    hash=$(hash_of "$from")
    case $id in
        *-"$hash" | *-"$hash"-*) ;;
        *) die "$from was changed since it was laid down: it is no way back" ;;
    esac
    refuse_foreign
    try_out "$from"
    switch_all
    [ -n "$changed" ] || die "$bin has no version of before: it has $id already"
    say "$bin is back at spidercni $id"
    finish
}

# The agent first, then its files.
finish() {
    restart_agent
    clean_up
}

# As `hash_of` of the folder that the one file will be in.
hash_of_file() { echo "$(sha256sum <"$from" | cut -d' ' -f1)  ./spidercni" | sha256sum | cut -c1-12; }

# --- The agent's units ---------------------------------------------------------------------------------------------

systemd_runs() { [ -d /run/systemd/system ] && command -v systemctl >/dev/null 2>&1; }

# The first line of a unit of ours says for which folder of plugins it is.
unit_mark() { echo "# Laid down by install.sh for $bin/spidercni. Changes belong into a drop-in: systemctl edit"; }
our_unit() { [ -f "$units/$1" ] && [ "$(sed -n 1p "$units/$1")" = "$(unit_mark)" ]; }

refuse_foreign_units() {
    [ -d "$units" ] || die "there is no folder $units: is this a system with systemd? --unit-dir names another folder"
    [ -w "$units" ] || die "cannot write to $units"
    units=$(cd "$units" && pwd -P)
    case $bin in *[!A-Za-z0-9/._+@-]*) die "--systemd: $bin has characters that have a meaning in a unit" ;; esac
    for unit in $UNITS; do
        if exists "$units/$unit" && ! our_unit "$unit"; then
            die "$units/$unit is not of this installation: remove it first"
        fi
    done
}

unit_text() {
    unit_mark
    case $1 in
        *.socket)
            cat <<EOF
[Unit]
Description=Socket of the spidercni agent

[Socket]
ListenStream=/run/spidercni/agent.sock
SocketMode=0600
DirectoryMode=0700
Backlog=1024

[Install]
WantedBy=sockets.target
EOF
            ;;
        *.service)
            cat <<EOF
[Unit]
Description=spidercni agent, which answers for the CNI plugins of this node
Requires=spidercni-agent.socket
After=spidercni-agent.socket

[Service]
Type=simple
# Without calls for so many seconds it leaves. The socket stays, and the next call starts it again.
ExecStart=$bin/spidercni agent --idle-exit 600
ExecReload=/bin/sh -c "kill -HUP \$MAINPID"
KillSignal=SIGTERM
# It gives calls that run 20 s to end.
TimeoutStopSec=30
Restart=on-failure
# Wrong settings stay wrong.
RestartPreventExitStatus=3
# Each call holds its connection and its network namespace.
LimitNOFILE=16384
# No option that gives it another view of the file system than the plugins have (ProtectSystem=, PrivateTmp=): both have
# to find the same store, and network namespaces are mounts that come and go.
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK AF_PACKET
EOF
            ;;
    esac
}

# Leave a unit alone that is as it should be.
lay_down_units() {
    news=''
    for unit in $UNITS; do
        [ "$(cat "$units/$unit" 2>/dev/null)" != "$(unit_text "$unit")" ] || continue
        news=yes
        unit_half=$units/.spidercni-agent.new # systemd reads no such names
        unit_text "$unit" >"$unit_half" && mv -f "$unit_half" "$units/$unit" || die "cannot write $units/$unit"
        unit_half=''
    done
    if ! systemd_runs; then
        say "$units has $UNITS; systemd does not run here. Where it does:" \
            "systemctl daemon-reload && systemctl enable --now spidercni-agent.socket"
        return
    fi
    systemctl daemon-reload && systemctl enable --now spidercni-agent.socket || die "systemctl failed: see above"
    if [ -n "$news" ] && [ -z "$changed" ]; then restart_agent; fi
    say "systemd starts the agent at the first call of a plugin"
}

# An agent that runs is of the version of before.
restart_agent() {
    if our_unit spidercni-agent.service && systemd_runs; then
        # Or the sixth upgrade within 10 s would be taken for an agent that cannot start.
        systemctl reset-failed spidercni-agent.service 2>/dev/null || :
        systemctl try-restart spidercni-agent.service ||
            die "the agent does not start: systemctl status spidercni-agent"
    fi
}

remove_units() {
    ours=''
    for unit in $UNITS; do if our_unit "$unit"; then ours="$ours $unit"; fi; done
    [ -n "$ours" ] || return 0
    if systemd_runs; then
        # The socket first: it would start the service again.
        systemctl disable --now spidercni-agent.socket || die "systemctl failed: see above"
        systemctl stop spidercni-agent.service || die "the agent does not stop: systemctl status spidercni-agent"
    fi
    for unit in $ours; do
        rm -f "$units/$unit"
        if [ -L "$units/sockets.target.wants/$unit" ]; then rm -f "$units/sockets.target.wants/$unit"; fi
    done
    if systemd_runs; then systemctl daemon-reload; fi
    say "removed from $units:$ours"
}

# --- Uninstalling --------------------------------------------------------------------------------------------------

uninstall() {
    remove_units
    for name in $NAMES; do
        if [ -z "$(our_target "$name")" ]; then
            if exists "$bin/$name"; then say "$bin/$name is not ours and stays"; fi
        elif exists "$bin/$name.before-spidercni"; then
            mv -f "$bin/$name.before-spidercni" "$bin/$name"
            say "$bin/$name is again what it was before"
        else
            rm -f "$bin/$name"
        fi
    done
    tries=0
    while in_use "$home" && [ "$tries" -lt 10 ]; do
        sleep 1 # let calls end that run
        tries=$((tries + 1))
    done
    if in_use "$home"; then say "something still runs from $home, which is removed: an agent? Stop it"; fi
    rm -rf "$home"
    say "spidercni is gone from $bin; the addresses in use are still recorded in $STATE"
}

open_bin_dir
"$action"
