#!/bin/sh
# Lay down spidercni where container runtimes look for CNI plugins, or take it away again.
#
#   install.sh [--bin-dir DIR] [--from PATH] [--upgrade]
#   install.sh [--bin-dir DIR] --uninstall
#   install.sh --help
#
#   --bin-dir DIR   the folder of the plugins; default: /opt/cni/bin
#   --from PATH     what to install: the one file, or the folder spidercni.d (starts faster); default: the first of
#                   dist/spidercni.d, dist/spidercni, spidercni.d and spidercni beside this script
#   --upgrade       take over names that belong to others, such as Spiderpool's own plugins; their files are kept as
#                   NAME.before-spidercni, and --uninstall puts them back
#   --uninstall     remove all that was put there and nothing else
#
# Everything lies in a folder of its own, DIR/.spidercni/VERSION-HASH/, and the names in DIR are links into it. A call
# that runs goes on in the folder it began in; a new call finds the old or the new, never half of one. The folder of
# before is kept until the next install, longer if something still runs in it.
#
# Made for busybox as well: POSIX sh, no options that only GNU tools have.
set -eu
umask 022
LC_ALL=C
export LC_ALL

NAMES="spiderpool coordinator ifacer spidercni"
STATE=/var/lib/spidercni

say() { echo "install.sh: $*"; }
die() {
    echo "install.sh: $*" >&2
    exit 1
}
usage() { sed -n '2,/^set/{/^set/d;s/^#//;s/^ //;p;}' "$0"; }

bin=/opt/cni/bin from='' upgrade='' uninstall=''
while [ $# -gt 0 ]; do
    case $1 in
        --bin-dir | --from)
            [ $# -ge 2 ] && [ -n "$2" ] || die "$1 needs a value"
            if [ "$1" = --from ]; then from=$2; else bin=$2; fi
            shift
            ;;
        --bin-dir=*) bin=${1#*=} ;;
        --from=*) from=${1#*=} ;;
        --upgrade) upgrade=yes ;;
        --uninstall) uninstall=yes ;;
        -h | --help)
            usage
            exit
            ;;
        *) die "unknown argument $1; --help shows what there is" ;;
    esac
    shift
done
[ -n "$bin" ] || die "--bin-dir needs a value"

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
# that is why the folder of before is kept in any case.
in_use() {
    case $(ls -l /proc/[0-9]*/exe 2>/dev/null) in *" -> $1/"*) return 0 ;; esac
    return 1
}

# One short text that stands for all files of a folder.
hash_of() { (cd "$1" && find . -type f -exec sha256sum {} + | sort | sha256sum | cut -c1-12); }

# --- Before anything is touched ------------------------------------------------------------------------------------

open_bin_dir() {
    if [ ! -d "$bin" ]; then
        [ -z "$uninstall" ] || die "there is no folder $bin"
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
    new=$home/new.$$
    trap leave EXIT
    trap 'exit 1' HUP INT TERM
    rm -rf "$home"/new.* # of one that was killed
}

# Leave nothing half done, and no trace at all where nothing is installed.
leave() {
    rm -rf "$new" "$new".*
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
        env -i PATH="$PATH" ${TMPDIR:+"TMPDIR=$TMPDIR"} CNI_COMMAND=VERSION "$new.try/$name" \
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

# Remove all versions but the new one, the one of before, and those in which something runs.
clean_up() {
    for folder in "$home"/*/; do
        folder=${folder%/}
        case ${folder##*/} in "$id" | "$before" | '*') continue ;; esac
        in_use "$folder" || rm -rf "$folder"
    done
}

install() {
    find_source
    refuse_foreign
    id=''
    if [ -d "$from" ]; then wanted=$(hash_of "$from"); else wanted=$(hash_of_file); fi
    for folder in "$home"/*-"$wanted"; do
        if [ -d "$folder" ] && [ "$(hash_of "$folder")" = "$wanted" ]; then id=${folder##*/}; fi
    done
    if [ -n "$id" ]; then try_out "$home/$id"; else lay_down; fi
    before='' changed=''
    for name in $NAMES; do
        target=$(our_target "$name")
        [ "$target" != ".spidercni/$id/spidercni" ] || continue
        if [ -n "$target" ]; then
            before=${target#.spidercni/}
            before=${before%%/*}
        fi
        switch "$name"
        changed=yes
    done
    if [ -n "$changed" ]; then
        clean_up
        say "$bin has $(echo "$NAMES" | sed 's/ /, /g') of spidercni $id"
    else
        say "$bin has spidercni $id already, nothing was changed"
    fi
}

# As `hash_of` of the folder that the one file will be in.
hash_of_file() { echo "$(sha256sum <"$from" | cut -d' ' -f1)  ./spidercni" | sha256sum | cut -c1-12; }

# --- Uninstalling --------------------------------------------------------------------------------------------------

uninstall() {
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
    rm -rf "$home"
    say "spidercni is gone from $bin; the addresses in use are still recorded in $STATE"
}

open_bin_dir
if [ -n "$uninstall" ]; then uninstall; else install; fi
