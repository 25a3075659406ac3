# Says what a host is like. It only reads, and leaves nothing behind.
#   observe.sh "KIND VALUE"...
# Each argument is a thing to look at:
#   path P       file or folder: its kind, mode, owner, and content if it is small, or
#                else its sum
#   paths G      the same for all that a pattern matches
#   manifest F   the same for all that F names, in lines "path": "P"
#   list D       what is in folder D
#   space D      room in the filesystem that D is in, or will be
#   unit U       a unit of systemd
#   tool T       a program in the PATH
#   library L    a shared library, by file name
#   header H     a file under /usr/include
#   apt N, dnf N, zypper N   a package, where that is the package manager
#   user N, group N
#   port N       who listens there
#   vip A        whether another machine answers there
#   vrrp U       the unit of the pair's own keepalived: while it runs, no VIP is asked
#   redis U CONF AUTH CLI... INFO of the Redis that unit U runs with CONF, asked
#                with the first client that is there
#   program F ID the records F.stat and F.sums of an installed program
# It prints sections, each begun by a line "== NAME"; the last, "content", is
# the bytes of the small files, one after the other, in the order of "stat".
#
# A plan that finds nothing to do should cost little more than the connection,
# and here what costs is starting programs. So the shell itself reads what is
# short, and the slowest program runs beside the others.
# shellcheck disable=SC2086,SC2046 # lists are split at line breaks, and only there
set -u
LC_ALL=C
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
export LC_ALL PATH
newline='
'
small=262144
most=67108864

section() { printf '== %s\n' "$1"; }
have() { command -v "$1" >/dev/null 2>&1; }

# lines FILE: prints it.
lines() {
	[ -r "$1" ] || return
	while IFS= read -r line; do
		printf '%s\n' "$line"
	done <"$1"
}

# process PID: sets unit to what it belongs to, by its cgroup.
process() {
	unit=-
	while IFS= read -r line; do
		case $line in
		0::*.service* | *:name=systemd:*.service*)
			unit=${line%%.service*}.service
			unit=${unit##*/}
			;;
		esac
	done <"/proc/$1/cgroup"
	printf 'process %s %s\n' "$1" "$unit"
} 2>/dev/null

# program RECORD ID: is what was installed still there, by size, times, mode
# and owner? Only what differs there is read and summed.
program() {
	if [ ! -r "$1.stat" ]; then
		settled=no
		return
	fi
	wanted=
	files=
	{
		IFS= read -r head
		while IFS= read -r line; do
			wanted=$wanted$newline$line
			files=$files$newline/${line#* /}
		done
	} <"$1.stat"
	printf 'program %s %s\n' "${1##*/}" "$head"
	[ "${head%% *}" = "$2" ] || settled=no
	seen=$(stat -c '%s %Y %Z %a %U:%G %n' -- $files 2>/dev/null)
	[ "$newline$seen" != "$wanted" ] || return
	sha256sum -c --quiet -- "$1.sums" 2>/dev/null | sed 's/^/damaged /'
	rights='s/^[0-9]* [0-9]* [0-9]* //'
	[ "$(printf '%s\n' "$newline$seen" | sed "$rights")" = "$(printf '%s\n' "$wanted" | sed "$rights")" ] ||
		printf 'damaged mode or owner\n'
}

system() {
	lines /etc/os-release
	read -r kernel </proc/sys/kernel/osrelease
	printf '\nKERNEL=%s\n' "$kernel"
	while IFS= read -r line; do
		case $line in
		Uid:*)
			line=${line#Uid:?}
			printf 'USERID=%s\n' "${line%%[!0-9]*}"
			break
			;;
		esac
	done </proc/self/status
	[ ! -d /run/systemd/system ] || printf 'SYSTEMD=yes\n'
	manager=none
	if have apt-get; then
		manager=apt
	elif have dnf; then
		manager=dnf
	elif have zypper; then
		manager=zypper
	fi
	printf 'MANAGER=%s\n' "$manager"
	printf 'MACHINE=%s\n' "$(uname -m)"
	printf 'LIBC=%s\n' "$(getconf GNU_LIBC_VERSION 2>/dev/null || ldd --version 2>&1)"
}

parts() {
	for name in $tools; do
		! have "$name" || printf 'tool %s\n' "$name"
	done
	set +f
	for name in $libraries; do
		for file in /lib/$name /lib64/$name /usr/lib/$name /usr/lib64/$name /usr/lib/*/"$name" /lib/*/"$name"; do
			if [ -e "$file" ]; then
				printf 'library %s\n' "$name"
				break
			fi
		done
	done
	set -f
	for name in $headers; do
		[ ! -e "/usr/include/$name" ] || printf 'header %s\n' "$name"
	done
}

packages() {
	case $manager in
	apt) set -- $apt ;;
	dnf) set -- $dnf ;;
	zypper) set -- $zypper ;;
	*) return ;;
	esac
	[ $# -gt 0 ] || return
	if [ "$manager" != apt ]; then
		rpm -q --qf 'installed %{VERSION}-%{RELEASE} %{NAME}\n' -- "$@" 2>/dev/null
		return
	fi
	found=$(dpkg-query -W -f '${db:Status-Status} ${Version} ${Package}\n' -- "$@" 2>/dev/null)
	printf '%s\n' "$found"
	for name; do
		case $newline$found$newline in
		*"installed "*" $name$newline"*) ;;
		*) printf 'candidate %s %s\n' "$(apt-cache policy "$name" 2>/dev/null | sed -n 's/^  Candidate: //p')" "$name" ;;
		esac
	done
}

# info UNIT CONF AUTH CLI...
info() {
	owner=$1
	conf=$2
	password=$3
	shift 3
	while [ $# -gt 0 ] && [ ! -x "$1" ]; do
		shift
	done
	if [ $# = 0 ] || [ ! -r "$conf" ]; then return; fi
	port=$(sed -n 's/^port  *//p' "$conf")
	port=${port:-6379}
	auth=
	[ ! -r "$password" ] || read -r auth <"$password"
	said=$(printf '%s\nINFO\n' "$auth" | timeout 1 "$1" -p "$port" 2>/dev/null)
	printf '%s\n' "$said"
	# A server that is the unit's own is the one that listens.
	case $said in
	*process_id:*)
		pid=${said#*process_id:}
		process "${pid%%[!0-9]*}" >/dev/null
		[ "$unit" != "$owner" ] || own=$port
		;;
	esac
}

listeners() {
	for port in $ports; do
		[ "$port" != "$own" ] || continue
		for line in $(ss -Hltnp "sport = :$port" 2>/dev/null); do
			printf 'listens %s %s\n' "$port" "$line"
			case $line in
			*pid=*)
				pid=${line#*pid=}
				process "${pid%%,*}"
				;;
			esac
		done
	done
}

# keepaliveds prints every running one with its configuration's path, which it
# adds to the paths to look at.
keepaliveds() {
	set +f
	set -- $(grep -lxs keepalived /proc/[0-9]*/comm)
	set -f
	for comm; do
		pid=${comm#/proc/}
		pid=${pid%/comm}
		process "$pid"
		if [ "$unit" = "$vrrp" ]; then
			vips=
			continue
		fi
		conf=/etc/keepalived/keepalived.conf
		last=
		for word in $(tr '\0' '\n' <"/proc/$pid/cmdline" 2>/dev/null); do
			case $last in -f | --use-file) conf=$word ;; esac
			case $word in
			-f?*) conf=${word#-f} ;;
			--use-file=*) conf=${word#*=} ;;
			esac
			last=$word
		done
		printf 'conf %s\n' "$conf"
		paths=$paths$newline$conf
	done
}

# ask ADDRESS: does another machine answer there? A reply to a ping says so,
# and so does a reply to the question for its hardware address, which no packet
# filter drops. An old entry of that table says nothing.
ask() {
	before=$(ip neigh show to "$1")
	if have ping; then
		if timeout 0.3 ping -n -q -c 1 "$1" >/dev/null 2>&1; then
			printf 'answers %s\n' "$1"
			return
		fi
	elif have bash; then
		# shellcheck disable=SC2016 # for that shell
		timeout 0.3 bash -c 'echo >"/dev/udp/$1/9"; sleep 0.2' bash "$1" 2>/dev/null
	fi
	case $before in *lladdr*) return ;; esac
	case $(ip neigh show to "$1") in
	*lladdr*) printf 'answers %s\n' "$1" ;;
	esac
}

space() {
	at=$1
	while [ ! -d "$at" ]; do
		at=${at%/*}
		at=${at:-/}
	done
	printf '%s %s\n' "$(df -Pk -- "$at" 2>/dev/null | sed -n '2s/  *[0-9]*% .*//p' | sed 's/.* //')" "$1"
}

# look runs with the units, as systemd sees them, on its standard input.
look() {
	settled=yes
	own=

	section programs
	for record in $programs; do
		program "${record% *}" "${record##* }"
	done

	section system
	system

	section parts
	parts

	section account
	for name in $users; do
		printf 'user:'
		getent passwd "$name" || echo
	done
	for name in $groups; do
		printf 'group:'
		getent group "$name" || echo
	done

	section packages
	packages

	section redis
	if [ -n "$redis" ]; then
		IFS=' '
		set -- $redis
		IFS=$newline
		info "$@"
	fi

	section listeners
	listeners

	section keepalived
	keepaliveds

	section addresses
	addresses=$(ip -o addr show 2>/dev/null)
	printf '%s\n' "$addresses"

	section vips
	for vip in $vips; do
		case $addresses in
		*" $vip/"*) ;;
		*) ask "$vip" ;;
		esac
	done

	section space
	for dir in $spaces; do
		[ "$settled" = yes ] || space "$dir"
	done

	section lists
	set +f
	for dir in $lists; do
		for entry in "$dir"/*; do
			[ ! -e "$entry" ] || printf '%s\n' "$entry"
		done
	done
	for pattern in $patterns; do
		for path in $pattern; do
			paths=$paths$newline$path
		done
	done
	set -f
	if [ -r "$manifest" ]; then
		paths=$paths$newline$(sed -n 's/^ *"path": "\(.*\)",*$/\1/p' "$manifest")
	fi

	section units
	cat

	section stat
	files='' large=''
	if [ -n "$paths" ]; then
		known=$newline
		for line in $(stat -c '%f %a %U %G %s %Y %n' -- $paths 2>/dev/null); do
			name=/${line#* /}
			case $known in *"$newline$name$newline"*) continue ;; esac
			known=$known$name$newline
			printf '%s\n' "$line"
			case $line in 8*) ;; *) continue ;; esac
			size=${line%" $name"}
			size=${size% *}
			if [ "${size##* }" -le "$small" ]; then
				files=$files$newline$name
			elif [ "${size##* }" -le "$most" ]; then
				large=$large$newline$name
			fi
		done
	fi
	section sums
	[ -z "$large" ] || sha256sum -- $large
	section content
	[ -z "$files" ] || cat -- $files
}

main() {
	IFS=$newline
	set -f
	paths='' patterns='' manifest='' lists='' spaces='' units='' tools='' libraries='' headers=''
	apt='' dnf='' zypper='' users='' groups='' ports='' vips='' vrrp='' redis='' programs=''
	for query; do
		value=${query#* }
		case $query in
		'path '*) paths=$paths$newline$value ;;
		'paths '*) patterns=$patterns$newline$value ;;
		'manifest '*) manifest=$value ;;
		'list '*) lists=$lists$newline$value ;;
		'space '*) spaces=$spaces$newline$value ;;
		'unit '*) units=$units$newline$value ;;
		'tool '*) tools=$tools$newline$value ;;
		'library '*) libraries=$libraries$newline$value ;;
		'header '*) headers=$headers$newline$value ;;
		'apt '*) apt=$apt$newline$value ;;
		'dnf '*) dnf=$dnf$newline$value ;;
		'zypper '*) zypper=$zypper$newline$value ;;
		'user '*) users=$users$newline$value ;;
		'group '*) groups=$groups$newline$value ;;
		'port '*) ports=$ports$newline$value ;;
		'vip '*) vips=$vips$newline$value ;;
		'vrrp '*) vrrp=$value ;;
		'redis '*) redis=$value ;;
		'program '*) programs=$programs$newline$value ;;
		esac
	done
	{
		[ -z "$units" ] || systemctl show -p Id,LoadState,ActiveState,UnitFileState,NeedDaemonReload -- $units 2>/dev/null
	} </dev/null | look
}

main "$@"
